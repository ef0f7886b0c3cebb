//! RabbitMQ, with lapin.

mod cluster;
mod server;
mod sides;

use std::time::Duration;

use integration::drops::Counted;
use lapin::options::QueueDeleteOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use tokio::time::sleep;

use self::cluster::{Cluster, quorum};
use self::server::Server;
use self::sides::{Bare, Clients, Wrapped};
use crate::house::{Hardship, House};
use crate::plan::Plan;
use crate::program::{Program, Room, started};
use crate::proxy::Proxy;
use crate::sides::{Both, Told, side_by_side};

/// A broker, and clients of it.
pub(crate) struct Rabbit(Server);

impl Rabbit {
    /// It blocks the connections that publish, as long as it has too little memory.
    async fn memory_alarm(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let (bare, wrapped) = self.sides(&counted, hardship).await;
        let plan = hardship.plan();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            self.0.program.turn_the_page();
            self.0
                .evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.0000001).")
                .await;
            self.0
                .program
                .has_written("memory resource limit alarm set")
                .await;
            both.are_stalled().await;
            self.0
                .evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.4).")
                .await;
        })
        .await
    }

    /// A handler that takes too long: its channel is closed, and its messages come again.
    async fn consumer_timeout(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        self.0
            .evaluate("application:set_env(rabbit, consumer_timeout, 400).")
            .await;
        let (bare, wrapped) = self.sides(&counted, hardship).await;
        let told = side_by_side(Plan::SHORT, &counted, bare, wrapped, async |both| {
            both.handle_in(Duration::from_secs(2));
            both.meet("settle").await;
            both.handle_in(Duration::ZERO);
        });
        let told = told.await;
        self.0
            .evaluate("application:set_env(rabbit, consumer_timeout, 1800000).")
            .await;
        told
    }

    /// The queues are deleted under their consumers, with what is in them.
    async fn queue_deleted(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let (bare, wrapped) = self.sides(&counted, hardship).await;
        let queues = [bare.queue(), wrapped.queue()];
        let plan = hardship.batches().destroying();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            let url = self.0.direct_url();
            let connection = Connection::connect(&url, ConnectionProperties::default()).await;
            let connection = connection.expect("a connection");
            let channel = connection.create_channel().await.expect("a channel");
            for _ in 0..hardship.number(2, 1..6) {
                for queue in &queues {
                    let deleted =
                        channel.queue_delete(queue.clone(), QueueDeleteOptions::default());
                    deleted.await.expect("an answer");
                }
                both.go_on(5).await;
            }
        })
        .await
    }
}

/// Both, each with a queue of its own, of the brokers at these places.
fn clients(
    urls: &[String],
    arguments: &FieldTable,
    counted: &Counted,
) -> (Clients<Bare>, Clients<Wrapped>) {
    let wrapped = Wrapped(counted.recorder.telemetry());
    let bare = Clients::new(urls, "orders-bare", arguments, Bare);
    let wrapped = Clients::new(urls, "orders-wrapped", arguments, wrapped);
    (bare, wrapped)
}

/// The broker of a cluster that leads the queues is killed, and another one leads; the first comes back.
async fn leader_changed(hardship: &mut Hardship) -> Told {
    let counted = Counted::new();
    let mut cluster = started(Cluster::start).await;
    // Whether their connections stay.
    let urls = cluster.urls(usize::from(hardship.maybe()));
    let (bare, wrapped) = clients(&urls, &quorum(), &counted);
    let queues = [bare.queue(), wrapped.queue()];
    cluster.make_queues(&queues).await;
    // Each queue has a new leader when its election is over: of a batch that is on its way just then, one side may
    // have all refused, and the other side none.
    let plan = hardship.plan().single();
    side_by_side(plan, &counted, bare, wrapped, async |both| {
        cluster.first_leads(&queues).await;
        let (broker, room) = cluster.first();
        broker.kill().await;
        both.go_on(10).await;
        sleep(hardship.millis(0, 0..5_000)).await;
        broker.start(room).await;
    })
    .await
}

impl House for Rabbit {
    const NAME: &'static str = "rabbitmq";
    const OWN: &'static [&'static str] = &[
        "memory_alarm",
        "consumer_timeout",
        "queue_deleted",
        "leader_changed",
    ];
    // It lets nobody publish when less than 50 megabytes are left. Without any, it may end before it has looked.
    const LEFT: u64 = 20 << 20;
    type Bare = Clients<Bare>;
    type Wrapped = Clients<Wrapped>;

    async fn start() -> Self {
        Self(Server::start().await)
    }

    fn parts(&mut self) -> (&mut Program, &Proxy, &Room) {
        (&mut self.0.program, &self.0.proxy, &self.0.room)
    }

    async fn sides(&self, counted: &Counted, _: &mut Hardship) -> (Self::Bare, Self::Wrapped) {
        clients(&[self.0.url()], &FieldTable::default(), counted)
    }

    /// It looks now and then how much there is left, and lets nobody publish when that is too little.
    async fn met_the_end(&mut self, both: &Both) {
        self.0
            .program
            .has_written("disk resource limit alarm set")
            .await;
        both.are_stalled().await;
    }

    /// It sees by itself that there is place again.
    async fn go_on_with_place(&mut self) {
        self.0
            .program
            .has_written("disk resource limit alarm cleared")
            .await;
    }

    async fn run(&mut self, case: &str, hardship: &mut Hardship) -> Told {
        match case {
            "memory_alarm" => self.memory_alarm(hardship).await,
            "consumer_timeout" => self.consumer_timeout(hardship).await,
            "leader_changed" => leader_changed(hardship).await,
            _ => self.queue_deleted(hardship).await,
        }
    }
}
