//! What may stand where: the grammar of workflow and action files as a table, read once from a notation of ours.
//!
//! One definition a paragraph: `name : alternatives`, separated by `|`. An alternative is the name of another definition or
//! of `null`, `boolean`, `number`, `string`, `nonempty` (a string that is not empty), `any`; `'text'` for a constant;
//! `[item]` for a sequence; `<key: value>` for a mapping with free keys; `{ key: type, key!: type }` for one with known
//! keys, `!` for those that must be there, `~` for those not suggested, `*key: value` for free ones beside them. Words in parentheses before it are the
//! contexts and functions its expressions may use, besides those of what it stands in; `@name = words` names a list of them.

mod keys;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::expression::Scope;
pub(crate) use keys::Keys;

/// Every event with the filters it may have and its activity types; the first column is what `on:` may name.
/// Events with a grammar of their own (`schedule`, `workflow_call`, …) have their definition in the schema file.
pub(crate) const EVENTS: &[Event] = &[
    event("branch_protection_rule", &[], &["created", "edited", "deleted"]),
    event("check_run", &[], &["completed", "created", "rerequested", "requested_action"]),
    event("check_suite", &[], &["completed"]),
    event("create", &[], &[]),
    event("delete", &[], &[]),
    event("deployment", &[], &[]),
    event("deployment_status", &[], &[]),
    event(
        "discussion",
        &[],
        &[
            "created",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "category_changed",
            "answered",
            "unanswered",
        ],
    ),
    event("discussion_comment", &[], &["created", "edited", "deleted"]),
    event("fork", &[], &[]),
    event("gollum", &[], &[]),
    event("image_version", &["names", "versions"], &["created", "ready", "deleted"]),
    event("issue_comment", &[], &["created", "edited", "deleted"]),
    event(
        "issues",
        &[],
        &[
            "opened",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "closed",
            "reopened",
            "assigned",
            "unassigned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "milestoned",
            "demilestoned",
            "field_added",
            "field_removed",
            "typed",
            "untyped",
        ],
    ),
    event("label", &[], &["created", "edited", "deleted"]),
    event("merge_group", &["branches", "branches-ignore"], &["checks_requested"]),
    event("milestone", &[], &["created", "closed", "opened", "edited", "deleted"]),
    event("page_build", &[], &[]),
    event("project", &[], &["created", "closed", "reopened", "edited", "deleted"]),
    event("project_card", &[], &["created", "moved", "converted", "edited", "deleted"]),
    event("project_column", &[], &["created", "updated", "moved", "deleted"]),
    event("public", &[], &[]),
    event("pull_request", PULL_REQUEST_FILTERS, PULL_REQUEST_TYPES),
    event("pull_request_comment", &[], &["created", "edited", "deleted"]),
    event("pull_request_review", &[], &["submitted", "edited", "dismissed"]),
    event("pull_request_review_comment", &[], &["created", "edited", "deleted"]),
    event("pull_request_target", PULL_REQUEST_FILTERS, PULL_REQUEST_TYPES),
    event("push", &["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"], &[]),
    event("registry_package", &[], &["published", "updated"]),
    event("release", &[], &["published", "unpublished", "created", "edited", "deleted", "prereleased", "released"]),
    event("repository_dispatch", &[], &[]),
    event("schedule", &[], &[]),
    event("status", &[], &[]),
    event("watch", &[], &["started"]),
    event("workflow_call", &[], &[]),
    event("workflow_dispatch", &[], &[]),
    event("workflow_run", &["workflows", "branches", "branches-ignore"], &["requested", "completed", "in_progress"]),
];

const PULL_REQUEST_FILTERS: &[&str] = &["branches", "branches-ignore", "paths", "paths-ignore"];
const PULL_REQUEST_TYPES: &[&str] = &[
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "converted_to_draft",
    "locked",
    "unlocked",
    "enqueued",
    "dequeued",
    "milestoned",
    "demilestoned",
    "ready_for_review",
    "review_requested",
    "review_request_removed",
    "auto_merge_enabled",
    "auto_merge_disabled",
    "stacked",
];

/// One event of the table.
pub(crate) struct Event {
    pub name: &'static str,
    pub filters: &'static [&'static str],
    pub types: &'static [&'static str],
}

const fn event(name: &'static str, filters: &'static [&'static str], types: &'static [&'static str]) -> Event {
    Event { name, filters, types }
}

static WORKFLOW: LazyLock<Schema> = LazyLock::new(|| {
    let mut text = String::from(include_str!("schema/workflow.schema"));
    text.push_str(&event_definitions());
    Schema::read(&text)
});
static ACTION: LazyLock<Schema> = LazyLock::new(|| Schema::read(include_str!("schema/action.schema")));

/// Returns the grammar of workflow files.
pub(crate) fn workflow() -> &'static Schema {
    &WORKFLOW
}

/// Returns the grammar of action manifests.
pub(crate) fn action() -> &'static Schema {
    &ACTION
}

