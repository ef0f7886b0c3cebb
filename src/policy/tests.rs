//! What rules come to, from code and from a file.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its own set-up is wrong"
)]

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::{Context, KeyValue};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_later_rule_wins_setting_by_setting() {
    let policy = Policy::new()
        .rule(Rule::of("*").incoming(Incoming::LinkOnly).lag(true))
        .rule(Rule::of("partner.*").incoming(Incoming::Restart))
        .rule(
            Rule::of("partner.trusted")
                .incoming(Incoming::Continue)
                .lag(false),
        );
    let found = |name| {
        let rule = policy.rule_for(name);
        (rule.chosen_incoming(|| false, || None), rule.wants_lag())
    };

    assert_eq!(found("orders"), (Incoming::LinkOnly, true));
    assert_eq!(found("partner.a"), (Incoming::Restart, true));
    assert_eq!(found("partner.trusted"), (Incoming::Continue, false));
}

#[test]
fn a_pattern_stands_for_any_characters_and_a_name_for_itself() {
    let rows = [
        ("orders", "orders", true),
        ("orders", "orders.eu", false),
        ("orders", "Orders", false),
        ("orders.*", "orders.eu.west", true),
        ("orders.*", "orders.", true),
        ("orders.*", "orders", false),
        ("*:billing", "shop:paid:billing", true),
        ("orders-?", "orders-7", true),
        ("orders-?", "orders-77", false),
        ("a[b]", "a[b]", true),
        ("*", "", true),
    ];

    for (pattern, name, expected) in rows {
        let policy = Policy::new().rule(Rule::of(pattern).record(Record::Off));
        let is_off = policy.rule_for(name).recorded() == Record::Off;
        assert_eq!(is_off, expected, "{pattern} for {name}");
    }
}

#[test]
fn age_and_redelivery_decide_what_is_trusted() {
    let rule = |incoming| {
        Rule::of("orders")
            .incoming(incoming)
            .redelivered(Incoming::Ignore)
            .max_age(HOUR)
    };
    let older = Some(HOUR + Duration::from_secs(1));
    let rows = [
        (Incoming::Continue, false, None, Incoming::Continue),
        (Incoming::Continue, false, Some(HOUR), Incoming::Continue),
        (Incoming::Continue, false, older, Incoming::LinkOnly),
        (Incoming::Restart, false, older, Incoming::Restart),
        (Incoming::Continue, true, older, Incoming::Ignore),
    ];

    for (incoming, is_redelivered, age, expected) in rows {
        assert_eq!(
            rule(incoming).chosen_incoming(|| is_redelivered, || age),
            expected
        );
    }
    assert_eq!(
        Rule::of("orders").chosen_incoming(|| true, || older),
        Incoming::Continue
    );

    // Who is not trusted is not so for a message that says of itself that it was delivered before.
    let choices = [
        Incoming::Continue,
        Incoming::LinkOnly,
        Incoming::Restart,
        Incoming::Ignore,
    ];
    for (at, incoming) in choices.into_iter().enumerate() {
        for (place, again) in choices.into_iter().enumerate() {
            let rule = Rule::of("orders").incoming(incoming).redelivered(again);
            let expected = if at > place { incoming } else { again };
            assert_eq!(rule.chosen_incoming(|| true, || None), expected);
            assert_eq!(rule.chosen_incoming(|| false, || None), incoming);
        }
    }
}

#[test]
fn only_baggage_that_may_be_sent_is_kept() {
    let context = Context::new().with_baggage([
        KeyValue::new("tenant", "blue"),
        KeyValue::new("card", "4711"),
    ]);
    let kept = |rule: Rule| {
        let sent = rule.without_kept_baggage(&context)?;
        let mut names: Vec<String> = sent
            .baggage()
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        names.sort();
        Some(names)
    };

    assert_eq!(kept(Rule::of("orders")), None);
    assert_eq!(kept(Rule::of("orders").send_baggage(["*"])), None);
    let tenant = Rule::of("orders").send_baggage(["ten*"]);
    assert_eq!(kept(tenant), Some(vec!["tenant".to_owned()]));
    assert_eq!(kept(Rule::of("orders").send_baggage([])), Some(vec![]));
}

