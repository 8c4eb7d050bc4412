//! The page for users says of every key of GitHub's grammars what becomes of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

#[test]
fn every_key_of_github_s_grammars_stands_on_the_page() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/user/workflows.md")).unwrap();
    let words = words(page.split_once("## What is understood").expect("the page has its table").1);
    for (grammar, first) in
        [("workflow-v1.0.min.json", "workflow-root-strict"), ("action-v1.0.min.json", "action-root")]
    {
        let mut keys = Keys::of(&root.join("testdata/conformance/grammar").join(grammar));
        keys.collect(first);
        assert!(keys.found.len() > 20, "{grammar} has hardly a key: {:?}", keys.found);
        let missing: Vec<&String> = keys.found.iter().filter(|key| !words.contains(key.as_str())).collect();
        assert!(missing.is_empty(), "of {grammar} these are not on the page: {missing:?}");
    }
}

/// Returns what stands between backticks, word by word.
fn words(page: &str) -> BTreeSet<&str> {
    let is_of_key = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    page.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .flat_map(|code| code.split(move |letter| !is_of_key(letter)))
        .collect()
}

/// The keys of a grammar that can be come to from its root.
struct Keys {
    definitions: Json,
    seen: BTreeSet<String>,
    found: BTreeSet<String>,
}

impl Keys {
    fn of(grammar: &Path) -> Keys {
        let mut grammar: Json = serde_json::from_str(&std::fs::read_to_string(grammar).unwrap()).unwrap();
        Keys { definitions: grammar["definitions"].take(), seen: BTreeSet::new(), found: BTreeSet::new() }
    }

    fn collect(&mut self, name: &str) {
        if !self.seen.insert(name.to_owned()) {
            return;
        }
        let definition = self.definitions[name].clone();
        for (key, property) in definition["mapping"]["properties"].as_object().into_iter().flatten() {
            self.found.insert(key.clone());
            self.collect(property.as_str().or(property["type"].as_str()).expect("a property has a type"));
        }
        let inner = [&definition["mapping"]["loose-value-type"], &definition["sequence"]["item-type"]];
        let alternatives = definition["one-of"].as_array().into_iter().flatten();
        for name in inner.into_iter().chain(alternatives).filter_map(Json::as_str) {
            self.collect(name);
        }
    }
}
