//! What core NATS has of its own when many messages are published under one call.

use async_nats::client::PublishErrorKind;
use futures::StreamExt as _;
use integration::metrics::sent_messages;
use integration::nats::measured;
use integration::nats::{client, header_map, in_time, subscribed};
use integration::{assert_warned, logging, unique};
use opentelemetry::trace::SpanKind;
use otel_messaging::nats::Producer;
use otel_messaging::testing::Recorder;

use crate::batch_sends::{create_span, linking, message, publish_span, spans_of};
use crate::shop::{only, traceparent};

const CLIENT: SpanKind = SpanKind::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn core_publishes_a_batch_in_order_and_says_what_it_refused() {
    let recorder = Recorder::new();
    let (subject, receiver) = (unique("orders"), client().await);
    let mut heard = receiver
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&receiver).await;
    let producer = Producer::wrap(&logging(&recorder), client().await);
    let too_much = vec![0; producer.inner().max_payload() + 1];
    let note = header_map(&[("x-note", "1")]);

    let messages = [
        message(&subject, b"first".to_vec(), None),
        message(&subject, too_much, None),
        message("not a subject", Vec::new(), None),
        message(&subject, b"last".to_vec(), Some(note)),
    ];
    let results = producer.publish_batch(messages).await;

    let text = results.iter().find_map(|result| result.as_ref().err());
    let text = text.expect("an error").to_string();
    let kinds = results
        .into_iter()
        .map(|result| result.map_err(|error| error.kind()));
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [
            Ok(()),
            Err(PublishErrorKind::MaxPayloadExceeded),
            Err(PublishErrorKind::InvalidSubject),
            Ok(()),
        ]
    );
    let creates = spans_of(&recorder, "create");
    let became = [
        create_span(&subject),
        create_span(&subject)
            .error("max_payload_exceeded")
            .description(&*text),
        create_span("not a subject").error("invalid_subject"),
        create_span(&subject),
    ];
    for (create, became) in creates.iter().zip(became) {
        became.assert(create);
    }
    let expected = publish_span(CLIENT, None, 4)
        .error("max_payload_exceeded")
        .description(&*text);
    let span = recorder.span("publish");
    linking(expected, &creates).assert(&span);
    let exception = ("async_nats::error::Error", &*text);
    assert_warned(&recorder, "send", &span.span_context, Some(exception));
    for (payload, create, noted) in [
        ("first", &creates[0], None),
        ("last", &creates[3], Some("1")),
    ] {
        let message = in_time(heard.next()).await.expect("a message");
        let headers = message.headers.as_ref();
        assert_eq!(message.payload, payload);
        assert_eq!(only(headers, "x-note"), noted);
        let carried = Some(traceparent(&create.span_context));
        assert_eq!(only(headers, "traceparent"), carried.as_deref());
    }
    sent_messages()
        .of(measured("publish", &subject), 2)
        .assert(&recorder);
}