#[test]
fn baggage_is_seen_by_the_last_list_of_names_and_otherwise_not_at_all() {
    let policy = Policy::new()
        .rule(Rule::of("*").baggage_on_spans(["tenant", "co*"]))
        .rule(Rule::of("orders").baggage_on_metrics(["cohort"]))
        .rule(Rule::of("health").baggage_on_spans([]));
    let found = |destination| {
        let rule = policy.rule_for(destination);
        ["tenant", "cohort", "Tenant"]
            .map(|name| (rule.has_on_spans(name), rule.has_on_metrics(name)))
    };

    let [on_spans, on_both, nowhere] = [(true, false), (true, true), (false, false)];
    assert_eq!(found("payments"), [on_spans, on_spans, nowhere]);
    assert_eq!(found("orders"), [on_spans, on_both, nowhere]);
    assert_eq!(found("health"), [nowhere; 3]);
    assert!(!Policy::new().rule_for("orders").shows_baggage());
    assert!(policy.rule_for("payments").shows_baggage());
}

#[test]
fn a_file_says_all_that_code_can() {
    let text = r#"
        [[rule]]
        destination = "*"
        record = "propagate_only"
        incoming = "link_only"
        redelivered = "ignore"
        parent = "root"
        carried = "link_only"
        max_age_seconds = 3600
        accept_baggage = ["tenant"]
        send_baggage = []
        baggage_on_spans = ["tenant", "co*"]
        baggage_on_metrics = ["cohort"]
        max_message_bytes = 2048
        create_spans = false
        receive_spans = true
        settle_spans = false
        message_key = false
        capture_headers = ["X-*"]
        template = "orders.{id}"
        partition_on_metrics = true
        time_in_queue = true
        lag = true
        fan_back = 100
        unregistered_attributes = true

        [[rule]]
        destination = "health"
        record = "off"
        incoming = "restart"

        [[rule]]
        destination = "audit"
        record = "full"
        incoming = "continue"
    "#;
    let in_code = Policy::new()
        .rule(
            Rule::of("*")
                .record(Record::PropagateOnly)
                .incoming(Incoming::LinkOnly)
                .redelivered(Incoming::Ignore)
                .parent(Parent::Root)
                .carried(Carried::LinkOnly)
                .max_age(HOUR)
                .accept_baggage(["tenant"])
                .send_baggage([])
                .baggage_on_spans(["tenant", "co*"])
                .baggage_on_metrics(["cohort"])
                .max_message_bytes(2048)
                .create_spans(false)
                .receive_spans(true)
                .settle_spans(false)
                .message_key(false)
                .capture_headers(["X-*"])
                .template("orders.{id}")
                .partition_on_metrics(true)
                .time_in_queue(true)
                .lag(true)
                .fan_back(100)
                .unregistered_attributes(true),
        )
        .rule(
            Rule::of("health")
                .record(Record::Off)
                .incoming(Incoming::Restart),
        )
        .rule(
            Rule::of("audit")
                .record(Record::Full)
                .incoming(Incoming::Continue),
        );

    assert_eq!(text.parse::<Policy>().unwrap(), in_code);
    assert_eq!("".parse::<Policy>().unwrap(), Policy::new());
}

#[test]
fn a_bad_file_is_refused_by_line_and_field() {
    let rows = [
        ("recrd = \"off\"", "unknown field `recrd`"),
        ("record = \"of\"", "unknown variant `of`"),
        ("record = 1", "record"),
        ("max_age_seconds = -1", "max_age_seconds"),
        ("max_age_seconds = \"1h\"", "max_age_seconds"),
        ("accept_baggage = \"tenant\"", "accept_baggage"),
        ("lag = \"yes\"", "lag"),
        ("lag = true\nlag = false", "duplicate key"),
        ("lag =", "lag ="),
    ];

    for (line, field) in rows {
        let text = format!("[[rule]]\ndestination = \"orders\"\n{line}\n");
        let error = text.parse::<Policy>().unwrap_err().to_string();
        let number = 2 + line.lines().count();
        assert!(error.contains(&format!("line {number}, ")), "{error}");
        assert!(error.contains(field), "{error}");
    }
    let nameless = "[[rule]]\nlag = true\n".parse::<Policy>().unwrap_err();
    let nameless = nameless.to_string();
    assert!(nameless.contains("line 1, "), "{nameless}");
    assert!(
        nameless.contains("missing field `destination`"),
        "{nameless}"
    );
    let other = "[[rules]]\n".parse::<Policy>().unwrap_err().to_string();
    assert!(other.contains("unknown field `rules`"), "{other}");
}

