//! rdkafka, with our wrappers in the place of its consumers and producers.
//!
//! Only what they are created by is here, and what makes them deref to the wrapper: each method that a test calls is
//! the wrapper's, and where it has none, the test does not compile.

#[path = "../../telemetry.rs"]
mod telemetry;

pub use bare::*;

use self::telemetry::TELEMETRY;

/// Consumers.
pub mod consumer {
    pub use bare::consumer::*;

    use std::ops::Deref;

    use bare::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
    use bare::error::KafkaResult;
    use bare::util::DefaultRuntime;
    use otel_messaging::kafka;

    use super::TELEMETRY;

    /// A wrapped [`BaseConsumer`](bare::consumer::BaseConsumer).
    #[derive(Debug)]
    pub struct BaseConsumer<C: ConsumerContext = DefaultConsumerContext>(
        kafka::Consumer<bare::consumer::BaseConsumer<C>>,
    );

    /// A wrapped [`StreamConsumer`](bare::consumer::StreamConsumer).
    #[derive(Debug)]
    pub struct StreamConsumer<C: ConsumerContext + 'static = DefaultConsumerContext>(
        kafka::Consumer<bare::consumer::StreamConsumer<C, DefaultRuntime>>,
    );

    impl FromClientConfig for BaseConsumer {
        fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
            Self::from_config_and_context(config, DefaultConsumerContext)
        }
    }

    impl<C: ConsumerContext> FromClientConfigAndContext<C> for BaseConsumer<C> {
        fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
            let client: bare::consumer::BaseConsumer<C> = config.create_with_context(context)?;
            Ok(Self(kafka::Consumer::wrap(&TELEMETRY, client)))
        }
    }

    impl<C: ConsumerContext> Deref for BaseConsumer<C> {
        type Target = kafka::Consumer<bare::consumer::BaseConsumer<C>>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    impl FromClientConfig for StreamConsumer {
        fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
            Self::from_config_and_context(config, DefaultConsumerContext)
        }
    }

    impl<C: ConsumerContext + 'static> FromClientConfigAndContext<C> for StreamConsumer<C> {
        fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
            let client: bare::consumer::StreamConsumer<C, DefaultRuntime> =
                config.create_with_context(context)?;
            Ok(Self(kafka::Consumer::wrap(&TELEMETRY, client)))
        }
    }

    impl<C: ConsumerContext + 'static> Deref for StreamConsumer<C> {
        type Target = kafka::Consumer<bare::consumer::StreamConsumer<C, DefaultRuntime>>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }
}

/// Producers.
pub mod producer {
    pub use bare::producer::*;

    use std::ops::Deref;

    use bare::client::{ClientContext, DefaultClientContext};
    use bare::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
    use bare::error::KafkaResult;
    use bare::util::DefaultRuntime;
    use otel_messaging::kafka::{self, Traced};

    use super::TELEMETRY;

    /// A wrapped [`BaseProducer`](bare::producer::BaseProducer).
    #[derive(Debug)]
    pub struct BaseProducer<C = DefaultProducerContext, Part = NoCustomPartitioner>(
        kafka::Producer<bare::producer::BaseProducer<Traced<C>, Part>>,
    )
    where
        C: ProducerContext<Part>,
        Part: Partitioner;

    /// A wrapped [`ThreadedProducer`](bare::producer::ThreadedProducer).
    #[derive(Debug)]
    pub struct ThreadedProducer<C = DefaultProducerContext, Part = NoCustomPartitioner>(
        kafka::Producer<bare::producer::ThreadedProducer<Traced<C>, Part>>,
    )
    where
        C: ProducerContext<Part> + 'static,
        Part: Partitioner + Send + Sync + 'static;

    /// A wrapped [`FutureProducer`](bare::producer::FutureProducer).
    #[derive(Debug)]
    pub struct FutureProducer<C: ClientContext + 'static = DefaultClientContext>(
        kafka::Producer<bare::producer::FutureProducer<C, DefaultRuntime>>,
    );

    impl FromClientConfig for BaseProducer {
        fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
            Self::from_config_and_context(config, DefaultProducerContext)
        }
    }

    impl<C, Part> FromClientConfigAndContext<C> for BaseProducer<C, Part>
    where
        C: ProducerContext<Part>,
        Part: Partitioner,
    {
        fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
            let client: bare::producer::BaseProducer<_, Part> =
                config.create_with_context(Traced::new(context))?;
            Ok(Self(kafka::Producer::wrap(&TELEMETRY, client)))
        }
    }

    impl<C, Part> Deref for BaseProducer<C, Part>
    where
        C: ProducerContext<Part>,
        Part: Partitioner,
    {
        type Target = kafka::Producer<bare::producer::BaseProducer<Traced<C>, Part>>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    impl FromClientConfig for ThreadedProducer {
        fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
            Self::from_config_and_context(config, DefaultProducerContext)
        }
    }

    impl<C, Part> FromClientConfigAndContext<C> for ThreadedProducer<C, Part>
    where
        C: ProducerContext<Part> + 'static,
        Part: Partitioner + Send + Sync + 'static,
    {
        fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
            let client: bare::producer::ThreadedProducer<_, Part> =
                config.create_with_context(Traced::new(context))?;
            Ok(Self(kafka::Producer::wrap(&TELEMETRY, client)))
        }
    }

    impl<C, Part> Deref for ThreadedProducer<C, Part>
    where
        C: ProducerContext<Part> + 'static,
        Part: Partitioner + Send + Sync + 'static,
    {
        type Target = kafka::Producer<bare::producer::ThreadedProducer<Traced<C>, Part>>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    impl FromClientConfig for FutureProducer {
        fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
            Self::from_config_and_context(config, DefaultClientContext)
        }
    }

    impl<C: ClientContext + 'static> FromClientConfigAndContext<C> for FutureProducer<C> {
        fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
            let client: bare::producer::FutureProducer<C, DefaultRuntime> =
                config.create_with_context(context)?;
            Ok(Self(kafka::Producer::wrap(&TELEMETRY, client)))
        }
    }

    impl<C: ClientContext + 'static> Deref for FutureProducer<C> {
        type Target = kafka::Producer<bare::producer::FutureProducer<C, DefaultRuntime>>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }
}
