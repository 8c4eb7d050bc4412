//! Our grammars held against GitHub's own: every place has the same keys, the same kinds of values, and the same contexts
//! and functions. Where GitHub's server or runner does otherwise than its table says, the place is named here with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::{Definition, Schema, action, workflow};
use crate::expression::{Function, Scope};

/// Places that are meant to differ: GitHub's name of the definition, what differs, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("on-string-strict", "kind", "names of events are checked where they are decoded, with the nearest known one"),
    ("on-strict", "kind", "names of events are checked where they are decoded, with the nearest known one"),
    ("workflow-dispatch-mapping", "loose", "the server ignores unknown keys"),
    ("workflow-dispatch-inputs", "null", "the server takes inputs without any"),
    ("workflow-dispatch-input", "null", "the server takes an input without properties"),
    (
        "workflow-dispatch-input",
        "keys",
        "deprecationMessage is in GitHub's documentation of inputs, and the server lets it be",
    ),
    ("repository-dispatch-mapping", "types", "one type may stand without a list, as with every other event"),
    ("container-runs", "required", "what the runner asks for after reading is asked for at once"),
    ("node-runs", "required", "what the runner asks for after reading is asked for at once"),
    ("composite-runs", "required", "what the runner asks for after reading is asked for at once"),
    ("plugin-runs", "required", "what the runner asks for after reading is asked for at once"),
    ("container-runs", "pre-if", "the strict grammar's rule: the runner refuses other contexts when it comes to it"),
    ("container-runs", "post-if", "the strict grammar's rule: the runner refuses other contexts when it comes to it"),
    ("node-runs", "pre-if", "the strict grammar's rule: the runner refuses other contexts when it comes to it"),
    ("node-runs", "post-if", "the strict grammar's rule: the runner refuses other contexts when it comes to it"),
    ("action-root", "required", "the runner refuses an action without runs"),
];

#[test]
fn the_workflow_grammar_is_github_s() {
    compare("workflow-v1.0.min.json", "workflow-root-strict", workflow(), "workflow");
}

#[test]
fn the_action_grammar_is_the_runner_s() {
    compare("action-v1.0.min.json", "action-root", action(), "action");
}

fn compare(file: &str, root: &str, schema: &Schema, own_root: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance/grammar").join(file);
    let json: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let definitions = json["definitions"].as_object().unwrap();
    let mut comparison = Comparison {
        definitions,
        schema,
        words: words(definitions),
        seen: BTreeSet::new(),
        reached: BTreeSet::new(),
        used: BTreeSet::new(),
        report: Vec::new(),
    };
    comparison.place(root, schema.named(own_root), &BTreeSet::new(), &Scope::default());
    assert!(comparison.seen.len() > 20, "hardly anything was compared: {}", comparison.seen.len());
    let unused = DIFFERENCES
        .iter()
        .filter(|(name, what, _)| comparison.reached.contains(*name) && !comparison.used.contains(&(*name, *what)));
    assert_eq!(unused.count(), 0, "a listed difference is none");
    assert!(comparison.report.is_empty(), "{:#?}", comparison.report);
}

/// Returns every context and function that some place has.
fn words(definitions: &Map<String, Json>) -> BTreeSet<String> {
    definitions.values().flat_map(context).collect()
}

fn context(definition: &Json) -> BTreeSet<String> {
    let words = definition["context"].as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

struct Comparison<'a> {
    definitions: &'a Map<String, Json>,
    schema: &'a Schema,
    words: BTreeSet<String>,
    seen: BTreeSet<(String, usize, BTreeSet<String>)>,
    /// Every name of GitHub's that was come to, as a place or as one of its alternatives.
    reached: BTreeSet<String>,
    /// The listed differences that there are.
    used: BTreeSet<(&'static str, &'static str)>,
    report: Vec<String>,
}

/// What GitHub's table says of one place, its alternatives taken together.
#[derive(Default)]
struct Theirs {
    null: bool,
    boolean: bool,
    number: bool,
    any: bool,
    nonempty: bool,
    constants: BTreeSet<String>,
    items: Option<String>,
    mappings: Vec<TheirMapping>,
    /// What its alternatives may use, which is nothing that the place itself may not.
    words: BTreeSet<String>,
}

#[derive(Default)]
struct TheirMapping {
    name: String,
    keys: BTreeMap<String, (String, bool)>,
    loose: Option<(String, String)>,
}

