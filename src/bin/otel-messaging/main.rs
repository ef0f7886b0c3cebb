//! `otel-messaging`: where a trace breaks, told from the messages themselves.
//!
//! It reads topics, queues, streams and subjects, and takes nothing from them; it writes only where `dlq` is told to.
//! What it says of a message is what a wrapped consumer makes of its headers: it has no codec of its own.

mod arguments;
mod brokers;
mod check;
mod compared;
mod destination;
mod dlq;
mod facts;
mod failure;
mod given;
mod graph;
mod original;
mod output;
mod quantiles;
mod scan;
mod seen;
mod span_source;
mod spans;
mod stock;
mod summary;
mod tap;
mod trace;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::{Arguments, Command};
use self::failure::Failure;

/// All is well, as far as was asked.
const WELL: u8 = 0;
/// What was looked at is not as it should be: fewer messages with context than `--fail-under`, for `check` a
/// problem, or a dead message that cannot be sent again.
const NOT_WELL: u8 = 1;
/// It could not be looked at: arguments, a file, a connection.
const NOT_DONE: u8 = 2;

fn main() -> ExitCode {
    // clap's own code for a wrong argument is 2.
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code.into(),
        // Whoever read the output has seen enough.
        Err(Failure::BrokenPipe) => WELL.into(),
        Err(Failure::Told(text)) => {
            output::complain(&text);
            NOT_DONE.into()
        }
    }
}

fn run(arguments: Arguments) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because("cannot start", error))?;
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Check(check) => check::run(&check),
            Command::Scan(scan) => scan::run(&scan).await,
            Command::Tap(tap) => tap::run(&tap).await,
            Command::Trace(trace) => trace::run(&trace).await,
            Command::Graph(graph) => graph::run(&graph).await,
            Command::Dlq(dlq) => dlq::run(&dlq).await,
        }
    });
    // A client that does not answer keeps nobody waiting.
    runtime.shutdown_background();
    code
}
