//! Pages for people, beside those of the modules. Their code is compiled and run.

#[doc = include_str!("what_it_costs.md")]
pub mod what_it_costs {}

#[doc = include_str!("service_map.md")]
pub mod service_map {}

// The code of a page is run where the clients are that it uses.
#[cfg_attr(
    any(not(doctest), all(feature = "kafka", feature = "testing")),
    doc = include_str!("decisions.md")
)]
pub mod decisions {}

#[cfg_attr(
    any(
        not(doctest),
        all(feature = "amqp", feature = "kafka", feature = "nats", feature = "testing")
    ),
    doc = include_str!("migrating.md")
)]
pub mod migrating {}

#[cfg_attr(
    any(not(doctest), all(feature = "kafka", feature = "testing")),
    doc = include_str!("troubleshooting.md")
)]
pub mod troubleshooting {}
