//! The order of the core's modules: no arrow turns back.

use super::Report;
use super::rust_source::{NamedPath, RustSource};
use super::tree::{File, Tree};

/// The modules of the core, from the ground up. A module may use its own layer and those before it.
#[rustfmt::skip]
const LAYERS: &[&[&str]] = &[
    &["id", "time"],
    // The words that facts and effects carry.
    &["event", "run", "shown"],
    &["fact", "effect"],
    &["config", "deployment", "item", "pull", "timetable", "entity", "repository"],
    // What every decision asks of the state, and how it says what it wants.
    &["outbox", "trust", "turn", "report", "room", "told"],
    &["plan", "call", "schedule", "rerun", "merge", "deploy"],
    &["command", "forget", "configured"],
    &["engine"],
    &["port", "intake", "step"],
];

const CORE: &str = "crates/greenlight-core/src/";

/// A module of the core uses only its own layer and those below.
pub fn no_arrow_turns_back(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in tree.rust() {
        let Some(module) = top_module(&file.path) else { continue };
        if tree.is_test_file(file) {
            continue;
        }
        match layer(module) {
            Some(own) => check_uses(file, rust, module, own, report),
            None => {
                report.add(&file.path, 1, format!("give `{module}` its place in the table of xtask's check/layers.rs"))
            }
        }
    }
}

fn check_uses(file: &File, rust: &RustSource, module: &str, own: usize, report: &mut Report<'_>) {
    for path in rust.paths.iter().filter(|path| !rust.is_test(path.offset)) {
        let Some(used) = top_module_used(path, &module_path(&file.path)) else { continue };
        let Some(other) = layer(&used) else { continue };
        if other > own {
            let remedy =
                format!("`{module}` stands below `{used}` and must not use it: move the word down, or this code up");
            report.add(&file.path, file.line_at(path.offset), remedy);
        }
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns the top module that a file of the core belongs to; none for its root.
fn top_module(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(CORE)?;
    let name = rest.split('/').next()?.trim_end_matches(".rs");
    (name != "lib").then_some(name)
}

/// Returns the names of the modules that lead to a file, such as `["run", "attempt"]`.
fn module_path(path: &str) -> Vec<String> {
    let inside = path.strip_prefix(CORE).unwrap_or(path).trim_end_matches(".rs");
    inside.split('/').filter(|name| *name != "mod").map(str::to_owned).collect()
}

/// Returns the top module that `path`, written in the module `at`, leads to.
fn top_module_used(path: &NamedPath, at: &[String]) -> Option<String> {
    let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
    match path.segments.first()?.as_str() {
        "crate" => path.segments.get(1).cloned(),
        "super" if supers >= at.len() => path.segments.get(supers).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{none, one};
    use super::*;

    #[test]
    fn an_arrow_that_turns_back_is_found() {
        let file = [("crates/greenlight-core/src/run.rs", "use crate::id::RunId;\nuse crate::engine::State;\n")];
        one(no_arrow_turns_back, &file, "crates/greenlight-core/src/run.rs:2", "`run` stands below `engine`");
    }

    #[test]
    fn it_is_found_however_it_is_written() {
        for text in ["use crate::{id::RunId, step::step};", "use super::step::step;", "fn f() { crate::step::step() }"]
        {
            one(
                no_arrow_turns_back,
                &[("crates/greenlight-core/src/fact.rs", text)],
                "crates/greenlight-core/src/fact.rs:1",
                "`step`",
            );
        }
        let nested = [("crates/greenlight-core/src/run/attempt.rs", "use super::super::merge::Merge;")];
        one(no_arrow_turns_back, &nested, "crates/greenlight-core/src/run/attempt.rs:1", "`merge`");
    }

    #[test]
    fn the_own_layer_and_those_below_are_fine() {
        none(
            no_arrow_turns_back,
            &[
                ("crates/greenlight-core/src/lib.rs", "pub use crate::step::step;"),
                ("crates/greenlight-core/src/merge.rs", "use crate::deploy::Deployment; use crate::run::Run;"),
                ("crates/greenlight-core/src/run/attempt.rs", "use super::job::Job;"),
            ],
        );
    }

    #[test]
    fn tests_may_look_anywhere() {
        none(
            no_arrow_turns_back,
            &[("crates/greenlight-core/src/run.rs", "#[cfg(test)]\nmod tests { use crate::step::step; }")],
        );
    }

    #[test]
    fn a_module_without_a_place_is_found() {
        let file = [("crates/greenlight-core/src/extra.rs", "")];
        one(no_arrow_turns_back, &file, "crates/greenlight-core/src/extra.rs:1", "give `extra` its place");
    }
}