/// A grammar.
pub(crate) struct Schema {
    definitions: Vec<Definition>,
    names: BTreeMap<String, usize>,
}

/// What may stand at one place.
#[derive(Clone, Default)]
pub(crate) struct Definition {
    /// What its expressions may use besides what those around it may.
    pub scope: Option<Arc<Scope>>,
    pub null: bool,
    pub boolean: bool,
    pub number: bool,
    pub string: Strings,
    /// What the items of a sequence are.
    pub sequence: Option<usize>,
    pub mappings: Vec<Mapping>,
    /// Which of them have which keys.
    pub keys: Keys,
    references: Vec<usize>,
}

/// Which strings may stand at a place.
#[derive(Clone, Default)]
pub(crate) struct Strings {
    pub any: bool,
    pub nonempty: bool,
    pub constants: Vec<String>,
}

/// One kind of mapping. A definition has few of them; whoever reads keeps a bit for each.
#[derive(Clone, Default)]
pub(crate) struct Mapping {
    pub properties: Vec<Property>,
    /// The definitions of free keys and their values.
    pub loose: Option<(usize, usize)>,
}

/// One known key.
#[derive(Clone)]
pub(crate) struct Property {
    pub key: String,
    pub required: bool,
    /// Whether it is named to those who left out what would tell one mapping from another.
    pub suggested: bool,
    pub value: usize,
}

impl Mapping {
    /// Returns the property of this key.
    pub fn property(&self, key: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.key == key)
    }
}

impl Strings {
    /// Says whether the text may stand here.
    pub fn allow(&self, text: &str) -> bool {
        self.any || (self.nonempty && !text.is_empty()) || self.constants.iter().any(|constant| constant == text)
    }
}

impl Schema {
    /// Returns the index of a definition by its name.
    pub fn named(&self, name: &str) -> usize {
        *self.names.get(name).expect("the schema defines every name that is asked for")
    }

    /// Returns how many definitions there are.
    pub fn len(&self) -> usize {
        self.definitions.len()
    }

    /// Returns a definition.
    pub fn get(&self, index: usize) -> &Definition {
        &self.definitions[index]
    }

    fn read(text: &str) -> Schema {
        let mut schema = Schema { definitions: Vec::new(), names: BTreeMap::new() };
        for (name, definition) in [
            ("null", "null"),
            ("boolean", "boolean"),
            ("number", "number"),
            ("string", "string"),
            ("nonempty", "nonempty"),
        ] {
            let index = schema.index(name);
            schema.definitions[index].add_builtin(definition);
        }
        let any = schema.index("any");
        schema.definitions[any].add_any(any);
        let mut words: BTreeMap<String, String> = BTreeMap::new();
        for paragraph in paragraphs(text) {
            if let Some(rest) = paragraph.strip_prefix('@') {
                let (name, list) = rest.split_once('=').expect("a word list has an equals sign");
                words.insert(name.trim().into(), expand(list, &words));
                continue;
            }
            let (name, body) = paragraph.split_once(':').expect("a definition has a colon");
            let index = schema.index(name.trim());
            Definer { schema: &mut schema, rest: body.trim(), words: &words }.define(index);
        }
        for index in 0..schema.definitions.len() {
            schema.flatten(index);
        }
        for definition in &mut schema.definitions {
            definition.keys = Keys::of(&definition.mappings);
        }
        schema
    }

    fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        self.definitions.push(Definition::default());
        self.names.insert(name.to_owned(), self.definitions.len() - 1);
        self.definitions.len() - 1
    }

    /// Takes the alternatives of the definitions that this one refers to into it.
    fn flatten(&mut self, index: usize) {
        for reference in std::mem::take(&mut self.definitions[index].references) {
            self.flatten(reference);
            let other = self.definitions[reference].clone();
            let definition = &mut self.definitions[index];
            definition.null |= other.null;
            definition.boolean |= other.boolean;
            definition.number |= other.number;
            definition.string.any |= other.string.any;
            definition.string.nonempty |= other.string.nonempty;
            definition.string.constants.extend(other.string.constants);
            definition.sequence = definition.sequence.or(other.sequence);
            definition.mappings.extend(other.mappings);
        }
    }
}

impl Definition {
    fn add_builtin(&mut self, name: &str) {
        match name {
            "null" => self.null = true,
            "boolean" => self.boolean = true,
            "number" => self.number = true,
            "string" => self.string.any = true,
            _ => self.string.nonempty = true,
        }
    }

    fn add_any(&mut self, any: usize) {
        self.null = true;
        self.boolean = true;
        self.number = true;
        self.string.any = true;
        self.sequence = Some(any);
        self.mappings.push(Mapping { properties: Vec::new(), loose: Some((any, any)) });
    }
}

