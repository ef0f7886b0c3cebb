//! JetStream and core NATS, with async-nats.

mod cluster;
mod server;
mod sides;
mod slow_consumer;

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, StorageType};
use futures::StreamExt as _;
use integration::drops::Counted;
use integration::unique;
use tokio::time::sleep;

use self::cluster::Cluster;
use self::server::Server;
use self::sides::{ACK_WAIT, Bare, Clients, Wrapped, connect};
use crate::house::{Hardship, House};
use crate::program::{Program, Room, started};
use crate::proxy::Proxy;
use crate::sides::{Both, Told, side_by_side};

/// A server, and clients of it.
pub(crate) struct Nats(Server);

impl Nats {
    async fn context(&self) -> jetstream::Context {
        jetstream::new(connect(&[self.0.direct_url()]).await)
    }

    async fn make_stream(&self, name: &str) {
        let made = self.context().await.create_stream(config(name)).await;
        made.expect("a stream");
    }

    /// The server drops its clients in the order in which they came, more or less: one or the other is the first.
    async fn clients(
        &self,
        urls: &[String],
        counted: &Counted,
        [bare, wrapped]: [String; 2],
        hardship: &mut Hardship,
    ) -> (Clients<Bare>, Clients<Wrapped>) {
        let telemetry = counted.recorder.telemetry();
        if hardship.maybe() {
            let wrapped = Clients::wrapped(urls, wrapped, telemetry).await;
            return (Clients::bare(urls, bare).await, wrapped);
        }
        let bare = Clients::bare(urls, bare).await;
        (bare, Clients::wrapped(urls, wrapped, telemetry).await)
    }

    /// A stream for each side. Those of other cases would fill the place that there is.
    async fn streams(&self) -> [String; 2] {
        let context = self.context().await;
        let mut names = context.stream_names();
        while let Some(Ok(name)) = names.next().await {
            context.delete_stream(name).await.expect("an answer");
        }
        let streams = stream_names();
        for stream in &streams {
            self.make_stream(stream).await;
        }
        streams
    }

    /// The server asks its clients to go, drops those who stay, and ends.
    async fn lame_duck(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let (bare, wrapped) = self.sides(&counted, hardship).await;
        let plan = hardship.plan();
        side_by_side(plan, &counted, bare, wrapped, async |_| {
            self.0.program.turn_the_page();
            self.0.program.signal("USR2").await;
            self.0.program.has_written("Entering lame duck mode").await;
            self.0.program.ended().await;
            self.0.program.start(&self.0.room).await;
        })
        .await
    }

    /// Handlers take longer than the server waits for an acknowledgement: it gives their messages again.
    async fn late_acknowledgements(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let (bare, wrapped) = self.sides(&counted, hardship).await;
        let plan = hardship.plan();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            both.handle_in(ACK_WAIT + hardship.millis(500, 100..4_000));
            // The first may have been begun before.
            both.handle_again().await;
            both.handle_again().await;
            both.handle_in(Duration::ZERO);
            both.are_given_again().await;
        })
        .await
    }

    /// The streams are deleted while batches are on their way, and made again.
    async fn stream_deleted(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let streams = self.streams().await;
        let urls = [self.0.url()];
        let (bare, wrapped) = self
            .clients(&urls, &counted, streams.clone(), hardship)
            .await;
        let plan = hardship.batches().destroying();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            let context = self.context().await;
            for stream in &streams {
                context.delete_stream(stream).await.expect("an answer");
            }
            both.are_refused().await;
            for stream in &streams {
                self.make_stream(stream).await;
            }
            both.handle_again().await;
        })
        .await
    }

    /// The server of a cluster that leads the streams is killed, and another one leads; the first comes back.
    async fn leader_changed(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let mut cluster = started(Cluster::start).await;
        let streams = stream_names();
        cluster.make_streams(&streams).await;
        let leader = cluster.leader(&streams).await;
        // Whether their connections stay.
        let first = leader + usize::from(hardship.maybe());
        let urls = cluster.urls(first);
        let (bare, wrapped) = self
            .clients(&urls, &counted, streams.clone(), hardship)
            .await;
        // Each stream has a new leader when its election is over: of a batch that is on its way just then, one side
        // may have all refused, and the other side none.
        let plan = hardship.plan().single();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            let leader = cluster.leader(&streams).await;
            let (server, room) = cluster.parts(leader);
            server.kill().await;
            both.go_on(10).await;
            sleep(hardship.millis(0, 0..5_000)).await;
            server.start(room).await;
            cluster.leaders(&streams).await;
        })
        .await
    }
}

/// What the streams are called.
fn stream_names() -> [String; 2] {
    ["bare", "wrapped"].map(|side| unique(&format!("orders-{side}")))
}

/// What a stream has.
fn config(name: &str) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        storage: StorageType::File,
        ..Config::default()
    }
}

impl House for Nats {
    const NAME: &'static str = "nats";
    const OWN: &'static [&'static str] = &[
        "lame_duck",
        "stream_deleted",
        "slow_consumer",
        "late_acknowledgements",
        "leader_changed",
    ];
    type Bare = Clients<Bare>;
    type Wrapped = Clients<Wrapped>;

    async fn start() -> Self {
        Self(Server::start().await)
    }

    fn parts(&mut self) -> (&mut Program, &Proxy, &Room) {
        (&mut self.0.program, &self.0.proxy, &self.0.room)
    }

    async fn sides(
        &self,
        counted: &Counted,
        hardship: &mut Hardship,
    ) -> (Self::Bare, Self::Wrapped) {
        let streams = self.streams().await;
        let urls = [self.0.url()];
        self.clients(&urls, counted, streams, hardship).await
    }

    /// Nothing is stored any more.
    async fn met_the_end(&mut self, both: &Both) {
        both.are_refused().await;
    }

    /// JetStream is off until the server is started again.
    async fn go_on_with_place(&mut self) {
        self.0.program.kill().await;
        self.0.program.start(&self.0.room).await;
    }

    async fn run(&mut self, case: &str, hardship: &mut Hardship) -> Told {
        match case {
            "lame_duck" => self.lame_duck(hardship).await,
            "stream_deleted" => self.stream_deleted(hardship).await,
            "late_acknowledgements" => self.late_acknowledgements(hardship).await,
            "leader_changed" => self.leader_changed(hardship).await,
            _ => slow_consumer::run(&self.0, hardship).await,
        }
    }
}
