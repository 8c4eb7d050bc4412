//! The one kind of value that contexts hold and expressions yield, with GitHub's rules for turning one type into another.
//! It knows nothing of files and workflows. Values are shared, never copied: cloning one costs a counter.

mod json;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// How deep JSON may nest before it is refused.
pub const JSON_DEPTH_MAX: usize = 64;

/// How many entries an object has before lookups go through an index. The `github` context has fewer, and is made for every run.
const OBJECT_SCAN_MAX: usize = 40;

/// A value of the expression language.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing: what a missing property is.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; there is only one kind, as in JavaScript.
    Number(f64),
    /// A text.
    String(Arc<str>),
    /// A list.
    Array(Arc<[Value]>),
    /// Names and values in the order in which they came.
    Object(Arc<Object>),
}

/// Names and values in order; names are looked up without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Object {
    entries: Vec<(Arc<str>, Value)>,
    index: BTreeMap<Box<str>, usize>,
}

/// Why a text is no JSON value of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON at line {line}, column {column}: {reason}")]
pub struct JsonError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

static NULL: Value = Value::Null;
static EMPTY: LazyLock<Arc<str>> = LazyLock::new(|| "".into());
static TRUE: LazyLock<Arc<str>> = LazyLock::new(|| "true".into());
static FALSE: LazyLock<Arc<str>> = LazyLock::new(|| "false".into());
static ARRAY: LazyLock<Arc<str>> = LazyLock::new(|| "Array".into());
static OBJECT: LazyLock<Arc<str>> = LazyLock::new(|| "Object".into());

impl Value {
    /// Returns the value that a JSON text means; nesting deeper than [`JSON_DEPTH_MAX`] is refused.
    pub fn from_json(text: &str) -> Result<Value, JsonError> {
        json::read(text)
    }

    /// Returns the value as compact JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        json::write(&mut out, self, None, 0);
        out
    }

    /// Returns the value as JSON indented by two blanks, as `toJSON` does.
    pub fn to_json_pretty(&self) -> String {
        let mut out = String::new();
        json::write(&mut out, self, Some("  "), 0);
        out
    }

    /// Returns a string value.
    pub fn string(text: impl Into<Arc<str>>) -> Value {
        Value::String(text.into())
    }

    /// Returns an array of these values.
    pub fn array(items: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(items.into_iter().collect())
    }

    /// Returns an object of these entries; of two names that differ only in case the first wins.
    pub fn object<K: Into<Arc<str>>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Value {
        Value::Object(Arc::new(Object::new(entries.into_iter().map(|(key, value)| (key, value.into())))))
    }

    /// Returns an object of these entries, of which no two have one name, whatever its case: nobody looks for that again.
    pub fn record<const N: usize>(entries: [(&str, Value); N]) -> Value {
        let mut object = Object { entries: Vec::with_capacity(N), ..Object::default() };
        for (key, value) in entries {
            debug_assert!(object.position(key).is_none(), "{key} is there twice");
            object.push(key.into(), value);
        }
        Value::Object(Arc::new(object))
    }

    /// Returns the property of this name, or Null where there is none or this is no object.
    pub fn get(&self, key: &str) -> &Value {
        match self {
            Value::Object(object) => object.get(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// Returns the text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the truth value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// Returns the number of a numeric value.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the items of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the object of an object value.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns what GitHub calls this kind of value.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Value::Null => "Null",
            Value::Bool(_) => "Boolean",
            Value::Number(_) => "Number",
            Value::String(_) => "String",
            Value::Array(_) => "Array",
            Value::Object(_) => "Object",
        }
    }

    /// Says whether this is Null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Says whether this is neither an array nor an object.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Value::Array(_) | Value::Object(_))
    }

    /// Returns the value as a text: Null is empty, an array is `Array`, an object is `Object`.
    pub fn coerce_string(&self) -> Arc<str> {
        match self {
            Value::Null => EMPTY.clone(),
            Value::Bool(true) => TRUE.clone(),
            Value::Bool(false) => FALSE.clone(),
            Value::Number(number) => number_to_string(*number).into(),
            Value::String(text) => text.clone(),
            Value::Array(_) => ARRAY.clone(),
            Value::Object(_) => OBJECT.clone(),
        }
    }

    /// Says whether the value counts as true: all do but Null, false, 0, NaN and the empty text.
    pub fn coerce_bool(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(truth) => *truth,
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::String(text) => !text.is_empty(),
            Value::Array(_) | Value::Object(_) => true,
        }
    }

    /// Returns the value as a number: Null is 0, true is 1, a text is read, everything else is NaN.
    pub fn coerce_number(&self) -> f64 {
        match self {
            Value::Null | Value::Bool(false) => 0.0,
            Value::Bool(true) => 1.0,
            Value::Number(number) => *number,
            Value::String(text) => number_from_str(text),
            Value::Array(_) | Value::Object(_) => f64::NAN,
        }
    }

    /// Says whether the two are equal as `==` sees it: across types as numbers, texts without regard to case, arrays and
    /// objects only if they are the same one.
    pub fn loosely_equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::String(left), Value::String(right)) => fold_equals(left, right),
            (Value::Array(left), Value::Array(right)) => Arc::ptr_eq(left, right),
            (Value::Object(left), Value::Object(right)) => Arc::ptr_eq(left, right),
            (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => false,
            (left, right) => left.coerce_number() == right.coerce_number(),
        }
    }

    /// Says whether this comes after the other as `>` sees it; never true where one of them is no number.
    pub fn loosely_exceeds(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::String(left), Value::String(right)) => {
                let (left, right) = (upper_case(left), upper_case(right));
                left.encode_utf16().gt(right.encode_utf16())
            }
            (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => false,
            (left, right) => left.coerce_number() > right.coerce_number(),
        }
    }
}

