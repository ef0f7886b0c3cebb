//! What Jaeger has.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::http;

/// The calls between services that Jaeger counts, by their two names.
pub(crate) fn dependencies(jaeger: &str) -> BTreeMap<(String, String), u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a clock after 1970").as_millis().to_string();
    let answer = http::get(
        jaeger,
        "/api/dependencies",
        &[("endTs", &now), ("lookback", "3600000")],
    );
    let found = answer["data"].as_array().expect("dependencies");
    let name = |value: &Value| value.as_str().expect("a name").to_owned();
    let edge = |found: &Value| {
        let calls = found["callCount"].as_u64().expect("a count");
        ((name(&found["parent"]), name(&found["child"])), calls)
    };
    found.iter().map(edge).collect()
}
