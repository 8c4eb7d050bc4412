//! Small habits that keep the code readable, so that no review has to mention them.

use super::Report;
use super::rust_source::RustSource;
use super::tree::{File, Tree};

/// Words that say that something is not done. Written in code or comments, in any language.
const UNFINISHED_WORDS: &[&str] = &["TODO", "FIXME", "XXX"];
/// Rust that says so.
const UNFINISHED_CODE: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

const VAGUE_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Lines that one file of code has at most.
const FILE_LINES_MAX: usize = 900;
/// Characters that one line of Rust has at most, not counting the insides of its strings.
const LINE_LENGTH_MAX: usize = 160;

/// Endings of files that hold code in a language other than Rust.
const CODE_ENDINGS: &[&str] = &["sh", "py", "js", "mjs", "cjs", "rb", "toml", "sql", "css", "html", "yml", "yaml"];

/// Nothing says of itself that it is not done, and no test is switched off.
pub fn nothing_is_unfinished(tree: &Tree, report: &mut Report<'_>) {
    for file in tree.files.iter().filter(|file| is_code(&file.path)) {
        let prose = file.rust.as_ref().map_or(&file.text, |rust| &rust.prose);
        for word in UNFINISHED_WORDS {
            for (offset, _) in prose.match_indices(word).filter(|(offset, _)| is_whole_word(prose, *offset, word.len()))
            {
                report.add(
                    &file.path,
                    file.line_at(offset),
                    format!("finish what `{word}` stands for, or write an issue and delete the word"),
                );
            }
        }
    }
    for (file, rust) in tree.rust() {
        for pattern in UNFINISHED_CODE {
            for offset in rust.find(pattern).filter(|offset| !is_word_before(&rust.code, *offset)) {
                report.add(&file.path, file.line_at(offset), format!("finish what `{pattern}` stands for"));
            }
        }
    }
}

/// No module is named after nothing in particular.
pub fn no_module_has_a_vague_name(tree: &Tree, report: &mut Report<'_>) {
    for (file, _) in tree.rust() {
        let names = file.path.trim_end_matches(".rs").split('/');
        if let Some(name) = names.into_iter().find(|name| VAGUE_NAMES.contains(name)) {
            report.add(&file.path, 1, format!("`{name}` says nothing: the thing has a name, find it"));
        }
    }
    for (file, rust) in tree.rust() {
        for offset in rust.find("mod ").filter(|offset| !is_word_before(&rust.code, *offset)) {
            let rest = &rust.code[offset + "mod ".len()..];
            let name = rest.split([' ', ';', '{']).next().unwrap_or("");
            if VAGUE_NAMES.contains(&name) {
                report.add(
                    &file.path,
                    file.line_at(offset),
                    format!("`{name}` says nothing: the thing has a name, find it"),
                );
            }
        }
    }
}

/// Lints are switched off by `#[expect]` with a reason, which fails when the reason is gone.
pub fn no_lint_is_allowed_silently(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in tree.rust() {
        for pattern in ["#[allow(", "#![allow("] {
            for offset in rust.find(pattern) {
                report.add(&file.path, file.line_at(offset), "write `#[expect(…, reason = \"…\")]` in its stead");
            }
        }
    }
}

/// A promise of our own is given with the reason that it holds.
pub fn no_unwrap_outside_tests(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in tree.rust().filter(|(file, _)| !tree.is_test_file(file)) {
        for offset in rust.find(".unwrap()").filter(|offset| !rust.is_test(*offset)) {
            report.add(&file.path, file.line_at(offset), "handle it, or write `expect` with the reason that it holds");
        }
    }
}

/// Shipping code has no switch for tests; they come in through the ports.
pub fn cfg_test_is_for_test_modules(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in tree.rust() {
        for offset in rust.test_switches() {
            report.add(
                &file.path,
                file.line_at(offset),
                "`cfg(test)` is for test modules: let the test come in through a port",
            );
        }
    }
}

/// A file holds one idea.
pub fn files_are_short(tree: &Tree, report: &mut Report<'_>) {
    for file in tree.files.iter().filter(|file| is_code(&file.path)) {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            let remedy =
                format!("{lines} lines: find the second idea in it and give that a file ({FILE_LINES_MAX} at most)");
            report.add(&file.path, FILE_LINES_MAX, remedy);
        }
    }
}

/// A line can be read beside another window.
pub fn lines_are_short(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in tree.rust() {
        for (index, line) in rust.prose.lines().enumerate() {
            let length = line.chars().filter(|character| *character != '\0').count();
            if length > LINE_LENGTH_MAX {
                report.add(&file.path, index + 1, format!("{length} characters: break it ({LINE_LENGTH_MAX} at most)"));
            }
        }
    }
}

/// The root of a crate opens with what it is for.
pub fn every_crate_says_what_it_is(tree: &Tree, report: &mut Report<'_>) {
    for (file, _) in crate_roots(tree) {
        if !file.text.trim_start().starts_with("//!") {
            report.add(&file.path, 1, "open with `//!`: what the crate is for and what it refuses to know");
        }
    }
}

/// The root of a library is a map of its modules; the code is in the modules.
pub fn a_crate_root_is_a_map(tree: &Tree, report: &mut Report<'_>) {
    for (file, rust) in crate_roots(tree) {
        let functions =
            rust.find("fn ").filter(|offset| !is_word_before(&rust.code, *offset) && !rust.is_test(*offset));
        for offset in functions {
            report.add(&file.path, file.line_at(offset), "move the function into a module: `lib.rs` is a map");
        }
    }
}