impl Object {
    /// Returns an object of these entries; of two names that differ only in case the first wins.
    pub fn new<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Object {
        let mut object = Object::default();
        for (key, value) in entries {
            let key = key.into();
            if object.position(&key).is_none() {
                object.push(key, value);
            }
        }
        object
    }

    /// Returns the value of this name, whatever its case.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|at| &self.entries[at].1)
    }

    /// Returns the entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Says whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, key: &str) -> Option<usize> {
        if self.index.is_empty() {
            return self.entries.iter().position(|(name, _)| fold_equals(name, key));
        }
        self.index.get(&*fold_case(key)).copied()
    }

    fn push(&mut self, key: Arc<str>, value: Value) {
        if self.entries.len() == OBJECT_SCAN_MAX {
            self.index = self.entries.iter().enumerate().map(|(at, (key, _))| (fold_case(key).into(), at)).collect();
        }
        if self.entries.len() >= OBJECT_SCAN_MAX {
            self.index.insert(fold_case(&key).into(), self.entries.len());
        }
        self.entries.push((key, value));
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.entries == other.entries
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::string(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

/// Returns the text in the one case in which names are looked up: texts that are equal but for case come to the same. Two
/// letters are so where their upper cases are, each one character; the dotless i is like no other.
pub(crate) fn fold_case(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    // Most names are written in lower case, and stay as they are.
    Cow::Owned(text.chars().map(|letter| fold_char(letter).to_ascii_lowercase()).collect())
}

/// Returns the text in upper case, letter by letter: what decides which of two texts comes first.
fn upper_case(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.chars().map(fold_char).collect() }
}

/// Says whether two texts are equal but for case.
#[inline]
pub(crate) fn fold_equals(left: &str, right: &str) -> bool {
    may_be_equal(left.as_bytes().first(), right.as_bytes().first())
        && may_be_equal(left.as_bytes().last(), right.as_bytes().last())
        && is_equal_but_for_case(left, right)
}

/// Says whether two texts may be equal that begin, or end, with these bytes. Most names that are compared differ there.
#[inline]
fn may_be_equal(left: Option<&u8>, right: Option<&u8>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => {
            left == right || !left.is_ascii() || !right.is_ascii() || left.eq_ignore_ascii_case(right)
        }
        (left, right) => left == right,
    }
}

fn is_equal_but_for_case(left: &str, right: &str) -> bool {
    if left.eq_ignore_ascii_case(right) {
        return true;
    }
    if left.is_ascii() && right.is_ascii() {
        return false;
    }
    left.chars().map(fold_char).eq(right.chars().map(fold_char))
}

fn fold_char(letter: char) -> char {
    if letter == 'ı' {
        return letter;
    }
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => letter,
    }
}

