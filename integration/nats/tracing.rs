//! NATS and JetStream in a program that records its `tracing` spans with OpenTelemetry.

mod core {
    integration::scenarios_of_tracing!(integration::nats::broker::Core);
}

mod jetstream {
    integration::scenarios_of_tracing!(integration::nats::broker::JetStream);
}
