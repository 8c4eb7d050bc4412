//! Masks: what must not be read in a log, an annotation or an output, in the forms in which tools like to print it.
//!
//! A secret is masked whole and line by line, and in its usual encodings. Whoever asks has whole lines, so a secret cannot slip
//! through between two chunks; one that spans lines is found by its lines.

mod encoding;
mod sieve;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use sieve::{Sieve, WINDOW_MIN};

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// How short a line of a secret may be to be masked by itself: shorter ones are in every text.
const LINE_LENGTH_MIN: usize = 4;

/// How short an encoded form may be to be masked.
const ENCODED_LENGTH_MIN: usize = 6;

/// How many forms of secrets are known to one job; what is registered after that is masked in its plain form only.
const FORMS_MAX: usize = 20_000;

/// How many bytes all forms have together where they are searched for with a table: about 200 bytes of memory for each.
const TABLE_BYTES_MAX: usize = 32 << 10;

/// How long a secret may be.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// The secrets of a job.
#[derive(Default)]
pub struct Masks {
    forms: BTreeSet<Vec<u8>>,
    /// What says of most texts that they hold none of them, made when it is first needed after a change.
    filter: OnceLock<Filter>,
    /// What finds them, made when the filter first lets a text through.
    searcher: OnceLock<Option<AhoCorasick>>,
    longest: usize,
}

/// Secrets are counted, never shown.
impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({} forms)", self.forms.len())
    }
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
            for form in encoding::forms(text) {
                if self.forms.len() < FORMS_MAX && form.len() >= ENCODED_LENGTH_MIN {
                    self.forms.insert(form.into_bytes());
                }
            }
        }
        self.longest = self.forms.iter().map(Vec::len).max().unwrap_or(0);
        self.filter = OnceLock::new();
        self.searcher = OnceLock::new();
    }

    /// Returns the text without secrets.
    pub fn apply<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(searcher) = self.searcher_for(text) else { return Cow::Borrowed(text) };
        let mut found = searcher.find_iter(text).peekable();
        if found.peek().is_none() {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut place = 0;
        for secret in found {
            masked.extend_from_slice(&text[place..secret.start()]);
            masked.extend_from_slice(MASK.as_bytes());
            place = secret.end();
        }
        masked.extend_from_slice(&text[place..]);
        Cow::Owned(masked)
    }

    /// Returns the text without secrets.
    pub fn apply_to(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.apply(text.as_bytes())).into_owned()
    }

    /// Is there a secret in it?
    pub fn has_secret(&self, text: &str) -> bool {
        self.searcher_for(text.as_bytes()).is_some_and(|searcher| searcher.is_match(text))
    }

    /// Returns what finds secrets in this text; nothing where it is known to hold none.
    fn searcher_for(&self, text: &[u8]) -> Option<&AhoCorasick> {
        if self.forms.is_empty() || !self.filter.get_or_init(|| Filter::new(&self.forms)).may_hold(text) {
            return None;
        }
        self.searcher.get_or_init(|| search_for(&self.forms)).as_ref()
    }

    /// Returns how far a text that goes on can be masked by itself: no secret begins before that place and ends behind it.
    pub fn end_of_closed(&self, text: &[u8]) -> usize {
        let first = (text.len() + 1).saturating_sub(self.longest);
        let open = (first..text.len()).find(|&start| self.may_begin_with(&text[start..])).unwrap_or(text.len());
        let Some(searcher) = self.searcher_for(text) else { return open };
        searcher
            .find_iter(text)
            .find(|found| found.start() < open && open < found.end())
            .map_or(open, |found| found.start())
    }

    /// Does a form begin so?
    fn may_begin_with(&self, text: &[u8]) -> bool {
        let next = self.forms.range::<[u8], _>((Bound::Included(text), Bound::Unbounded)).next();
        next.is_some_and(|form| form.starts_with(text))
    }

    /// Returns the length of the longest form: a text must reach that far beyond a cut before it is cut.
    pub fn longest(&self) -> usize {
        self.longest
    }
}

