//! What propagators other than our own are shown of the headers.

use opentelemetry::propagation::Extractor as _;

use super::*;

/// Headers of any bytes, whose names have an order among each other or not.
struct Raw<const IS_ORDERED: bool>(Vec<(&'static [u8], &'static [u8])>);

impl<const IS_ORDERED: bool> Headers for Raw<IS_ORDERED> {
    const IS_ORDERED: bool = IS_ORDERED;

    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        self.0.iter().for_each(|(name, value)| visit(name, value));
    }
}

fn headers() -> Vec<(&'static [u8], &'static [u8])> {
    vec![
        (b"b3", b"1"),
        (b"X-Trace", b"upper-1"),
        (b"x-trace", b"\xff"),
        (b"\xff", b"no name"),
        (b"X-TRACE", b"capitals"),
        (b"b3", b"2"),
        (b"B3", b"3"),
        (b"X-Trace", b"upper-2"),
        (b"X-Trace", b"\xff"),
        (b"Traceparent", SECOND.as_bytes()),
        (b"traceparent", FIRST.as_bytes()),
        (b"Tracestate", b"second=1"),
        (b"traceparent", b"broken"),
    ]
}

fn owned(values: Option<Vec<&str>>) -> Option<Vec<String>> {
    values.map(|values| values.into_iter().map(str::to_owned).collect())
}

#[test]
fn each_name_is_told_once_and_the_exact_one_is_found_first() {
    let headers = Raw::<true>(headers());
    let extractor = HeaderExtractor::new(&headers);

    let names = [
        "b3",
        "X-Trace",
        "x-trace",
        "X-TRACE",
        "B3",
        "traceparent",
        "tracestate",
    ];
    assert_eq!(extractor.keys(), names);
    let rows = [
        ("b3", Some("2"), &["1", "2"][..]),
        ("B3", Some("3"), &["3"]),
        ("X-Trace", Some("upper-2"), &["upper-1", "upper-2"]),
        // The exact one is not text, so that it counts as absent.
        (
            "x-trace",
            Some("upper-2"),
            &["upper-1", "capitals", "upper-2"],
        ),
        (
            "x-TRACE",
            Some("upper-2"),
            &["upper-1", "capitals", "upper-2"],
        ),
        ("traceparent", Some(FIRST), &[FIRST]),
        ("TraceParent", Some(FIRST), &[FIRST]),
        ("tracestate", None, &[]),
        ("Tracestate", None, &[]),
        ("x-trac", None, &[]),
        ("", None, &[]),
    ];
    for (name, last, every) in rows {
        assert_eq!(extractor.get(name), last, "{name}");
        let every = (!every.is_empty()).then(|| every.to_vec());
        assert_eq!(owned(extractor.get_all(name)), owned(every), "{name}");
    }
}

#[test]
fn without_an_order_among_names_the_same_spelling_counts_each_time() {
    let mut reversed = headers();
    reversed.reverse();
    // The order of the values of one name is kept by all carriers.
    let is_upper = |name: &[u8]| name == b"X-Trace";
    let (mut upper, mut others): (Vec<_>, Vec<_>) =
        reversed.into_iter().partition(|(name, _)| is_upper(name));
    upper.reverse();
    others.append(&mut upper);

    for headers in [Raw::<false>(headers()), Raw::<false>(others)] {
        let extractor = HeaderExtractor::new(&headers);
        assert_eq!(extractor.get("x-TRACE"), Some("upper-2"));
        let every = extractor.get_all("x-trace");
        assert_eq!(every, Some(vec!["upper-1", "upper-2"]));
    }
}
