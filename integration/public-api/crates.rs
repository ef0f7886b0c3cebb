//! Which other crates the public API names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A new major release of any of these is a breaking change of ours.
pub(crate) const NAMED: [&str; 12] = [
    "opentelemetry",
    // `testing` and the sampler.
    "opentelemetry_sdk",
    "rdkafka",
    "lapin",
    // What lapin has under names of its own, `lapin::types` and `lapin::BasicProperties`.
    "amq_protocol",
    "amq_protocol_types",
    "async_nats",
    // async-nats takes bodies as `Bytes`.
    "bytes",
    // std has no `Stream`.
    "futures_core",
    // `with_tracing`.
    "tracing",
    // What `tracing` has under its own name.
    "tracing_core",
    "tracing_subscriber",
];

const STD: [&str; 3] = ["std", "core", "alloc"];

/// Takes what rustdoc writes: `index` are the items, `paths` says which crate an identifier is of, by
/// its number, 0 for our own, and `external_crates` has the names of the others.
pub(crate) fn only_these_are_named(json: &Value, named: &[&str]) -> Vec<String> {
    let dictated = dictated(json);
    let mut found = BTreeMap::<&str, BTreeSet<String>>::new();
    for (id, item) in own_items(json) {
        if dictated.contains(id) {
            continue;
        }
        let mut ids = BTreeSet::new();
        collect(&item["inner"], &mut ids);
        for id in ids {
            let path = &json["paths"][id.to_string()];
            if let Some(name) = crate_of(json, path) {
                let path = text(path["path"].as_array(), "::");
                found.entry(name).or_default().insert(format!(
                    "{}: the public API names {path}",
                    position(&item["span"])
                ));
            }
        }
    }
    let (known, unknown): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|(name, _)| named.contains(name));
    let unused = named
        .iter()
        .filter(|name| known.iter().all(|(used, _)| used != *name))
        .map(|name| format!("no public item names {name} any more; take it off the list"));
    unknown
        .into_iter()
        .flat_map(|(_, places)| places)
        .map(|place| {
            format!("{place}; hide it, or add its crate in integration/public-api/crates.rs")
        })
        .chain(unused)
        .collect()
}

/// Our own items but what the compiler implements by itself, for everything.
fn own_items(json: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let items = json["index"].as_object().into_iter().flatten();
    items
        .filter(|(_, item)| {
            let implementation = &item["inner"]["impl"];
            item["crate_id"] == 0
                && implementation["is_synthetic"] != true
                && implementation["blanket_impl"].is_null()
        })
        .map(|(id, item)| (id.as_str(), item))
}

/// Items of implementations whose trait is not ours: it says what they take and return.
fn dictated(json: &Value) -> BTreeSet<String> {
    own_items(json)
        .map(|(_, item)| &item["inner"]["impl"])
        .filter(|implementation| {
            let id = &implementation["trait"]["id"];
            let path = &json["paths"][id.to_string()];
            id.is_number() && path["crate_id"] != 0
        })
        .flat_map(|implementation| implementation["items"].as_array().into_iter().flatten())
        .map(Value::to_string)
        .collect()
}

/// Identifiers of all types and traits in it: of a path, and of what an import brings.
fn collect(value: &Value, ids: &mut BTreeSet<u64>) {
    match value {
        Value::Object(fields) => {
            let names_something = fields.contains_key("path") || fields.contains_key("source");
            if let Some(id) = value["id"].as_u64().filter(|_| names_something) {
                ids.insert(id);
            }
            for field in fields.values() {
                collect(field, ids);
            }
        }
        Value::Array(values) => {
            for value in values {
                collect(value, ids);
            }
        }
        _ => {}
    }
}

/// None for our own and for std.
fn crate_of<'a>(json: &'a Value, path: &Value) -> Option<&'a str> {
    let number = path["crate_id"].as_u64().filter(|number| *number != 0)?;
    let name = json["external_crates"][number.to_string()]["name"].as_str()?;
    (!STD.contains(&name)).then_some(name)
}

