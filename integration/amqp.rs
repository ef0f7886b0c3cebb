//! The scenarios on RabbitMQ, and what only RabbitMQ has.

#[path = "amqp/batch_sends.rs"]
mod batch_sends;
#[path = "amqp/batches.rs"]
mod batches;
#[path = "amqp/consumers.rs"]
mod consumers;
#[path = "amqp/foreign.rs"]
mod foreign;
#[path = "amqp/frames.rs"]
mod frames;
#[path = "amqp/headers.rs"]
mod headers;
#[path = "amqp/names.rs"]
mod names;
#[path = "amqp/producers.rs"]
mod producers;
#[path = "amqp/recovery.rs"]
mod recovery;
#[path = "amqp/redelivery.rs"]
mod redelivery;
#[path = "amqp/replies.rs"]
mod replies;
#[path = "amqp/shop.rs"]
mod shop;
#[path = "amqp/situations.rs"]
mod situations;
#[path = "amqp/waiting.rs"]
mod waiting;

integration::scenarios!(integration::amqp::Rabbit);
integration::scenarios_of_sent_batches!(integration::amqp::Rabbit);
integration::scenarios_of_settling!(integration::amqp::Rabbit);
