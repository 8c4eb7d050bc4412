//! Core and language do no I/O: no async runtime, SQL, HTTP, files, clock or randomness.
//!
//! The simulation replays a run from a seed, which holds only while nothing in the core asks the world. Hash
//! maps are refused as a whole, since their order is random and iteration is easy to add later.

use super::Report;
use super::knowledge::dependencies;
use super::rust_source::NamedPath;
use super::tree::Tree;

const PURE: &[&str] = &["crates/greenlight-core/", "crates/greenlight-workflow/"];
const CORE: &str = "crates/greenlight-core/";

/// Paths of the standard library that reach outside, and what to use in their stead.
const OUTSIDE: &[(&[&str], &str)] = &[
    (&["std", "fs"], "files are asked of a port"),
    (&["std", "net"], "the network is asked of a port"),
    (&["std", "process"], "processes are the runner's"),
    (&["std", "thread"], "threads are the program's"),
    (&["std", "env"], "settings are arguments"),
];

/// Names that are refused wherever they stand in a path.
const NAMES: &[(&str, &str)] = &[
    ("SystemTime", "time is an argument"),
    ("Instant", "time is an argument"),
    ("HashMap", "its order is random: use BTreeMap"),
    ("HashSet", "its order is random: use BTreeSet"),
    ("RandomState", "randomness is an argument"),
];

/// Crates that reach outside.
const CRATES: &[(&str, &str)] = &[
    ("tokio", "pure code does not wait"),
    ("futures_util", "pure code does not wait"),
    ("reqwest", "HTTP is the adapters'"),
    ("axum", "HTTP is the program's"),
    ("sqlx", "SQL is the store's"),
    ("object_store", "blobs are the store's"),
    ("rustix", "the system is the adapters'"),
    ("tracing", "pure code returns what there is to say"),
    ("rand", "randomness is an argument"),
    ("fastrand", "randomness is an argument"),
    ("getrandom", "randomness is an argument"),
    ("uuid", "ids are arguments"),
    ("tempfile", "files are asked of a port"),
];

/// Code of the core and the language names nothing that reaches outside.
pub fn pure_code_touches_nothing_outside(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in tree.rust().filter(|(file, _)| is_pure(&file.path) && !tree.is_test_file(file)) {
        for path in rust.paths.iter().filter(|path| !rust.is_test(path.offset)) {
            if let Some(reason) = reaches_outside(path) {
                report.add(
                    &file.path,
                    file.line_at(path.offset),
                    format!("remove `{}`: {reason}", path.segments.join("::")),
                );
            }
        }
    }
}

/// The manifests of the core and the language bring in nothing that reaches outside.
pub fn pure_crates_depend_on_nothing_impure(tree: &Tree, report: &mut Report<'_>) {
    for manifest in tree.files.iter().filter(|file| is_pure(&file.path) && file.is_named("Cargo.toml")) {
        for dependency in dependencies(&manifest.text) {
            if let Some((_, reason)) = CRATES.iter().find(|(name, _)| *name == dependency.name.replace('-', "_")) {
                report.add(&manifest.path, dependency.line, format!("remove `{}`: {reason}", dependency.name));
            }
        }
    }
}

/// Types of the core do not know how they are stored or sent.
pub fn domain_types_have_no_format(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in tree.rust().filter(|(file, _)| file.path.starts_with(CORE)) {
        for path in rust.paths.iter().filter(|path| !rust.is_test(path.offset)) {
            let names_serde =
                path.segments.iter().any(|name| ["serde", "Serialize", "Deserialize"].contains(&name.as_str()));
            if names_serde {
                let remedy = "formats live at the edge: give the row or message a type of its own there";
                report.add(&file.path, file.line_at(path.offset), remedy);
            }
        }
    }
}

fn is_pure(path: &str) -> bool {
    PURE.iter().any(|folder| path.starts_with(folder))
}

fn reaches_outside(path: &NamedPath) -> Option<&'static str> {
    let starts_with = |prefix: &[&str]| {
        path.segments.len() >= prefix.len() && path.segments.iter().zip(prefix).all(|(one, other)| one == other)
    };
    let outside = OUTSIDE.iter().find(|(prefix, _)| starts_with(prefix)).map(|(_, reason)| *reason);
    let named =
        NAMES.iter().find(|(name, _)| path.segments.iter().any(|segment| segment == name)).map(|(_, reason)| *reason);
    // A single word outside of an import may be anybody's variable.
    let is_path = path.is_import || path.segments.len() > 1;
    let of_crate = CRATES.iter().find(|(name, _)| is_path && path.segments[0] == *name).map(|(_, reason)| *reason);
    outside.or(named).or(of_crate)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, none, one};
    use super::*;

    const FILE: &str = "crates/greenlight-core/src/run.rs";

    #[test]
    fn each_thing_from_outside_is_found() {
        for text in [
            "use std::{collections::BTreeMap, fs};",
            "fn f() { std::net::TcpStream::connect(a) }",
            "use std::process::Command;",
            "use std::thread;",
            "use std::time::SystemTime;",
            "fn f(now: std::time::Instant) {}",
            "use std::collections::HashMap;",
            "fn f(x: HashSet<u8>) {}",
            "use tokio::sync::mpsc;",
            "fn f() { uuid::Uuid::new_v4() }",
            "use rand::Rng;",
            "fn f() { getrandom::fill(x) }",
        ] {
            assert_eq!(found(pure_code_touches_nothing_outside, &[(FILE, text)]).len(), 1, "{text}");
        }
        one(
            pure_code_touches_nothing_outside,
            &[(FILE, "\nuse std::fs;")],
            "crates/greenlight-core/src/run.rs:2",
            "files are asked of a port",
        );
    }

    #[test]
    fn words_that_only_sound_alike_are_fine() {
        let text =
            "use std::time::Duration;\n// tokio::spawn, HashMap\nfn f(rand: u8, s: &str) { g(\"std::fs\", rand) }\n";
        none(pure_code_touches_nothing_outside, &[(FILE, text), ("crates/greenlight-store/src/a.rs", "use std::fs;")]);
    }

    #[test]
    fn tests_may_use_the_world() {
        none(
            pure_code_touches_nothing_outside,
            &[(FILE, "#[cfg(test)]\nmod tests { use std::fs; use std::collections::HashMap; }")],
        );
    }

    #[test]
    fn an_impure_dependency_is_found() {
        let manifest = "[dependencies]\nthiserror.workspace = true\ntokio.workspace = true\n[dev-dependencies]\ntempfile.workspace = true\n";
        one(
            pure_crates_depend_on_nothing_impure,
            &[("crates/greenlight-core/Cargo.toml", manifest)],
            "crates/greenlight-core/Cargo.toml:3",
            "tokio",
        );
    }

    #[test]
    fn a_domain_type_with_a_format_is_found() {
        let text = "#[derive(Debug, Serialize)]\npub struct Run;\n";
        one(
            domain_types_have_no_format,
            &[(FILE, text)],
            "crates/greenlight-core/src/run.rs:1",
            "formats live at the edge",
        );
        none(domain_types_have_no_format, &[("crates/greenlight-store/src/row.rs", text)]);
    }
}