fn position(span: &Value) -> String {
    let file = span["filename"].as_str().unwrap_or("src");
    format!("{file}:{}", span["begin"][0])
}

fn text(parts: Option<&Vec<Value>>, between: &str) -> String {
    let parts = parts.into_iter().flatten().filter_map(Value::as_str);
    parts.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A function that takes what the identifiers are of.
    fn function(krate: u64, line: u64, ids: &[u64]) -> Value {
        let inputs: Vec<Value> = ids
            .iter()
            .map(|id| {
                json!(["argument", {"borrowed_ref": {"type":
                    {"resolved_path": {"path": "Made", "id": id, "args": null}}}}])
            })
            .collect();
        json!({
            "crate_id": krate,
            "span": {"filename": "src/made.rs", "begin": [line, 1]},
            "inner": {"function": {"sig": {"inputs": inputs}}},
        })
    }

    fn implementation(line: u64, of: u64, synthetic: bool, items: &[u64]) -> Value {
        json!({
            "crate_id": 0,
            "span": {"filename": "src/made.rs", "begin": [line, 1]},
            "inner": {"impl": {
                "is_synthetic": synthetic,
                "blanket_impl": null,
                "trait": {"path": "Trait", "id": of, "args": null},
                "items": items,
            }},
        })
    }

    fn import(line: u64, of: u64) -> Value {
        json!({
            "crate_id": 0,
            "span": {"filename": "src/made.rs", "begin": [line, 1]},
            "inner": {"use": {"source": "serde::Deserialize", "name": "Read", "id": of}},
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "as `json!` returns it")]
    fn documented(index: Value) -> Value {
        json!({
            "index": index,
            "paths": {
                "1": {"crate_id": 0, "path": ["otel_messaging", "Own"]},
                "2": {"crate_id": 1, "path": ["core", "option", "Option"]},
                "3": {"crate_id": 2, "path": ["lapin", "Channel"]},
                "4": {"crate_id": 3, "path": ["serde_core", "de", "Deserialize"]},
            },
            "external_crates": {
                "1": {"name": "core"},
                "2": {"name": "lapin"},
                "3": {"name": "serde_core"},
            },
        })
    }

    #[test]
    fn a_crate_that_is_not_on_the_list_is_found() {
        let json = documented(json!({
            "10": function(0, 7, &[1, 2, 3, 4]),
            "11": implementation(8, 4, false, &[]),
            "12": import(9, 4),
            // Of another crate, implemented by the compiler, and what a trait of another crate asks for.
            "13": function(3, 10, &[4]),
            "14": implementation(11, 4, true, &[]),
            "15": implementation(12, 3, false, &[16]),
            "16": function(0, 13, &[4]),
        }));

        let violations = only_these_are_named(&json, &["lapin"]);

        let expected = [7, 8, 9].map(|line| {
            format!(
                "src/made.rs:{line}: the public API names serde_core::de::Deserialize; hide it, or \
                 add its crate in integration/public-api/crates.rs"
            )
        });
        assert_eq!(violations, expected);
    }

    #[test]
    fn what_a_trait_of_ours_asks_for_is_ours() {
        let json = documented(json!({
            "10": implementation(8, 1, false, &[11]),
            "11": function(0, 9, &[3]),
        }));

        assert_eq!(only_these_are_named(&json, &["lapin"]), [""; 0]);
        assert_eq!(only_these_are_named(&json, &[]).len(), 1);
    }

    #[test]
    fn a_crate_that_is_on_the_list_for_nothing_is_found() {
        let json = documented(json!({"10": function(0, 7, &[3])}));

        assert_eq!(
            only_these_are_named(&json, &["lapin", "serde_core"]),
            ["no public item names serde_core any more; take it off the list"]
        );
    }
}
