//! Runs of tests, each in a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::ends::{End, Ended, Failures, Run, Test};
use crate::package::{Kind, Package};

/// Far more than any test takes.
const LIMIT: Duration = Duration::from_secs(120);

/// A test with a clock in it fails now and then. One that failed is run again, alone, up to so many times.
const RETRIES: usize = 2;

/// How often a test is run with each, if it seems to fail more often through the wrappers.
const COMPARED: usize = 10;

/// How often that is done before it is believed. Of a test that fails one time in three, one comparison in twenty has
/// clearly more failures on one side.
const COMPARISONS: usize = 2;

/// Lines that are shown of what a test printed last.
const SHOWN: usize = 15;

/// What runs the tests of a client.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    pub(crate) package: &'a Package,
    /// The variable in which they look for the broker, and where it is.
    pub(crate) broker: (&'a str, String),
    pub(crate) at_once: usize,
}

impl Runner<'_> {
    /// Runs each test with the bare client and through the wrappers.
    pub(crate) fn run(&self, tests: &[Test]) -> Vec<Run> {
        for written in ["logs", "recorded"] {
            let _ = fs::remove_dir_all(self.package.folder.join(written));
        }
        let bare = self.run_each(Kind::Bare, tests);
        let wrapped = self.run_each(Kind::Wrapped, tests);
        let ended = tests.iter().zip(bare.into_iter().zip(wrapped));
        ended
            .map(|(test, (bare, wrapped))| {
                let mut run = Run {
                    test: test.clone(),
                    bare: self.run_again(Kind::Bare, test, bare),
                    wrapped: self.run_again(Kind::Wrapped, test, wrapped),
                    compared: None,
                };
                run.compared = run.may_be_chance().then(|| self.compare(test));
                run
            })
            .collect()
    }

    /// Runs a test in turn with each, so that whatever else the machine does is done to both.
    fn compare(&self, test: &Test) -> Failures {
        let mut failures = Failures {
            runs: 0,
            bare: 0,
            wrapped: 0,
        };
        let failed = |kind| usize::from(self.run_once(kind, test) != Ended::Passed);
        for _ in 0..COMPARISONS {
            for _ in 0..COMPARED {
                failures.runs += 1;
                failures.bare += failed(Kind::Bare);
                failures.wrapped += failed(Kind::Wrapped);
            }
            if !failures.differ() {
                break;
            }
        }
        failures
    }

    /// The operation of each span that a test recorded which was run last.
    pub(crate) fn recorded(&self, test: &Test) -> Vec<String> {
        let text = fs::read_to_string(self.spans(test)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The end of what a test printed when it was run last, or when it failed last.
    pub(crate) fn printed(&self, kind: Kind, test: &Test) -> String {
        let log = self.log(kind, test);
        let text = fs::read(failed(&log)).or_else(|_| fs::read(&log));
        let text = text.unwrap_or_default();
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
        let (log, spans) = (self.log(kind, test), self.spans(test));
        for file in [&log, &spans] {
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for a file");
        }
        if kind == Kind::Wrapped {
            let _ = fs::remove_file(&spans);
        }
        let ended = self.run_into(kind, test, &log, &spans);
        if ended != Ended::Passed {
            fs::copy(&log, failed(&log)).expect("a log");
        }
        ended
    }

    fn run_into(&self, kind: Kind, test: &Test, log: &Path, spans: &Path) -> Ended {
        let log = File::create(log).expect("a log");
        let (variable, address) = &self.broker;
        let mut child = Command::new(self.package.program(kind, &test.file))
            .args([&test.name, "--exact", "--include-ignored", "--nocapture"])
            .current_dir(&self.package.client)
            .env(variable, address)
            .env("CLIENT_SPANS", spans)
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
        let logs = self.package.folder.join("logs").join(kind.name());
        logs.join(format!("{}.log", name_of_file(test)))
    }

    fn spans(&self, test: &Test) -> PathBuf {
        self.package
            .folder
            .join("recorded")
            .join(name_of_file(test))
    }
}

/// Where a log is kept of a run that failed, for one that passes may come after it.
fn failed(log: &Path) -> PathBuf {
    log.with_extension("failed.log")
}

fn name_of_file(test: &Test) -> String {
    format!("{}-{}", test.file, test.name.replace("::", "-"))
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
