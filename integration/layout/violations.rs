//! Each rule on a small tree that breaks it, and on one that looks as if it did.

use crate::tree::Tree;
use crate::{imports, links, rules};

#[test]
fn what_knows_a_client_outside_of_a_house_is_found() {
    let clients = Tree::new(&[
        ("link.rs", "//! Of rdkafka.\nuse lapin::Channel;\n"),
        (
            "testing/mod.rs",
            "#[cfg(test)]\nmod tests {\n    fn f(_: async_nats::Client) {}\n}\n",
        ),
    ]);
    let houses = Tree::new(&[
        (
            "lib.rs",
            "pub mod kafka;\npub use crate::{kafka, span::Span};\n",
        ),
        (
            "span.rs",
            "fn f() {\n    crate::nats::f();\n    let amqp = 1;\n}\n",
        ),
    ]);

    assert_eq!(
        rules::nothing_else_names_a_client(&clients),
        [
            "src/link.rs:2: outside of a house it names lapin; move it into src/amqp/",
            "src/testing/mod.rs:3: outside of a house it names async_nats; move it into src/nats/",
        ]
    );
    assert_eq!(
        rules::nothing_else_names_a_client(&houses),
        [
            "src/lib.rs:2: outside of a house it imports the house kafka; let the house hand in what is \
             needed",
            "src/span.rs:2: outside of a house it imports the house nats; let the house hand in what is \
             needed",
        ]
    );
}

#[test]
fn a_house_that_knows_another_is_found() {
    let tree = Tree::new(&[
        (
            "kafka/mod.rs",
            "pub use rdkafka;\nuse crate::kafka::carrier;\n",
        ),
        (
            "amqp/carrier.rs",
            "use super::super::kafka::carrier;\nuse rdkafka::Message;\n",
        ),
        (
            "nats/settle.rs",
            "// as in crate::amqp\nconst LIKE: &str = \"amqp::settle\";\n",
        ),
    ]);

    assert_eq!(
        rules::houses_import_no_house(&tree),
        [
            "src/amqp/carrier.rs:1: the house amqp knows kafka; what both need belongs into the \
             engine",
            "src/amqp/carrier.rs:2: the house amqp knows kafka; what both need belongs into the \
             engine",
        ]
    );
}

#[test]
fn a_missing_room_one_too_many_and_an_unknown_house_are_found() {
    let tree = Tree::new(&[
        ("amqp/mod.rs", ""),
        ("amqp/carrier.rs", ""),
        ("amqp/consumer/mod.rs", ""),
        ("amqp/consumer/received.rs", ""),
        ("amqp/attributes.rs", ""),
        ("amqp/native.rs", ""),
        ("amqp/producer.rs", ""),
        ("amqp/tests/mod.rs", ""),
        ("pulsar/carrier.rs", ""),
        ("semconv/outcome.rs", ""),
    ]);

    assert_eq!(
        rules::houses_have_the_same_rooms(&tree),
        [
            "src/amqp/native.rs:1: native is no room of a house; the rooms are mod, carrier, \
             attributes, producer, consumer, settle",
            "src/pulsar/carrier.rs:1: pulsar has a carrier, but is no known house; add it to \
             HOUSES in integration/layout/rules.rs",
            "src/amqp/: there is no settle; each house has it, as settle.rs or settle/mod.rs",
        ]
    );
}

