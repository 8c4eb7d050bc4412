//! What a scalar means: its text, style and tag to Null, a boolean, a number or a string, by the YAML 1.2 core schema.

use saphyr_parser::{ScalarStyle, Tag};

use super::text::Texts;
use super::{NodeKind, Style};
use crate::finding::{Finding, Span};
use crate::value::{Value, number_from_str};

const CORE: &str = "tag:yaml.org,2002:";

pub(super) fn resolve(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
    texts: &mut Texts,
) -> Result<NodeKind, Finding> {
    let Some(tag) = tag else { return Ok(resolve_untagged(text, style, texts)) };
    let style = style_of(style);
    let value = tagged(text, style, &full_name(tag), span)?;
    let text = match &value {
        Value::String(_) => None,
        _ => Some(texts.shared(text)),
    };
    Ok(NodeKind::Scalar { text, style, value })
}

/// Returns what a scalar without a tag means, which is something in any case.
#[inline]
pub(super) fn resolve_untagged(text: &str, style: ScalarStyle, texts: &mut Texts) -> NodeKind {
    let style = style_of(style);
    let value = if style == Style::Plain { implicit(text) } else { None };
    match value {
        None => NodeKind::Scalar { text: None, style, value: Value::String(texts.shared(text)) },
        Some(value) => NodeKind::Scalar { text: Some(texts.shared(text)), style, value },
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

/// Refuses any tag on a collection but the one that says what it is anyway.
pub(super) fn check_collection_tag(tag: Option<&Tag>, kind: &str, span: Span) -> Result<(), Finding> {
    match tag.map(full_name) {
        Some(name) if name != "!" && name.strip_prefix(CORE) != Some(kind) => Err(unexpected_tag(&name, span)),
        _ => Ok(()),
    }
}

fn full_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

/// Returns what a plain text means where it is no string.
fn implicit(text: &str) -> Option<Value> {
    // What means something else than itself begins like a number, a dot, or one of these words.
    let may_mean = |first: &u8| first.is_ascii_digit() || b"~nNtTfF+-.".contains(first);
    if text.as_bytes().first().is_some_and(|first| !may_mean(first)) {
        return None;
    }
    if text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
        return null(text).or_else(|| boolean(text));
    }
    null(text).or_else(|| integer(text).or_else(|| float(text)).map(Value::Number))
}

fn tagged(text: &str, style: Style, tag: &str, span: Span) -> Result<Value, Finding> {
    let value = match tag.strip_prefix(CORE) {
        Some("str") => return Ok(Value::string(text)),
        _ if tag == "!" => return Ok(Value::string(text)),
        Some("null") => null(text),
        Some("bool") => boolean(text),
        Some("int") => integer(text).map(Value::Number),
        Some("float") => integer(text).or_else(|| float(text)).map(Value::Number),
        _ => return Err(unexpected_tag(tag, span)),
    };
    if style != Style::Plain {
        let message = format!(
            "The scalar style '{style:?}' on line {} and column {} is not valid with the tag '{tag}'",
            span.line, span.column
        );
        return Err(Finding::error("yaml-tag", span, message));
    }
    value.ok_or_else(|| {
        let message = format!(
            "The value '{text}' on line {} and column {} is invalid for the type '{tag}'",
            span.line, span.column
        );
        Finding::error("yaml-tag", span, message)
    })
}

fn unexpected_tag(tag: &str, span: Span) -> Finding {
    // `if: !cancelled()` is no expression to YAML.
    let is_negation = tag.starts_with('!') && tag.contains(['(', '.']);
    let help = match is_negation {
        true => "in YAML '!' begins a tag: put the whole expression between '${{' and '}}'",
        false => "remove the tag",
    };
    Finding::error("yaml-tag", span, format!("Unexpected tag '{tag}'")).with_help(help)
}

fn null(text: &str) -> Option<Value> {
    matches!(text, "" | "~" | "null" | "Null" | "NULL").then_some(Value::Null)
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn integer(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_radix = text.starts_with("0x") || text.starts_with("0o");
    let number = if is_decimal || has_radix { number_from_str(text) } else { f64::NAN };
    (!number.is_nan()).then_some(if number == 0.0 { 0.0 } else { number })
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(f64::NAN);
    }
    let starts_as_number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let number = if starts_as_number && !text.contains(char::is_whitespace) { number_from_str(text) } else { f64::NAN };
    (!number.is_nan()).then_some(number)
}
