//! Kafka in a program that records its `tracing` spans with OpenTelemetry.

integration::scenarios_of_tracing!(integration::kafka::Kafka<integration::kafka::clients::Futures>);
