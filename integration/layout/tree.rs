//! The sources as data: paths below a folder and their texts.

use std::fs;
use std::path::Path;

use crate::tokens::{Kind, Token, begins, declarations, tokens};

/// A source file.
#[derive(Debug)]
pub(crate) struct File {
    /// The folder at the top that it is in.
    pub(crate) root: &'static str,
    /// Its path below that, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) lines: usize,
    /// All of it but comments.
    pub(crate) tokens: Vec<Token>,
}

#[derive(Debug)]
pub(crate) struct Tree(pub(crate) Vec<File>);

impl Tree {
    pub(crate) fn of(root: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root);
        let mut files = Vec::new();
        walk(root, &folder, "", &mut files);
        // A program is a crate of its own, with paths that begin at its own root.
        files.retain(|file| !file.path.starts_with("bin/"));
        assert!(!files.is_empty(), "{} has no file", folder.display());
        Self(files)
    }

    /// Documents at the top of the repository; of the changelog, what is not released yet.
    pub(crate) fn of_documents(names: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = names.iter().map(|name| {
            let text = fs::read_to_string(root.join(name)).expect("a document");
            let released = text.match_indices("\n## [").nth(1).map(|(at, _)| at);
            let is_changelog = *name == "CHANGELOG.md";
            let end = released.filter(|_| is_changelog).unwrap_or(text.len());
            File::new(".", name, &text[..end])
        });
        Self(files.collect())
    }

    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| File::new("src", path, text))
                .collect(),
        )
    }

    /// The files that are compiled for tests only are left out, and what is so in the others.
    pub(crate) fn without_tests(&self) -> Vec<(&File, Vec<Token>)> {
        let test_modules: Vec<String> = self.0.iter().flat_map(File::test_modules).collect();
        let is_test = |file: &&File| {
            let module = file.module();
            test_modules.iter().any(|test| {
                module == *test
                    || module
                        .strip_prefix(test)
                        .is_some_and(|m| m.starts_with('/'))
            })
        };
        self.0
            .iter()
            .filter(|file| !is_test(file))
            .map(|file| (file, file.tokens_without_tests()))
            .collect()
    }
}

impl File {
    fn new(root: &'static str, path: &str, text: &str) -> Self {
        Self {
            root,
            path: path.to_owned(),
            text: text.to_owned(),
            lines: text.lines().count(),
            tokens: tokens(text),
        }
    }

    /// The first folder, or the name of a file that is in none.
    pub(crate) fn top(&self) -> &str {
        let end = self.path.find(['/', '.']).unwrap_or(self.path.len());
        &self.path[..end]
    }

    /// The module, `kafka/consumer` for instance; of the crate's root it is empty.
    pub(crate) fn module(&self) -> &str {
        let module = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        match module {
            "lib" | "main" => "",
            _ => module.strip_suffix("/mod").unwrap_or(module),
        }
    }

    /// The modules whose declaration says that they are for tests.
    fn test_modules(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (start, end) in test_items(&self.tokens) {
            let item = &self.tokens[start..end];
            let name = declarations(item).next();
            found.extend(name.map(|name| {
                let module = self.module();
                let slash = if module.is_empty() { "" } else { "/" };
                [module, slash, name].concat()
            }));
        }
        found
    }

    fn tokens_without_tests(&self) -> Vec<Token> {
        let mut kept = self.tokens.clone();
        for (start, end) in test_items(&self.tokens).into_iter().rev() {
            kept.drain(start..end);
        }
        kept
    }
}

/// Where items behind `#[cfg(test)]` start and end, attribute included.
fn test_items(tokens: &[Token]) -> Vec<(usize, usize)> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut items = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if begins(&tokens[at..], &ATTRIBUTE) {
            let end = at + ATTRIBUTE.len() + item_length(&tokens[at + ATTRIBUTE.len()..]);
            items.push((at, end));
            at = end;
        } else {
            at += 1;
        }
    }
    items
}

/// An item ends with the brace that closes its body, or with a semicolon outside of brackets.
fn item_length(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Sign("{" | "(" | "[") => depth += 1,
            Kind::Sign("}" | ")" | "]") => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.is_sign("}") {
                    return at + 1;
                }
            }
            Kind::Sign(";") if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn walk(root: &'static str, folder: &Path, path: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let entry = entry.expect("an entry of a folder");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let below = [path, &name].concat();
        if entry.file_type().expect("a type of file").is_dir() {
            walk(root, &entry.path(), &[&below, "/"].concat(), files);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("a source in UTF-8");
            files.push(File::new(root, &below, &text));
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
}
