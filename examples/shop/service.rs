//! What the four services have in common: telemetry, and what ends them.

use std::io::{self, Read as _};
use std::thread;

use anyhow::Result;
use examples::stop::{Stop, in_order};
use otel_messaging::Telemetry;

use crate::arguments::{Arguments, Role};
use crate::report::{Report, Reports};
use crate::telemetry::Providers;

/// A service that has begun.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) arguments: Arguments,
    pub(crate) stop: Stop,
    pub(crate) reports: Reports,
    pub(crate) telemetry: Telemetry,
    providers: Providers,
}

impl Service {
    pub(crate) async fn start(role: Role, arguments: Arguments) -> Result<Self> {
        let stop = match arguments.is_child {
            true => with_parent(),
            false => Stop::on_ctrl_c().await,
        };
        let reports = Reports {
            has_parent: arguments.is_child,
        };
        let providers = Providers::new(role, &arguments, reports)?;
        Ok(Self {
            stop,
            reports,
            telemetry: providers.telemetry(),
            providers,
            arguments,
        })
    }

    /// Works until it is to stop, and ends each part in its order: see `stop/in_order.rs`.
    pub(crate) async fn work(
        &self,
        work: impl AsyncFnOnce(&Stop) -> Result<()>,
        close: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<()> {
        // It takes no requests.
        let serve = async {
            self.stop.asked().await;
            Ok(())
        };
        let shut_down = || self.shut_down();
        in_order(&self.stop, serve, work, close, shut_down).await
    }

    /// Whether what it has taken from at the broker is of this run alone. Who sends to it has ended by then.
    pub(crate) fn is_to_clean_up(&self) -> bool {
        self.arguments.is_child && !self.arguments.suffix.is_empty()
    }

    /// The last thing that a service does.
    pub(crate) fn shut_down(&self) {
        let counts = self.providers.shut_down();
        self.reports.tell(&Report::Counted(counts));
    }
}

/// The parent closes the standard input of a service to stop it. That happens too if the parent is killed.
fn with_parent() -> Stop {
    let stop = Stop::default();
    let asking = stop.clone();
    // A thread, which the end of the program does not wait for.
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        asking.ask();
    });
    stop
}
