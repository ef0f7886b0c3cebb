//! Who imports whom. What is for tests alone is left out: it may look at anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{Kind, Token, declarations};
use crate::tree::{File, Tree};

/// Modules of the crate's root from the ground up. Each may import from floors below its own; there
/// is nothing between those of one floor.
const FLOORS: [&[&str]; 6] = [
    &["semconv", "w3c"],
    &["policy", "propagators"],
    &["telemetry"],
    &["with_tracing"],
    &["engine"],
    &[
        "amqp",
        "environment",
        "guide",
        "internal",
        "kafka",
        "nats",
        "sampler",
        "testing",
        "text",
    ],
];

/// The module whose file lists its own floors, from the first one to the last.
const ENGINE: &str = "engine";

/// An import: `file` names what is in the module `to`, which is not its own.
struct Import<'a> {
    file: &'a File,
    line: usize,
    to: &'a str,
}

pub(crate) fn imports_go_down(tree: &Tree) -> Vec<String> {
    let floor_of = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    let mut violations = Vec::new();
    for import in imports(tree)
        .iter()
        .filter(|import| import.file.path != "lib.rs")
    {
        let (from, to) = (import.file.top(), top(import.to));
        let advice = match (floor_of(from), floor_of(to)) {
            _ if import.to.is_empty() => "name the module that it is in, not the crate's root",
            (None, _) | (_, None) => "give each module a floor in integration/layout/imports.rs",
            (Some(own), Some(other)) if from != to && other >= own => {
                "what both need belongs below them"
            }
            _ => continue,
        };
        violations.push(import.violation(from, to, advice));
    }
    violations.dedup();
    violations
}

/// The order is that of the declarations in the engine's own file.
pub(crate) fn engine_floors_go_up_the_list(tree: &Tree) -> Vec<String> {
    let declared = tree.0.iter().find(|file| file.path == "engine/mod.rs");
    let Some(declared) = declared else {
        return Vec::new();
    };
    let order: Vec<&str> = declarations(&declared.tokens).collect();
    let place = |module: &str| order.iter().position(|floor| *floor == module);
    let mut violations = Vec::new();
    for import in &imports(tree) {
        let (Some(from), Some(to)) = (
            below(ENGINE, import.file.module()),
            below(ENGINE, import.to),
        ) else {
            continue;
        };
        if place(to) > place(from) {
            let advice = "it stands further down in src/engine/mod.rs";
            violations.push(import.violation(from, to, advice));
        }
    }
    violations
}

/// The lines that a drawing of the floors has to have, from the top one down, and those of the engine.
pub(crate) fn lines_of_drawing(tree: &Tree) -> Vec<String> {
    let floors = FLOORS.iter().enumerate().rev();
    let floors = floors.map(|(place, modules)| format!("{}   {}", place + 1, modules.join("   ")));
    let engine = tree.0.iter().filter(|file| file.path == "engine/mod.rs");
    let engine = engine
        .flat_map(|file| declarations(&file.tokens))
        .enumerate();
    let engine = engine.map(|(place, module)| format!("{:>2}  {module} ", place + 1));
    floors.chain(engine).collect()
}

/// Of the modules of one folder none leads back to itself.
pub(crate) fn imports_form_no_circle(tree: &Tree) -> Vec<String> {
    let imports = imports(tree);
    let folders: BTreeSet<&str> = tree
        .0
        .iter()
        .flat_map(|file| folders(file.module()))
        .collect();
    let mut violations = Vec::new();
    for folder in folders {
        let within = imports.iter().filter_map(|import| {
            let from = below(folder, import.file.module())?;
            let to = below(folder, import.to)?;
            (from != to).then_some((from, to, import))
        });
        let within: Vec<_> = within.collect();
        let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to, _) in &within {
            graph.entry(*from).or_default().insert(*to);
        }
        for (from, to, import) in &within {
            if leads(&graph, to, from) {
                let advice =
                    format!("that leads back to {from}; what both need belongs into a third");
                violations.push(import.violation(from, to, &advice));
            }
        }
    }
    violations.dedup();
    violations
}

impl Import<'_> {
    fn violation(&self, from: &str, to: &str, advice: &str) -> String {
        let Self { file, line, .. } = self;
        let to = if to.is_empty() { "the root" } else { to };
        format!(
            "{}/{}:{line}: {from} imports {to}; {advice}",
            file.root, file.path
        )
    }
}

/// Whether the modules from `start` lead to `end`.
fn leads<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str, end: &str) -> bool {
    let mut seen = BTreeSet::from([start]);
    let mut next = vec![start];
    while let Some(module) = next.pop() {
        if module == end {
            return true;
        }
        let further = graph.get(module).into_iter().flatten();
        next.extend(further.filter(|to| seen.insert(to)));
    }
    false
}

