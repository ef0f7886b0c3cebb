//! Log lines of programs that write them with `tracing`.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::trace::SpanContext;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use otel_messaging::testing::Recorder;
use otel_messaging::with_tracing::TraceIds;
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;
use tracing::{Dispatch, Instrument as _, info, info_span};
use tracing_subscriber::fmt;

use super::in_tracing::{Program, SetUp};
use crate::Broker;

/// What was written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn taken(&self) -> Vec<String> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8(std::mem::take(&mut *written)).expect("text");
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line before the message, directly in the handler, in a span in it, and after it. Gives the spans of
/// the second and the third line.
async fn handle_an_order<B: Broker>(recorder: &Recorder, subscriber: Dispatch) -> [SpanContext; 2] {
    let program = Program::<B>::open(recorder, 1).await;
    let order = program.receive().await;
    let consumer = async {
        info!("waiting");
        let handler = order.process(async |_| {
            info!(shelf = 7, "handling");
            async { info!("storing") }
                .instrument(info_span!("store"))
                .await;
        });
        handler.await;
        info!("done");
    };
    consumer.with_subscriber(subscriber).await;
    let process = recorder.span(&program.broker.process_name(&program.orders));
    program.expected(&order).event("handling").assert(&process);
    [process.span_context, program.own("store").span_context]
}

/// Lines in a handler have the ids of its process span, or of the span in it that they are in, as text and as
/// JSON; lines outside of any span have none.
pub async fn log_lines_have_the_ids_of_what_is_current<B: Broker>() {
    for set_up in SetUp::OURS {
        let recorder = Recorder::new();
        let lines = Lines::default();
        let writer = lines.clone();
        let text = fmt::layer()
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(move || writer.clone())
            .map_event_format(TraceIds::new);
        let spans = handle_an_order::<B>(&recorder, set_up.subscriber(&recorder, text)).await;
        let [process, store] =
            spans.map(|span| format!("trace_id={} span_id={}", span.trace_id(), span.span_id()));
        let expected = [
            " INFO waiting".to_owned(),
            format!("{process}  INFO process: handling shelf=7"),
            match set_up.activates {
                true => format!("{store}  INFO process:store: storing"),
                // The subscriber of one test is not asked for its span while it writes.
                false => format!("{process}  INFO process:store: storing"),
            },
            " INFO done".to_owned(),
        ];
        assert_eq!(lines.taken(), expected, "{set_up:?}");

        let recorder = Recorder::new();
        let writer = lines.clone();
        let json = fmt::layer()
            .json()
            .with_target(false)
            .without_time()
            .with_writer(move || writer.clone())
            .map_event_format(TraceIds::json);
        let spans = handle_an_order::<B>(&recorder, set_up.subscriber(&recorder, json)).await;
        let lines = lines.taken();
        let read = lines
            .iter()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let read: Vec<Value> = read.collect();
        let [waiting, handling, storing, done] = &read[..] else {
            unreachable!("four lines: {lines:?}");
        };
        let ids = |span: &SpanContext| [span.trace_id().to_string(), span.span_id().to_string()];
        let [[trace_id, process], [_, store]] = [ids(&spans[0]), ids(&spans[1])];
        let bare = |message| json!({"level": "INFO", "fields": {"message": message}});
        assert_eq!([waiting, done], [&bare("waiting"), &bare("done")]);
        let process_of_tracing = json!({"name": "process"});
        let expected = json!({
            "trace_id": trace_id,
            "span_id": process,
            "level": "INFO",
            "fields": {"message": "handling", "shelf": 7},
            "span": process_of_tracing,
            "spans": [process_of_tracing],
        });
        assert_eq!(*handling, expected);
        let expected = json!({
            "trace_id": trace_id,
            "span_id": if set_up.activates { store } else { process },
            "level": "INFO",
            "fields": {"message": "storing"},
            "span": {"name": "store"},
            "spans": [process_of_tracing, {"name": "store"}],
        });
        assert_eq!(*storing, expected);
    }
}

/// Log records of opentelemetry-appender-tracing have them too, with nothing of ours.
pub async fn log_records_have_the_ids_of_what_is_current<B: Broker>() {
    let recorder = Recorder::new();
    let bridge = OpenTelemetryTracingBridge::new(recorder.logger_provider());
    let subscriber = SetUp::OURS[0].subscriber(&recorder, bridge);
    let [process, store] = handle_an_order::<B>(&recorder, subscriber).await;

    let ids = recorder.logs().into_iter().map(|log| {
        let of = log.trace_context().cloned();
        of.map(|of| (of.trace_id, of.span_id))
    });
    let ids_of = |span: &SpanContext| Some((span.trace_id(), span.span_id()));
    let expected = [None, ids_of(&process), ids_of(&store), None];
    assert_eq!(ids.collect::<Vec<_>>(), expected);
}
