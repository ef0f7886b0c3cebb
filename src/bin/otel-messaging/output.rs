//! What is printed, and how.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::failure::Failure;

/// A colour, on terminals.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Dim = 2,
}

/// Whether colours are wanted where the output goes.
pub(crate) fn is_coloured() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The text in this colour, on terminals.
pub(crate) fn coloured(text: &str, colour: Colour) -> String {
    match is_coloured() {
        true => format!("\x1b[{}m{text}\x1b[0m", colour as u8),
        false => text.to_owned(),
    }
}

/// Prints text and a line end.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Tells what is wrong.
pub(crate) fn complain(text: &str) {
    // There is nobody to tell that it cannot be told.
    let _ = writeln!(io::stderr(), "otel-messaging: {}", plain(text));
}

/// What came from somebody else, without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// The same, for a name in a drawing.
pub(crate) fn safe(name: &str) -> String {
    plain(name).replace(['"', ';', '\\', '#'], "'")
}

/// JSON in one line.
pub(crate) fn json(told: &Value) -> String {
    escaped(&told.to_string())
}

/// JSON as people read it.
pub(crate) fn pretty(told: &Value) -> String {
    escaped(&format!("{told:#}"))
}

/// With the control characters escaped that JSON may have as they are, and that a terminal would obey.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => escaped += &format!("\\u{:04x}", u32::from(c)),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The object with these members too.
pub(crate) fn with<const N: usize>(mut object: Value, more: [(&str, Value); N]) -> Value {
    if let Value::Object(members) = &mut object {
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    object
}

/// A number of bytes as people read it.
pub(crate) fn bytes(count: usize) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=9_999_999 => format!("{} kB", count / 1_000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

/// A duration as people read it.
pub(crate) fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..=999 => format!("{milliseconds} ms"),
        1_000..=9_999 => format!("{:.1} s", duration.as_secs_f64()),
        10_000..=599_999 => format!("{} s", milliseconds / 1_000),
        600_000..=35_999_999 => format!("{} min", milliseconds / 60_000),
        36_000_000..=863_999_999 => format!("{} h", milliseconds / 3_600_000),
        _ => format!("{} d", milliseconds / 86_400_000),
    }
}

/// A time in UTC, to the millisecond.
pub(crate) fn time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // The civil calendar by Howard Hinnant's `civil_from_days`, with years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let (second, fraction) = (second % 60, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// The same, where there may be none.
pub(crate) fn time_if_any(own: Option<SystemTime>) -> String {
    own.map_or_else(|| "no time".to_owned(), time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_that_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_825_599, "2000-02-29T11:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_that_came_with_a_message() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");

        let told = serde_json::json!({ "\u{9b}2J": "\x1b\u{7e}\u{7f}\u{80}\u{9f}ü" });
        let expected = r#"{"\u009b2J":"\u001b~\u007f\u0080\u009fü"}"#;
        assert_eq!(json(&told), expected);
        let read = serde_json::from_str(&pretty(&told));
        assert_eq!(read.ok(), Some(told));
    }
}
