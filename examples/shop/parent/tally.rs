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
    pub(super) sent: usize,
    pub(super) sampled: usize,
    /// Orders that are done with, and whether each was shipped. One may be told twice: brokers deliver at least once.
    done: HashMap<String, bool>,
    waits: HashMap<Broker, Vec<u64>>,
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
                self.done.insert(order, is_shipped);
            }
            Report::Waited { broker, micros } if self.is_kept => {
                self.waits.entry(broker).or_default().push(micros);
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

    pub(super) fn done(&self) -> usize {
        self.done.len()
    }

    fn failed(&self) -> usize {
        self.done
            .values()
            .filter(|is_shipped| !**is_shipped)
            .count()
    }

    pub(super) fn has_all(&self, load: &Load) -> bool {
        self.sent == load.orders && self.done() == load.orders && self.failed() == load.failing
    }

    pub(super) fn sums(&self, load: &Load) -> String {
        let Load { failing, slow, .. } = load;
        let (done, failed) = (self.done(), self.failed());
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
processed  {done:>7} orders: {} shipped, {failed} failed
recorded   {recorded:>7} spans
sampled    {sampled:>7} spans, in the traces of {} orders
exported   {exported:>7} spans{note}
dropped    {:>7} spans
",
            self.sent,
            done - failed,
            self.sampled,
            self.counts.dropped(),
        );
        for (name, broker) in [
            ("Kafka", Broker::Kafka),
            ("RabbitMQ", Broker::RabbitMq),
            ("NATS", Broker::Nats),
        ] {
            let waits = self.waits.get(&broker).map_or(&[][..], Vec::as_slice);
            let _ = writeln!(
                sums,
                "in the queue of {name:<8}  p50 {:>9.3} ms  p99 {:>9.3} ms",
                percentile(waits, 50),
                percentile(waits, 99),
            );
        }
        sums
    }
}

/// Milliseconds that so many of a hundred waited, at most.
fn percentile(micros: &[u64], percent: usize) -> f64 {
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100);
    let micros = sorted.get(rank.saturating_sub(1)).copied();
    micros.unwrap_or_default() as f64 / 1000.0
}
