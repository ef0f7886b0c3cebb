//! Where spans come from: a file, or Jaeger by the address of its API.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use opentelemetry::trace::TraceId;
use ureq::{Agent, Body, http::Response};

use crate::failure::Failure;
use crate::output;
use crate::spans::{MOST_BYTES, Spans, documents, jaeger};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads from Jaeger, if it is an address, or else from a file.
pub(crate) fn read(source: &str, traces: HashSet<TraceId>) -> Result<Spans, Failure> {
    let mut spans = Spans::of(traces);
    match scheme(source) {
        Some("http") => ask(source, &mut spans)?,
        Some("https") => {
            return Err(Failure::new(
                "--spans: there is no TLS here; save what Jaeger answers to /api/traces/ID, and give the file",
            ));
        }
        // Not shown, as there may be a password in it.
        Some(_) => {
            return Err(Failure::new(
                "--spans: a file, or an address that begins with http://",
            ));
        }
        None => read_file(source.as_ref(), &mut spans)?,
    }
    Ok(spans)
}

/// That of an address; a file has none.
pub(crate) fn scheme(source: &str) -> Option<&str> {
    source.split_once("://").map(|(scheme, _)| scheme)
}

fn read_file(file: &Path, spans: &mut Spans) -> Result<(), Failure> {
    let shown = file.display().to_string();
    let opened = File::open(file).map_err(|error| Failure::because(&shown, error))?;
    let read = documents(opened, spans);
    let is_cut_off = read.map_err(|error| Failure::new(format!("{shown}: {error}")))?;
    if is_cut_off {
        output::complain(&format!("{shown}: the last object is cut off"));
    }
    Ok(())
}

fn ask(address: &str, spans: &mut Spans) -> Result<(), Failure> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    // Not the address, which may have a password in it.
    let failed = |error: String| Failure::new(format!("--spans: Jaeger: {error}"));
    for trace in spans.traces.clone() {
        let question = format!("{}/api/traces/{trace}", address.trim_end_matches('/'));
        let answer: Response<Body> = match agent.get(&question).call() {
            Ok(answer) => answer,
            // It does not know it.
            Err(ureq::Error::StatusCode(404)) => continue,
            Err(error) => return Err(failed(error.to_string())),
        };
        let answer = answer.into_body().into_with_config().limit(MOST_BYTES);
        jaeger::answer(answer.reader(), spans).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_of_jaegers_is_not_shown() {
        for source in [
            "HTTP://shop:secret@host",
            "https://shop:secret@host",
            "ftp://secret",
        ] {
            let text = match read(source, HashSet::new()) {
                Err(Failure::Told(text)) => text,
                _ => String::new(),
            };
            assert!(
                text.starts_with("--spans: ") && !text.contains("secret"),
                "{text}"
            );
        }
    }
}
