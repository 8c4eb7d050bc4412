//! The forms in which tools print a text: what a secret looks like when it was encoded, quoted or cut on its way into a log.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// How long the part of a secret must be that PowerShell prints alone.
const PART_LENGTH_MIN: usize = 6;

/// What JavaScript leaves alone in a part of a URL.
const COMPONENT_MARKS: &str = "!'()*";

/// What JavaScript leaves alone in a whole URL.
const URL_MARKS: &str = "!'()*;/?:@&=+$,#";

/// Returns the forms of a text, the text itself left out; some may be there twice.
pub(super) fn forms(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        json(text, false),
        json(text, true),
        xml(text, ["&quot;", "&apos;"]),
        xml(text, ["&#34;", "&#39;"]),
        xml(text, ["\"", "'"]),
        // Single quotes, as sh, expressions and SQL, and PowerShell write them.
        text.replace('\'', "'\\''"),
        text.replace('\'', "''"),
        // Double quotes, as a command line and a shell write them.
        command_line(text),
        escaped(text, |letter| matches!(letter, '"' | '$' | '`' | '\\').then_some("\\")),
        escaped(text, |letter| (!is_plain(letter)).then_some("\\")),
        escaped(text, |letter| matches!(letter, '"' | '$' | '`').then_some("`")),
        text.trim_matches(['"', '\'']).to_owned(),
        percent(bytes, "%20", ""),
        percent(bytes, "+", ""),
        // Python leaves the slash alone, too.
        percent(bytes, "%20", "/"),
        percent(bytes, "%20", COMPONENT_MARKS),
        percent(bytes, "%20", URL_MARKS),
        percent(bytes, "%20", "").to_lowercase(),
        hex.to_uppercase(),
        hex,
    ];
    forms.extend((0..3).flat_map(|offset| base64(bytes, offset)));
    forms.extend((0..3).flat_map(|offset| base64_to_the_end(bytes, offset)));
    forms.extend(around_ampersand(text));
    forms
}

fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric()
        || matches!(letter, '_' | '-' | '.' | '/' | ',' | ':' | '@' | '%' | '+' | '=')
        || letter > '\u{7f}'
}

/// Puts something before letters.
fn escaped(text: &str, before: impl Fn(char) -> Option<&'static str>) -> String {
    let mut form = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        form.push_str(before(letter).unwrap_or_default());
        form.push(letter);
    }
    form
}

/// Writes the inside of a JSON string; `is_ascii` also writes what is not ASCII as an escape, as some libraries do.
fn json(text: &str, is_ascii: bool) -> String {
    let mut form = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '"' => form.push_str("\\\""),
            '\\' => form.push_str("\\\\"),
            '\n' => form.push_str("\\n"),
            '\r' => form.push_str("\\r"),
            '\t' => form.push_str("\\t"),
            '\u{8}' => form.push_str("\\b"),
            '\u{c}' => form.push_str("\\f"),
            control if control < ' ' => form.push_str(&format!("\\u{:04x}", control as u32)),
            other if is_ascii && !other.is_ascii() => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    form.push_str(&format!("\\u{unit:04x}"));
                }
            }
            other => form.push(other),
        }
    }
    form
}

/// Writes the text of an XML element, with these for the two quotes.
fn xml(text: &str, [quote, apostrophe]: [&str; 2]) -> String {
    let mut form = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '&' => form.push_str("&amp;"),
            '<' => form.push_str("&lt;"),
            '>' => form.push_str("&gt;"),
            '"' => form.push_str(quote),
            '\'' => form.push_str(apostrophe),
            other => form.push(other),
        }
    }
    form
}

/// Writes an argument of a command line: backslashes count only before quotes.
fn command_line(text: &str) -> String {
    let mut form = String::with_capacity(text.len() + 8);
    let mut slashes = 0;
    for letter in text.chars() {
        if letter == '"' {
            form.extend(std::iter::repeat_n('\\', slashes + 1));
        }
        slashes = if letter == '\\' { slashes + 1 } else { 0 };
        form.push(letter);
    }
    form
}

/// Writes a part of a URL. These marks are left as they are.
fn percent(bytes: &[u8], blank: &str, left: &str) -> String {
    let encode = |&byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => blank.to_owned(),
        mark if left.as_bytes().contains(&mark) => char::from(mark).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

/// Returns the part of a base64 text that only the secret decides, where `offset` bytes stand before it.
fn base64(bytes: &[u8], offset: usize) -> Vec<String> {
    let mut shifted = vec![0; offset];
    shifted.extend_from_slice(bytes);
    let skip = (offset * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)]
        .into_iter()
        .filter_map(|text| text.get(skip..end).map(str::to_owned))
        .collect()
}

/// Returns the same where the secret is the last of what is encoded, with or without a line feed behind it: then the last letter, which
/// the secret decides only in part, is known as well.
fn base64_to_the_end(bytes: &[u8], offset: usize) -> Vec<String> {
    let skip = (offset * 8).div_ceil(6);
    let ends = [&b""[..], b"\n"].into_iter().flat_map(|end| {
        let whole = [&[0; 2][..offset], bytes, end].concat();
        [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)]
    });
    ends.filter_map(|text| text.get(skip..).map(str::to_owned)).collect()
}

/// Returns the parts of a text that PowerShell prints apart when it complains about an `&` in it: up to the last one (or to `&+`),
/// and what comes after it (after `&+` less one letter).
fn around_ampersand(text: &str) -> Vec<String> {
    let cut = match (text.find("&+"), text.rfind('&')) {
        (Some(place), _) => Some((place + 2, true)),
        (None, Some(place)) => Some((place + 1, false)),
        (None, None) => None,
    };
    let Some((cut, is_plus)) = cut else { return Vec::new() };
    let (before, after) = text.split_at(cut);
    let after = if is_plus { after.chars().skip(1).collect() } else { after.to_owned() };
    [before.to_owned(), after].into_iter().filter(|part| part.len() >= PART_LENGTH_MIN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_may_be_left_alone_in_a_url() {
        let forms = forms("p@ss w/ord");
        for form in ["p%40ss%20w/ord", "p%40ss%20w%2Ford", "p%40ss+w%2Ford", "p@ss%20w/ord"] {
            assert!(forms.iter().any(|known| known == form), "{form} is not among {forms:?}");
        }
    }
}
