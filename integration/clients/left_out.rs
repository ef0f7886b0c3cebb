//! The tests that our wrappers cannot stand in for.

use crate::runs::Test;

const LIST: &str = include_str!("left-out.txt");

/// Those of one client.
#[derive(Debug)]
pub(crate) struct LeftOut(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    test: Test,
    reason: &'static str,
}

/// In the place of a test's name: all tests of a file, which is not even compiled.
const ALL: &str = "*";

impl LeftOut {
    pub(crate) fn of(client: &str) -> Self {
        let lines = LIST
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
        Self(entries.flatten().collect())
    }

    pub(crate) fn has_file(&self, file: &str) -> bool {
        self.files().any(|entry| entry.test.file == file)
    }

    pub(crate) fn has(&self, test: &Test) -> bool {
        self.0.iter().any(|entry| entry.test == *test)
    }

    /// What is listed and is not there.
    pub(crate) fn wrong(&self, files: &[String], tests: &[Test]) -> Vec<String> {
        let gone = self.0.iter().filter(|entry| {
            if entry.test.name == ALL {
                !files.contains(&entry.test.file)
            } else {
                !tests.contains(&entry.test)
            }
        });
        gone.map(|entry| format!("left-out.txt lists {}, which there is not", entry.test))
            .collect()
    }

    pub(crate) fn reasons(&self) -> impl Iterator<Item = (&Test, &str)> {
        self.0.iter().map(|entry| (&entry.test, entry.reason))
    }

    fn files(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|entry| entry.test.name == ALL)
    }
}
