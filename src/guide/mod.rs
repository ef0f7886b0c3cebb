//! Pages for people, beside those of the modules.

#[doc = include_str!("what_it_costs.md")]
pub mod what_it_costs {}
