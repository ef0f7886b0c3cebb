//! Micro-services.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test panics where it fails"
)]

pub use bare::service::*;

use std::any::Any;
use std::collections::HashMap;
use std::ops::Deref;

use bare::Error;
use otel_messaging::nats::Messages;

use crate::client::Client;

/// The wrapper's requests.
type Endpoint = Messages<endpoint::Endpoint>;

/// As the client's.
pub trait ServiceExt {
    /// As the client's.
    fn add_service(&self, config: Config) -> impl Future<Output = Result<Service, Error>>;

    /// As the client's.
    fn service_builder(&self) -> ServiceBuilder;
}

impl ServiceExt for Client {
    async fn add_service(&self, config: Config) -> Result<Service, Error> {
        let bare = bare::service::ServiceExt::add_service(&**self, config).await?;
        Ok(Service {
            bare,
            client: self.clone(),
        })
    }

    fn service_builder(&self) -> ServiceBuilder {
        ServiceBuilder {
            bare: bare::service::ServiceExt::service_builder(&**self),
            client: self.clone(),
        }
    }
}

/// The client's own, but for [`start`](Self::start).
#[expect(missing_debug_implementations, reason = "the client's has none")]
pub struct ServiceBuilder {
    bare: bare::service::ServiceBuilder,
    client: Client,
}

#[expect(missing_docs, reason = "the client has them")]
impl ServiceBuilder {
    #[must_use]
    pub fn description<S: ToString>(mut self, description: S) -> Self {
        self.bare = self.bare.description(description);
        self
    }

    #[must_use]
    pub fn stats_handler<F, J>(mut self, mut handler: F) -> Self
    where
        F: FnMut(String, endpoint::Stats) -> J + Send + Sync + 'static,
        J: Any,
    {
        self.bare = self.bare.stats_handler(move |name, stats| {
            // The client wants JSON of a package that nothing else here depends on.
            let told: Box<dyn Any> = Box::new(handler(name, stats));
            *told.downcast().expect("JSON")
        });
        self
    }

    #[must_use]
    pub fn metadata(mut self, metadata: HashMap<String, String>) -> Self {
        self.bare = self.bare.metadata(metadata);
        self
    }

    #[must_use]
    pub fn queue_group<S: ToString>(mut self, group: S) -> Self {
        self.bare = self.bare.queue_group(group);
        self
    }

    /// # Errors
    ///
    /// The client's.
    pub async fn start<N: ToString, V: ToString>(
        self,
        name: N,
        version: V,
    ) -> Result<Service, Error> {
        let Self { bare, client } = self;
        let bare = bare.start(name, version).await?;
        Ok(Service { bare, client })
    }
}

/// A service whose endpoints are the wrapper's.
#[derive(Debug)]
pub struct Service {
    bare: bare::service::Service,
    client: Client,
}

/// Whatever else a service has.
impl Deref for Service {
    type Target = bare::service::Service;

    fn deref(&self) -> &Self::Target {
        &self.bare
    }
}

impl Service {
    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn stop(self) -> Result<(), Error> {
        self.bare.stop().await
    }
}

/// A group whose endpoints are the wrapper's.
#[expect(missing_debug_implementations, reason = "the client's has none")]
pub struct Group {
    bare: bare::service::Group,
    client: Client,
    prefix: String,
}

/// What adds an endpoint of the wrapper's.
#[expect(missing_debug_implementations, reason = "no test wants it")]
pub struct EndpointBuilder {
    bare: bare::service::EndpointBuilder,
    client: Client,
    prefix: String,
}

#[expect(missing_docs, reason = "the client has them")]
impl EndpointBuilder {
    #[must_use]
    pub fn name<S: ToString>(mut self, name: S) -> Self {
        self.bare = self.bare.name(name);
        self
    }

    #[must_use]
    pub fn metadata(mut self, metadata: HashMap<String, String>) -> Self {
        self.bare = self.bare.metadata(metadata);
        self
    }

    #[must_use]
    pub fn queue_group<S: ToString>(mut self, group: S) -> Self {
        self.bare = self.bare.queue_group(group);
        self
    }

    /// # Errors
    ///
    /// The client's.
    pub async fn add<S: ToString>(self, subject: S) -> Result<Endpoint, Error> {
        let subject = subject.to_string();
        let endpoint = self.bare.add(&subject).await?;
        let subject = format!("{}{subject}", self.prefix);
        Ok(self.client.consumer.endpoint(&subject, endpoint))
    }
}

/// What a service and a group have.
macro_rules! endpoints {
    ($type:ident, |$self:ident| $prefix:expr) => {
        #[expect(missing_docs, reason = "the client has them")]
        impl $type {
            pub fn group<S: ToString>(&self, prefix: S) -> Group {
                Group {
                    bare: self.bare.group(prefix.to_string()),
                    client: self.client.clone(),
                    prefix: format!("{}{}.", self.prefix(), prefix.to_string()),
                }
            }

            pub fn group_with_queue_group<S: ToString, Z: ToString>(
                &self,
                prefix: S,
                group: Z,
            ) -> Group {
                let prefix = prefix.to_string();
                Group {
                    bare: self.bare.group_with_queue_group(&prefix, group),
                    client: self.client.clone(),
                    prefix: format!("{}{prefix}.", self.prefix()),
                }
            }

            #[must_use]
            pub fn endpoint_builder(&self) -> EndpointBuilder {
                EndpointBuilder {
                    bare: self.bare.endpoint_builder(),
                    client: self.client.clone(),
                    prefix: self.prefix().to_owned(),
                }
            }

            /// # Errors
            ///
            /// The client's.
            pub async fn endpoint<S: ToString>(&self, subject: S) -> Result<Endpoint, Error> {
                let subject = subject.to_string();
                let endpoint = self.bare.endpoint(&subject).await?;
                let subject = format!("{}{subject}", self.prefix());
                Ok(self.client.consumer.endpoint(&subject, endpoint))
            }

            fn prefix(&$self) -> &str {
                $prefix
            }
        }
    };
}

endpoints!(Service, |self| "");
endpoints!(Group, |self| &self.prefix);
