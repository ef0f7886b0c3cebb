//! A producer and a consumer under load, bare or wrapped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::book::{Book, count};
use crate::plan::Plan;

/// Longest time for any one call; whoever waits longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// How long a batch waits for more messages.
pub(crate) const LINGER: Duration = Duration::from_millis(50);

/// Who has heard nothing for so long is not heard.
const STALLED: Duration = Duration::from_millis(300);

/// Before the next attempt to connect.
const AGAIN: Duration = Duration::from_millis(50);

/// One producer and one consumer of a destination of their own.
pub(crate) trait Side: Send + Sync + 'static {
    /// After so long an application does not wait for an answer any more, where the client has no limit of its own.
    const GIVES_UP: Option<Duration> = None;

    /// Sends messages under one call: what became of each. `Err` where there was no call, for want of a connection.
    fn send(&self, bodies: &[Vec<u8>]) -> impl Future<Output = Result<Vec<Sent>, String>> + Send;

    /// Receives, handles and acknowledges messages, until the book is [`finished`](Ledger::finished).
    fn consume(&self, ledger: &Ledger) -> impl Future<Output = ()> + Send;
}

/// The error of a message whose answer nobody waits for any more: its future was dropped.
pub(crate) const GIVEN_UP: &str = "no answer";

/// Whether a message was acknowledged, or the kind of the error.
pub(crate) type Sent = Result<(), String>;

/// The book, open to those who write into it and those who wait for what is written.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// What all have to do.
    pub(crate) plan: Plan,
    gives_up: Option<Duration>,
    /// Milliseconds that a handler takes now.
    handling: AtomicU64,
    book: watch::Sender<Book>,
}

impl Ledger {
    /// Waits until nothing more is to be received.
    pub(crate) async fn finished(&self) {
        let mut book = self.book.subscribe();
        // An error is a book that nobody writes into any more.
        let _ = book.wait_for(|book| book.finished).await;
    }

    /// Waits a moment before the next attempt. Whether there is to be one.
    pub(crate) async fn again(&self) -> bool {
        let finished = timeout(AGAIN, self.finished()).await;
        finished.is_err()
    }

    /// Handles messages now.
    pub(crate) async fn handle(&self, bodies: &[&[u8]]) {
        let handling = self.handling.load(Ordering::Relaxed);
        if handling > 0 {
            sleep(Duration::from_millis(handling)).await;
        }
        self.book.send_modify(|book| {
            for body in bodies {
                *book.handled.entry(number_of(body)).or_default() += 1;
            }
        });
    }

    /// What came first and comes soon after it, as many messages as there are in a batch: what an application does by
    /// itself that handles many at a time. And how the stream ended, if it did.
    pub(crate) async fn together<T, E>(
        &self,
        first: Option<Result<T, E>>,
        more: &mut (impl Stream<Item = Result<T, E>> + Unpin),
    ) -> (Vec<T>, Option<Option<E>>) {
        let (mut taken, until) = (Vec::new(), Instant::now() + LINGER);
        let mut next = first;
        loop {
            match next {
                Some(Ok(message)) => taken.push(message),
                end => return (taken, Some(end.and_then(Result::err))),
            }
            if taken.len() >= self.plan.together {
                return (taken, None);
            }
            next = match timeout_at(until, more.next()).await {
                Ok(next) => next,
                Err(_) => return (taken, None),
            };
        }
    }

    /// There is an operation of this type, and so many of them.
    pub(crate) fn operation(&self, kind: &'static str, times: usize) {
        let write = |book: &mut Book| count(&mut book.operations, kind, times as u64);
        self.book.send_modify(write);
    }

    /// A message is settled by this call, in time: its answer, if it is no error.
    pub(crate) async fn settle<T, E>(
        &self,
        kind: impl Fn(&E) -> String,
        settling: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        self.operation("settle", 1);
        let settled = match self.gives_up {
            None => self.in_time("settling", settling).await,
            Some(patience) => timeout(patience, settling).await.ok(),
        };
        if settled.is_none() {
            self.error(format!("settle {GIVEN_UP}"));
        }
        if let Some(Err(error)) = &settled {
            self.book
                .send_modify(|book| count(&mut book.failed, "settle", 1));
            self.error(format!("settle {}", kind(error)));
        }
        settled.and_then(Result::ok)
    }

