//! What each rule is seen to complain of: the sample, broken in just what the rule wants.

mod outcomes;
mod spans;

use crate::model::{Point, Scene, Span};
use crate::sample::{BATCHES, FAILURE};

pub(crate) struct Mutation {
    pub(crate) rule: &'static str,
    pub(crate) what: &'static str,
    pub(crate) breaks: fn(&mut [Scene]),
}

const fn of(rule: &'static str, what: &'static str, breaks: fn(&mut [Scene])) -> Mutation {
    Mutation { rule, what, breaks }
}

fn scene(scenes: &mut [Scene], number: usize) -> &mut Scene {
    scenes.get_mut(number).expect("a scene")
}

/// The first span of this type with batches on Kafka.
fn of_batches<'a>(scenes: &'a mut [Scene], operation: &str) -> &'a mut Span {
    let spans = scene(scenes, BATCHES).spans.iter_mut();
    spans
        .into_iter()
        .find(|span| span.is(operation))
        .expect("a span")
}

/// The span of this type of a message of its own, on RabbitMQ.
fn single<'a>(scenes: &'a mut [Scene], operation: &str) -> &'a mut Span {
    let spans = scene(scenes, FAILURE).spans.iter_mut();
    spans
        .into_iter()
        .find(|span| span.is(operation))
        .expect("a span")
}

fn point<'a>(scenes: &'a mut [Scene], metric: &str) -> &'a mut Point {
    let points = scene(scenes, BATCHES).points.iter_mut();
    points
        .into_iter()
        .find(|point| point.metric == metric)
        .expect("a point")
}

fn without(scenes: &mut [Scene], operation: &str) {
    scene(scenes, BATCHES)
        .spans
        .retain(|span| !span.is(operation));
}

/// All that is broken, one at a time.
pub(crate) fn all() -> impl Iterator<Item = &'static Mutation> {
    spans::ALL.iter().chain(outcomes::ALL)
}
