//! Rust source as tokens, as far as the rules need it: comments are gone, strings are known as such.

/// A token and the line that it starts on.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword.
    Word(String),
    /// A string literal of any sort, as it is written.
    Text(String),
    /// Anything else, a character at a time; `::` is one.
    Sign(&'static str),
    Other,
}

impl Token {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(found) if found == word)
    }

    pub(crate) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign(found) if found == sign)
    }
}

/// Whether `tokens` begin with these words and signs.
pub(crate) fn begins(tokens: &[Token], with: &[&str]) -> bool {
    tokens.len() >= with.len()
        && tokens
            .iter()
            .zip(with)
            .all(|(token, expected)| token.is_word(expected) || token.is_sign(expected))
}

/// Names of the modules that are declared.
pub(crate) fn declarations(tokens: &[Token]) -> impl Iterator<Item = &str> {
    tokens.windows(3).filter_map(|part| match part {
        [
            module,
            Token {
                kind: Kind::Word(name),
                ..
            },
            end,
        ] if module.is_word("mod") && end.is_sign(";") => Some(name.as_str()),
        _ => None,
    })
}

pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = next(rest, first);
        if let Some(kind) = kind {
            tokens.push(Token { line, kind });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Length of what `rest` begins with, and its kind unless it is a blank or a comment.
fn next(rest: &str, first: char) -> (usize, Option<Kind>) {
    if first.is_whitespace() {
        return (first.len_utf8(), None);
    }
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), None);
    }
    if let Some((length, text)) = string(rest) {
        return (length, Some(Kind::Text(text.to_owned())));
    }
    if first == '\'' {
        return (quote(rest), Some(Kind::Other));
    }
    if is_word(first) {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        return (length, Some(Kind::Word(rest[..length].to_owned())));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => (sign.len(), Some(Kind::Sign(sign))),
        None => (first.len_utf8(), Some(Kind::Other)),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// A string literal's length and content: plain, byte or C string, raw or not.
fn string(rest: &str) -> Option<(usize, &str)> {
    let prefix = rest
        .bytes()
        .take(3)
        .position(|byte| b"\"#".contains(&byte))?;
    let is_raw = match &rest[..prefix] {
        "" | "b" | "c" => false,
        "r" | "br" | "cr" => true,
        _ => return None,
    };
    let hashes = rest[prefix..].bytes().take_while(|byte| *byte == b'#');
    let hashes = if is_raw { hashes.count() } else { 0 };
    let start = prefix + hashes + 1;
    if rest.as_bytes().get(start - 1) != Some(&b'"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let mut at = start;
    while !rest[at..].starts_with(&end) {
        let c = rest[at..].chars().next().expect("a string that ends");
        let is_escape = c == '\\' && !is_raw;
        at += c.len_utf8();
        if is_escape {
            at += rest[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    Some((at + end.len(), &rest[start..at]))
}

/// A character literal, or the quote of a lifetime alone.
fn quote(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some(_)) => {
            let end = characters.find(|(_, c)| *c == '\'');
            end.map_or(rest.len(), |(at, _)| at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

const SIGNS: [&str; 11] = ["::", "{", "}", "(", ")", "[", "]", "#", ";", ",", "="];
