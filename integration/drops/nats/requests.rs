//! What a micro-service is asked and answers.

use std::time::Duration;

use async_nats::service::ServiceExt as _;
use async_nats::{Client, HeaderMap, Subscriber};
use futures::StreamExt as _;
use integration::drops::{Api, Counted, Trials, assert_same_fates};
use integration::nats::{client, in_time, subscribed};
use integration::unique;
use otel_messaging::nats::Consumer;

use super::{TOGETHER, fill, narrow, rounds, without_room};
use crate::given_up::{BARE, Told, at_every_poll, dropped_after, dropped_in_vain, sent_before};

/// Who asks, and hears the answers.
struct Asking {
    client: Client,
    inbox: String,
    answers: Subscriber,
}

impl Asking {
    async fn begin() -> Self {
        let client = client().await;
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await.expect("an inbox");
        subscribed(&client).await;
        Self {
            client,
            inbox,
            answers,
        }
    }

    async fn ask(&self, subject: &str) {
        let asked =
            self.client
                .publish_with_reply(subject.to_owned(), self.inbox.clone(), "".into());
        asked.await.expect("room");
    }

    /// The answers up to the last.
    async fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let answer = in_time(self.answers.next()).await.expect("an answer");
            let name = String::from_utf8(answer.payload.to_vec()).expect("a name");
            if name == "end" {
                return names;
            }
            names.push(name);
        }
    }
}

/// Answers all, each by a future that is dropped after one more poll than the last, until one ends.
macro_rules! answers {
    ($test:ident, $api:expr, $method:ident($($headers:expr)?)) => {
        #[tokio::test]
        async fn $test() {
            let _told = Told::at_the_end();
            let counted = Counted::new();
            let subjects = ["bare", "wrapped"].map(unique);
            let mut trials = [Trials::default(), Trials::default()];
            let mut asking = [Asking::begin().await, Asking::begin().await];
            let serving = narrow().await;
            let service = serving.service_builder().start("stock", "1.0.0").await.expect("one");
            let mut client = service.endpoint(&subjects[0]).await.expect("an endpoint");
            let endpoint = service.endpoint(&subjects[1]).await.expect("an endpoint");
            let consumer = Consumer::wrap(&counted.telemetry(), serving.clone());
            let mut wrapped = consumer.endpoint(&subjects[1], endpoint);
            subscribed(&serving).await;
            let mut polls = 0;
            for _ in 0..rounds() {
                asking[0].ask(&subjects[0]).await;
                let request = in_time(client.next()).await.expect("no end");
                let name = trials[0].name(polls);
                let answer = request.$method(Ok(name.into()) $(, $headers)?);
                let answered = dropped_after(BARE, polls, without_room(|| fill(&serving), answer)).await;
                assert!(answered.is_none_or(|answered| answered.is_ok()));

                asking[1].ask(&subjects[1]).await;
                let request = in_time(wrapped.next()).await.expect("no end");
                counted.assert_unset(1);
                let name = trials[1].name(polls);
                let answer = request.$method(Ok(name.into()) $(, $headers)?);
                let answered = dropped_after($api, polls, without_room(|| fill(&serving), answer)).await;
                counted.assert_unset(polls.min(1));
                polls = if answered.is_some() { 0 } else { polls + 1 };
                assert!(answered.is_none_or(|answered| answered.is_ok()));
            }
            let mut fates = Vec::new();
            for ((asking, trials), subject) in asking.iter_mut().zip(&trials).zip(&subjects) {
                asking.ask(subject).await;
                let request = if subject == &subjects[0] {
                    in_time(client.next()).await.expect("no end")
                } else {
                    in_time(wrapped.next()).await.expect("no end").into_inner()
                };
                request.respond(Ok("end".into())).await.expect("room");
                let names = asking.names().await;
                fates.push(trials.fates(names.iter().map(String::as_str)));
                if subject == &subjects[1] {
                    assert_eq!(counted.sent(), names.len() as u64);
                }
            }
            assert_same_fates($api, &fates[0], &fates[1]);
            assert_eq!(fates[1][&0], [0].into());
            assert_eq!(fates[1].values().next_back(), Some(&[1].into()));
        }
    };
}

answers!(
    an_answer_that_is_dropped_is_sent_as_by_the_bare_client,
    Api("Received<async_nats::service::Request>::respond"),
    respond()
);
answers!(
    an_answer_with_headers_that_is_dropped_is_sent_as_by_the_bare_client,
    Api("Received<async_nats::service::Request>::respond_with_headers"),
    respond_with_headers(HeaderMap::new())
);

/// As many requests are in batches as were asked, and the endpoint stops however often that is dropped.
#[tokio::test]
async fn no_request_is_lost_where_the_wait_for_a_batch_is_dropped() {
    let _told = Told::at_the_end();
    let counted = Counted::new();
    let subject = unique("stock");
    let asking = Asking::begin().await;
    let serving = narrow().await;
    let service = serving
        .service_builder()
        .start("stock", "1.0.0")
        .await
        .expect("one");
    let endpoint = service.endpoint(&subject).await.expect("an endpoint");
    let consumer = Consumer::wrap(&counted.telemetry(), serving.clone());
    let requests = consumer.endpoint(&subject, endpoint);
    let mut batches = requests.batches(TOGETHER, Duration::from_millis(1));
    subscribed(&serving).await;

    let api = Api(
        "Batches<nats::Taken<S>, async_nats::service::Request, core::convert::Infallible>::recv",
    );
    let mut received = 0;
    dropped_in_vain(api, batches.recv()).await;
    for round in 0..rounds() {
        let mut left = sent_before(TOGETHER, round);
        for _ in 0..left {
            asking.ask(&subject).await;
        }
        // Both connections have been through, so that these are there.
        subscribed(&asking.client).await;
        subscribed(&serving).await;
        while left > 0 {
            let ended = |_, done| counted.assert_unset(usize::from(done));
            let batch = at_every_poll(api, async |_| batches.recv().await, ended).await;
            let count = batch.expect("no end").len();
            (left, received) = (left - count, received + count);
        }
    }
    assert_eq!(counted.consumed(), received as u64);
    let api = Api("nats::Messages<async_nats::service::endpoint::Endpoint>::stop");
    let stop = async |_| without_room(|| fill(&serving), batches.inner_mut().stop()).await;
    let stopped = at_every_poll(api, stop, |_, _| ());
    stopped.await.expect("it stops");
    assert!(in_time(batches.recv()).await.is_none());
    assert_eq!(counted.spans(), []);
}
