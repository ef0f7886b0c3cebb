//! Orders that the program makes itself.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::timeout;

use super::tally::Tally;
use crate::arguments::Load;
use crate::order::{Kind, Taken, Wish};

/// Requests at a time.
const CUSTOMERS: usize = 16;

/// For one order after the other to be done with.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes orders, and waits until all are done with.
pub(super) async fn drive(address: &str, load: &Load, tally: &watch::Sender<Tally>) -> Result<()> {
    // On a terminal only.
    let bar = ProgressBar::new(u64::try_from(load.orders)?);
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos} of {len} orders done with, {elapsed}",
    )?);
    let client = reqwest::Client::new();
    let url = format!("http://{address}/orders");
    let send = async {
        let requests = stream::iter(kinds(load));
        let requests = requests.map(|(number, kind)| send(&client, &url, number, kind));
        let answers = requests.buffer_unordered(CUSTOMERS);
        let answers = answers.try_for_each(async |taken| {
            tally.send_modify(|tally| {
                tally.sent(taken.order);
                tally.sampled += usize::from(taken.is_sampled);
                if taken.is_sampled && !tally.drawing.is_begun() {
                    tally.drawing.begin(taken.trace);
                }
            });
            Ok(())
        });
        answers.await
    };
    let wait = async {
        let mut changes = tally.subscribe();
        loop {
            let done = changes.borrow_and_update().done();
            bar.set_position(u64::try_from(done)?);
            if done >= load.orders {
                return Ok(());
            }
            let more = changes.wait_for(|tally| tally.done() > done);
            if timeout(PATIENCE, more).await.is_err() {
                bail!(
                    "{done} of {} orders are done with, and then none for {PATIENCE:?}",
                    load.orders
                );
            }
        }
    };
    let ended = tokio::try_join!(send, wait);
    bar.finish_and_clear();
    ended.map(drop)
}

/// Ordinary ones first.
fn kinds(load: &Load) -> impl Iterator<Item = (usize, Kind)> + use<> {
    let Load {
        orders,
        failing,
        slow,
    } = *load;
    (0..orders).map(move |number| {
        let kind = match orders - number {
            left if left <= failing => Kind::Failing,
            left if left <= failing + slow => Kind::Slow,
            _ => Kind::Ordinary,
        };
        (number, kind)
    })
}

async fn send(client: &reqwest::Client, url: &str, number: usize, kind: Kind) -> Result<Taken> {
    let wish = Wish {
        item: format!("item {}", number + 1),
        kind,
    };
    let request = client.post(url).body(serde_json::to_string(&wish)?);
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("an order is refused, {status}: {text}");
    }
    serde_json::from_str(&text).context("no receipt")
}
