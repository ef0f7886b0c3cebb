//! `tap`: a line for each message.

use serde_json::{Value, json};

use crate::WELL;
use crate::arguments::Tap;
use crate::brokers::{End, Reader};
use crate::failure::Failure;
use crate::output::{self, Colour, coloured, duration, plain, time, time_if_any};
use crate::seen::{Age, Seen};
use crate::summary::{Limits, Remark, remarks};

pub(crate) async fn run(tap: &Tap) -> Result<u8, Failure> {
    if let Some(link) = &tap.link
        && !link.contains("{trace_id}")
    {
        return Err(Failure::new(format!(
            "--link {link}: there is no {{trace_id}} in it"
        )));
    }
    let mut reader = Reader::open(&tap.reading, End::Never).await?;
    let mut told = Ok(());
    while let Some(seen) = reader.next().await {
        told = seen.and_then(|seen| {
            output::print(&match tap.json {
                true => output::json(&in_json(&seen, tap)),
                false => line(&seen, tap),
            })
        });
        if told.is_err() {
            break;
        }
    }
    reader.close(told.err()).await?;
    Ok(WELL)
}

fn line(seen: &Seen, tap: &Tap) -> String {
    let remarks = remarks(seen, Limits::NONE);
    let mut parts = vec![
        time_if_any(seen.when().map(|when| when.time)),
        format!("{} {}", plain(&seen.destination), seen.place),
        match &seen.diagnosis.creation {
            Some(creation) => coloured(
                &format!(
                    "{} {:02x}",
                    creation.trace_id(),
                    creation.trace_flags().to_u8()
                ),
                Colour::Green,
            ),
            None => coloured("no context", Colour::Red),
        },
    ];
    match seen.age() {
        Some(Age::Past(age)) => parts.push(duration(age)),
        Some(Age::Future(age)) => parts.push(format!("{} ahead", duration(age))),
        None => {}
    }
    let baggage = seen.diagnosis.baggage.iter();
    let baggage: Vec<_> = baggage
        .map(|(name, value)| match tap.values {
            true => format!("{}={}", plain(name), plain(value)),
            false => plain(name),
        })
        .collect();
    if !baggage.is_empty() {
        parts.push(format!("baggage {}", baggage.join(",")));
    }
    parts.extend(remarks.iter().map(|remark| {
        let colour = if remark.is_loss {
            Colour::Red
        } else {
            Colour::Yellow
        };
        coloured(&remark.text(), colour)
    }));
    parts.extend(link(seen, tap).map(|link| coloured(&link, Colour::Dim)));
    parts.join("  ")
}

fn link(seen: &Seen, tap: &Tap) -> Option<String> {
    Some(tap.link.as_ref()?.replace("{trace_id}", &seen.trace_id()?))
}

fn in_json(seen: &Seen, tap: &Tap) -> Value {
    let creation = seen.diagnosis.creation.as_ref();
    let remarks = remarks(seen, Limits::NONE);
    let remarks = remarks.iter().map(Remark::text);
    let baggage = seen.diagnosis.baggage.iter();
    let baggage = baggage.map(|(name, value)| match tap.values {
        true => json!({"name": name, "value": value}),
        false => json!({"name": name}),
    });
    json!({
        "time": seen.time.map(time),
        "destination": &*seen.destination,
        "place": seen.place.to_string(),
        "trace_id": seen.trace_id(),
        "span_id": creation.map(|span| span.span_id().to_string()),
        "sampled": creation.map(|span| span.is_sampled()),
        "age_ms": match seen.age() {
            Some(Age::Past(age)) => Some(age.as_millis() as i64),
            Some(Age::Future(age)) => Some(-(age.as_millis() as i64)),
            None => None,
        },
        "bytes": seen.bytes,
        "baggage": baggage.collect::<Vec<_>>(),
        "remarks": remarks.collect::<Vec<_>>(),
        "link": link(seen, tap),
    })
}
