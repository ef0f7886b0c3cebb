//! A policy as a TOML file.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{error, fmt, fs, io};

use serde::Deserialize;

use super::Policy;
use super::rule::{Rule, Settings};

impl Policy {
    /// Reads a policy from a TOML file.
    ///
    /// ```no_run
    /// use otel_messaging::Telemetry;
    /// use otel_messaging::policy::Policy;
    ///
    /// # fn example() -> anyhow::Result<()> {
    /// let telemetry = Telemetry::new().policy(Policy::from_file("messaging.toml")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if the file cannot be read, is no TOML, or has an unknown field or value.
    /// Its text has the file, the line and the field.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| PolicyError {
            path: Some(path.to_owned()),
            cause: Cause::Unreadable(error),
        })?;
        text.parse().map_err(|error: PolicyError| PolicyError {
            path: Some(path.to_owned()),
            ..error
        })
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let file: File = toml::from_str(text).map_err(|error| PolicyError {
            path: None,
            cause: Cause::Malformed(error),
        })?;
        let rules = file.rule.into_iter().map(Rule).collect();
        Ok(Self { rules })
    }
}

/// What is in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Settings>,
}

/// Error of [`Policy::from_file`], or of parsing a [`Policy`] from a text.
///
/// Its text has the file, if there is one, the line and the field.
#[derive(Debug)]
pub struct PolicyError {
    path: Option<PathBuf>,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Unreadable(io::Error),
    Malformed(toml::de::Error),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("policy")?;
        if let Some(path) = &self.path {
            write!(f, " {}", path.display())?;
        }
        match &self.cause {
            Cause::Unreadable(error) => write!(f, ": {error}"),
            // It shows the line and points at the field.
            Cause::Malformed(error) => write!(f, ": {}", error.to_string().trim_end()),
        }
    }
}

/// Without a source: the text says all that the cause does.
impl error::Error for PolicyError {}
