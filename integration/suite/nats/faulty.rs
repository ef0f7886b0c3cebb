//! NATS for the scenarios of receiving that fails.

use futures::StreamExt as _;
use otel_messaging::testing::ExpectedSpan;

use super::broker::{DURABLE, GROUP, JetStream};
use super::receive_span;
use super::{PATIENCE, identified, in_time};
use crate::Faulty;

/// Subscriptions of core NATS have no errors.
impl Faulty for JetStream {
    const FAILURE: &'static str = "consumer_deleted";

    async fn fail_to_receive(&self, subject: &str, in_batches: bool) -> String {
        let consumer = self.consumer(subject).await;
        let mut messages = consumer.messages().await.expect("messages");
        let mut client = consumer.inner().clone();
        let deleting = async {
            // Only who waits is told.
            while client.info().await.expect("an answer").num_waiting == 0 {}
            let stream = self.producer.inner().get_stream(subject).await;
            let deleted = stream.expect("a stream").delete_consumer(DURABLE).await;
            deleted.expect("it is deleted");
        };
        let receiving = async {
            match in_batches {
                true => {
                    let mut batches = messages.batches(100, PATIENCE);
                    batches.recv().await.map(|received| received.map(drop))
                }
                false => messages.next().await.map(|received| received.map(drop)),
            }
        };
        let (received, ()) = in_time(async { futures::join!(receiving, deleting) }).await;
        let error = received.expect("no end").expect_err("the deletion");
        error.to_string()
    }

    fn receive_span(&self, subject: &str) -> ExpectedSpan {
        // The stream has the name of its only subject.
        identified(receive_span(subject))
            .attribute(GROUP, DURABLE)
            .attribute("nats.stream.name", subject.to_owned())
    }
}
