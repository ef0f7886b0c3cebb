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
use crate::given;
use crate::output::{self, Colour, coloured, plain};
use crate::scan::colour;
use crate::stock::{Verdict, verdicts};
use crate::summary::Remark;
use crate::{NOT_WELL, WELL};

pub(crate) fn run(check: &Check) -> Result<u8, Failure> {
    let headers = given::headers(&text(&check.file)?)
        .map_err(|error| Failure::new(format!("{}: {error}", check.file.display())))?;
    let judge = Judge::new();
    let diagnosis = diagnose(&judge.telemetry, &headers, &judge.formats());
    let verdicts = verdicts(&headers, &diagnosis);
    let told = match check.json {
        true => output::pretty(&in_json(&diagnosis, &verdicts, check.values)),
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
