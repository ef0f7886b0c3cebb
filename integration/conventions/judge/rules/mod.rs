//! The rules, as a table for each thing that they are about.

mod attributes;
mod batches;
mod exceptions;
mod links;
mod metrics;
mod outcomes;
mod points;
mod spans;

use crate::verdict::Rule;

/// All rules.
pub(crate) fn all() -> Vec<Rule> {
    let tables: [&[Rule]; 8] = [
        &spans::RULES,
        &attributes::RULES,
        &outcomes::RULES,
        &exceptions::RULES,
        &links::RULES,
        &batches::RULES,
        &metrics::RULES,
        &points::RULES,
    ];
    tables.concat()
}
