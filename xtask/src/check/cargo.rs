//! What cargo's own tools say, as findings.

use std::path::Path;
use std::process::{Command, Output};

use super::Finding;

/// Returns the files that rustfmt would change.
pub fn format(root: &Path) -> Result<Vec<Finding>, String> {
    let output = cargo(root, &["fmt", "--all", "--", "--check", "-l"])?;
    let mut found = unformatted(&String::from_utf8_lossy(&output.stdout), root);
    // Files to format are listed without a word on the other stream: what is there is another failure.
    if !output.stderr.is_empty() || (!output.status.success() && found.is_empty()) {
        found.push(failure("format", &output));
    }
    Ok(found)
}

/// Returns the warnings of clippy over everything, tests included.
pub fn clippy(root: &Path) -> Result<Vec<Finding>, String> {
    let arguments =
        ["clippy", "--workspace", "--all-targets", "--quiet", "--message-format=short", "--", "-D", "warnings"];
    let output = cargo(root, &arguments)?;
    let mut found: Vec<_> = String::from_utf8_lossy(&output.stderr).lines().filter_map(warning).collect();
    if !output.status.success() && found.is_empty() {
        found.push(failure("clippy", &output));
    }
    Ok(found)
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<Output, String> {
    // `cargo xtask` names the toolchain's cargo here; started by hand, the one in the path will do.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo {} cannot be started: {error}", arguments[0]))
}

/// A tool that failed at something other than what it looks for is a finding as well, so that the others are still seen.
fn failure(rule: &'static str, output: &Output) -> Finding {
    let said = String::from_utf8_lossy(&output.stderr);
    let remedy = format!("cargo failed: {}", said.lines().next().unwrap_or("without a word"));
    Finding { path: "Cargo.toml".to_owned(), line: 1, rule, remedy }
}

fn unformatted(listing: &str, root: &Path) -> Vec<Finding> {
    let prefix = format!("{}/", root.display());
    listing
        .lines()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| Finding {
            path: path.trim_start_matches(prefix.as_str()).to_owned(),
            line: 1,
            rule: "format",
            remedy: "run `cargo fmt`".to_owned(),
        })
        .collect()
}

/// Reads `path:line:column: level: message`.
fn warning(line: &str) -> Option<Finding> {
    let mut parts = line.splitn(4, ':');
    let (path, number, _column) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    let message = parts.next()?.trim();
    Some(Finding { path: path.to_owned(), line: number, rule: "clippy", remedy: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_of_clippy_is_a_finding() {
        let found = warning("crates/a/src/b.rs:12:9: error: this loop never loops: see it").expect("this is a warning");
        assert_eq!(found.to_string(), "crates/a/src/b.rs:12: clippy: error: this loop never loops: see it");
        assert_eq!(warning("error: could not compile `a` (lib) due to 1 previous error"), None);
    }

    #[test]
    fn files_to_format_are_named_from_the_root() {
        let found = unformatted("/repo/crates/a/src/b.rs\n", Path::new("/repo"));
        assert_eq!(found[0].to_string(), "crates/a/src/b.rs:1: format: run `cargo fmt`");
    }
}
