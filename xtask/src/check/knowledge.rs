//! Who may know whom, among the crates.
//!
//! The table is the architecture: an adapter that could reach another adapter would, one day. What two of
//! them need is a word of the core, or does not exist. Dev-dependencies are apart: tests may stand on anything.

use super::Report;
use super::tree::{File, Tree};

/// Each crate with those of ours that it may depend on.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("greenlight-workflow", &[]),
    ("greenlight-core", &["greenlight-workflow"]),
    ("greenlight-store", &["greenlight-core"]),
    ("greenlight-github", &["greenlight-core"]),
    ("greenlight-git", &["greenlight-core"]),
    ("greenlight-runner", &["greenlight-core", "greenlight-workflow"]),
    ("greenlight-emulator", &[]),
    ("greenlight", SHIPPED),
    ("greenlight-sim", EVERYTHING),
    ("xtask", &[]),
];

const SHIPPED: &[&str] = &[
    "greenlight-workflow",
    "greenlight-core",
    "greenlight-store",
    "greenlight-github",
    "greenlight-git",
    "greenlight-runner",
    "greenlight-emulator",
];

const EVERYTHING: &[&str] = &[
    "greenlight-workflow",
    "greenlight-core",
    "greenlight-store",
    "greenlight-github",
    "greenlight-git",
    "greenlight-runner",
    "greenlight-emulator",
    "greenlight",
];

/// A crate depends only on those of ours that the table gives it.
pub fn crates_know_only_whom_they_may(tree: &Tree, report: &mut Report<'_>) {
    for manifest in tree.files.iter().filter(|file| is_member(file)) {
        let name = package_name(&manifest.text);
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(known, _)| *known == name) else {
            report.add(&manifest.path, 1, format!("give `{name}` its line in the table of xtask's check/knowledge.rs"));
            continue;
        };
        for dependency in dependencies(&manifest.text) {
            let is_ours = MAY_KNOW.iter().any(|(ours, _)| *ours == dependency.name);
            if is_ours && !allowed.contains(&dependency.name.as_str()) {
                let remedy =
                    format!("`{name}` must not know `{}`: make what it needs a word of the core", dependency.name);
                report.add(&manifest.path, dependency.line, remedy);
            }
        }
    }
}

fn is_member(file: &File) -> bool {
    file.is_named("Cargo.toml") && (file.path.starts_with("crates/") || file.path == "xtask/Cargo.toml")
}

/// A line of a manifest that brings in another crate.
pub struct Dependency {
    pub name: String,
    pub line: usize,
}

/// Returns what a manifest depends on, other than for its tests.
pub fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut is_list = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let (kind, name) = dependency_section(section);
            is_list = kind && name.is_none();
            found.extend(name.map(|name| Dependency { name, line: index + 1 }));
        } else if is_list && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or(line).trim_matches('"');
            found.push(Dependency { name: name.to_owned(), line: index + 1 });
        }
    }
    found
}

/// Returns whether a section lists dependencies, and the name if it is about a single one.
fn dependency_section(section: &str) -> (bool, Option<String>) {
    let section =
        section.strip_prefix("target.").and_then(|rest| rest.rsplit_once("'.")).map_or(section, |(_, rest)| rest);
    for kind in ["dependencies", "build-dependencies"] {
        if section == kind {
            return (true, None);
        }
        if let Some(name) = section.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.')) {
            return (true, Some(name.trim_matches('"').to_owned()));
        }
    }
    (false, None)
}

fn package_name(manifest: &str) -> &str {
    let line = manifest.lines().find(|line| line.starts_with("name"));
    line.and_then(|line| line.split('"').nth(1)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{none, one};
    use super::*;

    fn check(name: &str, rest: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{name}\"\n{rest}");
        let path = format!("crates/{name}/Cargo.toml");
        super::super::testing::found(crates_know_only_whom_they_may, &[(path.as_str(), manifest.as_str())])
    }

    #[test]
    fn an_adapter_that_knows_another_is_found() {
        let manifest = "[package]\nname = \"greenlight-store\"\n[dependencies]\ngreenlight-core.workspace = true\ngreenlight-git.workspace = true\n";
        let files = [("crates/greenlight-store/Cargo.toml", manifest)];
        one(
            crates_know_only_whom_they_may,
            &files,
            "crates/greenlight-store/Cargo.toml:5",
            "must not know `greenlight-git`",
        );
    }

    #[test]
    fn every_way_to_write_a_dependency_is_seen() {
        for rest in [
            "[dependencies]\ngreenlight-core = { path = \"../greenlight-core\" }\n",
            "[dependencies.greenlight-core]\nworkspace = true\n",
            "[build-dependencies]\n\"greenlight-core\".workspace = true\n",
            "[target.'cfg(unix)'.dependencies]\ngreenlight-core.workspace = true\n",
        ] {
            assert_eq!(check("greenlight-workflow", rest).len(), 1, "{rest}");
        }
    }

    #[test]
    fn nobody_knows_the_simulation() {
        assert_eq!(check("greenlight", "[dependencies]\ngreenlight-sim.workspace = true\n").len(), 1);
        assert_eq!(check("xtask", "[dependencies]\ngreenlight-sim.workspace = true\n").len(), 1);
    }

    #[test]
    fn tests_may_stand_on_anything() {
        assert!(check("greenlight-store", "[dev-dependencies]\ngreenlight-git.workspace = true\n").is_empty());
    }

    #[test]
    fn a_crate_without_a_line_is_found() {
        let files = [("crates/greenlight-new/Cargo.toml", "[package]\nname = \"greenlight-new\"\n")];
        one(crates_know_only_whom_they_may, &files, "crates/greenlight-new/Cargo.toml:1", "its line in the table");
    }

    #[test]
    fn crates_of_others_are_no_concern() {
        let manifest =
            "[package]\nname = \"greenlight-core\"\n[dependencies]\nthiserror.workspace = true\n# greenlight-git\n";
        none(crates_know_only_whom_they_may, &[("crates/greenlight-core/Cargo.toml", manifest)]);
    }
}
