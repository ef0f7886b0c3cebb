//! Headers as other programs get them wrong, the same on every broker.

/// A trace, unlike any other.
pub(crate) fn traceparent(number: u8) -> String {
    format!("00-{number:02x}f7651916cd43dd8448eb211c80319c-b7ad6b71692033{number:02x}-01")
}

type Headers = Vec<(&'static str, Vec<u8>)>;

/// A message for each fault that headers of texts and bytes can have, and what is said of them together.
pub(crate) fn faults() -> (Vec<Headers>, Vec<(&'static str, u64)>) {
    let text = |number| traceparent(number).into_bytes();
    let many = |count| {
        let members: Vec<_> = (0..count).map(|number| format!("k{number}=v")).collect();
        members.join(",").into_bytes()
    };
    let messages = vec![
        vec![
            ("traceparent", text(1)),
            ("baggage", b"tenant=acme,region=eu".to_vec()),
        ],
        vec![],
        vec![("traceparent", b"none of this".to_vec())],
        vec![("traceparent", text(2).split_off(0).drain(..40).collect())],
        vec![("traceparent", text(3).to_ascii_uppercase())],
        vec![("traceparent", Vec::new())],
        vec![("Traceparent", text(4))],
        vec![("traceparent", [&text(5)[..53], b"fd"].concat())],
        vec![("traceparent", [b"01", &text(6)[2..]].concat())],
        vec![("traceparent", text(7)), ("tracestate", many(33))],
        vec![("tracestate", b"vendor=1".to_vec())],
        vec![("traceparent", text(8)), ("baggage", many(65))],
        vec![(
            "b3",
            b"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1".to_vec(),
        )],
        vec![(
            "uber-trace-id",
            b"0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1".to_vec(),
        )],
    ];
    let said = vec![
        // Of nothing, of tracestate alone, and of the two other formats.
        ("missing traceparent", 4),
        ("malformed traceparent", 4),
        ("truncated traceparent", 1),
        ("upper_case_digits traceparent", 1),
        ("empty traceparent", 1),
        ("other_case traceparent", 1),
        ("reserved_flags traceparent", 1),
        ("later_version traceparent", 1),
        ("malformed tracestate", 1),
        ("over_limit tracestate", 1),
        ("of_another_trace tracestate", 1),
        ("malformed baggage", 1),
        ("over_limit baggage", 1),
        ("foreign_format B3", 1),
        ("foreign_format Jaeger", 1),
    ];
    (messages, said)
}

/// Messages of [`faults`] that have a context.
pub(crate) const WITH_CONTEXT: u64 = 6;
