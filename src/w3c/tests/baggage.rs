use opentelemetry::baggage::{Baggage, KeyValueMetadata};

use super::super::baggage::{is_malformed, parse, write};

/// Names, values and properties, in the order of the names.
pub(super) fn entries(baggage: &Baggage) -> Vec<(&str, &str, &str)> {
    let mut entries = Vec::new();
    for (key, (value, properties)) in baggage {
        entries.push((key.as_str(), value.as_str(), properties.as_str()));
    }
    entries.sort_unstable();
    entries
}

fn read(values: &[&str]) -> Option<Vec<(String, String, String)>> {
    let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
    let owned = |(key, value, properties): (&str, &str, &str)| {
        (key.to_owned(), value.to_owned(), properties.to_owned())
    };
    parse(&values, |_| true)
        .accepted
        .map(|baggage| entries(&baggage).into_iter().map(owned).collect())
}

fn reads(value: &str, expected: &[(&str, &str, &str)]) {
    let baggage = parse(&[value.as_bytes()], |_| true)
        .accepted
        .unwrap_or_default();
    assert_eq!(entries(&baggage), expected, "{value:?}");
}

fn writes(value: &str, properties: &str, expected: &str) {
    let baggage = Baggage::from([KeyValueMetadata::new(
        "k",
        value.to_owned(),
        properties.to_owned(),
    )]);
    assert_eq!(
        write(&baggage).header.as_deref(),
        Some(expected),
        "{value:?} {properties:?}"
    );
}

#[test]
fn the_examples_of_the_specification_are_read() {
    reads(
        "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
        &[
            ("key1", "value1", "property1;property2"),
            ("key2", "value2", ""),
            ("key3", "value3", "propertyKey=propertyValue"),
        ],
    );
    reads(
        "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
        &[
            ("isProduction", "false", ""),
            ("serverNode", "DF 28", ""),
            ("userId", "Amélie", ""),
        ],
    );
}

#[test]
fn values_are_read_by_the_grammar_and_somewhat_beyond() {
    reads("k=a=b", &[("k", "a=b", "")]);
    reads("k=", &[("k", "", "")]);
    reads("k=a+b", &[("k", "a+b", "")]);
    reads("k=%ff%C3", &[("k", "\u{fffd}\u{fffd}", "")]);
    reads("k=%2c%2C%0d%0A", &[("k", ",,\r\n", "")]);
    reads(
        "k=%,l=%4,m=%zz,n=%+1",
        &[
            ("k", "%", ""),
            ("l", "%4", ""),
            ("m", "%zz", ""),
            ("n", "%+1", ""),
        ],
    );
    reads("k=a \"b\" \\ é", &[("k", "a \"b\" \\ é", "")]);
    reads(
        " \tk \t=\t v \t;\t p = 1 \t; q \t",
        &[("k", "v", "p = 1 \t; q")],
    );
}

#[test]
fn names_are_tokens_and_never_decoded() {
    reads("%41=1", &[("%41", "1", "")]);
    reads("!#$%&'*+-.^_`|~aZ09=1", &[("!#$%&'*+-.^_`|~aZ09", "1", "")]);
}

#[test]
fn a_malformed_member_alone_is_dropped() {
    for member in [
        "", "k", "=v", "k l=v", "é=v", "k\"=v", "k=\u{1}", "k=a\tb", "k=\u{85}", "k=v;p=\n", ";",
    ] {
        reads(
            &format!("a=1,{member},b=2"),
            &[("a", "1", ""), ("b", "2", "")],
        );
        assert_eq!(read(&[member]), None, "{member:?}");
    }
}

#[test]
fn several_headers_are_one_list_and_the_last_of_a_name_counts() {
    let baggage = parse(&[b"a=1,b=2", b"\xff,c=3", b"", b"a=4"], |_| true)
        .accepted
        .unwrap();

    assert_eq!(entries(&baggage), [("a", "4", ""), ("b", "2", "")]);
}

#[test]
fn nothing_is_read_from_no_headers() {
    assert_eq!(read(&[]), None);
    assert_eq!(read(&["", " , "]), None);
}

#[test]
fn the_first_64_members_are_read() {
    let mut list: Vec<_> = (0..70).map(|n| format!("k{n:02}={n}")).collect();
    list.push("k00=late".to_owned());

    let [first, second] = [list[..40].join(","), list[40..].join(",")];
    let read = read(&[&first, &second]).unwrap();

    assert_eq!(read.len(), 64);
    assert_eq!(read[63].0, "k63");
    assert_eq!(read[0].1, "0");
}

