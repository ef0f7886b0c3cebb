//! Runs of tests, each in a process of its own.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::package::{Kind, Package};

/// Far more than any test takes.
const LIMIT: Duration = Duration::from_secs(120);

/// A test with a clock in it fails now and then. One that failed is run again, alone, up to so many times.
const RETRIES: usize = 2;

/// Lines that are shown of what a test printed last.
const SHOWN: usize = 15;

/// A test of a client.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    pub(crate) file: String,
    pub(crate) name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.name)
    }
}

/// How a test ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) test: Test,
    bare: End,
    wrapped: End,
}

#[derive(Clone, Copy, Debug)]
struct End {
    /// At last.
    ended: Ended,
    /// How often it failed before.
    retries: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    Passed,
    Failed,
    /// It ran until it was stopped.
    Hung,
}

impl Run {
    pub(crate) fn passed(&self) -> bool {
        self.passed_bare() && !self.differs()
    }

    pub(crate) fn passed_bare(&self) -> bool {
        self.bare.ended == Ended::Passed
    }

    pub(crate) fn differs(&self) -> bool {
        self.bare.ended != self.wrapped.ended
    }

    /// How often it was run again, by what it was run with; nothing if it was not.
    pub(crate) fn retries(&self) -> String {
        let sides = Kind::BOTH.into_iter().zip([self.bare, self.wrapped]);
        let sides = sides.filter(|(_, end)| end.retries > 0);
        let told = sides.map(|(kind, end)| format!("{} {}", kind.name(), end.retries));
        told.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            test,
            bare,
            wrapped,
        } = self;
        let (bare, wrapped) = (bare.ended, wrapped.ended);
        write!(f, "{test}: bare {bare:?}, wrapped {wrapped:?}")
    }
}

/// What runs the tests of a client.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    pub(crate) package: &'a Package,
    pub(crate) variables: [(&'a str, String); 2],
    pub(crate) at_once: usize,
}

impl Runner<'_> {
    /// Runs each test with the bare client and through the wrappers.
    pub(crate) fn run(&self, tests: &[Test]) -> Vec<Run> {
        let _ = fs::remove_dir_all(self.package.folder.join("logs"));
        let bare = self.run_each(Kind::Bare, tests);
        let wrapped = self.run_each(Kind::Wrapped, tests);
        let ended = tests.iter().zip(bare.into_iter().zip(wrapped));
        ended
            .map(|(test, (bare, wrapped))| Run {
                test: test.clone(),
                bare: self.run_again(Kind::Bare, test, bare),
                wrapped: self.run_again(Kind::Wrapped, test, wrapped),
            })
            .collect()
    }

    /// The end of what a test printed that was run last.
    pub(crate) fn printed(&self, kind: Kind, test: &Test) -> String {
        let text = fs::read(self.log(kind, test)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let last = lines.len().saturating_sub(SHOWN);
        lines[last..].join("\n    ")
    }

    fn run_each(&self, kind: Kind, tests: &[Test]) -> Vec<Ended> {
        let waiting = Mutex::new(tests.iter().enumerate());
        let ended = Mutex::new(vec![Ended::Failed; tests.len()]);
        thread::scope(|scope| {
            for _ in 0..self.at_once {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().expect("nobody panics").next();
                        let Some((index, test)) = next else { return };
                        let end = self.run_once(kind, test);
                        ended.lock().expect("nobody panics")[index] = end;
                    }
                });
            }
        });
        ended.into_inner().expect("nobody panics")
    }

    fn run_again(&self, kind: Kind, test: &Test, mut ended: Ended) -> End {
        let mut retries = 0;
        while ended == Ended::Failed && retries < RETRIES {
            ended = self.run_once(kind, test);
            retries += 1;
        }
        End { ended, retries }
    }

    fn run_once(&self, kind: Kind, test: &Test) -> Ended {
        let path = self.log(kind, test);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for logs");
        let log = File::create(&path).expect("a log");
        let mut child = Command::new(self.package.program(kind, &test.file))
            .args([&test.name, "--exact", "--include-ignored", "--nocapture"])
            .current_dir(&self.package.client)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log"))
            .stdout(log)
            .spawn()
            .expect("a compiled test");
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return if status.success() {
                    Ended::Passed
                } else {
                    Ended::Failed
                };
            }
            if started.elapsed() > LIMIT {
                child.kill().expect("a child");
                child.wait().expect("a child");
                return Ended::Hung;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self, kind: Kind, test: &Test) -> PathBuf {
        let name = format!("{}-{}.log", test.file, test.name.replace("::", "-"));
        self.package
            .folder
            .join("logs")
            .join(kind.name())
            .join(name)
    }
}

/// The tests that a program has, with those that its author ignores.
pub(crate) fn tests_of(file: &str, program: &Path) -> Vec<Test> {
    let output = Command::new(program)
        .arg("--list")
        .stderr(Stdio::inherit())
        .output()
        .expect("a compiled test");
    assert!(output.status.success(), "{file} does not list its tests");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(|name| Test {
            file: file.to_owned(),
            name: name.to_owned(),
        })
        .collect()
}
