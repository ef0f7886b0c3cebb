//! What the services have told.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use examples::telemetry::endpoint;

use super::draw::Drawing;
use crate::arguments::{Load, Role};
use crate::counts::Counts;
use crate::report::{Broker, Report};

/// Until now.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whether orders are kept, which there may be any number of.
    is_kept: bool,
    ready: HashSet<Role>,
    pub(super) address: Option<String>,
    pub(super) sampled: usize,
    /// Orders that were sent and are not done with.
    open: HashSet<String>,
    /// Whether each was shipped that is not known to be of those: its sending may be told later, another run may have
    /// left it, and brokers deliver at least once.
    others: HashMap<String, bool>,
    shipped: usize,
    failed: usize,
    /// Orders of this run.
    sent: HashSet<String>,
    /// Each with its order, which may be another run's.
    waits: HashMap<Broker, Vec<(String, u64)>>,
    counts: Counts,
    pub(super) drawing: Drawing,
}

impl Tally {
    pub(super) fn new(is_kept: bool) -> Self {
        Self {
            is_kept,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, role: Role, report: Report) {
        match report {
            Report::Ready { address } => {
                self.ready.insert(role);
                self.address = address.or_else(|| self.address.take());
            }
            Report::Done { order, is_shipped } if self.is_kept => {
                if self.open.remove(&order) {
                    self.count(is_shipped);
                } else {
                    self.others.insert(order, is_shipped);
                }
            }
            Report::Waited {
                order,
                broker,
                micros,
            } if self.is_kept => {
                self.waits.entry(broker).or_default().push((order, micros));
            }
            Report::Done { order, is_shipped } => match is_shipped {
                true => println!("  order {order} shipped"),
                false => println!("  order {order} failed"),
            },
            Report::Waited { .. } => {}
            Report::Counted(counts) => self.counts.add(counts),
            Report::Span(span) => self.drawing.take(role, span),
        }
    }

    pub(super) fn is_ready(&self, role: Role) -> bool {
        self.ready.contains(&role)
    }

    /// An order of this run is taken.
    pub(super) fn sent(&mut self, order: String) {
        match self.others.remove(&order) {
            Some(is_shipped) => self.count(is_shipped),
            None => drop(self.open.insert(order.clone())),
        }
        self.sent.insert(order);
    }

    const fn count(&mut self, is_shipped: bool) {
        match is_shipped {
            true => self.shipped += 1,
            false => self.failed += 1,
        }
    }

    pub(super) const fn done(&self) -> usize {
        self.shipped + self.failed
    }

    pub(super) fn has_all(&self, load: &Load) -> bool {
        self.sent.len() == load.orders && self.done() == load.orders && self.failed == load.failing
    }

    pub(super) fn sums(&self, load: &Load) -> String {
        let Load { failing, slow, .. } = load;
        let (done, shipped, failed) = (self.done(), self.shipped, self.failed);
        let Counts {
            recorded,
            sampled,
            handed_over,
            exported,
        } = self.counts;
        let failed_exports = handed_over - exported;
        let (exported, note) = match endpoint("TRACES") {
            Some(_) if failed_exports == 0 => (exported, String::new()),
            Some(_) => (exported, format!(": {failed_exports} could not be")),
            // All were told to this program, which has drawn some.
            None => (0, ": OTEL_EXPORTER_OTLP_ENDPOINT is not set".to_owned()),
        };
        let mut sums = format!(
            "\
sent       {:>7} orders: {failing} that fail, {slow} that are slow
processed  {done:>7} orders: {shipped} shipped, {failed} failed
recorded   {recorded:>7} spans
sampled    {sampled:>7} spans, in the traces of {} orders
exported   {exported:>7} spans{note}
dropped    {:>7} spans
",
            self.sent.len(),
            self.sampled,
            self.counts.dropped(),
        );
        for (name, broker) in [
            ("Kafka", Broker::Kafka),
            ("RabbitMQ", Broker::RabbitMq),
            ("NATS", Broker::Nats),
        ] {
            let waits = self.waits_in_order(broker);
            let _ = writeln!(
                sums,
                "in the queue of {name:<8}  p50 {:>9.3} ms  p99 {:>9.3} ms",
                percentile(&waits, 50),
                percentile(&waits, 99),
            );
        }
        sums
    }

    /// How long orders of this run were in the queue of a broker, in microseconds, the shortest first.
    fn waits_in_order(&self, broker: Broker) -> Vec<u64> {
        let waits = self.waits.get(&broker).into_iter().flatten();
        let own = waits.filter(|(order, _)| self.sent.contains(order));
        let mut own: Vec<_> = own.map(|(_, micros)| *micros).collect();
        own.sort_unstable();
        own
    }
}

/// Milliseconds that so many of a hundred waited, at most.
fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    let micros = sorted.get(rank.saturating_sub(1)).copied();
    micros.unwrap_or_default() as f64 / 1000.0
}
