//! What an example says of what it has drawn.

use futures::future::join_all;

use crate::programs::{EXAMPLES, program, run, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_read_in_a_drawing_is_called_as_it_is_drawn() {
    let told = join_all(EXAMPLES.map(|(name, _)| async move {
        let output = run(&mut program(name)).await;
        assert!(output.status.success(), "{name}: {output:?}");
        (name, text(output.stdout))
    }));
    for (name, said) in told.await {
        let (drawn, guide) = said.split_once("How to read it").expect("a guide");
        let names: Vec<_> = guide.split('`').skip(1).step_by(2).collect();
        let missing: Vec<_> = names
            .iter()
            .filter(|name| !drawn.contains(**name))
            .collect();
        assert!(missing.is_empty(), "{name}: {missing:?} not in\n{drawn}");
        // One has names in it that brokers make up, and so no names of its own.
        assert!(!names.is_empty() || name == "amqp_request_reply", "{name}");
    }
}
