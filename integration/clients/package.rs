//! Packages whose tests are files of the client's package.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Client;
use crate::ends::Test;
use crate::listed::Listed;
use crate::runs::tests_of;

/// As in the manifest of the workspace, without which all would be compiled twice.
const WORKSPACE: &str = r#"
[workspace]
members = ["bare", "wrapped"]
resolver = "3"

[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
debug = false
"#;

/// The generated packages of one client, compiled.
#[derive(Debug)]
pub(crate) struct Package {
    /// Where they are.
    pub(crate) folder: PathBuf,
    /// Where the client's package is.
    pub(crate) client: PathBuf,
    /// Where tests of ours are, of what the client's own do not have.
    more: PathBuf,
    /// The client's release.
    pub(crate) version: String,
    /// Names of the files with its tests.
    pub(crate) files: Vec<String>,
    /// By the names of package and file.
    programs: BTreeMap<(Kind, String), PathBuf>,
}

/// What the tests of a package depend on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// The client.
    Bare,
    /// The package of ours that has the client's name.
    Wrapped,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Bare, Self::Wrapped];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Wrapped => "wrapped",
        }
    }
}

impl Package {
    pub(crate) fn of(client: &Client, left_out: &Listed) -> Self {
        let told = resolved(client.name);
        let manifest = Path::new(told["manifest_path"].as_str().expect("a manifest"));
        let source = manifest.parent().expect("a folder").to_owned();
        let mut files = names_of_tests(&source.join("tests"));
        files.extend(names_of_tests(&more(client.name)));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("clients")
            .join(client.name);
        let mut package = Self {
            folder,
            more: more(client.name),
            client: source,
            version: told["version"].as_str().expect("a version").to_owned(),
            files,
            programs: BTreeMap::new(),
        };
        package.write(client, left_out, &told);
        package.compile();
        package
    }

    /// The tests of one of the two packages, in the order of their names.
    pub(crate) fn tests(&self, kind: Kind) -> Vec<Test> {
        let of_package = self.programs.iter().filter(|((of, _), _)| *of == kind);
        of_package
            .flat_map(|((_, file), program)| tests_of(file, program))
            .collect()
    }

    pub(crate) fn program(&self, kind: Kind, file: &str) -> &Path {
        &self.programs[&(kind, file.to_owned())]
    }

