//! What Prometheus has.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{given, http};

/// A series: its labels, and its value now.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Series {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// What a query gives now.
pub(crate) fn query(query: &str) -> Vec<Series> {
    let answer = http::get(
        &given("PROMETHEUS_URL"),
        "/api/v1/query",
        &[("query", query)],
    );
    let found = answer["data"]["result"].as_array().expect("a vector");
    found.iter().map(series).collect()
}

fn series(found: &Value) -> Series {
    let labels = found["metric"].as_object().expect("labels").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    Series {
        labels: labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        value: text(&found["value"][1]).parse().expect("a number"),
    }
}