#[test]
fn an_error_names_the_file_and_tells_its_cause_once() {
    let missing = Policy::from_file("no/such/policy.toml").unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("policy no/such/policy.toml: ")
    );
    assert!(std::error::Error::source(&missing).is_none());

    let path = std::env::temp_dir().join(format!("policy-{}.toml", std::process::id()));
    std::fs::write(&path, "[[rule]]\ndestination = 7\n").unwrap();
    let malformed = Policy::from_file(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    let named = format!("policy {}: ", path.display());
    assert!(malformed.starts_with(&named), "{malformed}");
    assert!(malformed.contains("line 2, "), "{malformed}");
}

#[test]
fn a_wrong_value_is_told_with_what_it_may_be() {
    let rows = [
        (
            "recrd = 1",
            "unknown field `recrd`, expected one of `destination`, `record`, `incoming`, \
             `redelivered`, `parent`, `carried`, `max_age_seconds`, `accept_baggage`, `send_baggage`, \
             `baggage_on_spans`, `baggage_on_metrics`, `max_message_bytes`, `create_spans`, `receive_spans`, `settle_spans`, `message_key`, \
             `capture_headers`, `template`, `partition_on_metrics`, `time_in_queue`, `lag`, \
             `fan_back`, `unregistered_attributes`",
        ),
        (
            "record = \"of\"",
            "unknown variant `of`, expected one of `full`, `propagate_only`, `off`",
        ),
        (
            "incoming = \"Continue\"",
            "unknown variant `Continue`, expected one of `continue`, `link_only`, `restart`, `ignore`",
        ),
        (
            "redelivered = \"\"",
            "unknown variant ``, expected one of `continue`, `link_only`, `restart`, `ignore`",
        ),
        (
            "parent = \"none\"",
            "unknown variant `none`, expected one of `message`, `ambient`, `root`",
        ),
        (
            "carried = \"restart\"",
            "unknown variant `restart`, expected one of `continue`, `link_only`, `ignore`",
        ),
        (
            "max_age_seconds = \"1h\"",
            "invalid type: string \"1h\", expected u64",
        ),
        (
            "capture_headers = [1]",
            "invalid type: integer `1`, expected a string",
        ),
    ];

    for (line, expected) in rows {
        let text = format!("[[rule]]\ndestination = \"orders\"\n{line}\n");
        let told = text.parse::<Policy>().unwrap_err().to_string();
        let shown = format!("\n3 | {line}\n");
        assert!(told.contains(&shown), "{told}");
        assert_eq!(told.lines().last(), Some(expected), "{told}");
    }
    let no_rule = "rule = [3]".parse::<Policy>().unwrap_err().to_string();
    let expected = "invalid type: integer `3`, expected a rule";
    assert_eq!(no_rule.lines().last(), Some(expected), "{no_rule}");
}

#[test]
fn what_several_have_in_common_is_recorded_no_more_than_the_most_recorded_of_them() {
    let rule = || Rule::of("");
    let off = || rule().record(Record::Off);
    let propagate = || rule().record(Record::PropagateOnly);
    let bare = || rule().receive_spans(false).settle_spans(false);
    let rows = [
        (rule(), vec![], None),
        (rule(), vec![rule(), off()], None),
        (off(), vec![rule(), propagate()], None),
        (off(), vec![off(), off()], None),
        (rule(), vec![propagate(), off()], Some(propagate())),
        (rule(), vec![off(), off()], Some(off())),
        (propagate(), vec![off(), off()], Some(off())),
        (rule(), vec![bare(), bare()], Some(bare())),
        (rule().receive_spans(true), vec![rule(), bare()], None),
        (bare(), vec![rule()], None),
        (rule().fan_back(9), vec![rule().fan_back(9), rule()], None),
        (
            rule().fan_back(9),
            vec![rule().fan_back(2), rule()],
            Some(rule().fan_back(2)),
        ),
        (
            rule().template("orders.{id}"),
            vec![off()],
            Some(off().template("orders.{id}")),
        ),
    ];

    for (common, theirs, expected) in rows {
        let limited = match common.limited_by(theirs.iter()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(limited) => Some(limited),
        };
        assert_eq!(limited, expected, "{common:?}, {theirs:?}");
    }
}
