//! The sampler that the environment selects.

use crate::programs::{EXAMPLES, program, run, text};

/// What an example draws, of spans alone.
async fn drawn(name: &str, sampler: &str, ratio: Option<&str>) -> (bool, String) {
    let mut command = program(name);
    command.env("OTEL_TRACES_SAMPLER", sampler);
    if let Some(ratio) = ratio {
        command.env("OTEL_TRACES_SAMPLER_ARG", ratio);
    }
    let output = run(&mut command).await;
    assert!(output.status.success(), "{name}, {sampler}: {output:?}");
    let said = text(output.stdout);
    let has_traces = said.lines().any(|line| line.starts_with("trace "));
    (has_traces, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_example_works_and_draws_no_trace_where_the_environment_samples_none() {
    for (name, _) in EXAMPLES {
        let (has_traces, said) = drawn(name, "always_off", None).await;
        assert!(!has_traces, "{name}: {said}");
        assert!(said.contains("\nno spans recorded\n"), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_example_draws_what_the_sampler_of_the_environment_keeps() {
    let samplers = [
        ("always_on", None, true),
        ("traceidratio", Some("0"), false),
        ("traceidratio", Some("1"), true),
        ("parentbased_always_on", None, true),
        ("parentbased_always_off", None, false),
        ("parentbased_traceidratio", Some("0"), false),
    ];
    for (sampler, ratio, expected) in samplers {
        for name in ["amqp_roundtrip", "kafka_roundtrip", "nats_roundtrip"] {
            let (has_traces, said) = drawn(name, sampler, ratio).await;
            assert_eq!(has_traces, expected, "{name}, {sampler}: {said}");
        }
    }
}