    fn write(&self, client: &Client, left_out: &Listed, told: &Value) {
        write(&self.folder.join("Cargo.toml"), WORKSPACE);
        self.take_over_lock();

        let compiled = || self.files.iter().filter(|file| !left_out.has_file(file));
        let texts: String = compiled()
            .filter_map(|file| fs::read_to_string(self.test(file)).ok())
            .collect();
        let bare = format!(
            "{{ version = \"={}\", default-features = false, features = {:?} }}",
            self.version, client.features
        );
        for name in client.absent {
            let manifest = format!(
                "[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                 [lib]\npath = {:?}\ntest = false\ndoctest = false\n",
                root().join("integration/clients/absent.rs")
            );
            write(&self.folder.join(name).join("Cargo.toml"), &manifest);
        }
        let wrapped = ours(client.name);
        for (kind, dependency) in [(Kind::Bare, bare), (Kind::Wrapped, wrapped)] {
            let name = kind.name();
            let mut manifest = format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = {}\nautotests = false\n\n\
                 [features]\n",
                told["edition"]
            );
            // The tests ask for features of their own package.
            for feature in client.features {
                writeln!(manifest, "{feature} = []").expect("a text grows");
            }
            writeln!(
                manifest,
                "default = {:?}\n\n[dependencies]\n{} = {dependency}",
                client.features, client.name
            )
            .expect("a text grows");
            for dependency in dependencies(told, &texts, client.absent) {
                manifest += &dependency;
            }
            for name in client.absent {
                writeln!(manifest, "{name} = {{ path = \"../{name}\" }}").expect("a text grows");
            }
            for name in client.stand_ins {
                writeln!(manifest, "{name} = {}", ours(name)).expect("a text grows");
            }
            for file in compiled() {
                write!(
                    manifest,
                    "\n[[test]]\nname = {file:?}\npath = {:?}\n",
                    self.test(file)
                )
                .expect("a text grows");
            }
            let folder = self.folder.join(name);
            write(&folder.join("Cargo.toml"), &manifest);
            // Where a test looks for the files of its own package.
            let (theirs, link) = (self.client.join("tests"), folder.join("tests"));
            if fs::read_link(&link).ok().as_ref() != Some(&theirs) {
                let _ = fs::remove_file(&link);
                symlink(theirs, link).expect("a link that can be made");
            }
        }
    }

    /// So that what is compiled for the workspace is not compiled again in another release.
    fn take_over_lock(&self) {
        let (from, to) = (root().join("Cargo.lock"), self.folder.join("Cargo.lock"));
        let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        if changed(&from) > changed(&to) {
            write(&to, &fs::read_to_string(from).expect("a file with text"));
        }
    }

    /// Whether a file has tests of ours.
    pub(crate) fn has_of_ours(&self, file: &str) -> bool {
        self.more.join(format!("{file}.rs")).exists()
    }

    /// Tests that are not even compiled because of a feature that was not asked for.
    pub(crate) fn not_compiled(&self, client: &Client, left_out: &Listed) -> Vec<String> {
        let compiled = self.files.iter().filter(|file| !left_out.has_file(file));
        let wrong = compiled.flat_map(|file| {
            let text = fs::read_to_string(self.test(file)).unwrap_or_default();
            let named = text.split("feature = \"").skip(1);
            let named: BTreeSet<_> = named.filter_map(|after| after.split('"').next()).collect();
            let off = named
                .into_iter()
                .filter(|name| !client.features.contains(name));
            off.map(|name| format!("{file} has something for the feature {name}, which is off"))
                .collect::<Vec<_>>()
        });
        wrong.collect()
    }

    fn test(&self, file: &str) -> PathBuf {
        let folder = if self.has_of_ours(file) {
            self.more.clone()
        } else {
            self.client.join("tests")
        };
        folder.join(format!("{file}.rs"))
    }

    fn compile(&mut self) {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("a target folder");
        let mut command = Command::new(cargo());
        // What cargo has told this test of its own package. Build scripts that look at it would run again each time.
        for (name, _) in env::vars_os() {
            let of_package = ["CARGO_MANIFEST_", "CARGO_PKG_"];
            if name
                .to_str()
                .is_some_and(|name| of_package.iter().any(|of| name.starts_with(of)))
            {
                command.env_remove(name);
            }
        }
        let output = command
            .args(["test", "--workspace", "--no-run", "--message-format=json"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", target)
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if !output.status.success() {
            let errors: String = lines
                .iter()
                .filter(|line| line["message"]["level"] == "error")
                .filter_map(|line| line["message"]["rendered"].as_str())
                .collect();
            panic!(
                "tests of the client do not compile; those that cannot are listed in left-out.txt\n{errors}"
            );
        }
        for line in &lines {
            let manifest = Path::new(line["manifest_path"].as_str().unwrap_or_default());
            let folder = manifest.parent().and_then(Path::file_name);
            let kind = Kind::BOTH
                .into_iter()
                .find(|kind| folder.is_some_and(|folder| folder == kind.name()));
            let Some((kind, program)) = kind.zip(line["executable"].as_str()) else {
                continue;
            };
            let file = line["target"]["name"].as_str().expect("a name");
            self.programs
                .insert((kind, file.to_owned()), PathBuf::from(program));
        }
    }
}

/// What cargo tells of the release that the workspace uses.
fn resolved(name: &str) -> Value {
    let output = Command::new(cargo())
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo");
    let mut told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = told["packages"].as_array_mut().expect("packages");
    let of_client = packages.iter_mut().find(|package| {
        // Not the package of ours, which has the name as a library.
        package["name"] == name && !package["source"].is_null()
    });
    of_client.expect("the client").take()
}

/// A dependency on the package of ours that stands in for one.
fn ours(name: &str) -> String {
    let path = root().join("integration/clients").join(name);
    format!("{{ package = \"clients-{name}\", path = {path:?} }}")
}

/// Dependencies of the client and of its tests that the tests name.
fn dependencies(told: &Value, texts: &str, absent: &[&str]) -> Vec<String> {
    let all = told["dependencies"].as_array().expect("dependencies");
    let mut named = BTreeMap::new();
    for dependency in all.iter().filter(|of| of["kind"] != "build") {
        let name = dependency["name"].as_str().expect("a name");
        let path = format!("{}::", name.replace('-', "_"));
        if !texts.contains(&path) || absent.contains(&name) {
            continue;
        }
        let (_, defaults, features) = named
            .entry(name)
            .or_insert_with(|| (&dependency["req"], false, BTreeSet::new()));
        *defaults |= dependency["uses_default_features"] == true;
        let asked = dependency["features"].as_array().expect("features");
        features.extend(asked.iter().filter_map(Value::as_str));
    }
    named
        .into_iter()
        .map(|(name, (release, defaults, features))| {
            let features = Vec::from_iter(features);
            format!(
                "{name} = {{ version = {release}, default-features = {defaults}, \
                 features = {features:?} }}\n"
            )
        })
        .collect()
}

fn more(client: &str) -> PathBuf {
    root().join("integration/clients/more").join(client)
}

fn names_of_tests(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.expect("a file").file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Leaves a file alone that has this text already, else cargo would compile again.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder that can be made");
    fs::write(path, text).expect("a file that can be written");
}

fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}
