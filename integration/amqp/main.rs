//! The scenarios on RabbitMQ, and what only RabbitMQ has.

mod batch_names;
mod batch_sends;
mod batches;
mod consumers;
mod failed_receives;
mod foreign;
mod frames;
mod headers;
mod names;
mod producers;
mod recovery;
mod redelivery;
mod replies;
mod shop;
mod situations;
mod stand_in;
mod threads;
mod waiting;

integration::scenarios!(integration::amqp::Rabbit);
integration::scenarios_of_failed_receives!(integration::amqp::Rabbit);
integration::scenarios_of_sent_batches!(integration::amqp::Rabbit);
integration::scenarios_of_settling!(integration::amqp::Rabbit);
integration::scenarios_of_spawned_work!(integration::amqp::Rabbit);
