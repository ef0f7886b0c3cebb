//! When a program ends: when its work is done, or Ctrl-C was pressed.

mod in_order;

use std::future::poll_fn;
use std::pin::pin;

use tokio::signal::ctrl_c;
use tokio::sync::watch;

pub use self::in_order::in_order;

/// Asks the loops of a program to end, each once it is done with the message that it has. The default one does not take
/// Ctrl-C.
#[derive(Clone, Debug, Default)]
pub struct Stop(watch::Sender<Asked>);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Asked {
    #[default]
    No,
    Done,
    Interrupted,
}

impl Stop {
    /// Takes Ctrl-C from now on.
    pub async fn on_ctrl_c() -> Self {
        let stop = Self::default();
        let asking = stop.clone();
        let (listens, mut listening) = watch::channel(false);
        tokio::spawn(async move {
            let mut pressed = pin!(ctrl_c());
            let pressed = poll_fn(|cx| {
                let polled = pressed.as_mut().poll(cx);
                // With its first poll it listens.
                listens.send_replace(true);
                polled
            });
            if pressed.await.is_ok() {
                asking.0.send_replace(Asked::Interrupted);
            }
        });
        // It fails if there is nothing to listen to; then Ctrl-C ends the program as ever.
        let _ = listening.wait_for(|listens| *listens).await;
        stop
    }

    /// The work is done.
    pub fn ask(&self) {
        self.0.send_if_modified(|asked| {
            let is_first = *asked == Asked::No;
            if is_first {
                *asked = Asked::Done;
            }
            is_first
        });
    }

    /// Waits until the work is done or Ctrl-C was pressed.
    pub async fn asked(&self) {
        let mut asked = self.0.subscribe();
        // It fails without senders, and this is one.
        let _ = asked.wait_for(|asked| *asked != Asked::No).await;
    }

    /// The last words of a program: these, unless it was interrupted.
    #[must_use]
    pub fn last_words(&self, words: String) -> String {
        match *self.0.borrow() {
            Asked::Interrupted => "Interrupted.".to_owned(),
            Asked::No | Asked::Done => words,
        }
    }
}
