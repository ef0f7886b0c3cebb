//! The rules. Each returns its violations, as `src/file:line: what is wrong; what to do`.

use crate::tokens::{Kind, Token};
use crate::tree::{File, Tree};

/// A house: all that knows one client.
struct House {
    name: &'static str,
    client: &'static str,
    /// Rooms that only this house has.
    own_rooms: &'static [&'static str],
}

impl House {
    fn rooms(&self) -> impl Iterator<Item = &&'static str> {
        ROOMS.iter().chain(self.own_rooms)
    }

    fn has(&self, room: &str) -> bool {
        self.rooms().any(|own| *own == room)
    }
}

const HOUSES: [House; 3] = [
    House {
        name: "kafka",
        client: "rdkafka",
        // rdkafka has no safe form of some calls into librdkafka; they stand apart.
        own_rooms: &["native"],
    },
    House {
        name: "amqp",
        client: "lapin",
        own_rooms: &[],
    },
    House {
        name: "nats",
        client: "async_nats",
        own_rooms: &[],
    },
];

const ROOMS: [&str; 6] = [
    "mod",
    "carrier",
    "attributes",
    "producer",
    "consumer",
    "settle",
];

const MAX_LINES: usize = 400;

const EXPECTATIONS: [&str; 3] = ["ExpectedLog", "ExpectedMetric", "ExpectedSpan"];
const CONSTRUCTORS: [&str; 3] = ["counter", "histogram", "new"];

/// Where the suites make them, to compare all.
const WHOLE: &str = "suite/whole.rs";

/// The folder of the tests that somebody writes who has only the documentation.
const USERS: &str = "newcomer";

/// Beginnings of attribute keys that the conventions define and this crate uses.
const KEYS: [&str; 5] = [
    "messaging.",
    "server.",
    "network.",
    "error.type",
    "exception.",
];

/// Nothing outside of a house does, its tests included; documentation may.
pub(crate) fn nothing_else_names_a_client(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in tree.0.iter().filter(|file| house_of(file).is_none()) {
        for House { name, client, .. } in &HOUSES {
            for line in words(&file.tokens, client) {
                let what = format!("outside of a house it names {client}");
                let advice = format!("move it into src/{name}/");
                violations.push(violation(file, line, &what, &advice));
            }
            for line in paths(&file.tokens, name) {
                let what = format!("outside of a house it imports the house {name}");
                let advice = "let the house hand in what is needed";
                violations.push(violation(file, line, &what, advice));
            }
        }
    }
    violations
}

pub(crate) fn houses_import_no_house(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in &tree.0 {
        let Some(own) = house_of(file) else {
            continue;
        };
        for other in HOUSES.iter().filter(|other| other.name != own.name) {
            let imports = paths(&file.tokens, other.name).into_iter();
            for line in imports.chain(words(&file.tokens, other.client)) {
                let what = format!("the house {} knows {}", own.name, other.name);
                let advice = "what both need belongs into the engine";
                violations.push(violation(file, line, &what, advice));
            }
        }
    }
    violations
}

/// A room is a file, or a folder of that name; tests may stand beside the rooms.
pub(crate) fn houses_have_the_same_rooms(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in &tree.0 {
        let Some((folder, room)) = room_of(file) else {
            continue;
        };
        match HOUSES.iter().find(|house| house.name == folder) {
            Some(house) if house.has(room) || room == "tests" => {}
            Some(_) => violations.push(violation(
                file,
                1,
                &format!("{room} is no room of a house"),
                &format!("the rooms are {}", ROOMS.join(", ")),
            )),
            None if room == "carrier" => violations.push(violation(
                file,
                1,
                &format!("{folder} has a carrier, but is no known house"),
                "add it to HOUSES in integration/layout/rules.rs",
            )),
            None => {}
        }
    }
    for house in &HOUSES {
        let rooms = || tree.0.iter().filter_map(room_of);
        if !rooms().any(|(folder, _)| folder == house.name) {
            continue;
        }
        for expected in house.rooms() {
            if !rooms().any(|room| room == (house.name, *expected)) {
                violations.push(format!(
                    "src/{0}/: there is no {expected}; each house has it, as {expected}.rs or \
                     {expected}/mod.rs",
                    house.name
                ));
            }
        }
    }
    violations
}

