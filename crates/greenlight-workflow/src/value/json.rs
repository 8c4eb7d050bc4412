//! JSON to values and back. Depth is bounded; numbers are written as JavaScript writes them.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{JSON_DEPTH_MAX, JsonError, Object, Value, place_point};

pub(super) fn read(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = reader.value().and_then(|value| reader.end().map(|()| value));
    value.map_err(|reason| reader.error(reason))
}

/// Reads strict JSON, as JavaScript's own reader does; a number too large for a float is infinite there.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value, String> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.nested(Reader::object),
            Some(b'[') => self.nested(Reader::array),
            Some(b'"') => self.string().map(Value::string),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.take("null") => Ok(Value::Null),
            _ if self.take("true") => Ok(Value::Bool(true)),
            _ if self.take("false") => Ok(Value::Bool(false)),
            _ => Err("expected a value".into()),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, String>) -> Result<Value, String> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(format!("nested deeper than {JSON_DEPTH_MAX}"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        self.skip_blanks();
        if self.take("]") {
            return Ok(Value::Array(items.into()));
        }
        loop {
            items.push(self.value()?);
            self.skip_blanks();
            if self.take("]") {
                return Ok(Value::Array(items.into()));
            }
            self.expect(",", "expected ',' or ']'")?;
        }
    }

    /// Of two equal names the last one counts, as in JavaScript; of two that differ in case the first.
    fn object(&mut self) -> Result<Value, String> {
        let mut object = Object::default();
        self.skip_blanks();
        if self.take("}") {
            return Ok(Value::Object(Arc::new(object)));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err("expected a name in quotes".into());
            }
            let key = self.string()?;
            self.skip_blanks();
            self.expect(":", "expected ':'")?;
            let value = self.value()?;
            match object.position(&key) {
                Some(at) if *object.entries[at].0 == *key => object.entries[at].1 = value,
                Some(_) => {}
                None => object.push(key.into(), value),
            }
            self.skip_blanks();
            if self.take("}") {
                return Ok(Value::Object(Arc::new(object)));
            }
            self.expect(",", "expected ',' or '}'")?;
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let length = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let number = &rest[..length];
        if !is_json_number(number) {
            return Err(format!("'{number}' is no number"));
        }
        self.at += length;
        Ok(Value::Number(number.parse().expect("the syntax of a number was checked")))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let stop = |byte: u8| byte == b'"' || byte == b'\\' || byte < b' ';
            let length = rest.bytes().position(stop).ok_or("a text is not closed")?;
            out.push_str(&rest[..length]);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                _ => return Err("a control character stands in a text".into()),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), String> {
        self.at += 1;
        let escaped = self.peek().ok_or("a text is not closed")?;
        if !b"\"\\/bfnrtu".contains(&escaped) {
            return Err("an escape in a text is unknown".into());
        }
        self.at += 1;
        out.push(match escaped {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => self.unicode()?,
        });
        Ok(())
    }

    /// Half of a pair alone is no character; it becomes the replacement character.
    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or("an escape in a text is not complete")?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip_blanks();
        if self.at == self.text.len() { Ok(()) } else { Err("something follows the value".into()) }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.text[self.at..].starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn expect(&mut self, text: &str, reason: &str) -> Result<(), String> {
        if self.take(text) { Ok(()) } else { Err(reason.into()) }
    }

    fn error(&self, reason: String) -> JsonError {
        let before = &self.text[..self.at];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        JsonError { line, column, reason }
    }
}

/// Says whether the text is a number as JSON has it: no plus, no leading zero, digits around the point.
fn is_json_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(left, right)| (left, Some(right)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(left, right)| (left, Some(right)));
    let exponent_is_right =
        exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits) && exponent_is_right
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
