//! Protocol buffers, as far as the services speak them: messages are described by tables, and become JSON and back.

use serde_json::{Map, Value};

/// How deep messages are within messages.
const DEPTH_MAX: usize = 8;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Bool,
    /// A text that may be missing (`google.protobuf.StringValue`).
    MaybeText,
    /// A whole number that may be missing (`google.protobuf.Int64Value`).
    MaybeNumber,
    /// A point in time (`google.protobuf.Timestamp`), in JSON as RFC 3339.
    Time,
    /// Another message.
    Message(&'static [Field]),
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// Its name in JSON.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Does it hold any number of them?
    pub is_list: bool,
}

const VALUE: &[Field] = &[Field { number: 1, name: "text", kind: Kind::Text, is_list: false }];
const NUMBER_VALUE: &[Field] = &[Field { number: 1, name: "number", kind: Kind::Number, is_list: false }];
const TIMESTAMP: &[Field] = &[
    Field { number: 1, name: "seconds", kind: Kind::Number, is_list: false },
    Field { number: 2, name: "nanos", kind: Kind::Number, is_list: false },
];

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no protocol buffer of this message")]
pub struct BadMessage;

/// Reads a message. Fields that are not described are left out.
pub fn decode(bytes: &[u8], fields: &[Field]) -> Result<Map<String, Value>, BadMessage> {
    decode_at(bytes, fields, 0)
}

fn decode_at(mut bytes: &[u8], fields: &[Field], depth: usize) -> Result<Map<String, Value>, BadMessage> {
    if depth > DEPTH_MAX {
        return Err(BadMessage);
    }
    let mut message = Map::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).map_err(|_| BadMessage)?;
        let raw = match tag & 7 {
            0 => Raw::Number(varint(&mut bytes)?),
            1 => {
                take(&mut bytes, 8)?;
                Raw::Fixed
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| BadMessage)?;
                Raw::Bytes(take(&mut bytes, length)?)
            }
            5 => {
                take(&mut bytes, 4)?;
                Raw::Fixed
            }
            _ => return Err(BadMessage),
        };
        let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
        let value = value_of(field.kind, raw, depth)?;
        match (field.is_list, message.get_mut(field.name)) {
            (true, Some(Value::Array(list))) => list.push(value),
            (true, _) => drop(message.insert(field.name.to_owned(), Value::Array(vec![value]))),
            (false, _) => drop(message.insert(field.name.to_owned(), value)),
        }
    }
    Ok(message)
}

enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A number of fixed length, which no message of ours has.
    Fixed,
}

fn value_of(kind: Kind, raw: Raw<'_>, depth: usize) -> Result<Value, BadMessage> {
    match (kind, raw) {
        (Kind::Text, Raw::Bytes(bytes)) => Ok(std::str::from_utf8(bytes).map_err(|_| BadMessage)?.into()),
        (Kind::Number, Raw::Number(number)) => Ok(number.cast_signed().into()),
        (Kind::Bool, Raw::Number(number)) => Ok((number != 0).into()),
        (Kind::MaybeText, Raw::Bytes(bytes)) => {
            let mut inner = decode_at(bytes, VALUE, depth + 1)?;
            Ok(inner.remove("text").unwrap_or_else(|| "".into()))
        }
        (Kind::MaybeNumber, Raw::Bytes(bytes)) => {
            let mut inner = decode_at(bytes, NUMBER_VALUE, depth + 1)?;
            Ok(inner.remove("number").unwrap_or_else(|| 0.into()))
        }
        (Kind::Time, Raw::Bytes(bytes)) => {
            let inner = decode_at(bytes, TIMESTAMP, depth + 1)?;
            let part = |name: &str| inner.get(name).and_then(Value::as_i64).unwrap_or(0);
            let nanos = i32::try_from(part("nanos")).map_err(|_| BadMessage)?;
            let at = jiff::Timestamp::new(part("seconds"), nanos).map_err(|_| BadMessage)?;
            Ok(at.to_string().into())
        }
        (Kind::Message(fields), Raw::Bytes(bytes)) => Ok(Value::Object(decode_at(bytes, fields, depth + 1)?)),
        (_, Raw::Fixed | Raw::Number(_) | Raw::Bytes(_)) => Err(BadMessage),
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, BadMessage> {
    let mut number = 0;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first().ok_or(BadMessage)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place).unwrap_or(0);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(BadMessage)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], BadMessage> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(BadMessage)?;
    *bytes = rest;
    Ok(taken)
}