/// Tests spell keys on purpose, and so does `src/testing/`, which is for tests: an assertion that
/// shares a constant with the code under test cannot see that it is wrong.
pub(crate) fn keys_are_spelt_once(tree: &Tree) -> Vec<String> {
    let may_spell = |file: &File| {
        ["semconv", "testing"].contains(&file.top())
            || room_of(file).is_some_and(|(_, room)| room == "attributes")
    };
    let mut violations = Vec::new();
    for (file, tokens) in tree.without_tests() {
        if may_spell(file) {
            continue;
        }
        for token in tokens {
            if let Kind::Text(text) = &token.kind
                && KEYS.iter().any(|key| text.starts_with(key))
                && !text.contains(char::is_whitespace)
            {
                let what = format!("the attribute key {text:?} is spelt here");
                let advice = "use a constant of src/semconv/, or of the house's attributes";
                violations.push(violation(file, token.line, &what, advice));
            }
        }
    }
    violations
}

/// In the tests of this repository, what an expectation does not name is a difference. Those of [`USERS`] are written
/// as the documentation shows it.
pub(crate) fn expectations_are_whole(tree: &Tree) -> Vec<String> {
    let may_be_of_a_part = |file: &File| file.path == WHOLE || file.top() == USERS;
    let mut violations = Vec::new();
    for file in tree.0.iter().filter(|file| !may_be_of_a_part(file)) {
        for made in file.tokens.windows(3) {
            if let [name, sign, constructor] = made
                && EXPECTATIONS.iter().any(|one| name.is_word(one))
                && sign.is_sign("::")
                && CONSTRUCTORS.iter().any(|one| constructor.is_word(one))
            {
                let what = "an expectation that may be of a part alone is made here";
                let advice = format!("take that of {}/{WHOLE}", file.root);
                violations.push(violation(file, name.line, what, &advice));
            }
        }
    }
    violations
}

pub(crate) fn files_are_short(tree: &Tree) -> Vec<String> {
    let long = tree.0.iter().filter(|file| file.lines > MAX_LINES);
    long.map(|file| {
        let what = format!("the file has {} lines, more than {MAX_LINES}", file.lines);
        let advice = "split it by what it is about; a room becomes a folder of the same name";
        violation(file, file.lines, &what, advice)
    })
    .collect()
}

pub(crate) fn violation(file: &File, line: usize, what: &str, advice: &str) -> String {
    format!("{}/{}:{line}: {what}; {advice}", file.root, file.path)
}

fn house_of(file: &File) -> Option<&'static House> {
    HOUSES.iter().find(|house| house.name == file.top())
}

/// The first two parts of a path, without `.rs`; none for a file that is in no folder.
fn room_of(file: &File) -> Option<(&str, &str)> {
    let (folder, rest) = file.path.split_once('/')?;
    let end = rest.find(['/', '.']).unwrap_or(rest.len());
    Some((folder, &rest[..end]))
}

/// Lines on which a word stands.
fn words(tokens: &[Token], word: &str) -> impl Iterator<Item = usize> {
    let found = tokens.iter().filter(move |token| token.is_word(word));
    found.map(|token| token.line)
}

/// Lines on which a word is part of a path, or of an import.
fn paths(tokens: &[Token], word: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut is_import = false;
    for (at, token) in tokens.iter().enumerate() {
        if token.is_word("use") {
            is_import = true;
        } else if token.is_sign(";") {
            is_import = false;
        }
        let is_colons = |at: Option<usize>| {
            at.and_then(|at| tokens.get(at))
                .is_some_and(|token| token.is_sign("::"))
        };
        if token.is_word(word)
            && (is_import || is_colons(at.checked_sub(1)) || is_colons(at.checked_add(1)))
        {
            lines.push(token.line);
        }
    }
    lines
}