fn crate_roots(tree: &Tree) -> impl Iterator<Item = (&File, &RustSource)> {
    tree.rust().filter(|(file, _)| file.path.starts_with("crates/") && file.path.ends_with("/src/lib.rs"))
}

fn is_code(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    // Programs without an ending, such as .ci/run, are scripts.
    let is_script = [".ci/run", "peers/run"].contains(&path);
    path.ends_with(".rs") || CODE_ENDINGS.contains(&ending) || is_script
}

fn is_whole_word(text: &str, offset: usize, length: usize) -> bool {
    let after = text[offset + length..].chars().next();
    !is_word_before(text, offset) && !after.is_some_and(is_word)
}

fn is_word_before(text: &str, offset: usize) -> bool {
    text[..offset].chars().next_back().is_some_and(is_word)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, none, one};
    use super::*;

    const FILE: &str = "crates/greenlight-store/src/rows.rs";

    #[test]
    fn unfinished_work_is_found() {
        for text in [
            "// TODO: later",
            "/* FIXME */",
            "// XXX why",
            "fn f() { todo!() }",
            "fn f() { unimplemented!() }",
            "dbg!(x);",
            "#[ignore]\n",
        ] {
            assert_eq!(found(nothing_is_unfinished, &[(FILE, text)]).len(), 1, "{text}");
        }
        one(nothing_is_unfinished, &[("peers/run", "true\n# TODO\n")], "peers/run:2", "finish");
        none(nothing_is_unfinished, &[(FILE, "// TODOS, mktemp aXXX\nlet x = \"TODO\"; ghtodo!();")]);
    }

    #[test]
    fn a_vague_name_is_found() {
        one(no_module_has_a_vague_name, &[("crates/a/src/utils.rs", "")], "crates/a/src/utils.rs:1", "find it");
        one(
            no_module_has_a_vague_name,
            &[("crates/a/src/common/mod.rs", "")],
            "crates/a/src/common/mod.rs:1",
            "find it",
        );
        one(
            no_module_has_a_vague_name,
            &[(FILE, "\nmod helpers { }")],
            "crates/greenlight-store/src/rows.rs:2",
            "find it",
        );
        none(no_module_has_a_vague_name, &[(FILE, "mod utility_bill;")]);
    }

    #[test]
    fn a_silent_allow_is_found() {
        one(
            no_lint_is_allowed_silently,
            &[(FILE, "\n#[allow(dead_code)]\nfn f() {}")],
            "crates/greenlight-store/src/rows.rs:2",
            "expect",
        );
        one(
            no_lint_is_allowed_silently,
            &[(FILE, "#![allow(dead_code)]")],
            "crates/greenlight-store/src/rows.rs:1",
            "expect",
        );
        none(no_lint_is_allowed_silently, &[(FILE, "#[expect(dead_code, reason = \"read by the debugger\")]")]);
    }

    #[test]
    fn an_unwrap_outside_tests_is_found() {
        one(
            no_unwrap_outside_tests,
            &[(FILE, "fn f() {\n    x.unwrap();\n}")],
            "crates/greenlight-store/src/rows.rs:2",
            "reason",
        );
        none(
            no_unwrap_outside_tests,
            &[(FILE, "x.unwrap_or(0); // .unwrap()\n#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }")],
        );
        none(no_unwrap_outside_tests, &[("crates/greenlight/tests/all/main.rs", "x.unwrap()")]);
    }

    #[test]
    fn a_test_switch_is_found() {
        let text = "fn f() {\n    #[cfg(test)]\n    count();\n}";
        one(cfg_test_is_for_test_modules, &[(FILE, text)], "crates/greenlight-store/src/rows.rs:2", "port");
        none(cfg_test_is_for_test_modules, &[(FILE, "#[cfg(test)]\nmod tests {}\n#[cfg(test)]\nmod stories;")]);
    }

    #[test]
    fn a_long_file_is_found() {
        let long = "fn f() {}\n".repeat(FILE_LINES_MAX + 1);
        one(files_are_short, &[(FILE, &long)], "crates/greenlight-store/src/rows.rs:900", "901 lines");
        none(files_are_short, &[(FILE, &"fn f() {}\n".repeat(FILE_LINES_MAX)), ("docs/long.md", &long)]);
    }

    #[test]
    fn a_long_line_is_found_but_a_long_string_is_not() {
        let long = format!("\n// {}", "é".repeat(LINE_LENGTH_MAX));
        one(lines_are_short, &[(FILE, &long)], "crates/greenlight-store/src/rows.rs:2", "163 characters");
        none(lines_are_short, &[(FILE, &format!("f(\"{}\")", "é".repeat(LINE_LENGTH_MAX)))]);
    }

    #[test]
    fn a_crate_without_docs_is_found() {
        one(
            every_crate_says_what_it_is,
            &[("crates/a/src/lib.rs", "pub mod x;")],
            "crates/a/src/lib.rs:1",
            "open with",
        );
        none(every_crate_says_what_it_is, &[("crates/a/src/lib.rs", "//! What it is.\npub mod x;")]);
    }

    #[test]
    fn logic_in_the_map_is_found() {
        let text = "//! Map.\npub mod x;\npub fn f() {}\n#[cfg(test)]\nmod tests { fn g() {} }";
        one(a_crate_root_is_a_map, &[("crates/a/src/lib.rs", text)], "crates/a/src/lib.rs:3", "is a map");
    }
}