/// Writes a message. What is not described, or of another kind, is left out.
pub fn encode(message: &Map<String, Value>, fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        match message.get(field.name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(values)) if field.is_list => {
                for value in values {
                    put(&mut bytes, field, value);
                }
            }
            Some(value) => put(&mut bytes, field, value),
        }
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, field: &Field, value: &Value) {
    let inner = |name: &str, value: &Value| Map::from_iter([(name.to_owned(), value.clone())]);
    match (field.kind, value) {
        (Kind::Text, Value::String(text)) if !text.is_empty() => put_bytes(bytes, field.number, text.as_bytes()),
        (Kind::Number, value) => match number_of(value) {
            Some(number) if number != 0 => put_number(bytes, field.number, number.cast_unsigned()),
            _ => {}
        },
        (Kind::Bool, Value::Bool(true)) => put_number(bytes, field.number, 1),
        (Kind::MaybeText, Value::String(_)) => put_bytes(bytes, field.number, &encode(&inner("text", value), VALUE)),
        (Kind::MaybeNumber, value) => {
            put_bytes(bytes, field.number, &encode(&inner("number", value), NUMBER_VALUE));
        }
        (Kind::Time, Value::String(text)) => {
            if let Ok(at) = text.parse::<jiff::Timestamp>() {
                let mut parts = inner("seconds", &at.as_second().into());
                parts.insert("nanos".to_owned(), at.subsec_nanosecond().into());
                put_bytes(bytes, field.number, &encode(&parts, TIMESTAMP));
            }
        }
        (Kind::Message(fields), Value::Object(message)) => put_bytes(bytes, field.number, &encode(message, fields)),
        _ => {}
    }
}

/// Returns a whole number that JSON may carry as a text.
pub fn number_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

fn put_number(bytes: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(bytes, u64::from(number) << 3);
    put_varint(bytes, value);
}

fn put_bytes(bytes: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(bytes, u64::from(number) << 3 | 2);
    put_varint(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::super::message;
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let written = serde_json::json!({
            "workflow_run_backend_id": "r", "workflow_job_run_backend_id": "j", "name": "näme", "version": 7,
            "mime_type": "application/zip", "expires_at": "2026-01-02T03:04:05Z",
        });
        let fields = message::of("CreateArtifact").unwrap().request;
        let bytes = encode(written.as_object().unwrap(), fields);
        assert_eq!(Value::Object(decode(&bytes, fields).unwrap()), written);
        // What protoc writes for name = "a", version = 7.
        assert_eq!(decode(&[0x1a, 1, b'a', 0x28, 7], fields).unwrap()["version"], 7);
    }

    #[test]
    fn lists_numbers_as_texts_and_wrappers_go_both_ways() {
        let written = serde_json::json!({ "artifacts": [
            { "database_id": "12", "name": "a", "size": "300", "digest": "sha256:ab" },
            { "database_id": "13", "name": "b", "size": "0" },
        ] });
        let fields = message::of("ListArtifacts").unwrap().reply;
        let read = decode(&encode(written.as_object().unwrap(), fields), fields).unwrap();
        assert_eq!(read["artifacts"][0]["database_id"], 12);
        assert_eq!(read["artifacts"][0]["digest"], "sha256:ab");
        assert_eq!(read["artifacts"][1]["name"], "b");
    }

    #[test]
    fn nonsense_is_refused() {
        let fields = message::of("CreateCacheEntry").unwrap().request;
        for bytes in [&[0x0a][..], &[0x0a, 9, 1], &[0xff; 11], &[0x0b], &[0x12, 1, 0xff]] {
            assert_eq!(decode(bytes, fields), Err(BadMessage), "{bytes:?}");
        }
        // A field that nobody knows is passed over.
        assert_eq!(decode(&[0x99, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 1, b'k'], fields).unwrap()["key"], "k");
    }
}
