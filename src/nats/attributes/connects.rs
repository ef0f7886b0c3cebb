//! Whether a client has connected since what it knows of its server was read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_nats::ServerInfo;

/// How often a client had connected when its server was looked up.
#[derive(Debug)]
pub(super) struct Connects {
    seen: AtomicU64,
    /// The connection that was looked up last, by the server's id and its number there.
    last: Mutex<Option<(String, u64)>>,
}

impl Connects {
    pub(super) const fn new() -> Self {
        Self {
            seen: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    /// Hands over what the client knows of its server, if it has connected since this was last asked.
    ///
    /// `connects` is how often it has connected by now. The client counts a connection before it
    /// knows the server: what it says of the one before is asked for again with the next message.
    pub(super) fn follow(
        &self,
        connects: impl Fn() -> u64,
        mut server: impl FnMut() -> Option<ServerInfo>,
        is_now: impl FnOnce(&ServerInfo),
    ) {
        if self.seen.load(Ordering::Relaxed) == connects() {
            return;
        }
        // One after the other: who was slow shall not put an older server in place of a newer one.
        let last = self.last.lock();
        let mut last = last.unwrap_or_else(PoisonError::into_inner);
        // As often as it connects meanwhile: which of the two connections it is could not be told.
        let (connects, server) = loop {
            let (before, server) = (connects(), server());
            if connects() == before {
                break (before, server);
            }
        };
        let Some(server) = server else {
            return;
        };
        is_now(&server);
        let connection = Some((server.server_id, server.client_id));
        // Where a server numbers no connections, one cannot be told from the next.
        if server.client_id == 0 || *last != connection {
            *last = connection;
            self.seen.store(connects, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn server(server_id: &str, client_id: u64) -> Option<ServerInfo> {
        Some(ServerInfo {
            server_id: server_id.to_owned(),
            client_id,
            ..ServerInfo::default()
        })
    }

    #[test]
    fn a_server_is_looked_up_until_it_is_the_one_of_the_newest_connection() {
        let connects = Connects::new();
        // How often the client has connected, what it knows then, and whether it was asked.
        let rows = [
            (0, None, false),
            (1, None, true),
            (1, server("a", 7), true),
            (1, server("a", 7), false),
            (2, server("a", 7), true),
            (2, server("a", 7), true),
            (2, server("b", 7), true),
            (2, server("b", 7), false),
            (3, server("b", 8), true),
            (3, server("b", 8), false),
            (5, server("old", 0), true),
            (6, server("old", 0), true),
            (6, server("old", 0), false),
        ];

        for (row, (count, known, expected)) in rows.into_iter().enumerate() {
            let (mut is_asked, mut told) = (false, None);
            let look_up = || {
                is_asked = true;
                known.clone()
            };
            connects.follow(|| count, look_up, |server| told = Some(server.clone()));

            assert_eq!(is_asked, expected, "row {row}");
            assert_eq!(told, known.filter(|_| expected), "row {row}");
        }
    }

    #[test]
    fn a_client_that_connects_while_it_is_looked_up_is_not_asked_again() {
        let connects = Connects::new();
        let (count, asked) = (Cell::new(1), Cell::new(0));
        let look_up = || {
            asked.set(asked.get() + 1);
            count.set(2);
            server("b", 7)
        };

        let mut told = Vec::new();
        for _ in 0..3 {
            connects.follow(|| count.get(), look_up, |server| told.push(server.clone()));
        }

        assert_eq!(asked.get(), 2, "the second time because of the connection");
        assert_eq!(told, server("b", 7).into_iter().collect::<Vec<_>>());
    }
}
