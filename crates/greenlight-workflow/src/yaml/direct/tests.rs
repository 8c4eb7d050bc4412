//! What is read without the scanner is what the scanner reads: of every file that is kept for other tests, and of what
//! small changes make of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::read;
use crate::yaml::{Limits, read_by_tokens};

/// How many changed texts are tried of each file.
const CHANGES: u64 = 20;
/// How long a text may be of which changed ones are tried.
const CHANGED_BYTES_MAX: usize = 4 << 10;

/// What is put into texts: whatever means something in YAML.
const PIECES: [&str; 40] = [
    " ", "  ", "\n", "\n  ", "\n    ", "\n- ", "- ", ": ", ":", ":\n", "#", " # x\n", "[", "]", "{", "}", ", ", ",",
    "'", "\"", "''", "\\", "\\n", "|\n", ">-\n", "|+\n", "| # x\n", "&a ", "*a", "!!str ", "? ", "---\n", "...\n",
    "a: b\n", "x", "é", "\t", "[a, b]", "{a: b}", "~",
];

/// Says whether the text was read without the scanner.
fn check(text: &str) -> bool {
    let limits = Limits::default();
    let Some(direct) = read(text, &limits) else { return false };
    let expected = read_by_tokens(text, &limits);
    assert_eq!(expected.findings, [], "{text}");
    assert_eq!(direct.node, expected.node, "{text}");
    assert_eq!(direct.bytes, expected.bytes, "{text}");
    true
}

#[test]
fn it_is_what_the_scanner_reads() {
    let mut texts = vec![include_str!("../../../benches/typical.yml").to_owned()];
    assert!(check(&texts[0]), "the typical workflow is not read");
    collect(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance"), &mut texts);
    let direct = texts.iter().filter(|text| check(text)).count();
    assert!(texts.len() > 500 && direct * 3 > texts.len(), "{direct} of {} were read", texts.len());
    let mut random = Random(texts.len() as u64);
    let mut changed = 0;
    for text in texts.iter().filter(|text| text.len() < CHANGED_BYTES_MAX) {
        changed += (0..CHANGES).filter(|_| check(&random.change(text))).count();
    }
    assert!(changed > texts.len(), "only {changed} changed texts were read");
}

/// Adds every YAML file below a folder, and the cases of the YAML test suite.
fn collect(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, texts);
        } else if path.extension().is_some_and(|kind| kind == "yml" || kind == "yaml") {
            texts.extend(fs::read_to_string(path));
        } else if path.ends_with("yaml-test-suite/cases.json") {
            let cases: Vec<serde_json::Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            texts.extend(cases.iter().map(|case| case["yaml"].as_str().unwrap().to_owned()));
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Returns the text with up to three small changes.
    fn change(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(3) {
            let at = self.below(letters.len() + 1);
            match self.below(3) {
                0 => drop(letters.splice(at..at, PIECES[self.below(PIECES.len())].chars())),
                1 => drop(letters.drain(at..(at + self.below(4)).min(letters.len()))),
                _ => {
                    let end = (at + self.below(3)).min(letters.len());
                    drop(letters.splice(at..end, PIECES[self.below(PIECES.len())].chars()));
                }
            }
        }
        letters.into_iter().collect()
    }
}