#[test]
fn a_key_that_is_spelt_elsewhere_is_found() {
    let key = r##"const KEY: &str = "messaging.system.name";"##;
    let tree = Tree::new(&[
        ("semconv/attributes.rs", key),
        ("kafka/attributes/mod.rs", key),
        ("testing/mod.rs", key),
        ("kafka/producer.rs", key),
        (
            "span.rs",
            r##"
                /// Sets "error.type".
                const WHY: &str = "server. is not a key";
                const OWN: &str = "otel_messaging.context.problem";
                const QUOTE: char = '"';
                fn f<'a>(_: &'a str) { g(r#"error.type"#, b"exception.type") }
                #[cfg(test)]
                mod tests {
                    const EXPECTED: &str = "error.type";
                }
                const AFTER: &str = "network.peer.address";
            "##,
        ),
        ("link.rs", "#[cfg(test)]\nmod samples;\n"),
        ("link/samples.rs", key),
        (
            "w3c/mod.rs",
            "#[cfg(test)]\n#[expect(dead_code)]\nmod tests;\nmod list;\n",
        ),
        ("w3c/tests/list.rs", key),
        ("w3c/list.rs", key),
    ]);

    let found: Vec<String> = rules::keys_are_spelt_once(&tree)
        .into_iter()
        .map(|violation| {
            violation
                .split(" is spelt")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(
        found,
        [
            r#"src/kafka/producer.rs:1: the attribute key "messaging.system.name""#,
            r#"src/span.rs:6: the attribute key "error.type""#,
            r#"src/span.rs:6: the attribute key "exception.type""#,
            r#"src/span.rs:11: the attribute key "network.peer.address""#,
            r#"src/w3c/list.rs:1: the attribute key "messaging.system.name""#,
        ]
    );
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let (fits, long) = ("//\n".repeat(400), "//\n".repeat(401));
    let tree = Tree::new(&[("fits.rs", &fits), ("long.rs", &long)]);

    assert_eq!(
        rules::files_are_short(&tree),
        [
            "src/long.rs:401: the file has 401 lines, more than 400; split it by what it is about; \
          a room becomes a folder of the same name"
        ]
    );
}

#[test]
fn an_expectation_of_a_part_alone_is_found() {
    let part = "use testing::{ExpectedSpan, Recorder};\nfn f() -> ExpectedSpan {\n    \
                ExpectedSpan::new().map(ExpectedSpan::error)\n}\n";
    let tree = Tree::new(&[("kafka/orders.rs", part), ("suite/whole.rs", part)]);

    assert_eq!(
        rules::expectations_are_whole(&tree),
        [
            "src/kafka/orders.rs:3: an expectation that may be of a part alone is made here; take \
             that of src/suite/whole.rs"
        ]
    );
}

#[test]
fn a_link_to_another_release_of_the_conventions_is_found() {
    let pinning = r#"pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";"#;
    let conventions = "https://github.com/open-telemetry/semantic-conventions";
    let tree = Tree::new(&[
        ("semconv/mod.rs", pinning),
        (
            "lib.rs",
            &format!(
                "//! [Kafka]: {conventions}/blob/v1.44.0/docs/messaging/kafka.md\n\
                 //! [Text]: {conventions}/tree/v1.45.0/docs\n\
                 //! [Newest]: {conventions}/blob/main/docs/messaging/kafka.md\n\
                 //! By the messaging conventions 1.46.0. OpenTelemetry 1.60.0 has others.\n\
                 //! | 0.39.0 | [1.43.0]({conventions}/releases) |\n"
            ),
        ),
    ]);
    let pinned = links::pinned_release(&tree).expect("a release");
    let named = |line, release| {
        format!(
            "src/lib.rs:{line}: it names the release {release} of the conventions; SCHEMA_URL in \
             src/semconv/mod.rs has 1.45.0"
        )
    };

    assert_eq!(
        links::links_name_the_release(&tree, pinned),
        [
            named(1, "1.44.0"),
            "src/lib.rs:3: it links to the conventions, but to no release; write blob/v1.45.0"
                .to_owned(),
            named(4, "1.46.0"),
            named(5, "1.43.0"),
        ]
    );
}

#[test]
fn a_rule_that_links_to_no_specification_is_found() {
    let tree = Tree::new(&[(
        "semconv/span_name.rs",
        "/// Spec: [messaging-spans § Span name].\n\
         ///\n\
         /// [messaging-spans § Span name]: https://example.org/spans#span-name\n\
         fn named() {}\n\
         /// Spec: [here](https://example.org/here), `there`.\n\
         /// Spec: messaging-spans § Span kind, 1.45.0.\n\
         fn plain() {}\n\
         /// Spec: [here](https://example.org/here); [messaging-spans § Span name].\n\
         fn other() {}\n\
         // A comment names its `Spec:` line.\n",
    )]);

    let found: Vec<String> = links::spec_lines_are_links(&tree);
    assert_eq!(
        found,
        [
            "src/semconv/span_name.rs:6: the rule \"messaging-spans § Span kind, 1.45.0.\" is no link; \
             write [document § Heading], and its address below",
            "src/semconv/span_name.rs:8: the rule \"[messaging-spans § Span name].\" is no link; \
             write [document § Heading], and its address below",
        ]
    );
}

#[test]
fn an_import_from_a_floor_that_is_not_below_is_found() {
    let tree = Tree::new(&[
        (
            "lib.rs",
            "mod policy;\nmod w3c;\npub use crate::telemetry::Telemetry;\n",
        ),
        (
            "policy/mod.rs",
            "use crate::telemetry::{Telemetry, globals::meter};\n",
        ),
        (
            "telemetry/mod.rs",
            "use crate::policy::Policy;\nuse crate::Rule;\n",
        ),
        (
            "telemetry/globals.rs",
            "pub mod own {\n    use super::super::meter;\n}\nuse super::super::engine::span;\n",
        ),
        (
            "w3c/mod.rs",
            "fn f() {\n    crate::semconv::text::tidy()\n}\n",
        ),
        (
            "semconv/mod.rs",
            "mod text;\npub(in crate::engine) use self::text::tidy;\n",
        ),
        (
            "semconv/text.rs",
            "// crate::w3c\n#[cfg(test)]\nmod tests {\n    use crate::engine::span;\n}\n",
        ),
        ("engine/mod.rs", "mod links;\nmod span;\n"),
        ("engine/links.rs", "use super::span::Span as Other;\n"),
        (
            "engine/span.rs",
            "use super::links;\nuse crate::{kafka, logs};\n",
        ),
        ("kafka/mod.rs", "use crate::engine::span;\n"),
        ("logs.rs", "use crate::w3c::List;\n"),
    ]);

    assert_eq!(
        imports::imports_go_down(&tree),
        [
            "src/policy/mod.rs:1: policy imports telemetry; what both need belongs below them",
            "src/telemetry/mod.rs:2: telemetry imports the root; name the module that it is in, \
             not the crate's root",
            "src/telemetry/globals.rs:4: telemetry imports engine; what both need belongs below \
             them",
            "src/w3c/mod.rs:2: w3c imports semconv; what both need belongs below them",
            "src/engine/span.rs:2: engine imports kafka; what both need belongs below them",
            "src/engine/span.rs:2: engine imports logs; give each module a floor in \
             integration/layout/imports.rs",
            "src/logs.rs:1: logs imports w3c; give each module a floor in \
             integration/layout/imports.rs",
        ]
    );
    assert_eq!(
        imports::engine_floors_go_up_the_list(&tree),
        [
            "src/engine/links.rs:1: links imports span; it stands further down in \
             src/engine/mod.rs"
        ]
    );
}

#[test]
fn a_circle_of_imports_is_found_in_any_folder() {
    let tree = Tree::new(&[
        ("a.rs", "use crate::b::{B, c::C};\n"),
        ("b/mod.rs", "mod c;\nuse self::c::C;\n"),
        ("b/c.rs", "use super::B;\nuse super::d;\n"),
        ("b/d.rs", "fn f(_: super::e::E) {}\n"),
        ("b/e.rs", "\nuse crate::b::c;\n"),
        ("b/f.rs", "use super::c;\n#[cfg(test)]\nuse super::d;\n"),
        ("g.rs", "use crate::a;\n"),
    ]);
    let round = |file, line, from, to| {
        format!(
            "src/b/{file}.rs:{line}: {from} imports {to}; that leads back to {from}; what both \
             need belongs into a third"
        )
    };

    assert_eq!(
        imports::imports_form_no_circle(&tree),
        [
            round("c", 2, "c", "d"),
            round("d", 1, "d", "e"),
            round("e", 2, "e", "c"),
        ]
    );
}
