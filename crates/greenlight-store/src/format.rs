//! How state is stored: JSON of our own, one shape for each domain type, versioned.
//!
//! Domain types do not derive a format; [`Stored`] is the one function each way. Shapes are written out by the macros
//! below, which name every field: a field that the core gains and that is not named here does not compile, so nothing is
//! forgotten on the way to disk. Reading is as strict: a field too many or too few is an error, never a guess.
//!
//! A text longer than [`TEXT_INLINE_MAX`] stands in the row as a reference to its content (`{"text": digest}`): an event's
//! payload or a workflow file is stored once, however many suites and runs have it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use greenlight_core::entity::{Entity, EntityKey};
use serde_json::Value as Json;

use crate::packed::{Digest, digest_of, is_packed, pack, unpack_whole};

#[macro_use]
mod shape;
mod basic;
mod deployment;
mod effect;
mod entity;
mod key;
mod pull;
mod run;
mod value;

#[cfg(test)]
mod tests;

pub use key::kind_and_key;

/// The version of what is written today. An older one is read by a function of its own; a newer one is refused.
pub const FORMAT: i64 = 7;

/// The longest text that stands in the row itself.
const TEXT_INLINE_MAX: usize = 512;

/// Rows longer than this are compressed.
const BODY_PLAIN_MAX: usize = 1024;

/// A row that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(pub String);

/// An entity as it goes to disk.
pub struct Encoded {
    /// The row's body.
    pub body: Vec<u8>,
    /// The long texts that it refers to.
    pub texts: Vec<(Digest, Arc<str>)>,
}

/// The long texts that rows refer to, by their digests.
pub type Texts = HashMap<Digest, Arc<str>>;

/// Returns the entity's row.
pub fn encode(entity: &Entity) -> Encoded {
    let mut encoder = Encoder::default();
    entity.write(&mut encoder);
    let json = encoder.out.into_bytes();
    // A body that cannot be compressed is stored as it is.
    let body = if json.len() > BODY_PLAIN_MAX { pack(&json).unwrap_or(json) } else { json };
    Encoded { body, texts: encoder.texts }
}

/// Returns what a row of this key holds.
pub fn decode(kind: &str, key: &str, format: i64, body: &[u8], texts: &Texts) -> Result<Entity, FormatError> {
    if !(1..=FORMAT).contains(&format) {
        return Err(FormatError(format!(
            "{kind} {key} has format {format}, which this version does not know: it was written by a newer one"
        )));
    }
    let entity =
        decode_body(kind, format, body, texts).map_err(|error| FormatError(format!("{kind} {key}: {error}")))?;
    let found: EntityKey = entity.key();
    if kind_and_key(&found) != (kind, key.to_owned()) {
        return Err(FormatError(format!("{kind} {key} holds something else: {found:?}")));
    }
    Ok(entity)
}

fn decode_body(kind: &str, format: i64, body: &[u8], texts: &Texts) -> Result<Entity, FormatError> {
    let unpacked;
    let json = if is_packed(body) {
        unpacked = unpack_whole(body).map_err(|error| FormatError(error.to_string()))?;
        &unpacked[..]
    } else {
        body
    };
    let mut node: Json = serde_json::from_slice(json).map_err(|error| FormatError(error.to_string()))?;
    if format == 1 && kind == "run" {
        run::from_format_1(&mut node);
    }
    if format <= 2 && kind == "suite" {
        run::from_format_2(&mut node);
    }
    if format <= 3 && kind == "run" {
        run::from_format_3(&mut node);
    }
    if format <= 5 && kind == "run" {
        run::from_format_5(&mut node);
    }
    if format <= 4 && kind == "meta" {
        entity::from_format_4(&mut node);
    }
    if format <= 6 && kind == "meta" {
        entity::from_format_6(&mut node);
    }
    Entity::read(&node, texts)
}

/// Something that has a stored shape.
pub(crate) trait Stored: Sized {
    /// Writes it.
    fn write(&self, out: &mut Encoder);

    /// Reads what [`Stored::write`] wrote.
    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError>;
}

/// Writes JSON without building a tree of it first: rows are written far more often than read.
#[derive(Default)]
pub(crate) struct Encoder {
    out: String,
    texts: Vec<(Digest, Arc<str>)>,
}

impl Encoder {
    fn open(&mut self) {
        self.out.push('{');
    }

    fn close(&mut self) {
        self.out.push('}');
    }

    fn field(&mut self, name: &str, value: &impl Stored) {
        self.separate('{');
        let _ = write!(self.out, "\"{name}\":");
        value.write(self);
    }

    /// Writes which variant it is.
    fn tag(&mut self, word: &str) {
        let _ = write!(self.out, "\"is\":\"{word}\"");
    }

    fn list<'a, T: Stored + 'a>(&mut self, items: impl IntoIterator<Item = &'a T>) {
        self.out.push('[');
        for item in items {
            self.separate('[');
            item.write(self);
        }
        self.out.push(']');
    }

    /// Writes a comma, unless this is the first after `opening`.
    fn separate(&mut self, opening: char) {
        if !self.out.ends_with(opening) {
            self.out.push(',');
        }
    }

    fn raw(&mut self, value: impl std::fmt::Display) {
        let _ = write!(self.out, "{value}");
    }

    fn string(&mut self, text: &str) {
        self.out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
    }

    /// Writes a text, or a reference to it where it is long.
    fn text(&mut self, text: &Arc<str>) {
        if text.len() <= TEXT_INLINE_MAX {
            return self.string(text);
        }
        let digest = digest_of(text.as_bytes());
        if !self.texts.iter().any(|(known, _)| *known == digest) {
            self.texts.push((digest, text.clone()));
        }
        let _ = write!(self.out, "{{\"text\":\"{}\"}}", hex::encode(digest));
    }
}

/// The fields of a JSON object, taken one by one; what is left over is an error.
pub(crate) struct Fields<'a> {
    object: &'a serde_json::Map<String, Json>,
    taken: usize,
}

impl<'a> Fields<'a> {
    fn of(node: &'a Json) -> Result<Self, FormatError> {
        let object = node.as_object().ok_or_else(|| expected("an object", node))?;
        Ok(Self { object, taken: 0 })
    }

    fn tag(&mut self) -> Result<&'a str, FormatError> {
        self.taken += 1;
        let node = self.object.get("is").ok_or_else(|| FormatError("the field is is missing".to_owned()))?;
        node.as_str().ok_or_else(|| expected("a word", node))
    }

    fn take<T: Stored>(&mut self, name: &str, texts: &Texts) -> Result<T, FormatError> {
        self.taken += 1;
        let node = self.object.get(name).ok_or_else(|| FormatError(format!("the field {name} is missing")))?;
        T::read(node, texts).map_err(|error| FormatError(format!("{name}: {error}")))
    }

    fn done(self) -> Result<(), FormatError> {
        if self.taken == self.object.len() {
            return Ok(());
        }
        Err(FormatError(format!("{} fields where {} were expected", self.object.len(), self.taken)))
    }
}

fn expected(what: &str, node: &Json) -> FormatError {
    let mut found: String = node.to_string().chars().take(60).collect();
    if found.len() < node.to_string().len() {
        found.push('…');
    }
    FormatError(format!("{what} was expected, not {found}"))
}
