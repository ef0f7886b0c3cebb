//! What starts the four services, makes orders, and stops all.

mod brokers;
mod children;
mod draw;
mod load;
mod tally;

use std::collections::BTreeMap;
use std::future::pending;

use anyhow::{Result, ensure};
use examples::stop::Stop;
use examples::telemetry::endpoint;
use tokio::sync::watch;

use self::children::Children;
use self::tally::Tally;
use crate::arguments::Arguments;

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let brokers = tokio::select! {
        () = stop.asked() => {
            println!("Interrupted.");
            return Ok(());
        }
        brokers = brokers::find() => brokers?,
    };
    tell_exported();
    let tally = watch::Sender::new(Tally::new(arguments.load.is_some()));
    let mut children = Children::default();
    let mut worked = tokio::select! {
        biased;
        () = stop.asked() => Ok(()),
        started = children.start(arguments, &brokers, &tally) => started,
    };
    let is_open = tally.borrow().address.is_some();
    if is_open && worked.is_ok() {
        worked = tokio::select! {
            biased;
            () = stop.asked() => Ok(()),
            early = children.one_ends() => early,
            worked = work(arguments, &tally) => worked,
        };
    }
    let stopped = children.stop().await;

    let tally = tally.borrow();
    if let (true, Some(load)) = (is_open, &arguments.load) {
        if let Some(tree) = tally.drawing.tree() {
            println!("\n{tree}\n\n{GUIDE}");
        }
        println!("\n{}", tally.sums(load));
    }
    worked.and(stopped)?;
    println!("{}", stop.last_words("All services have ended.".to_owned()));
    Ok(())
}

const GUIDE: &str = "\
How to read it: this is the first order that was sampled. Kafka is between `orders` and `billing`, RabbitMQ between
`billing` and `shipping`, NATS between `shipping` and `stock`. `billing` takes orders in batches: its span of the batch is in
a trace of its own, and has a link (⇠) to each of its orders, of which the one to this order is drawn.";

/// Makes orders until all are done with; or lets others make them, for ever.
async fn work(arguments: &Arguments, tally: &watch::Sender<Tally>) -> Result<()> {
    let address = tally.borrow().address.clone().unwrap_or_default();
    println!("Orders are taken at http://{address}/orders");
    let Some(load) = &arguments.load else {
        println!("  curl --data '{{\"item\": \"two books\"}}' http://{address}/orders");
        println!(
            "  curl --data '{{\"item\": \"a lamp\", \"kind\": \"slow\"}}' http://{address}/orders"
        );
        println!(
            "  curl --data '{{\"item\": \"a box\", \"kind\": \"failing\"}}' http://{address}/orders"
        );
        println!("Ctrl-C ends all.");
        return pending().await;
    };
    load::drive(&address, load, tally).await?;
    let tally = tally.borrow();
    ensure!(tally.has_all(load), "not all orders are done with");
    Ok(())
}

fn tell_exported() {
    let mut signals = BTreeMap::<_, Vec<_>>::new();
    for (signal, name) in [
        ("TRACES", "spans"),
        ("METRICS", "metrics"),
        ("LOGS", "log records"),
    ] {
        signals.entry(endpoint(signal)).or_default().push(name);
    }
    for (variable, names) in signals {
        let names = names.join(", ");
        match variable {
            Some(variable) => println!("Exported to the address in {variable}: {names}."),
            None => println!("Not exported, for OTEL_EXPORTER_OTLP_ENDPOINT is not set: {names}."),
        }
    }
}