fn imports(tree: &Tree) -> Vec<Import<'_>> {
    let modules: BTreeSet<&str> = tree.0.iter().map(File::module).collect();
    let mut imports = Vec::new();
    for (file, tokens) in tree.without_tests() {
        for Path {
            line,
            inside,
            names,
        } in paths(&tokens)
        {
            let to = resolved(file.module(), &inside, &names, &modules);
            imports.extend(to.filter(|to| *to != file.module()).map(|to| Import {
                file,
                line,
                to,
            }));
        }
    }
    imports
}

/// The innermost module that a path names which stands in `own`; none where there is no file of it.
fn resolved<'a>(
    own: &str,
    inside: &[&str],
    path: &[&str],
    modules: &BTreeSet<&'a str>,
) -> Option<&'a str> {
    let mut parts: Vec<&str> = own.split('/').filter(|part| !part.is_empty()).collect();
    parts.extend(inside);
    let mut rest = path.iter();
    for part in rest.by_ref() {
        match *part {
            "crate" => parts.clear(),
            "super" => drop(parts.pop()),
            "self" => {}
            name => {
                parts.push(name);
                break;
            }
        }
    }
    let start = parts.len().saturating_sub(1);
    parts.extend(rest);
    let prefixes = (start..=parts.len()).rev();
    let mut named = prefixes.filter_map(|length| modules.get(&*parts[..length].join("/")));
    named.next().copied()
}

/// A path that begins in the crate.
struct Path<'a> {
    line: usize,
    /// The modules that it stands in, of those that have no file of their own.
    inside: Vec<&'a str>,
    names: Vec<&'a str>,
}

fn paths(tokens: &[Token]) -> Vec<Path<'_>> {
    let mut paths = Vec::new();
    let mut depth = 0_usize;
    let mut inside: Vec<(&str, usize)> = Vec::new();
    for at in 0..tokens.len() {
        match &tokens[at..] {
            [
                module,
                Token {
                    kind: Kind::Word(name),
                    ..
                },
                brace,
                ..,
            ] if module.is_word("mod") && brace.is_sign("{") => {
                inside.push((name, depth));
            }
            [brace, ..] if brace.is_sign("{") => depth += 1,
            [brace, ..] if brace.is_sign("}") => {
                depth = depth.saturating_sub(1);
                inside.pop_if(|(_, start)| *start == depth);
            }
            _ => {}
        }
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let is_start = ["crate", "self", "super"]
            .iter()
            .any(|start| tokens[at].is_word(start));
        let goes_on = tokens.get(at + 1).is_some_and(|next| next.is_sign("::"));
        // Who may see an item is no import.
        let is_visibility = before(1).is_some_and(|token| token.is_word("in"));
        let is_further = before(1).is_some_and(|token| token.is_sign("::"));
        if is_start && goes_on && !is_visibility && !is_further {
            let mut found = Vec::new();
            tree_of_paths(&tokens[at..], &[], &mut found);
            let inside: Vec<&str> = inside.iter().map(|(name, _)| *name).collect();
            paths.extend(found.into_iter().map(|(line, names)| Path {
                line,
                inside: inside.clone(),
                names,
            }));
        }
    }
    paths
}

/// Takes one path, or all that a group in braces makes of it, and says how many tokens that were.
fn tree_of_paths<'a>(
    tokens: &'a [Token],
    prefix: &[&'a str],
    paths: &mut Vec<(usize, Vec<&'a str>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match &token.kind {
            Kind::Word(word) => path.push(word),
            Kind::Sign("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| !token.is_sign("}")) {
                    at += tree_of_paths(&tokens[at..], &path, paths).max(1);
                    // What it is called here.
                    while tokens
                        .get(at)
                        .is_some_and(|token| !token.is_sign("}") && !token.is_sign(","))
                    {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|token| token.is_sign(",")));
                }
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if !tokens.get(at).is_some_and(|token| token.is_sign("::")) {
            break;
        }
        at += 1;
    }
    if let Some(first) = tokens.first() {
        paths.push((first.line, path));
    }
    at
}

/// The first module below `folder` that `module` is, or is in.
fn below<'a>(folder: &str, module: &'a str) -> Option<&'a str> {
    let rest = match folder {
        "" => module,
        _ => module.strip_prefix(folder)?.strip_prefix('/')?,
    };
    (!rest.is_empty()).then(|| top(rest))
}

fn top(module: &str) -> &str {
    module.split('/').next().unwrap_or_default()
}

/// The folders that a module is in, the root among them.
fn folders(module: &str) -> impl Iterator<Item = &str> {
    let ends = module.match_indices('/').map(|(end, _)| &module[..end]);
    ends.chain([""])
}
