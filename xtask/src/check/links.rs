//! What the documents point to is there.

use super::Report;
use super::tree::{File, Tree};

/// Folders of the workspace: a path that starts with one of them, written as code in a document, has to exist.
const FOLDERS: &[&str] =
    &["crates/", "docs/", "xtask/", "testdata/", "peers/", "bench/", "mutants/", "fuzz/", ".ci/", ".cargo/"];

/// A link in a Markdown file leads to a file that exists.
pub fn links_point_to_files(tree: &Tree, report: &mut Report<'_>) {
    for file in documents(tree) {
        for (line, text) in prose_lines(&file.text) {
            for target in link_targets(text).filter(|target| is_relative(target)) {
                let path = target.split(['#', '?']).next().unwrap_or(target);
                if !path.is_empty() && !resolve(&file.path, path).is_some_and(|path| tree.has(&path)) {
                    report.add(&file.path, line, format!("`{target}` leads nowhere: mend the link"));
                }
            }
        }
    }
}

/// A path of the workspace that a Markdown file names exists.
pub fn named_paths_exist(tree: &Tree, report: &mut Report<'_>) {
    for file in documents(tree) {
        for (line, text) in prose_lines(&file.text) {
            for path in code_spans(text).filter(|span| is_named_path(span)) {
                let path = path.trim_end_matches(['/', '.', ':']);
                if !tree.has(path) {
                    report.add(&file.path, line, format!("there is no `{path}`: mend the name"));
                }
            }
        }
    }
}

fn documents(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(|file| file.path.ends_with(".md"))
}

/// Returns the numbered lines outside of fenced and indented blocks of code.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        (!is_fence && !is_fenced && !line.starts_with("    ")).then_some((index + 1, line))
    })
}

/// Returns the targets of `[text](target)`, outside of spans of code.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    let is_code = |at: usize| !line[..at].matches('`').count().is_multiple_of(2);
    line.match_indices("](").filter(move |(at, _)| !is_code(*at)).filter_map(|(at, _)| {
        let rest = &line[at + 2..];
        rest.split([')', ' ']).next().filter(|target| !target.is_empty())
    })
}

fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:") && !target.starts_with('#')
}

fn is_named_path(span: &str) -> bool {
    let is_plain = span.chars().all(|character| character.is_ascii_alphanumeric() || "/._-".contains(character));
    is_plain && FOLDERS.iter().any(|folder| span.starts_with(folder)) && !span.contains("...")
}

/// Returns where `target`, written in `document`, leads; nothing where it leaves the repository.
fn resolve(document: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{none, one};
    use super::*;

    #[test]
    fn a_link_to_nowhere_is_found() {
        let files = [("docs/a.md", "one\n[b](dev/b.md) and [c](../c.md#part)"), ("docs/dev/b.md", "")];
        one(links_point_to_files, &files, "docs/a.md:2", "`../c.md#part` leads nowhere");
        one(links_point_to_files, &[("a.md", "[x](../../x.md)")], "a.md:1", "leads nowhere");
    }

    #[test]
    fn links_elsewhere_and_links_in_code_are_no_concern() {
        let text = "[a](https://docs.github.com) [b](#part) `[c](d)`\n```\n[e](f)\n```\n\n    [g](h)\n[self](a.md) [folder](docs/)";
        none(links_point_to_files, &[("a.md", text), ("docs/b.md", "")]);
    }

    #[test]
    fn a_path_that_is_not_there_is_found() {
        let text = "See `crates/a/src/lib.rs` and\n`crates/a/src/gone.rs`.";
        one(named_paths_exist, &[("a.md", text), ("crates/a/src/lib.rs", "")], "a.md:2", "no `crates/a/src/gone.rs`");
    }

    #[test]
    fn patterns_and_commands_are_no_paths() {
        none(
            named_paths_exist,
            &[("a.md", "`crates/*/src`, `docs/NAME or so`, `bench`, `target/x`, `crates/` there"), ("crates/a.rs", "")],
        );
    }
}
