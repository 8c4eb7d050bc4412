//! The shape of the language's values: its numbers know infinity and "not a number", which JSON does not.

use std::sync::Arc;

use greenlight_core::effect::Value;
use serde_json::Value as Json;

use super::{Encoder, FormatError, Stored, Texts, expected};

impl Stored for Value {
    fn write(&self, out: &mut Encoder) {
        match self {
            Self::Null => out.raw("null"),
            Self::Bool(truth) => truth.write(out),
            Self::String(text) => text.write(out),
            // As text, which Rust reads back to the very same number.
            Self::Number(number) => out.raw(format_args!("{{\"number\":\"{number:?}\"}}")),
            Self::Array(items) => out.list(items.iter()),
            Self::Object(object) => {
                out.raw("{\"object\":[");
                for (name, value) in object.iter() {
                    out.separate('[');
                    out.raw('[');
                    Arc::<str>::from(name).write(out);
                    out.raw(',');
                    value.write(out);
                    out.raw(']');
                }
                out.raw("]}");
            }
        }
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        match node {
            Json::Null => Ok(Self::Null),
            Json::Bool(truth) => Ok(Self::Bool(*truth)),
            Json::String(_) => Arc::<str>::read(node, texts).map(Self::String),
            Json::Array(_) => Ok(Self::array(Vec::<Self>::read(node, texts)?)),
            Json::Object(fields) => match (fields.get("number"), fields.get("object"), fields.get("text")) {
                (Some(Json::String(number)), None, None) => {
                    number.parse().map(Self::Number).map_err(|_| expected("a number", node))
                }
                (None, Some(entries), None) => Ok(Self::object(Vec::<(Arc<str>, Self)>::read(entries, texts)?)),
                (None, None, Some(_)) => Arc::<str>::read(node, texts).map(Self::String),
                _ => Err(expected("a value", node)),
            },
            Json::Number(_) => Err(expected("a value", node)),
        }
    }
}
