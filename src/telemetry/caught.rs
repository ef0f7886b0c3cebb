//! Panics of telemetry code that is not ours: they end here, and messaging goes on.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Telemetry code that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    /// The tracer: its sampler, its span processors and, behind those, exporters.
    Tracer,
    /// The meter and what is behind it.
    Meter,
    /// The logger: its log processors and, behind those, exporters.
    Logger,
    /// The propagator.
    Propagator,
    /// What decides whether a handler's error is a failure.
    Classifier,
    /// What a handler returned, or an error, where it is asked what to record.
    Outcome,
    /// What takes the lines that are written with `tracing`, and its spans.
    Log,
}

impl Component {
    /// The value of the attribute that tells components apart.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tracer => "tracer",
            Self::Meter => "meter",
            Self::Logger => "logger",
            Self::Propagator => "propagator",
            Self::Classifier => "classifier",
            Self::Outcome => "outcome",
            Self::Log => "log",
        }
    }

    /// Whether this one has panicked before in this process.
    fn has_panicked_before(self) -> bool {
        static TOLD: [AtomicBool; 7] = [const { AtomicBool::new(false) }; 7];
        TOLD.get(self as usize)
            .is_none_or(|told| told.swap(true, Ordering::Relaxed))
    }
}

/// Runs telemetry code that is not ours; `None` if it panics, which is told once for each component.
///
/// The code is left as it is then: whatever it had locked is its own affair.
pub(crate) fn caught<T>(component: Component, telemetry_code: impl FnOnce() -> T) -> Option<T> {
    let payload = match catch_unwind(AssertUnwindSafe(telemetry_code)) {
        Ok(result) => return Some(result),
        Err(payload) => payload,
    };
    if !component.has_panicked_before() {
        contained(|| {
            tracing::error!(
                component = component.name(),
                "telemetry code panicked; messaging goes on, but spans and metrics may be missing; \
                 this is told once"
            );
        });
    }
    contained(|| drop(payload));
    None
}

/// What is told of a panic may panic in its turn, and so may what it leaves behind when that is
/// dropped.
fn contained(last: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(last)) {
        mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "it is what the tests are about")]

    use std::panic::panic_any;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_panic_ends_here_and_so_does_one_of_what_it_leaves_behind() {
        struct Grenade;
        impl Drop for Grenade {
            fn drop(&mut self) {
                panic!("when it is dropped");
            }
        }

        assert_eq!(caught(Component::Tracer, || 7), Some(7));
        assert_eq!(caught(Component::Tracer, || panic!("at once")), None::<()>);
        assert_eq!(caught(Component::Tracer, || panic_any(Grenade)), None::<()>);
    }

    #[test]
    fn a_panic_while_another_one_unwinds_does_not_abort() {
        static ENDED: AtomicU32 = AtomicU32::new(0);
        struct Ends;
        impl Drop for Ends {
            fn drop(&mut self) {
                let result: Option<()> = caught(Component::Tracer, || panic!("in telemetry code"));
                ENDED.fetch_add(u32::from(result.is_none()), Ordering::Relaxed);
            }
        }

        let handler = catch_unwind(|| {
            let _ends = Ends;
            panic!("in a handler");
        });

        assert!(handler.is_err());
        assert_eq!(ENDED.load(Ordering::Relaxed), 1);
    }
}
