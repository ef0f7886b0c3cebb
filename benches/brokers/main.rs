//! What the crate costs on real brokers, beside bare clients, the least by hand, and OpenTelemetry's own
//! propagators. `benches/brokers/run` starts it, with brokers where none are named.
//!
//! ```text
//! brokers FILE [--rounds NUMBER] [BROKER...]
//! ```
//!
//! Writes lines of comma-separated values into the file, from which `report.py` makes tables and the
//! plot. A broker is `kafka`, `rabbitmq`, `nats` or `jetstream`, all of them where none is given. They
//! are where `KAFKA_BROKERS`, `AMQP_URL` and `NATS_URL` say.

mod amqp;
mod jetstream;
mod kafka;
mod nats;
mod spans;
mod turns;
mod ways;

use std::env;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use anyhow::{Context as _, Result, bail};

use self::turns::TITLES;

const CLIENT_ID: &str = "shop";
const GROUP: &str = "billing";
const KEY: &str = "order-7";
static PAYLOAD: [u8; 200] = [b'x'; 200];

const BROKERS: [&str; 4] = ["kafka", "rabbitmq", "nats", "jetstream"];

/// So many that all four brokers together take less than ten minutes on two cores.
const ROUNDS: usize = 15;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let file = arguments.next().context("which file to write to?")?;
    let mut rounds = ROUNDS;
    let mut chosen = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().context("how many?")?.parse()?,
            broker if BROKERS.contains(&broker) => chosen.push(argument),
            other => bail!("what is {other}?"),
        }
    }
    if chosen.is_empty() {
        chosen = BROKERS.map(str::to_owned).to_vec();
    }

    let mut lines = BufWriter::new(File::create(&file).context(file)?);
    writeln!(lines, "{TITLES}")?;
    for broker in chosen {
        // A runtime of its own, so that no task of one client runs while another is measured.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let _entered = runtime.enter();
        match broker.as_str() {
            "kafka" => {
                let servers = env::var("KAFKA_BROKERS").context("KAFKA_BROKERS")?;
                turns::run(
                    kafka::Kafka::connect(servers)?,
                    &runtime,
                    rounds,
                    &mut lines,
                )?;
            }
            "rabbitmq" => {
                let url = env::var("AMQP_URL").context("AMQP_URL")?;
                let rabbitmq = runtime.block_on(amqp::RabbitMq::connect(url))?;
                turns::run(rabbitmq, &runtime, rounds, &mut lines)?;
            }
            "nats" => {
                let url = env::var("NATS_URL").context("NATS_URL")?;
                let core = runtime.block_on(nats::Core::connect(&url))?;
                turns::run(core, &runtime, rounds, &mut lines)?;
            }
            _ => {
                let url = env::var("NATS_URL").context("NATS_URL")?;
                let jetstream = runtime.block_on(jetstream::JetStream::connect(&url))?;
                turns::run(jetstream, &runtime, rounds, &mut lines)?;
            }
        }
    }
    Ok(())
}
