use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bare::{Auth, AuthError, ConnectError, Event, ToServerAddrs};

use crate::client::Client;

/// The client's own, but for [`connect`](Self::connect).
#[derive(Debug, Default)]
pub struct ConnectOptions(bare::ConnectOptions);

/// The client's own.
macro_rules! own {
    ($($name:ident($($argument:ident: $type:ty),*))*) => {
        #[expect(missing_docs, reason = "the client has them")]
        impl ConnectOptions {
            $(
                #[must_use]
                pub fn $name(self, $($argument: $type),*) -> Self {
                    Self(self.0.$name($($argument),*))
                }
            )*
        }
    };
}

own! {
    token(token: String)
    user_and_password(user: String, password: String)
    require_tls(is_required: bool)
    ping_interval(interval: Duration)
    no_echo()
    subscription_capacity(capacity: usize)
    connection_timeout(limit: Duration)
    request_timeout(limit: Option<Duration>)
    reconnect_delay_callback(delay: impl Fn(usize) -> Duration + Send + Sync + 'static)
    client_capacity(capacity: usize)
    custom_inbox_prefix(prefix: impl Display)
    name(name: impl Display)
    retry_on_initial_connect()
    max_reconnects(most: impl Into<Option<usize>>)
    skip_subject_validation(is_skipped: bool)
    ignore_discovered_servers()
    retain_servers_order()
    read_buffer_capacity(size: u16)
    local_address(address: SocketAddr)
}

impl ConnectOptions {
    /// As the client's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As the client's.
    #[must_use]
    pub fn with_token(token: String) -> Self {
        Self(bare::ConnectOptions::with_token(token))
    }

    /// As the client's.
    #[must_use]
    pub fn with_user_and_password(user: String, password: String) -> Self {
        Self(bare::ConnectOptions::with_user_and_password(user, password))
    }

    /// As the client's.
    pub fn with_auth_callback<F, Fut>(callback: F) -> Self
    where
        F: Fn(Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Auth, AuthError>> + Send + Sync + 'static,
    {
        Self(bare::ConnectOptions::with_auth_callback(callback))
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn credentials_file(self, path: impl AsRef<Path>) -> io::Result<Self> {
        self.0.credentials_file(path).await.map(Self)
    }

    /// As the client's.
    #[must_use]
    pub fn event_callback<F, Fut>(self, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + Sync + 'static,
    {
        Self(self.0.event_callback(callback))
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn connect<A: ToServerAddrs>(self, addresses: A) -> Result<Client, ConnectError> {
        self.0.connect(addresses).await.map(Client::of)
    }
}
