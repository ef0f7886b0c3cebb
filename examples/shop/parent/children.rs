//! The four services as processes.

use std::env;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::future::select_all;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::draw;
use super::tally::Tally;
use crate::arguments::{Arguments, Role};
use crate::report::Report;

/// How long a service may take to end. It waits itself for requests and exports, each for some seconds.
const PATIENCE: Duration = Duration::from_secs(40);

/// The services, in the order in which they are stopped.
#[derive(Default)]
pub(super) struct Children(Vec<Running>);

struct Running {
    role: Role,
    process: Child,
    /// Not with the process, which would close it where it is waited for.
    input: ChildStdin,
    listening: JoinHandle<()>,
}

impl Children {
    /// Starts one after the other, who receives before who sends: nothing is sent to where nobody is.
    pub(super) async fn start(
        &mut self,
        arguments: &Arguments,
        brokers: &[(&'static str, String)],
        tally: &watch::Sender<Tally>,
    ) -> Result<()> {
        let mut changes = tally.subscribe();
        for role in Role::ALL.into_iter().rev() {
            let running = Running::spawn(role, arguments, brokers, tally)?;
            self.0.insert(0, running);
            tokio::select! {
                ready = changes.wait_for(|tally| tally.is_ready(role)) => drop(ready?),
                early = self.one_ends() => return early,
            }
        }
        Ok(())
    }

    /// Waits for one that ends without having been asked to, which is an error.
    pub(super) async fn one_ends(&mut self) -> Result<()> {
        let ends = self.0.iter_mut().map(|running| {
            let role = running.role;
            Box::pin(async move { (role, running.process.wait().await) })
        });
        let ((role, status), ..) = select_all(ends).await;
        let status = status?;
        Err(anyhow!("{} has ended by itself: {status}", role.name()))
    }

    /// Stops one after the other, who sends before who receives, and waits for each.
    pub(super) async fn stop(self) -> Result<()> {
        let mut stopped = Ok(());
        for Running {
            role,
            mut process,
            input,
            listening,
        } in self.0
        {
            drop(input);
            let ended = match timeout(PATIENCE, process.wait()).await {
                Ok(ended) => well(role, ended?),
                Err(_) => {
                    process.kill().await?;
                    Err(anyhow!(
                        "{} did not end in time, and was killed",
                        role.name()
                    ))
                }
            };
            // The last lines.
            listening.await?;
            stopped = stopped.and(ended);
        }
        stopped
    }
}

impl Running {
    fn spawn(
        role: Role,
        arguments: &Arguments,
        brokers: &[(&'static str, String)],
        tally: &watch::Sender<Tally>,
    ) -> Result<Self> {
        let program = env::current_exe()?;
        let mut command = Command::new(&program);
        command.args(["--child", role.name()]);
        if let Some(suffix) = arguments.suffix.strip_prefix('-') {
            command.args(["--suffix", suffix]);
        }
        if let Some(address) = &arguments.listen {
            command.args(["--listen", address]);
        }
        if draw::is_wanted(arguments) {
            command.arg("--tell-spans");
        }
        // Ctrl-C is for this program alone, which stops the others in their order.
        #[cfg(unix)]
        command.process_group(0);
        let spawned = command
            .envs(brokers.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = spawned.with_context(|| program.display().to_string())?;
        let said = process.stdout.take().context("no output")?;
        let input = process.stdin.take().context("no input")?;
        Ok(Self {
            role,
            process,
            input,
            listening: tokio::spawn(listen(role, said, tally.clone())),
        })
    }
}

fn well(role: Role, status: ExitStatus) -> Result<()> {
    match status.success() {
        true => Ok(()),
        false => Err(anyhow!("{} has ended with an error: {status}", role.name())),
    }
}

/// Takes what a service tells; what is no report is for the user.
async fn listen(role: Role, said: ChildStdout, tally: watch::Sender<Tally>) {
    let mut lines = BufReader::new(said).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Report>(&line) {
            Ok(report) => tally.send_modify(|tally| tally.take(role, report)),
            Err(_) => println!("  {line}"),
        }
    }
}