#[test]
fn members_are_read_whole_as_far_as_8192_bytes_go() {
    let fitting = format!("a={},b={}", "x".repeat(4000), "y".repeat(8192 - 4000 - 5));
    assert_eq!(fitting.len(), 8192);
    assert_eq!(read(&[&fitting]).unwrap().len(), 2);
    assert_eq!(read(&[&format!("{fitting},c=")]).unwrap().len(), 2);

    let too_long = format!("{fitting}y,c=1");
    let names: Vec<_> = read(&[&too_long])
        .unwrap()
        .into_iter()
        .map(|entry| entry.0)
        .collect();
    assert_eq!(names, ["a", "c"]);
}

#[test]
fn what_is_over_a_limit_is_malformed_for_who_wants_no_member_too_unless_it_is_not_accepted() {
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!("k{n:02}={n}")).collect();
        members.join(",")
    };
    let long = |value: usize| format!("a={}", "x".repeat(value));
    let rows = [
        (vec![members(64)], false),
        (vec![members(65)], true),
        (vec![members(40), members(40)], false),
        (vec![members(64), "k64=1".to_owned()], true),
        (vec![members(64), "\t, ,".to_owned()], false),
        (vec![long(8190)], false),
        (vec![long(8191)], true),
        (vec![long(4000), long(4000)], false),
        (vec![long(4094), long(4094)], true),
        (vec!["a=1,b".to_owned()], true),
    ];

    for (values, expected) in rows {
        let bytes: Vec<_> = values.iter().map(String::as_bytes).collect();
        assert_eq!(is_malformed(&bytes, |_| true), expected, "{values:?}");
        assert_eq!(parse(&bytes, |_| true).is_malformed, expected, "{values:?}");
        // Of these all but the last one keep to the grammar.
        let is_wrong = values == ["a=1,b"];
        assert_eq!(is_malformed(&bytes, |_| false), is_wrong, "{values:?}");
    }
}

#[test]
fn values_are_written_so_that_every_reader_agrees() {
    writes("", "", "k=");
    writes("Am\u{e9}lie", "", "k=Am%C3%A9lie");
    writes(" a+b=c%d ", "", "k=%20a%2Bb%3Dc%25d%20");
    writes("\",;\\\r\n\0\u{7f}", "", "k=%22%2C%3B%5C%0D%0A%00%7F");
    writes(
        "!#$&'()*-./:<>?@[]^_`{|}~",
        "",
        "k=!#$&'()*-./:<>?@[]^_`{|}~",
    );
}

#[test]
fn properties_are_written_as_they_came_where_that_is_legal() {
    writes("v", "p", "k=v;p");
    writes("v", " p = 1 ;\tq;r=a=b+c", "k=v;p=1;q;r=a=b+c");
    writes("v", "p=%2C%zz%", "k=v;p=%2C%25zz%25");
    writes("v", "p=a b,c\"\u{e9}\r\n", "k=v;p=a%20b%2Cc%22%C3%A9");
    writes("v", "p=;q", "k=v;p=;q");
}

#[test]
fn a_property_without_a_usable_name_is_not_written() {
    writes("v", ";;a b;=1;é=2;x,evil=1;p", "k=v;p");
    writes("v", "%0d%0a: 1", "k=v");
}

#[test]
fn members_are_written_in_the_order_of_their_names() {
    let baggage = Baggage::from(["c", "a", "b"].map(|key| KeyValueMetadata::new(key, "1", "")));

    let written = write(&baggage);

    assert_eq!(written.header.as_deref(), Some("a=1,b=1,c=1"));
    assert!(!written.is_cut);
}

#[test]
fn no_member_is_written_in_part_when_8192_bytes_are_full() {
    let spaces = " ".repeat(2728);
    let baggage = Baggage::from([
        KeyValueMetadata::new("a", spaces.clone(), ""),
        KeyValueMetadata::new("b", spaces, ""),
        KeyValueMetadata::new("c", "1", ""),
    ]);

    let written = write(&baggage);

    let expected = format!("a={},c=1", "%20".repeat(2728));
    assert_eq!(written.header, Some(expected));
    assert!(written.is_cut);
}

#[test]
fn a_member_of_8192_bytes_is_written_and_a_longer_one_is_not() {
    let length = |value: usize| {
        let member = KeyValueMetadata::new("a", "x".repeat(value), "");
        let written = write(&Baggage::from([member]));
        (written.header.map(|header| header.len()), written.is_cut)
    };

    assert_eq!(length(8190), (Some(8192), false));
    assert_eq!(length(8191), (None, true));
}

#[test]
fn empty_baggage_is_not_written() {
    let written = write(&Baggage::new());
    assert_eq!((written.header, written.is_cut), (None, false));
}