/// What most texts pass, which hold no secret.
struct Filter {
    /// Says whether a text may hold one of the long forms; where it is not there any text may.
    long: Option<Sieve>,
    /// Finds the short ones. Few secrets have any.
    short: Option<AhoCorasick>,
}

impl Filter {
    fn new(forms: &BTreeSet<Vec<u8>>) -> Self {
        let (long, short): (Vec<&[u8]>, Vec<&[u8]>) =
            forms.iter().map(Vec::as_slice).partition(|form| form.len() >= WINDOW_MIN);
        if short.is_empty() {
            return Self { long: Sieve::new(&long), short: None };
        }
        match AhoCorasick::new(&short) {
            Ok(found) if !long.is_empty() => Self { long: Sieve::new(&long), short: Some(found) },
            // Without long forms, or where even the short ones cannot be searched for, the search itself decides.
            _ => Self { long: None, short: None },
        }
    }

    fn may_hold(&self, text: &[u8]) -> bool {
        let Some(long) = &self.long else { return true };
        long.may_hold(text) || self.short.as_ref().is_some_and(|short| short.is_match(text))
    }
}

/// Returns what finds all these forms. A table for every letter is the fastest and the largest, so it is for the usual job.
fn search_for(forms: &BTreeSet<Vec<u8>>) -> Option<AhoCorasick> {
    let bytes: usize = forms.iter().map(Vec::len).sum();
    let kind = (bytes <= TABLE_BYTES_MAX).then_some(AhoCorasickKind::DFA);
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::LeftmostLongest).kind(kind);
    builder.build(forms).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::*;

    fn masks(secrets: &[&str]) -> Masks {
        let mut masks = Masks::default();
        secrets.iter().for_each(|secret| masks.add(secret));
        masks
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let secret = "p@ss \"word\" <1> 'é' $x\\&y\tz";
        let masks = masks(&[secret]);
        for before in ["", "u", "us", "user:"] {
            for encoded in
                [STANDARD.encode(format!("{before}{secret}!?")), URL_SAFE.encode(format!("{before}{secret}!?"))]
            {
                let masked = masks.apply_to(&encoded);
                let left = masked.replace(MASK, "").len();
                assert!(masked.contains(MASK) && left <= before.len() * 2 + 10, "{before}: {masked}");
            }
        }
        for form in [
            secret,
            // JSON, with and without escapes for what is not ASCII.
            "p@ss \\\"word\\\" <1> 'é' $x\\\\&y\\tz",
            "p@ss \\\"word\\\" <1> '\\u00e9' $x\\\\&y\\tz",
            // XML.
            "p@ss &quot;word&quot; &lt;1&gt; &apos;é&apos; $x\\&amp;y\tz",
            "p@ss &#34;word&#34; &lt;1&gt; &#39;é&#39; $x\\&amp;y\tz",
            "p@ss \"word\" &lt;1&gt; 'é' $x\\&amp;y\tz",
            // URLs.
            "p%40ss%20%22word%22%20%3C1%3E%20%27%C3%A9%27%20%24x%5C%26y%09z",
            "p%40ss+%22word%22+%3C1%3E+%27%C3%A9%27+%24x%5C%26y%09z",
            "p%40ss%20%22word%22%20%3C1%3E%20'%C3%A9'%20%24x%5C%26y%09z",
            "p%40ss%20%22word%22%20%3c1%3e%20%27%c3%a9%27%20%24x%5c%26y%09z",
            // Shells, expressions, command lines.
            "p@ss \"word\" <1> '\\''é'\\'' $x\\&y\tz",
            "p@ss \"word\" <1> ''é'' $x\\&y\tz",
            "p@ss \\\"word\\\" <1> 'é' \\$x\\\\&y\tz",
            "p@ss\\ \\\"word\\\"\\ \\<1\\>\\ \\'é\\'\\ \\$x\\\\\\&y\\\tz",
            "p@ss `\"word`\" <1> 'é' `$x\\&y\tz",
            "p@ss \\\"word\\\" <1> 'é' $x\\&y\tz",
        ] {
            assert_eq!(masks.apply_to(&format!("a {form} b")), "a *** b", "{form}");
        }
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(masks.apply_to(&hex), MASK);
        assert_eq!(masks.apply_to(&hex.to_uppercase()), MASK);
    }

    #[test]
    fn of_a_secret_that_ends_what_is_encoded_nothing_is_left() {
        for secret in ["hunter", "hunter2", "hunter22", "hunter22?"] {
            let masks = masks(&[secret]);
            for text in [secret.to_owned(), format!("{secret}\n")] {
                for encoded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    assert_eq!(masks.apply_to(&format!("<{encoded}>")), "<***>", "{text:?}");
                }
                for before in ["u:", "user:"] {
                    let masked = masks.apply_to(&STANDARD.encode(format!("{before}{text}")));
                    assert!(masked.ends_with(MASK), "{masked}");
                }
            }
        }
    }

    #[test]
    fn quotes_around_a_secret_may_be_gone_and_powershell_cuts_at_an_ampersand() {
        let quoted = masks(&["\"hunter22\""]);
        assert_eq!(quoted.apply_to("it is hunter22"), "it is ***");
        let cut = masks(&["secretpart1&secretpart2&secretpart3", "otherpart1&+otherpart2"]);
        assert_eq!(cut.apply_to("secretpart1&secretpart2& and secretpart3"), "*** and ***");
        assert_eq!(cut.apply_to("otherpart1&+ and therpart2"), "*** and ***");
    }

    #[test]
    fn a_text_that_goes_on_is_cut_in_no_secret() {
        let secrets = ["abcabcabd", "bcabX-and-more-of-it", "hunter22", "hunter22 and his gun"];
        let masks = masks(&secrets);
        for secret in secrets {
            for before in ["", "ab", "abcabc", "hunter", "x=", "hunter22"] {
                let text = format!("{before}{secret} and what follows");
                let whole = masks.apply_to(&text);
                for seen in 0..=text.len() {
                    let (shown, rest) = text.split_at(masks.end_of_closed(&text.as_bytes()[..seen]));
                    let parts = masks.apply_to(shown) + &masks.apply_to(rest);
                    assert_eq!(parts, whole, "{text} after {seen}, cut behind {shown:?}");
                }
            }
        }
        assert_eq!(masks.end_of_closed(b"nothing of the kind"), 19);
    }

    #[test]
    fn many_secrets_are_masked_as_few_are() {
        let many: Vec<String> = (0..500).map(|number| format!("secret number {number:04} of many")).collect();
        let masks = masks(&many.iter().map(String::as_str).collect::<Vec<_>>());
        for secret in &many {
            assert_eq!(masks.apply_to(&format!("<{secret}>")), "<***>");
        }
    }

    #[test]
    fn a_key_of_many_lines_is_masked_line_by_line() {
        let masks = masks(&["-----BEGIN-----\nabcdefgh\nxy\n-----END-----\n"]);
        assert_eq!(masks.apply_to("  abcdefgh\n"), "  ***\n");
        assert_eq!(masks.apply_to("galaxy\n"), "galaxy\n", "two letters are in every text");
        assert!(masks.has_secret("x-----END-----"));
    }

    #[test]
    fn short_and_long_secrets_are_masked_beside_each_other() {
        let masks = masks(&["abc", "ghs_0123456789abcdefghijklmnopqrstuvwxyz"]);
        assert_eq!(masks.apply_to("an abc alone"), "an *** alone");
        let text = "and ghs_0123456789abcdefghijklmnopqrstuvwxyz alone, ".repeat(3);
        assert_eq!(masks.apply_to(&text), "and *** alone, ".repeat(3));
        assert_eq!(masks.apply_to("neither"), "neither");
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
