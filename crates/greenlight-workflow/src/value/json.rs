//! JSON to values and back. Depth is bounded; numbers are written as JavaScript writes them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{JSON_DEPTH_MAX, JsonError, Object, Value, place_point};

pub(super) fn read(text: &str) -> Result<Value, JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Seed { depth: 0 }.deserialize(&mut reader).map_err(json_error)?;
    reader.end().map_err(json_error)?;
    Ok(value)
}

pub(super) fn write(out: &mut String, value: &Value, indent: Option<&str>, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_to_json(*number)),
        Value::String(text) => write_json_string(out, text),
        Value::Array(items) => {
            write_json_items(out, "[]", items.len(), indent, depth, |out, at| write(out, &items[at], indent, depth + 1))
        }
        Value::Object(object) => write_json_items(out, "{}", object.len(), indent, depth, |out, at| {
            let (key, value) = &object.entries[at];
            write_json_string(out, key);
            out.push_str(if indent.is_some() { ": " } else { ":" });
            write(out, value, indent, depth + 1);
        }),
    }
}

fn write_json_items(
    out: &mut String,
    brackets: &str,
    count: usize,
    indent: Option<&str>,
    depth: usize,
    write_item: impl Fn(&mut String, usize),
) {
    out.push_str(&brackets[..1]);
    for at in 0..count {
        if at > 0 {
            out.push(',');
        }
        write_json_break(out, indent, depth + 1);
        write_item(out, at);
    }
    if count > 0 {
        write_json_break(out, indent, depth);
    }
    out.push_str(&brackets[1..]);
}

fn write_json_break(out: &mut String, indent: Option<&str>, depth: usize) {
    if let Some(indent) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(indent, depth));
    }
}

/// Writes a text as a JSON string.
pub(super) fn write_json_string(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            letter if letter < ' ' => {
                write!(out, "\\u{:04x}", letter as u32).expect("writing to a string does not fail");
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

fn json_error(error: serde_json::Error) -> JsonError {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    JsonError { line: error.line(), column: error.column(), reason: reason.to_owned() }
}

/// Reads one JSON value at a known depth.
#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl Seed {
    fn deeper<E: serde::de::Error>(self) -> Result<Seed, E> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {JSON_DEPTH_MAX}")));
        }
        Ok(Seed { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::string(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(seed)? {
            values.push(value);
        }
        Ok(Value::Array(values.into()))
    }

    /// Of two equal names the last one counts, as in JavaScript; of two that differ in case the first.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut object = Object::default();
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            let value = entries.next_value_seed(seed)?;
            match object.position(&key) {
                Some(at) if *object.entries[at].0 == *key => object.entries[at].1 = value,
                Some(_) => {}
                None => object.push(key.into(), value),
            }
        }
        Ok(Value::Object(Arc::new(object)))
    }
}

/// Returns a number as JSON has it: all its digits, as JavaScript prints them.
fn number_to_json(number: f64) -> String {
    if !number.is_finite() {
        return "null".into();
    }
    if number == 0.0 {
        return "0".into();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-7..21).contains(&exponent) {
        let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
        let digits: String = mantissa.chars().filter(|letter| *letter != '.').collect();
        return format!("{sign}{}", place_point(&digits, exponent));
    }
    format!("{mantissa}e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
