//! Lists of tests of the clients, each with a reason.

use crate::ends::Test;

/// Those of one client on one of the lists.
#[derive(Debug)]
pub(crate) struct Listed {
    list: &'static str,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    test: Test,
    reason: &'static str,
}

/// In the place of a test's name: all tests of a file, which is not even compiled.
const ALL: &str = "*";

impl Listed {
    /// The tests that our wrappers cannot stand in for.
    pub(crate) fn left_out(client: &str) -> Self {
        Self::of(client, "left-out.txt", include_str!("left-out.txt"))
    }

    /// The tests that fail with the bare client too.
    pub(crate) fn failing(client: &str) -> Self {
        Self::of(client, "failing.txt", include_str!("failing.txt"))
    }

    /// The tests that ask the port of [`Client::port`](crate::Client).
    pub(crate) fn ask_the_port(client: &str) -> Self {
        Self::of(client, "ask-the-port.txt", include_str!("ask-the-port.txt"))
    }

    /// The tests that do nothing that a span is recorded of.
    pub(crate) fn without_spans(client: &str) -> Self {
        Self::of(
            client,
            "without-spans.txt",
            include_str!("without-spans.txt"),
        )
    }

    fn of(client: &str, list: &'static str, text: &'static str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.map(|line| {
            let (names, reason) = line.split_once("  ").expect("two spaces before a reason");
            let names: Vec<_> = names.split(' ').collect();
            assert_eq!(names.len(), 3, "not a client, a file and a test: {line}");
            let test = Test {
                file: names[1].to_owned(),
                name: names[2].to_owned(),
            };
            (names[0] == client).then_some(Entry {
                test,
                reason: reason.trim(),
            })
        });
        Self {
            list,
            entries: entries.flatten().collect(),
        }
    }

    pub(crate) fn has_file(&self, file: &str) -> bool {
        let mut files = self.entries.iter().filter(|entry| entry.test.name == ALL);
        files.any(|entry| entry.test.file == file)
    }

    pub(crate) fn has(&self, test: &Test) -> bool {
        self.reason(test).is_some()
    }

    pub(crate) fn reason(&self, test: &Test) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.test == *test);
        entry.map(|entry| entry.reason)
    }

    /// What is listed and is not there.
    pub(crate) fn wrong(&self, files: &[String], tests: &[Test]) -> Vec<String> {
        let gone = self.entries.iter().filter(|entry| {
            if entry.test.name == ALL {
                !files.contains(&entry.test.file)
            } else {
                !tests.contains(&entry.test)
            }
        });
        gone.map(|entry| format!("{} lists {}, which there is not", self.list, entry.test))
            .collect()
    }

    pub(crate) fn reasons(&self) -> impl Iterator<Item = (&Test, &str)> {
        self.entries.iter().map(|entry| (&entry.test, entry.reason))
    }
}