/// Returns the definitions of the events in the notation of the schema files.
fn event_definitions() -> String {
    let mut text = String::new();
    let mut keys = Vec::new();
    for event in EVENTS {
        keys.push(format!("{0}: {0}", event.name));
        if matches!(event.name, "schedule" | "repository_dispatch" | "workflow_call" | "workflow_dispatch") {
            continue;
        }
        let mut filters: Vec<String> = event.filters.iter().map(|filter| format!("{filter}: strings")).collect();
        if !event.types.is_empty() {
            filters.push(format!("types: {}-types", event.name));
            let types: Vec<String> = event.types.iter().map(|kind| format!("'{kind}'")).collect();
            text.push_str(&format!("{}-type : {}\n", event.name, types.join(" | ")));
            text.push_str(&format!("{0}-types : {0}-type | [{0}-type]\n", event.name));
        }
        if filters.is_empty() {
            text.push_str(&format!("{} : null\n", event.name));
        } else {
            text.push_str(&format!("{} : null | {{ {} }}\n", event.name, filters.join(", ")));
        }
    }
    text.push_str(&format!("on-mapping : {{ {} }}\n", keys.join(", ")));
    text
}

/// Joins lines that are indented to the one before; leaves out comments and blank lines.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        match paragraphs.last_mut() {
            Some(last) if line.starts_with(' ') => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => paragraphs.push(line.trim().to_owned()),
        }
    }
    paragraphs
}

fn expand(list: &str, words: &BTreeMap<String, String>) -> String {
    let expanded: Vec<&str> = list
        .split_whitespace()
        .map(|word| match word.strip_prefix('@') {
            Some(name) => words.get(name).map(String::as_str).expect("a word list is named before it is used"),
            None => word,
        })
        .collect();
    expanded.join(" ")
}

/// Reads one definition's body.
struct Definer<'a> {
    schema: &'a mut Schema,
    rest: &'a str,
    words: &'a BTreeMap<String, String>,
}

impl<'a> Definer<'a> {
    fn define(&mut self, index: usize) {
        if self.take("(") {
            // The list ends at the parenthesis that stands before an alternative; those inside follow a function's name.
            let end = self.rest.find([')', ' ']).map(|_| self.list_end()).expect("a list of words is closed");
            let list = expand(&self.rest[..end], self.words);
            self.schema.definitions[index].scope = Some(Arc::new(Scope::of(list.split_whitespace())));
            self.rest = self.rest[end + 1..].trim_start();
        }
        loop {
            self.alternative(index);
            if !self.take("|") {
                return;
            }
        }
    }

    fn list_end(&self) -> usize {
        let mut depth = 0;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' if depth == 0 => return at,
                b')' => depth -= 1,
                _ => {}
            }
        }
        self.rest.len()
    }

    fn alternative(&mut self, index: usize) {
        if self.take("'") {
            let (constant, rest) = self.rest.split_once('\'').expect("a constant is closed");
            self.schema.definitions[index].string.constants.push(constant.into());
            self.rest = rest.trim_start();
        } else if self.take("[") {
            let item = self.reference();
            self.schema.definitions[index].sequence = Some(item);
            self.take("]");
        } else if self.take("<") {
            let loose = self.loose();
            self.schema.definitions[index].mappings.push(Mapping { properties: Vec::new(), loose: Some(loose) });
            self.take(">");
        } else if self.take("{") {
            let mapping = self.mapping();
            self.schema.definitions[index].mappings.push(mapping);
        } else {
            let reference = self.reference();
            self.schema.definitions[index].references.push(reference);
        }
    }

    fn mapping(&mut self) -> Mapping {
        let mut mapping = Mapping::default();
        while !self.take("}") {
            if self.take("*") {
                mapping.loose = Some(self.loose());
            } else {
                let key = self.word().to_owned();
                let required = self.take("!");
                let suggested = !self.take("~");
                self.take(":");
                mapping.properties.push(Property { key, required, suggested, value: self.reference() });
            }
            self.take(",");
        }
        mapping
    }

    fn loose(&mut self) -> (usize, usize) {
        let key = self.reference();
        self.take(":");
        (key, self.reference())
    }

    fn reference(&mut self) -> usize {
        let word = self.word().to_owned();
        self.schema.index(&word)
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_".contains(letter)));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        assert!(!word.is_empty(), "a name is missing in the schema before: {rest}");
        self.rest = rest.trim_start();
        word
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod norm;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_the_grammars_use_is_defined() {
        for schema in [workflow(), action()] {
            for (name, index) in &schema.names {
                let definition = schema.get(*index);
                let is_defined = definition.null
                    || definition.boolean
                    || definition.number
                    || definition.string.any
                    || definition.string.nonempty
                    || !definition.string.constants.is_empty()
                    || definition.sequence.is_some()
                    || !definition.mappings.is_empty();
                assert!(is_defined, "{name}");
            }
        }
    }
}
