//! How an entity's name stands in its row.

use greenlight_core::entity::EntityKey;

use super::{Encoder, Stored};

/// Returns the kind and the key of an entity's row. Different entities of a repository differ in one of the two.
pub fn kind_and_key(key: &EntityKey) -> (&'static str, String) {
    match key {
        EntityKey::Meta => ("meta", String::new()),
        EntityKey::Person(id) => ("person", id.to_string()),
        EntityKey::Branch(name) => ("branch", name.to_string()),
        EntityKey::Pull(number) => ("pull", number.to_string()),
        EntityKey::Suite(suite) => ("suite", json(suite)),
        EntityKey::Run(number) => ("run", number.to_string()),
        // A SHA has a fixed length, so that whatever follows cannot be taken for a part of it.
        EntityKey::Report(sha, context) => ("report", format!("{sha} {context}")),
        EntityKey::Verdict(sha, context) => ("verdict", format!("{sha} {context}")),
        EntityKey::Proof(tree) => ("proof", tree.to_string()),
        EntityKey::Environment(name) => ("environment", name.to_string()),
        EntityKey::Wish(environment, sha) => ("wish", format!("{sha} {environment}")),
        EntityKey::Deployment(id) => ("deployment", id.to_string()),
        EntityKey::Item(key) => ("item", key.to_string()),
    }
}

fn json(value: &impl Stored) -> String {
    let mut encoder = Encoder::default();
    value.write(&mut encoder);
    encoder.out
}
