//! Masks: what must not be read in a log, an annotation or an output, in the forms in which tools like to print it.
//!
//! A secret is masked whole and line by line, and in its usual encodings. Whoever asks has whole lines, so a secret cannot slip
//! through between two chunks; one that spans lines is found by its lines.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// How short a line of a secret may be to be masked by itself: shorter ones are in every text.
const LINE_LENGTH_MIN: usize = 4;

/// How short an encoded form may be to be masked.
const ENCODED_LENGTH_MIN: usize = 6;

/// How many forms of secrets are known to one job; what is registered after that is masked in its plain form only.
const FORMS_MAX: usize = 20_000;

/// How long a secret may be.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// The secrets of a job.
#[derive(Debug, Default)]
pub struct Masks {
    forms: BTreeSet<Vec<u8>>,
    searcher: Option<AhoCorasick>,
    longest: usize,
}

impl Masks {
    /// Adds a secret. Blank ones mask nothing.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return;
        }
        let lines = secret.lines().map(str::trim).filter(|line| line.len() >= LINE_LENGTH_MIN);
        let plain: Vec<&str> = std::iter::once(secret).chain(lines).collect();
        let before = self.forms.len();
        for text in &plain {
            self.forms.insert(text.as_bytes().to_vec());
        }
        if self.forms.len() == before {
            return;
        }
        for text in plain.iter().filter(|text| text.len() >= LINE_LENGTH_MIN) {
            for form in encodings(text) {
                if self.forms.len() < FORMS_MAX && form.len() >= ENCODED_LENGTH_MIN {
                    self.forms.insert(form);
                }
            }
        }
        self.longest = self.forms.iter().map(Vec::len).max().unwrap_or(0);
        self.searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&self.forms).ok();
    }

    /// Returns the text without secrets.
    pub fn apply<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.searcher {
            Some(searcher) if searcher.is_match(text) => {
                let mut masked = Vec::with_capacity(text.len());
                searcher.replace_all_with_bytes(text, &mut masked, |_, _, masked| {
                    masked.extend_from_slice(MASK.as_bytes());
                    true
                });
                Cow::Owned(masked)
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// Returns the text without secrets.
    pub fn apply_to(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.apply(text.as_bytes())).into_owned()
    }

    /// Is there a secret in it?
    pub fn has_secret(&self, text: &str) -> bool {
        self.searcher.as_ref().is_some_and(|searcher| searcher.is_match(text))
    }

    /// Returns the length of the longest form: a text must reach that far beyond a cut before it is cut.
    pub fn longest(&self) -> usize {
        self.longest
    }
}

/// Returns the forms in which tools print a text.
fn encodings(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        escaped(text, |letter| matches!(letter, '"' | '\\').then(|| format!("\\{letter}"))),
        escaped(text, xml),
        escaped(text, |letter| (letter == '\'').then(|| "'\\''".to_owned())),
        escaped(text, |letter| (letter == '\'').then(|| "''".to_owned())),
        text.trim_matches(['"', '\'']).to_owned(),
        percent(bytes, "%20"),
        percent(bytes, "+"),
        hex.to_uppercase(),
        hex,
    ];
    if text.contains('\n') {
        forms.push(text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    }
    forms.extend((0..3).flat_map(|offset| base64_forms(bytes, offset)));
    forms.into_iter().map(String::into_bytes).collect()
}

fn escaped(text: &str, escape: impl Fn(char) -> Option<String>) -> String {
    text.chars().map(|letter| escape(letter).unwrap_or_else(|| letter.into())).collect()
}

fn xml(letter: char) -> Option<String> {
    let name = match letter {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        _ => return None,
    };
    Some(name.to_owned())
}

fn percent(bytes: &[u8], blank: &str) -> String {
    let encode = |&byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => blank.to_owned(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

/// Returns the part of a base64 text that only the secret decides, where `offset` bytes stand before it.
fn base64_forms(bytes: &[u8], offset: usize) -> Vec<String> {
    let mut shifted = vec![0; offset];
    shifted.extend_from_slice(bytes);
    let skip = (offset * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)]
        .into_iter()
        .filter_map(|text| text.get(skip..end).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn masks(secrets: &[&str]) -> Masks {
        let mut masks = Masks::default();
        secrets.iter().for_each(|secret| masks.add(secret));
        masks
    }

    #[test]
    fn a_secret_is_masked_in_its_usual_forms() {
        let secret = "p@ss \"word\" <1>";
        let masks = masks(&[secret]);
        for before in ["", "u", "us", "user:"] {
            let encoded = STANDARD.encode(format!("{before}{secret} and more"));
            let masked = masks.apply_to(&encoded);
            assert!(masked.contains(MASK), "{before}: {masked}");
        }
        for form in [
            secret,
            "p@ss \\\"word\\\" <1>",
            "p%40ss%20%22word%22%20%3C1%3E",
            "p@ss &quot;word&quot; &lt;1&gt;",
            "7040737320",
        ] {
            let text = format!("a {form} b");
            let is_whole = masks.apply_to(&text) == "a *** b";
            assert!(is_whole || form.starts_with('7'), "{form}: {}", masks.apply_to(&text));
        }
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(masks.apply_to(&hex), MASK);
    }

    #[test]
    fn a_key_of_many_lines_is_masked_line_by_line() {
        let masks = masks(&["-----BEGIN-----\nabcdefgh\nxy\n-----END-----\n"]);
        assert_eq!(masks.apply_to("  abcdefgh\n"), "  ***\n");
        assert_eq!(masks.apply_to("galaxy\n"), "galaxy\n", "two letters are in every text");
        assert!(masks.has_secret("x-----END-----"));
    }

    #[test]
    fn nothing_is_masked_without_secrets() {
        let masks = masks(&["", "  \n "]);
        assert_eq!(masks.apply_to("a  b"), "a  b");
        assert!(!masks.has_secret("anything"));
    }

    #[test]
    fn the_longer_of_two_secrets_wins() {
        assert_eq!(masks(&["abc", "abcdef"]).apply_to("abcdef"), MASK);
    }
}