    /// An error that is no message's.
    pub(crate) fn error(&self, error: String) {
        self.book
            .send_modify(|book| count(&mut book.errors, error, 1));
    }

    /// Waits for what has an end. If that is too far, there is nothing, and it is remembered.
    pub(crate) async fn in_time<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let output = timeout(PATIENCE, future).await.ok();
        if output.is_none() {
            self.book
                .send_modify(|book| book.hangs.push(what.to_owned()));
        }
        output
    }

    async fn wait(&self, what: &str, condition: impl FnMut(&Book) -> bool) {
        let mut book = self.book.subscribe();
        let waited = timeout(2 * PATIENCE, book.wait_for(condition)).await;
        if waited.is_err() {
            self.book
                .send_modify(|book| book.missed.push(what.to_owned()));
        }
    }

    async fn send_on(&self, side: &impl Side) {
        while !self.book.borrow().stopped {
            let mut first = 0;
            let together = self.plan.together as u64;
            self.book.send_modify(|book| {
                first = book.next;
                book.next += together;
            });
            let numbers: Vec<u64> = (first..first + together).collect();
            let bodies: Vec<_> = numbers
                .iter()
                .map(|number| body(*number, self.plan.size))
                .collect();
            match self.in_time("sending", side.send(&bodies)).await {
                Some(Ok(sent)) => self.sent(&numbers, sent),
                Some(Err(error)) => {
                    self.error(format!("connect {error}"));
                    sleep(AGAIN).await;
                }
                // There is a span, if there was a call; that it hangs is bad enough.
                None => {}
            }
            sleep(self.plan.pause).await;
        }
    }

    fn sent(&self, numbers: &[u64], sent: Vec<Sent>) {
        let together = numbers.len() as u64;
        self.book.send_modify(|book| {
            if together > 1 {
                count(&mut book.operations, "create", together);
            }
            count(&mut book.operations, "send", 1);
            if sent.iter().any(is_failure) {
                count(&mut book.failed, "send", 1);
            }
            for (number, sent) in numbers.iter().zip(sent) {
                match sent {
                    Ok(()) => drop(book.acknowledged.insert(*number)),
                    Err(error) => count(&mut book.refused, error, 1),
                }
            }
        });
    }
}

/// A side that works.
#[derive(Debug)]
pub(crate) struct Load {
    ledger: Arc<Ledger>,
    senders: JoinSet<()>,
    consumer: JoinSet<()>,
}

impl Load {
    /// Has it begin.
    pub(crate) fn begin<S: Side>(side: S, plan: Plan) -> Self {
        let side = Arc::new(side);
        let ledger = Arc::new(Ledger {
            plan,
            gives_up: S::GIVES_UP,
            handling: AtomicU64::new(plan.handling.as_millis() as u64),
            book: watch::Sender::new(Book::default()),
        });
        let mut senders = JoinSet::new();
        for _ in 0..plan.senders {
            let (side, ledger) = (Arc::clone(&side), Arc::clone(&ledger));
            senders.spawn(async move { ledger.send_on(&*side).await });
        }
        let mut consumer = JoinSet::new();
        let of_consumer = Arc::clone(&ledger);
        consumer.spawn(async move {
            side.consume(&of_consumer).await;
            // A consumer of librdkafka blocks when it is dropped, until it has left its group.
            let dropped = tokio::task::spawn_blocking(|| drop(side));
            dropped.await.expect("it does not panic");
        });
        Self {
            ledger,
            senders,
            consumer,
        }
    }

    /// Waits until so many messages went all the way, of those after the disturbance if that is over.
    pub(crate) async fn goes_on(&self, messages: usize) {
        let what = "going on";
        self.ledger.wait(what, |book| book.goes_on(messages)).await;
    }