impl Comparison<'_> {
    fn place(&mut self, name: &str, index: usize, outer: &BTreeSet<String>, own_outer: &Scope) {
        let mut allowed = outer.clone();
        allowed.extend(context(self.json(name)));
        let definition = self.schema.get(index);
        let own = definition.scope.as_ref().map_or(own_outer.clone(), |scope| own_outer.union(scope));
        if !self.seen.insert((name.to_owned(), index, allowed.clone())) {
            return;
        }
        for word in self.words.clone() {
            if knows(&own, &word) != allowed.contains(&word) {
                self.differs(name, "context", format!("{word}: {}", allowed.contains(&word)));
            }
        }
        let mut theirs = Theirs::default();
        self.add(name, &mut theirs);
        assert!(theirs.words.is_subset(&allowed), "{name}: an alternative has contexts of its own");
        self.reached.insert(name.to_owned());
        self.reached.extend(theirs.mappings.iter().map(|mapping| mapping.name.clone()));
        self.kinds(name, &theirs, definition);
        if let (Some(item), Some(own_item)) = (&theirs.items, definition.sequence) {
            self.place(item, own_item, &allowed, &own);
        }
        self.mappings(name, &theirs, definition, &allowed, &own);
    }

    fn kinds(&mut self, name: &str, theirs: &Theirs, own: &Definition) {
        let own_constants: BTreeSet<String> = own.string.constants.iter().cloned().collect();
        let kinds = [
            ("null", theirs.null, own.null),
            ("boolean", theirs.boolean, own.boolean),
            ("number", theirs.number, own.number),
            ("kind", theirs.any, own.string.any),
            ("kind", theirs.nonempty, own.string.nonempty),
            ("kind", theirs.constants == own_constants, true),
            ("kind", theirs.items.is_some(), own.sequence.is_some()),
            ("kind", theirs.mappings.len() == own.mappings.len(), true),
        ];
        for (at, (kind, theirs, own)) in kinds.into_iter().enumerate() {
            if theirs != own {
                self.differs(name, kind, format!("kind {at}: {theirs} there"));
            }
        }
    }

    fn mappings(&mut self, name: &str, theirs: &Theirs, own: &Definition, allowed: &BTreeSet<String>, scope: &Scope) {
        for mapping in &theirs.mappings {
            let names: BTreeSet<&str> = mapping.keys.keys().map(String::as_str).collect();
            let same = own.mappings.iter().find(|own| {
                own.properties.iter().map(|property| property.key.as_str()).collect::<BTreeSet<_>>() == names
            });
            if same.is_none() {
                self.differs(&mapping.name, "keys", format!("no mapping of ours has exactly {names:?} ({name})"));
            }
            let Some(same) = same.or(own.mappings.first()) else { continue };
            for (key, (value, required)) in &mapping.keys {
                let Some(property) = same.property(key) else { continue };
                if self.is_listed(&mapping.name, key) {
                    continue;
                }
                if property.required != *required {
                    self.differs(&mapping.name, "required", key.clone());
                }
                self.place(value, property.value, allowed, scope);
            }
            match (&mapping.loose, same.loose) {
                (Some((key, value)), Some((own_key, own_value))) => {
                    // A key is a text, whatever else its type allows.
                    if self.json(key)["string"]["require-non-empty"] == true {
                        self.place(key, own_key, allowed, scope);
                    }
                    self.place(value, own_value, allowed, scope);
                }
                (None, None) => {}
                (theirs, _) => self.differs(&mapping.name, "loose", format!("{theirs:?} there")),
            }
        }
    }

    fn add(&self, name: &str, theirs: &mut Theirs) {
        match name {
            "null" => theirs.null = true,
            "boolean" => theirs.boolean = true,
            "number" => theirs.number = true,
            "string" => theirs.any = true,
            "sequence" => theirs.items = Some("any".into()),
            "mapping" => theirs.mappings.push(TheirMapping {
                name: "mapping".into(),
                loose: Some(("string".into(), "any".into())),
                ..TheirMapping::default()
            }),
            "any" => ["null", "boolean", "number", "string", "sequence", "mapping"]
                .iter()
                .for_each(|kind| self.add(kind, theirs)),
            _ => self.add_defined(name, theirs),
        }
    }

    fn add_defined(&self, name: &str, theirs: &mut Theirs) {
        let json = self.json(name);
        let strings = |json: &Json| -> Vec<String> {
            json.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        theirs.words.extend(context(json));
        theirs.null |= json.get("null").is_some();
        theirs.boolean |= json.get("boolean").is_some();
        theirs.number |= json.get("number").is_some();
        theirs.constants.extend(strings(&json["allowed-values"]));
        if let Some(string) = json.get("string") {
            match string["constant"].as_str() {
                Some(constant) => drop(theirs.constants.insert(constant.to_owned())),
                None if string["require-non-empty"] == true => theirs.nonempty = true,
                None => theirs.any = true,
            }
        }
        if let Some(sequence) = json.get("sequence") {
            theirs.items = Some(sequence["item-type"].as_str().unwrap_or("any").to_owned());
        }
        if let Some(mapping) = json.get("mapping") {
            theirs.mappings.push(their_mapping(name, mapping));
        }
        for alternative in strings(&json["one-of"]) {
            self.add(&alternative, theirs);
        }
    }

    fn json(&self, name: &str) -> &Json {
        self.definitions.get(name).unwrap_or(&Json::Null)
    }

    fn differs(&mut self, name: &str, what: &str, how: String) {
        if !self.is_listed(name, what) {
            self.report.push(format!("{name}: {what}: {how}"));
        }
    }

    fn is_listed(&mut self, name: &str, what: &str) -> bool {
        let listed = DIFFERENCES.iter().find(|(known, difference, _)| *known == name && *difference == what);
        self.used.extend(listed.map(|(name, what, _)| (*name, *what)));
        listed.is_some()
    }
}

fn their_mapping(name: &str, mapping: &Json) -> TheirMapping {
    let property = |value: &Json| match value {
        Json::String(name) => (name.clone(), false),
        value => (value["type"].as_str().unwrap().to_owned(), value["required"] == true),
    };
    let keys = mapping["properties"].as_object();
    let loose = mapping["loose-key-type"].as_str().zip(mapping["loose-value-type"].as_str());
    TheirMapping {
        name: name.to_owned(),
        keys: keys.into_iter().flatten().map(|(key, value)| (key.clone(), property(value))).collect(),
        loose: loose.map(|(key, value)| (key.to_owned(), value.to_owned())),
    }
}

fn knows(scope: &Scope, word: &str) -> bool {
    match Function::with_arity(word) {
        Some((function, min, max)) => scope.arity(function) == Some((min, max)),
        None => scope.knows(word),
    }
}
