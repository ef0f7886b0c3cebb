//! What can be done to any broker, and what one has to have for that.

use std::time::Duration;

use integration::drops::Counted;
use tokio::time::{Instant, sleep};

use crate::chance::Chance;
use crate::load::Side;
use crate::plan::Plan;
use crate::program::{Program, Room};
use crate::proxy::{Proxy, Way};
use crate::sides::{Both, Told, side_by_side};

/// A broker of the test's own.
pub(crate) trait House: Sized {
    /// Its name.
    const NAME: &'static str;
    /// Cases that other brokers do not have.
    const OWN: &'static [&'static str];
    /// Bytes that are left where its place is full.
    const LEFT: u64 = 0;
    /// The bare clients.
    type Bare: Side;
    /// The wrapped ones.
    type Wrapped: Side;

    /// Starts it.
    async fn start() -> Self;
    /// Its process, the way to it and its place.
    fn parts(&mut self) -> (&mut Program, &Proxy, &Room);
    /// Clients over the proxy, each side with a destination of its own.
    async fn sides(
        &self,
        counted: &Counted,
        hardship: &mut Hardship,
    ) -> (Self::Bare, Self::Wrapped);
    /// Waits until it has met the end of its place, with both sides at work.
    async fn met_the_end(&mut self, both: &Both);
    /// Has it go on when there is place again.
    async fn go_on_with_place(&mut self);
    /// Runs one of its own cases.
    async fn run(&mut self, case: &str, hardship: &mut Hardship) -> Told;
}

/// After so long, what was cut until then is enough.
const CUTTING: Duration = Duration::from_secs(60);

/// Cases of all brokers.
pub(crate) const ALL: [&str; 5] = ["killed", "paused", "slow", "cut", "disk_full"];

/// How hard it is: in the short form always the same, else left to chance.
#[derive(Debug)]
pub(crate) struct Hardship {
    chance: Chance,
    is_short: bool,
}

impl Hardship {
    /// That of the short form.
    pub(crate) fn short(chance: Chance) -> Self {
        let is_short = true;
        Self { chance, is_short }
    }

    /// Left to chance.
    pub(crate) fn by(chance: Chance) -> Self {
        let is_short = false;
        Self { chance, is_short }
    }

    /// A number: this one, or one of the range.
    pub(crate) fn number(&mut self, short: u64, long: std::ops::Range<u64>) -> u64 {
        match self.is_short {
            true => short,
            false => self.chance.number(long),
        }
    }

    /// A time in milliseconds.
    pub(crate) fn millis(&mut self, short: u64, long: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.number(short, long))
    }

    /// Yes or no; in the short form no.
    pub(crate) fn maybe(&mut self) -> bool {
        self.number(0, 0..2) == 1
    }

    /// What there is to do.
    pub(crate) fn plan(&mut self) -> Plan {
        if self.is_short {
            return Plan::SHORT;
        }
        let together = match self.chance.once_in(3) {
            true => self.chance.number(2..60) as usize,
            false => 1,
        };
        let senders = self.chance.number(1..9) as usize;
        let size = match self.chance.once_in(4) {
            true => self.chance.number(8..20_000) as usize,
            false => self.chance.number(8..400) as usize,
        };
        let pause = self.chance.millis(2..20) * together as u32;
        let plan = Plan {
            senders,
            together,
            size,
            pause,
            handling: match self.chance.once_in(3) {
                true => self.chance.millis(1..4),
                false => Duration::ZERO,
            },
            destroys: false,
        };
        plan.bounded()
    }

    /// Messages that are sent and received in batches.
    pub(crate) fn batches(&mut self) -> Plan {
        let (plan, together) = (self.plan(), self.number(20, 2..60) as usize);
        let plan = Plan { together, ..plan };
        plan.bounded()
    }
}

/// Runs a case; nothing, if it cannot be run here.
pub(crate) async fn run<H: House>(
    house: &mut H,
    case: &str,
    hardship: &mut Hardship,
) -> Option<Told> {
    let (program, proxy, room) = house.parts();
    program.start(room).await;
    // A case that failed may have left it as it was then.
    program.signal("CONT").await;
    proxy.slow_down(None);
    proxy.hold(false);
    room.make_place();
    if !ALL.contains(&case) {
        return Some(house.run(case, hardship).await);
    }
    if case == "disk_full" && !room.has_an_end() {
        return None;
    }
    let counted = Counted::new();
    let (bare, wrapped) = house.sides(&counted, hardship).await;
    let plan = hardship.plan();
    let told = side_by_side(plan, &counted, bare, wrapped, async |both| match case {
        "killed" => killed(house, hardship).await,
        "paused" => paused(house, hardship).await,
        "slow" => slow(house, both, hardship, plan).await,
        "cut" => cut(house, both, hardship).await,
        _ => disk_full(house, both).await,
    });
    Some(told.await)
}

/// Bytes that a message has beside its own, no more than that.
const HEADERS: usize = 500;

async fn killed(house: &mut impl House, hardship: &mut Hardship) {
    let (program, _, room) = house.parts();
    program.kill().await;
    sleep(hardship.millis(0, 0..5_000)).await;
    program.start(room).await;
}

async fn paused(house: &mut impl House, hardship: &mut Hardship) {
    let (program, ..) = house.parts();
    program.signal("STOP").await;
    sleep(hardship.millis(1_000, 100..9_000)).await;
    program.signal("CONT").await;
}

async fn slow(house: &mut impl House, both: &Both, hardship: &mut Hardship, plan: Plan) {
    let (_, proxy, _) = house.parts();
    // What all send at a time passes in half a second: who is not answered in a second sends again.
    let at_a_time = plan.senders * plan.together * (plan.size + HEADERS);
    let rate = hardship.number(20_000, 8_000..60_000) as u32;
    proxy.slow_down(Some(rate.max(2 * at_a_time as u32)));
    both.go_on(10).await;
    proxy.slow_down(None);
    // And one that is not there for a while, though its connections stay.
    proxy.hold(true);
    sleep(hardship.millis(500, 100..6_000)).await;
    proxy.hold(false);
}

/// In the middle of whatever is sent: after each number of bytes up to some, or after any number.
async fn cut(house: &mut impl House, both: &Both, hardship: &mut Hardship) {
    let (_, proxy, _) = house.parts();
    let began = Instant::now();
    for number in 0..hardship.number(12, 5..15) {
        // A consumer may have to wait out its own session after each.
        if began.elapsed() > CUTTING {
            break;
        }
        let way = match number % 2 {
            0 => Way::There,
            _ => Way::Back,
        };
        let bytes = hardship.number(1 + 17 * number, 1..1_500) as usize;
        proxy.cut_after(way, bytes).await;
        both.go_on(2).await;
    }
}

async fn disk_full<H: House>(house: &mut H, both: &Both) {
    let (program, _, room) = house.parts();
    program.turn_the_page();
    room.fill(H::LEFT).await;
    house.met_the_end(both).await;
    let (program, _, room) = house.parts();
    program.turn_the_page();
    room.make_place();
    house.go_on_with_place().await;
}
