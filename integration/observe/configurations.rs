//! The configurations are checked by the programs that read them, and agree with each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use integration::unique;
use serde_json::Value;

use crate::dashboard::dashboard;
use crate::given;

/// A program's own check of a file, in the folder that the file is in.
struct Check {
    file: &'static str,
    /// What of it is right, and what is wrong in its place.
    mistake: [&'static str; 2],
    check: fn(&Path) -> Output,
}

const CHECKS: [Check; 3] = [
    Check {
        file: "integration/observe/collector.yaml",
        mistake: ["decision_wait", "decision_weight"],
        check: |file| run(&given("OTELCOL"), &["validate", "--config", text(file)]),
    },
    Check {
        file: "integration/observe/prometheus/prometheus.yml",
        mistake: ["honor_labels", "honour_labels"],
        check: |file| run("promtool", &["check", "config", text(file)]),
    },
    Check {
        file: "docker-compose.yml",
        mistake: ["depends_on: [jaeger]", "depends_on: [jager]"],
        check: |file| compose(file, &["config", "--quiet"]),
    },
];

#[test]
fn each_configuration_is_valid_to_the_program_that_reads_it_and_not_with_a_mistake() {
    for Check {
        file,
        mistake: [right, wrong],
        check,
    } in CHECKS
    {
        let path = root().join(file);
        let output = check(&path);
        assert!(output.status.success(), "{file}: {output:?}");

        let content = fs::read_to_string(&path).expect("a file");
        assert!(content.contains(right), "{file} has {right}");
        let folder = std::env::temp_dir().join(unique("configuration"));
        fs::create_dir(&folder).expect("a folder");
        let mistaken = folder.join(path.file_name().expect("a name"));
        fs::write(&mistaken, content.replace(right, wrong)).expect("a file");
        let output = check(&mistaken);
        fs::remove_dir_all(&folder).expect("the folder is removed");
        assert!(!output.status.success(), "{file}: {output:?}");
    }
}

#[test]
fn what_the_containers_mount_is_there_and_each_image_is_of_one_release() {
    let services = services();
    let observed = services.keys().map(String::as_str).collect::<BTreeSet<_>>();
    for service in ["collector", "grafana", "jaeger", "prometheus"] {
        assert!(observed.contains(service), "{observed:?}");
    }
    for (name, service) in &services {
        let (_, tag) = service["image"]
            .as_str()
            .and_then(|image| image.split_once(':'))
            .expect("a tag");
        assert!(tag.contains(|c: char| c.is_ascii_digit()), "{name}: {tag}");
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume["source"].as_str().expect("a path");
            assert!(Path::new(source).exists(), "{name}: {source}");
        }
    }
}

#[test]
fn the_collector_is_of_the_same_release_in_a_container_and_as_a_process() {
    let services = services();
    let image = services["collector"]["image"].as_str().expect("an image");
    let (_, release) = image.rsplit_once(':').expect("a tag");
    let output = run(&given("OTELCOL"), &["components"]);
    let components = String::from_utf8(output.stdout).expect("text");

    let modules = components
        .lines()
        .filter_map(|line| line.split_once("module: "));
    let mut contrib = modules.filter(|(_, module)| module.contains("tailsamplingprocessor "));
    let (_, module) = contrib.next().expect("the processor");
    assert!(
        module.ends_with(&format!("v{release}")),
        "{module}: {image}"
    );
}

#[test]
fn the_dashboard_asks_the_data_sources_that_grafana_is_given() {
    let sources = "integration/observe/grafana/provisioning/datasources/datasources.yaml";
    let sources = fs::read_to_string(root().join(sources)).expect("a file");
    let uids = sources
        .lines()
        .filter_map(|line| line.trim().strip_prefix("uid: "));
    let given: BTreeSet<_> = uids.map(str::to_owned).collect();

    let mut asked = BTreeSet::new();
    uids_in(&dashboard(), &mut asked);
    assert!(asked.is_subset(&given), "{asked:?} {given:?}");
    assert!(asked.contains("prometheus"), "{asked:?}");
}

fn uids_in(value: &Value, uids: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value["uid"].as_str() {
                    Some(uid) if name == "datasource" => {
                        uids.insert(uid.to_owned());
                    }
                    _ => uids_in(value, uids),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| uids_in(value, uids)),
        _ => {}
    }
}

/// The services of docker-compose.yml, as Compose reads them.
fn services() -> serde_json::Map<String, Value> {
    let output = compose(
        &root().join("docker-compose.yml"),
        &["config", "--format", "json"],
    );
    assert!(output.status.success(), "{output:?}");
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    read["services"].as_object().expect("services").clone()
}

fn compose(file: &Path, arguments: &[&str]) -> Output {
    let compose = given("DOCKER_COMPOSE");
    let mut words = compose.split(' ');
    let program = words.next().expect("a program");
    let of_file = ["-f", text(file), "--profile", "observe"];
    let all: Vec<_> = words
        .chain(of_file)
        .chain(arguments.iter().copied())
        .collect();
    run(program, &all)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| unreachable!("{program}: {error}"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
