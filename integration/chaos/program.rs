//! Programs that are started, killed, paused and started again; none outlives the test.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use integration::unique;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::chance::Chance;

/// For a server to be there, on a machine that has other things to do.
const STARTS: Duration = Duration::from_secs(60);

/// A folder in the memory of this machine that has an end, seen by the programs in this room alone. Where there is no
/// such folder (it takes user namespaces, or root), an ordinary one.
#[derive(Debug)]
pub(crate) struct Room {
    beside: PathBuf,
    folder: PathBuf,
    keeper: Option<Child>,
}

impl Room {
    /// Makes one of so many megabytes.
    pub(crate) async fn of_megabytes(size: u32) -> Self {
        let beside = env::temp_dir().join(unique("chaos"));
        let folder = beside.join("data");
        fs::create_dir_all(&folder).expect("a folder");
        let keep = format!(
            "mount -t tmpfs -o size={size}m none {0} && mkdir {0}/there && exec setpriv --pdeathsig KILL sleep infinity",
            folder.display()
        );
        let mut keeper = command("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &keep])
            .stderr(Stdio::null())
            .spawn()
            .ok();
        let deadline = Instant::now() + STARTS;
        while let Some(running) = &mut keeper {
            let ended = running.try_wait().expect("a child");
            if ended.is_some() || Instant::now() > deadline {
                keeper = None;
            } else if inside(running, &folder).join("there").is_dir() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        Self {
            beside,
            folder,
            keeper,
        }
    }

    /// A folder outside, where there is place for a file whatever is full.
    pub(crate) fn beside(&self) -> &Path {
        &self.beside
    }

    /// Whether it has an end.
    pub(crate) fn has_an_end(&self) -> bool {
        self.keeper.is_some()
    }

    /// The folder, as programs in the room call it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder, as we see it.
    pub(crate) fn seen(&self) -> PathBuf {
        match &self.keeper {
            Some(keeper) => inside(keeper, &self.folder),
            None => self.folder.clone(),
        }
    }

    /// A program that is started in the room, and ends with this one.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = match self.keeper.as_ref().and_then(Child::id) {
            Some(id) => {
                let mut enter = command("nsenter");
                enter.arg(format!("--target={id}"));
                enter.args(["--user", "--mount", "--preserve-credentials"]);
                enter.arg("setpriv");
                enter
            }
            None => command("setpriv"),
        };
        command.args(["--pdeathsig", "KILL", "--", program]);
        command
    }

    /// Fills it up to these last bytes.
    pub(crate) async fn fill(&self, left: u64) {
        let asked = Command::new("stat")
            .args(["--file-system", "--format=%a %S"])
            .arg(self.seen())
            .output();
        let told = asked.await.expect("a program").stdout;
        let told = String::from_utf8_lossy(&told);
        // Blocks that are free, and the bytes of one.
        let numbers = told.split_whitespace().map(str::parse::<u64>);
        let free: u64 = numbers.map(|number| number.expect("a number")).product();
        let bytes = match left {
            0 => u64::MAX,
            left => free.saturating_sub(left),
        };
        let filler = self.filler();
        let filled = tokio::task::spawn_blocking(move || -> io::Result<u64> {
            let mut filler = File::create(filler)?;
            io::copy(&mut io::repeat(1).take(bytes), &mut filler)
        });
        let filled = filled.await.expect("a thread");
        let is_full = filled.is_err_and(|error| error.kind() == io::ErrorKind::StorageFull);
        assert_eq!(is_full, left == 0);
    }

    /// Makes place again, if it was filled.
    pub(crate) fn make_place(&self) {
        let _ = fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.seen().join("filler")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.start_kill();
        }
        let _ = fs::remove_dir_all(&self.beside);
    }
}

fn inside(keeper: &Child, folder: &Path) -> PathBuf {
    let root = format!("/proc/{}/root", keeper.id().unwrap_or_default());
    PathBuf::from(root + &folder.to_string_lossy())
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.kill_on_drop(true);
    command
}

/// A server: how it is started, and its process while it runs.
#[derive(Debug)]
pub(crate) struct Program {
    make: fn(&Room, &[u16]) -> Command,
    ports: Vec<u16>,
    /// What it writes when it is there.
    ready: &'static str,
    log: PathBuf,
    /// What it had written when we began to look.
    read: usize,
    running: Option<Child>,
}

impl Program {
    /// Describes one; nothing runs yet.
    pub(crate) fn new(
        name: &str,
        ready: &'static str,
        ports: Vec<u16>,
        make: fn(&Room, &[u16]) -> Command,
    ) -> Self {
        Self {
            make,
            ports,
            ready,
            log: env::temp_dir().join(unique(&format!("chaos-{name}.log"))),
            read: 0,
            running: None,
        }
    }

    /// The ports that were given.
    pub(crate) fn port(&self, at: usize) -> u16 {
        self.ports.get(at).copied().expect("a port")
    }

    /// Starts it if it does not run, and waits until it is there.
    pub(crate) async fn start(&mut self, room: &Room) {
        if let Some(running) = &mut self.running
            && running.try_wait().expect("a child").is_none()
        {
            return;
        }
        self.read = 0;
        let log = File::create(&self.log).expect("a file");
        let mut command = (self.make)(room, &self.ports);
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        self.running = Some(command.spawn().expect("the program starts"));
        self.has_written(self.ready).await;
    }

    /// From now on, what it has written until now counts no more.
    pub(crate) fn turn_the_page(&mut self) {
        self.read = fs::read(&self.log).unwrap_or_default().len();
    }

    /// Waits until it has written this since it was started, or since the page was turned.
    pub(crate) async fn has_written(&mut self, text: &str) {
        let deadline = Instant::now() + STARTS;
        loop {
            let log = fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(log.get(self.read..).unwrap_or_default());
            if log.contains(text) {
                return;
            }
            let running = self.running.as_mut().expect("it was started");
            let ended = running.try_wait().expect("a child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "no `{text}` from the server ({ended:?}):\n{}",
                tail(&log)
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it: it has no time for anything.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().await.expect("a child");
        }
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) {
        let mut running = self.running.take().expect("it runs");
        let ended = tokio::time::timeout(STARTS, running.wait()).await;
        ended.expect("it ends in time").expect("a child");
    }

    /// Sends it a signal, by its name.
    pub(crate) async fn signal(&self, signal: &str) {
        let running = self.running.as_ref().and_then(Child::id);
        let id = running.expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.await.expect("a program").success(), "{signal}");
    }

    /// The end of what it has written.
    pub(crate) fn told(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log)).to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.start_kill();
        }
        let _ = fs::remove_file(&self.log);
    }
}

fn tail(log: &str) -> &str {
    let from = log.len().saturating_sub(3_000);
    log.get(from..).unwrap_or(log)
}

/// What `integration/run` gives.
pub(crate) fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `integration/run chaos`"))
}

/// Starts what listens on ports of its own, once more if it does not start: somebody else may have taken one that was
/// free a moment ago.
pub(crate) async fn started<T>(start: impl AsyncFn() -> T) -> T {
    match AssertUnwindSafe(start()).catch_unwind().await {
        Ok(started) => started,
        Err(_) => start().await,
    }
}

/// Below the ports that connections go out from: a client that waits for its server would connect to itself.
pub(crate) fn free_port() -> u16 {
    static NEXT: OnceLock<Mutex<Chance>> = OnceLock::new();
    let mut next = NEXT
        .get_or_init(|| Mutex::new(Chance::new(0).of(&unique("ports"))))
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = next.number(20_000..32_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
