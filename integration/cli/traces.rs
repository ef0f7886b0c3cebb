//! Traces over several topics.

use integration::kafka::topic;
use serde_json::json;

use crate::command::{ended, expected, json, remarks, summary};
use crate::faults::traceparent;
use crate::kafka::{producer, scanned_name, send};

/// Three topics, with a trace that is forwarded as it was, one whose flag is lost, and one that begins again.
async fn three_topics() -> (String, String, String) {
    let (orders, payments, invoices) = (
        topic("orders").await,
        topic("payments").await,
        topic("invoices").await,
    );
    let producer = producer();
    let [own, other] = [11, 12].map(traceparent);
    let unsampled = format!("{}00", &traceparent(13)[..53]);
    let lost = format!("00-{}-00000000000000aa-01", &traceparent(13)[3..35]);
    let order: [(&str, &[u8]); 3] = [
        ("traceparent", own.as_bytes()),
        ("message-id", b"order-7"),
        ("ce_source", b"shop"),
    ];
    send(&producer, &orders, &order).await;
    send(&producer, &orders, &[("traceparent", unsampled.as_bytes())]).await;
    // The headers as they were; and what begins again.
    send(&producer, &payments, &[("traceparent", own.as_bytes())]).await;
    send(&producer, &payments, &[("traceparent", lost.as_bytes())]).await;
    let restarted: [(&str, &[u8]); 2] = [
        ("traceparent", other.as_bytes()),
        ("message-id", b"order-7"),
    ];
    send(&producer, &invoices, &restarted).await;
    send(&producer, &payments, &[]).await;
    (orders, payments, invoices)
}

#[tokio::test]
async fn a_trace_that_breaks_between_topics_is_seen() {
    let (orders, payments, invoices) = three_topics().await;
    let own = traceparent(11);
    let names = [&orders, &payments, &invoices].map(|topic| scanned_name(topic));
    let names = names.each_ref().map(String::as_str);
    let [of_orders, of_payments, of_invoices] = names;
    let scanned = json(&["scan", "--json", of_orders, of_payments, of_invoices]).await;

    assert_eq!(remarks(&scanned, of_orders), []);
    let both = expected(&[
        ("missing traceparent", 1),
        ("sampled_changed", 1),
        ("stale", 1),
    ]);
    assert_eq!(remarks(&scanned, of_payments), both);
    assert_eq!(
        remarks(&scanned, of_invoices),
        expected(&[("restarted", 1)])
    );
    assert_eq!(summary(&scanned, of_orders)["writers"], json!({"shop": 1}));

    let place = format!("{orders}/0/0");
    let drawn = [
        "trace",
        &place,
        "--format",
        "json",
        of_orders,
        of_payments,
        of_invoices,
    ];
    let drawn = json(&drawn).await;
    assert_eq!(drawn["trace_id"], own[3..35]);
    let hops = drawn["hops"].as_array().expect("hops");
    let hops: Vec<_> = hops
        .iter()
        .map(|hop| {
            (
                hop["destination"].as_str().expect("a name"),
                hop["breaks"] == true,
            )
        })
        .collect();
    assert_eq!(
        hops,
        [
            (of_orders, false),
            (of_payments, false),
            (of_invoices, true)
        ]
    );

    for (format, begin) in [
        ("text", "trace "),
        ("mermaid", "sequenceDiagram"),
        ("dot", "digraph"),
    ] {
        let drawn = [
            "trace",
            &own[3..35],
            "--format",
            format,
            of_orders,
            of_payments,
            of_invoices,
        ];
        let (code, drawn, _) = ended(&drawn).await;
        assert_eq!(code, Some(0));
        assert!(drawn.starts_with(begin), "{drawn}");
        assert!(drawn.contains(of_invoices), "{drawn}");
    }
}

#[tokio::test]
async fn who_sends_to_whom_is_drawn() {
    let (orders, payments, invoices) = three_topics().await;
    let names = [&orders, &payments, &invoices].map(|topic| scanned_name(topic));
    let [of_orders, of_payments, of_invoices] = names.each_ref().map(String::as_str);

    let drawn = [
        "graph",
        "--format",
        "json",
        of_orders,
        of_payments,
        of_invoices,
    ];
    let drawn = json(&drawn).await;

    let count = |name, messages, without| json!({"destination": name, "messages": messages, "without_context": without});
    let mut expected = [
        count(of_orders, 2, 0),
        count(of_payments, 3, 1),
        count(of_invoices, 1, 0),
    ];
    expected.sort_by_key(|one| one["destination"].to_string());
    assert_eq!(drawn["destinations"], json!(expected));
    let edge = |from, to, connected, broken| json!({"from": from, "to": to, "connected": connected, "broken": broken});
    let mut expected = [
        edge("shop", of_orders, 1, 0),
        edge(of_orders, of_payments, 2, 0),
        edge(of_orders, of_invoices, 0, 1),
    ];
    expected.sort_by_key(|one| (one["from"].to_string(), one["to"].to_string()));
    assert_eq!(drawn["edges"], json!(expected));

    for (format, begin, broken) in [
        ("text", of_orders, "1 where it breaks"),
        ("mermaid", "flowchart", "-.-x|\"0, 1 broken\"|"),
        ("dot", "digraph", "style=dashed, color=red"),
    ] {
        let drawn = [
            "graph",
            "--format",
            format,
            of_orders,
            of_payments,
            of_invoices,
        ];
        let (code, drawn, _) = ended(&drawn).await;
        assert_eq!(code, Some(0));
        assert!(drawn.contains(begin) && drawn.contains(broken), "{drawn}");
    }
}