    /// Waits until messages were refused that were not yet.
    pub(crate) async fn is_refused(&self) {
        let refused = |book: &Book| book.refused.values().sum::<u64>();
        let before = refused(&self.ledger.book.borrow());
        let what = "being refused";
        self.ledger.wait(what, |book| refused(book) > before).await;
    }

    /// Waits until there is an error of this kind that is no message's, and that was not there yet.
    pub(crate) async fn meets(&self, kind: &str) {
        let met = |book: &Book| {
            let errors = book.errors.iter();
            let of_kind = errors.filter(|(error, _)| error.starts_with(kind));
            of_kind.map(|(_, count)| *count).sum::<u64>()
        };
        let before = met(&self.ledger.book.borrow());
        self.ledger.wait(kind, |book| met(book) > before).await;
    }

    /// Waits until messages are handled again.
    pub(crate) async fn handles(&self) {
        let handled = |book: &Book| book.handled.len();
        let before = handled(&self.ledger.book.borrow());
        let what = "handling";
        self.ledger.wait(what, |book| handled(book) > before).await;
    }

    /// Waits until a message is handled that was handled before.
    pub(crate) async fn handles_again(&self) {
        let before = self.ledger.book.borrow().again();
        let what = "being delivered again";
        self.ledger.wait(what, |book| book.again() > before).await;
    }

    /// Waits until nothing is acknowledged any more.
    pub(crate) async fn is_stalled(&self) {
        let acknowledged = |book: &Book| book.acknowledged.len();
        let mut book = self.ledger.book.subscribe();
        loop {
            let before = acknowledged(&book.borrow());
            let more = book.wait_for(|book| acknowledged(book) > before);
            if timeout(STALLED, more).await.is_err() {
                return;
            }
        }
    }

    /// Has handlers take so long from now on.
    pub(crate) fn handle_in(&self, time: Duration) {
        let millis = time.as_millis() as u64;
        self.ledger.handling.store(millis, Ordering::Relaxed);
    }

    /// What is sent from now on is after the disturbance.
    pub(crate) fn is_over(&self) {
        self.ledger
            .book
            .send_modify(|book| book.after = Some(book.next));
    }

    /// Waits until this holds, or nothing is handled any more: what is not there then is lost.
    async fn drained(&self, drained: impl Fn(&Book) -> bool) {
        let mut book = self.ledger.book.subscribe();
        loop {
            let handled = book.borrow().handled.len();
            let more = book.wait_for(|book| drained(book) || book.handled.len() > handled);
            match timeout(PATIENCE, more).await {
                Ok(Ok(book)) if !drained(&book) => {}
                _ => return,
            }
        }
    }

    /// Ends: the book, once all that was acknowledged is handled, or never will be.
    pub(crate) async fn end(mut self) -> Book {
        self.ledger.book.send_modify(|book| book.stopped = true);
        // Each of their waits has an end.
        while let Some(ended) = self.senders.join_next().await {
            ended.expect("a sender does not panic");
        }
        let plan = self.ledger.plan;
        self.drained(|book| !book.is_missing(plan)).await;
        self.ledger.book.send_modify(|book| book.finished = true);
        let ended = timeout(2 * PATIENCE, self.consumer.join_next()).await;
        match ended {
            Ok(Some(ended)) => ended.expect("a consumer does not panic"),
            _ => self
                .ledger
                .book
                .send_modify(|book| book.hangs.push("ending".to_owned())),
        }
        self.consumer.shutdown().await;
        self.ledger.book.send_replace(Book::default())
    }
}

/// What has an error on its span: not what nobody waits for any more.
fn is_failure(sent: &Sent) -> bool {
    sent.as_ref().is_err_and(|error| error != GIVEN_UP)
}

fn body(number: u64, size: usize) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(size.max(8), b'.');
    body
}

fn number_of(body: &[u8]) -> u64 {
    let number = body.first_chunk().expect("a number");
    u64::from_be_bytes(*number)
}
