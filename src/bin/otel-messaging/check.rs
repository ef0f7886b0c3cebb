//! `check`: headers as JSON, judged.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use opentelemetry::trace::SpanContext;
use otel_messaging::internal::{Diagnosis, diagnose};
use serde_json::{Value, json};

use crate::arguments::Check;
use crate::brokers::Judge;
use crate::failure::Failure;
use crate::output::{self, Colour, coloured, plain};
use crate::scan::colour;
use crate::stock::{Header, Verdict, verdicts};
use crate::summary::Remark;
use crate::{NOT_WELL, WELL};

pub(crate) fn run(check: &Check) -> Result<u8, Failure> {
    let headers = headers(&text(&check.file)?)
        .map_err(|error| Failure::new(format!("{}: {error}", check.file.display())))?;
    let judge = Judge::new();
    let diagnosis = diagnose(&judge.telemetry, &headers, &judge.formats());
    let verdicts = verdicts(&headers, &diagnosis);
    let told = match check.json {
        true => format!("{:#}", in_json(&diagnosis, &verdicts, check.values)),
        false => in_text(&diagnosis, &verdicts, check.values),
    };
    output::print(&told)?;
    let is_well = diagnosis
        .findings
        .iter()
        .all(|finding| !finding.fault.is_loss());
    Ok(if is_well { WELL } else { NOT_WELL })
}

fn text(file: &Path) -> Result<String, Failure> {
    let read = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| Failure::because(&file.display().to_string(), error))
}

/// The headers in any of the forms that are known.
fn headers(text: &str) -> Result<Vec<Header>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let given = match &value {
        Value::Object(message) => message.get("headers").unwrap_or(&value),
        _ => &value,
    };
    let form = || "headers are an object, or a list of [name, value]".to_owned();
    match given {
        Value::Null => Ok(Vec::new()),
        Value::Object(all) => all
            .iter()
            .map(|(name, value)| header(name, value))
            .collect(),
        // kcat has names and values in turns.
        Value::Array(all) if all.iter().all(|one| one.is_string() || one.is_null()) => {
            let pairs = all.chunks(2).map(|pair| match pair {
                [Value::String(name), value] => header(name, value),
                _ => Err(form()),
            });
            pairs.collect()
        }
        Value::Array(all) => {
            let pairs = all
                .iter()
                .map(|pair| match pair.as_array().map(Vec::as_slice) {
                    Some([Value::String(name), value]) => header(name, value),
                    _ => Err(form()),
                });
            pairs.collect()
        }
        _ => Err(form()),
    }
}

fn header(name: &str, value: &Value) -> Result<Header, String> {
    let value = match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(one) => match one.get("hex").and_then(Value::as_str).map(bytes) {
            Some(Some(bytes)) => Some(bytes),
            _ => return Err(format!("{name}: bytes are given as {{\"hex\": \"00ff\"}}")),
        },
        Value::Number(number) => Some(number.to_string().into_bytes()),
        _ => {
            return Err(format!(
                "{name}: a value is a text, null, or {{\"hex\": \"00ff\"}}"
            ));
        }
    };
    Ok((name.as_bytes().to_vec(), value))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

fn in_text(diagnosis: &Diagnosis, verdicts: &[Verdict], with_values: bool) -> String {
    let mut lines = vec![match &diagnosis.creation {
        Some(creation) => format!(
            "{} {}",
            coloured("context", Colour::Green),
            context(creation)
        ),
        None => coloured("no context", Colour::Red),
    }];
    if let Some(other) = &diagnosis.conflicting {
        lines.push(format!("also    {}", context(other)));
    }
    if !diagnosis.baggage.is_empty() {
        let members = diagnosis
            .baggage
            .iter()
            .map(|(name, value)| match with_values {
                true => format!("{}={}", plain(name), plain(value)),
                false => plain(name),
            });
        lines.push(format!(
            "baggage {}",
            members.collect::<Vec<_>>().join(", ")
        ));
    }
    for remark in diagnosis.findings.iter().map(Remark::from) {
        let text = format!("{}: {} {}", remark.name, remark.header, remark.meaning);
        lines.push(coloured(&text, colour(&remark)));
    }
    lines.push(String::new());
    lines.push("other readers:".to_owned());
    for verdict in verdicts {
        lines.push(format!("  {}: {}", verdict.reader, verdict.says));
    }
    lines.join("\n")
}

fn context(span: &SpanContext) -> String {
    let sampled = if span.is_sampled() {
        "sampled"
    } else {
        "not sampled"
    };
    format!(
        "trace {} span {} {sampled}",
        span.trace_id(),
        span.span_id()
    )
}

fn in_json(diagnosis: &Diagnosis, verdicts: &[Verdict], with_values: bool) -> Value {
    let span = |span: &Option<SpanContext>| {
        span.as_ref().map(|span| {
            json!({
                "trace_id": span.trace_id().to_string(),
                "span_id": span.span_id().to_string(),
                "sampled": span.is_sampled(),
            })
        })
    };
    let remarks = diagnosis.findings.iter().map(Remark::from).map(|remark| {
        json!({
            "name": remark.name,
            "header": remark.header,
            "is_loss": remark.is_loss,
            "meaning": remark.meaning,
        })
    });
    let baggage = diagnosis.baggage.iter();
    let baggage = baggage.map(|(name, value)| match with_values {
        true => json!({"name": name, "value": value}),
        false => json!({"name": name}),
    });
    let readers = verdicts.iter();
    let readers = readers.map(|one| json!({"reader": one.reader, "says": one.says}));
    json!({
        "creation": span(&diagnosis.creation),
        "conflicting": span(&diagnosis.conflicting),
        "baggage": baggage.collect::<Vec<_>>(),
        "remarks": remarks.collect::<Vec<_>>(),
        "readers": readers.collect::<Vec<_>>(),
    })
}