/// Returns the number that a text means: blanks around it do not count, an empty one is 0, what is none is NaN.
pub(crate) fn number_from_str(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return number_of_digits(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return number_of_digits(digits, 8);
    }
    match text {
        "Infinity" | "+Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ if is_decimal(text) => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

fn number_of_digits(digits: &str, radix: u32) -> f64 {
    if digits.is_empty() {
        return f64::NAN;
    }
    digits
        .chars()
        .try_fold(0.0, |sum, digit| Some(sum * f64::from(radix) + f64::from(digit.to_digit(radix)?)))
        .unwrap_or(f64::NAN)
}

/// Says whether the text is an optional sign, digits with at most one point, and an optional exponent.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_is_right
}

/// Returns a number as GitHub prints it: at most 15 significant digits, an exponent from 1E+15 on and below 0.0001.
pub(crate) fn number_to_string(number: f64) -> String {
    if let Some(special) = special_number(number) {
        return special.into();
    }
    let scientific = format!("{number:.14e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|letter| *letter != '.').collect();
    let digits = digits.trim_end_matches('0');
    if (-4..15).contains(&exponent) {
        return format!("{sign}{}", place_point(digits, exponent));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{rest}E{direction}{:02}", exponent.abs())
}

fn special_number(number: f64) -> Option<&'static str> {
    match number {
        _ if number.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        0.0 => Some("0"),
        _ => None,
    }
}

/// Returns digits with the decimal point where the exponent of the first one puts it.
fn place_point(digits: &str, exponent: i32) -> String {
    let mut out = String::with_capacity(digits.len() + 8);
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(digits);
        return out;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', whole - digits.len()));
    } else {
        out.push_str(&digits[..whole]);
        out.push('.');
        out.push_str(&digits[whole..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_github_prints_them() {
        let cases = [
            (0.845_512_408_225_570_1, "0.84551240822557"),
            (1e15, "1E+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1_345_678_912_345_678_912.0, "1.34567891234568E+18"),
            (0.0001, "0.0001"),
            (0.00001, "1E-05"),
            (-2.5, "-2.5"),
            (-0.0, "0"),
        ];
        for (number, text) in cases {
            assert_eq!(number_to_string(number), text);
        }
    }

    #[test]
    fn json_round_trips_and_bounds_depth() {
        let text = r#"{"b":[1,-2.5,1e+30,"x\n\u0001"],"a":{"B":null},"t":true}"#;
        assert_eq!(Value::from_json(text).unwrap().to_json(), text);
        let deep = "[".repeat(JSON_DEPTH_MAX + 1) + &"]".repeat(JSON_DEPTH_MAX + 1);
        assert!(Value::from_json(&deep).unwrap_err().reason.contains("deeper"));
        assert!(Value::from_json("[1] x").is_err());
    }

    #[test]
    fn json_is_read_as_javascript_reads_it() {
        let read = |text: &str| Value::from_json(text).map(|value| value.coerce_string().to_string());
        for (text, expected) in [
            (r#" "\ud83d\ude00\u00e9\/" "#, "😀é/"),
            (r#""\ud83d x\ude00""#, "\u{fffd} x\u{fffd}"),
            ("1e400", "Infinity"),
            ("-0.5E-1", "-0.05"),
            ("123456789012345678901", "1.23456789012346E+20"),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "[1,]",
            "{a:1}",
            "{\"a\"}",
            "'x'",
            "nul",
            "\"a\nb\"",
            "\"\\é\"",
            "\"\\u12é4\"",
            "\"",
            "\"\\",
            "NaN",
            "[",
            "é",
        ] {
            assert!(Value::from_json(text).is_err(), "{text}");
        }
        assert_eq!(
            Value::from_json("[1,\n é]").unwrap_err().to_string(),
            "invalid JSON at line 2, column 2: expected a value"
        );
    }

    #[test]
    fn names_are_found_whatever_their_case_in_small_and_large_objects() {
        let many: Vec<(String, Value)> = (0..40).map(|at| (format!("Key{at}"), Value::Number(f64::from(at)))).collect();
        let object = Value::object(many);
        assert_eq!(object.get("KEY7"), &Value::Number(7.0));
        assert_eq!(object.get("key39"), &Value::Number(39.0));
        assert_eq!(object.get("key40"), &Value::Null);
        assert_eq!(Value::from_json(r#"{"a":1,"A":2,"a":3}"#).unwrap().to_json(), r#"{"a":3}"#);
    }
}
