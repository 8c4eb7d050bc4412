//! `cargo xtask check`: the rules of the house as tests.
//!
//! A rule is a function from the tracked files to findings, so that its own tests can seed a violation and
//! see it found. The rules know text, not types: what a compiler or clippy can say is left to them.

mod cargo;
mod knowledge;
mod layers;
mod links;
mod places;
mod purity;
mod rust_source;
mod tidiness;
mod tree;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use tree::Tree;

/// A place where a rule is broken, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub rule: &'static str,
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.remedy)
    }
}

/// A named rule over the tracked files.
struct Rule {
    name: &'static str,
    find: fn(&Tree, &mut Report<'_>),
}

/// Collects what one rule finds.
pub struct Report<'a> {
    rule: &'static str,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    pub fn add(&mut self, path: &str, line: usize, remedy: impl Into<String>) {
        self.findings.push(Finding { path: path.to_owned(), line, rule: self.rule, remedy: remedy.into() });
    }
}

const RULES: &[Rule] = &[
    Rule { name: "who-knows-whom", find: knowledge::crates_know_only_whom_they_may },
    Rule { name: "module-order", find: layers::no_arrow_turns_back },
    Rule { name: "pure-code", find: purity::pure_code_touches_nothing_outside },
    Rule { name: "pure-dependencies", find: purity::pure_crates_depend_on_nothing_impure },
    Rule { name: "format-at-the-edge", find: purity::domain_types_have_no_format },
    Rule { name: "unfinished", find: tidiness::nothing_is_unfinished },
    Rule { name: "vague-name", find: tidiness::no_module_has_a_vague_name },
    Rule { name: "allow", find: tidiness::no_lint_is_allowed_silently },
    Rule { name: "unwrap", find: tidiness::no_unwrap_outside_tests },
    Rule { name: "test-switch", find: tidiness::cfg_test_is_for_test_modules },
    Rule { name: "file-length", find: tidiness::files_are_short },
    Rule { name: "line-length", find: tidiness::lines_are_short },
    Rule { name: "module-docs", find: tidiness::every_crate_says_what_it_is },
    Rule { name: "map", find: tidiness::a_crate_root_is_a_map },
    Rule { name: "machine-path", find: places::no_path_of_a_machine },
    Rule { name: "registry-host", find: places::no_host_of_a_registry },
    Rule { name: "mail-address", find: places::no_mail_address },
    Rule { name: "link", find: links::links_point_to_files },
    Rule { name: "named-path", find: links::named_paths_exist },
];

const HELP: &str = "\
Checks format, clippy and the rules of the house; prints `path:line: rule: what to do`, one line per finding.

Usage: cargo xtask check [--quick]

Options:
  --quick   leave out cargo fmt and clippy: only the rules over the text, in well under a second

Exit code: 0 nothing found, 1 something found, 2 the check could not be made.";

/// Runs the command.
pub fn run(root: &Path, arguments: &[String]) -> ExitCode {
    let quick = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        ["--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(crate::EXIT_USAGE);
        }
    };
    match findings(root, quick) {
        Ok(findings) => conclude(&findings),
        Err(reason) => {
            eprintln!("check: {reason}");
            ExitCode::from(crate::EXIT_USAGE)
        }
    }
}

fn findings(root: &Path, quick: bool) -> Result<Vec<Finding>, String> {
    let tree = Tree::tracked(root)?;
    let mut findings = apply(RULES, &tree);
    if !quick {
        findings.extend(cargo::format(root)?);
        findings.extend(cargo::clippy(root)?);
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

fn apply(rules: &[Rule], tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules {
        (rule.find)(tree, &mut Report { rule: rule.name, findings: &mut findings });
    }
    findings
}

fn conclude(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("check: nothing found by {} rules", RULES.len()),
        1 => println!("check: 1 finding"),
        count => println!("check: {count} findings"),
    }
    ExitCode::from(u8::from(!findings.is_empty()))
}

#[cfg(test)]
mod testing {
    use super::*;

    /// Returns the tree of `files`.
    pub fn tree_of(files: &[(&str, &str)]) -> Tree {
        Tree::new(files.iter().map(|(path, text)| (*path, text.as_bytes().to_vec())))
    }

    /// Returns what `find` says about `files`, as `path:line` and the remedy.
    pub fn found(find: fn(&Tree, &mut Report<'_>), files: &[(&str, &str)]) -> Vec<String> {
        let mut findings = Vec::new();
        find(&tree_of(files), &mut Report { rule: "rule", findings: &mut findings });
        findings.iter().map(|finding| format!("{}:{} {}", finding.path, finding.line, finding.remedy)).collect()
    }

    /// Asserts that `find` finds exactly one thing in `files`, at `place`, and that its remedy has `words`.
    #[track_caller]
    pub fn one(find: fn(&Tree, &mut Report<'_>), files: &[(&str, &str)], place: &str, words: &str) {
        let found = found(find, files);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("{place} ")) && found[0].contains(words), "{found:#?}");
    }

    /// Asserts that `find` has nothing against `files`.
    #[track_caller]
    pub fn none(find: fn(&Tree, &mut Report<'_>), files: &[(&str, &str)]) {
        assert_eq!(found(find, files), Vec::<String>::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_editors_can_follow() {
        let finding = Finding { path: "a/b.rs".into(), line: 7, rule: "unwrap", remedy: "say why".into() };
        assert_eq!(finding.to_string(), "a/b.rs:7: unwrap: say why");
    }

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn a_seeded_violation_is_found_through_the_whole_list() {
        let tree = testing::tree_of(&[("crates/greenlight-store/src/rows.rs", "fn f() {\n    g().unwrap();\n}\n")]);
        let found: Vec<_> = apply(RULES, &tree).iter().map(ToString::to_string).collect();
        assert!(
            found.iter().any(|line| line.starts_with("crates/greenlight-store/src/rows.rs:2: unwrap: ")),
            "{found:#?}"
        );
    }
}
