//! The command line.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// What is started: one service, or all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) role: Option<Role>,
    pub(crate) load: Option<Load>,
    pub(crate) listen: Option<String>,
    pub(crate) suffix: String,
    /// Of a service that the program has started itself; not for users.
    pub(crate) is_child: bool,
    /// Whether its spans are told to the parent, which draws some of them.
    pub(crate) tells_spans: bool,
}

/// A service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Orders,
    Billing,
    Shipping,
    Stock,
}

impl Role {
    /// All of them in the order of an order's way, in which they are stopped too: who sends before who receives.
    pub(crate) const ALL: [Self; 4] = [Self::Orders, Self::Billing, Self::Shipping, Self::Stock];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Billing => "billing",
            Self::Shipping => "shipping",
            Self::Stock => "stock",
        }
    }
}

/// Orders that the program makes itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) orders: usize,
    pub(crate) failing: usize,
    pub(crate) slow: usize,
}

impl Arguments {
    pub(crate) fn parse(given: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut arguments = Self::default();
        let (mut load, mut failing, mut slow) = (None, None, None);
        let mut given = given.into_iter();
        while let Some(argument) = given.next() {
            let mut value = || given.next().with_context(|| format!("{argument} of what?"));
            match argument.as_str() {
                "--load" => load = Some(number(&argument, &value()?)?),
                "--failing" => failing = Some(number(&argument, &value()?)?),
                "--slow" => slow = Some(number(&argument, &value()?)?),
                "--listen" => arguments.listen = Some(value()?),
                "--suffix" => arguments.suffix = format!("-{}", value()?),
                "--child" => arguments.is_child = true,
                "--tell-spans" => arguments.tells_spans = true,
                name => match Role::ALL.into_iter().find(|role| role.name() == name) {
                    Some(role) if arguments.role.is_none() => arguments.role = Some(role),
                    _ => bail!(
                        "unknown argument {name:?}: [orders | billing | shipping | stock] [--load N [--failing F] \
                        [--slow S]] [--listen ADDRESS] [--suffix TEXT]"
                    ),
                },
            }
        }
        let failing_or_slow = failing.or(slow).is_some();
        let (failing, slow) = (failing.unwrap_or(0), slow.unwrap_or(0));
        match load {
            Some(orders) => {
                ensure!(
                    orders > 0 && failing + slow <= orders,
                    "--load {orders} --failing {failing} --slow {slow}: so many there cannot be"
                );
                arguments.load = Some(Load {
                    orders,
                    failing,
                    slow,
                });
            }
            None => ensure!(!failing_or_slow, "--failing and --slow are of a --load"),
        }
        ensure!(
            arguments.role.is_none() || arguments.load.is_none(),
            "--load is not of one service: it starts all"
        );
        Ok(arguments)
    }
}

fn number(argument: &str, value: &str) -> Result<usize> {
    let number = value.parse();
    number.with_context(|| format!("{argument} {value}: not a number"))
}
