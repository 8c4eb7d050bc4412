//! What a terminal takes for orders: escape sequences. What a job says is shown with its colours, and orders nothing: it clears no
//! screen, moves no cursor, sets no title and fills no clipboard.

use std::borrow::Cow;
use std::io::IsTerminal as _;

/// Longest escape sequence that is looked through; what is longer is text without an end.
const SEQUENCE_LENGTH_MAX: usize = 256;
/// What sets all colours back.
pub const PLAIN: &str = "\u{1b}[0m";

/// How much of a line that does not end is held back.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Takes a text that comes in parts, and gives its lines without what a terminal would obey.
#[derive(Default)]
pub struct Tamer(Vec<u8>);

impl Tamer {
    /// Takes a part. Returns the lines that are whole by now.
    pub fn take(&mut self, part: &[u8]) -> String {
        self.0.extend_from_slice(part);
        let end = self.0.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if self.0.len() - end > HELD_BYTES_MAX { self.0.len() } else { end };
        let lines: Vec<u8> = self.0.drain(..end).collect();
        tame(&String::from_utf8_lossy(&lines)).into_owned()
    }

    /// Returns what is left at the end, and sets the colours back.
    pub fn end(self) -> String {
        format!("{}{PLAIN}", tame(&String::from_utf8_lossy(&self.0)))
    }
}

/// Returns text as it may be written to standard output: where that is a terminal, without what that would obey.
pub fn shown(text: &str) -> Cow<'_, str> {
    if std::io::stdout().is_terminal() { tame(text) } else { Cow::Borrowed(text) }
}

/// Returns text without what a terminal would obey; colours stay. No sequence goes on in the next line.
pub fn tame(text: &str) -> Cow<'_, str> {
    if !text.contains(is_order) {
        return Cow::Borrowed(text);
    }
    let mut tamed = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        tame_line(line, &mut tamed);
        tamed.push_str(end);
    }
    Cow::Owned(tamed)
}

fn tame_line(line: &str, tamed: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find(is_order) {
        tamed.push_str(&rest[..at]);
        rest = &rest[at..];
        let begun = rest.chars().next().expect("it was found there");
        let length = match begun {
            '\u{1b}' | '\u{9b}' => {
                let (length, codes) = sequence(rest);
                // With other letters before its end it sets something else than colours.
                let is_colour = |codes: &&str| codes.chars().all(|c| c.is_ascii_digit() || matches!(c, ';' | ':'));
                if let Some(codes) = codes.filter(is_colour) {
                    tamed.extend(["\u{1b}[", codes, "m"]);
                }
                length
            }
            other => other.len_utf8(),
        };
        rest = &rest[length..];
    }
    tamed.push_str(rest);
}

/// Is it a control character other than those that stay within a line, or end it?
fn is_order(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

/// Returns the length of the escape sequence at the start of `text`, and its codes where it sets colours.
pub fn sequence(text: &str) -> (usize, Option<&str>) {
    let start = if text.starts_with('\u{9b}') { '\u{9b}'.len_utf8() } else { 1 };
    let is_csi = start > 1 || text[start..].starts_with('[');
    let from = if start > 1 { start } else { start + usize::from(is_csi) };
    if is_csi {
        let end = text[from..].char_indices().take(SEQUENCE_LENGTH_MAX).find(|(_, c)| ('@'..='~').contains(c));
        return match end {
            Some((at, 'm')) => (from + at + 1, Some(&text[from..from + at])),
            Some((at, _)) => (from + at + 1, None),
            None => (text.len().min(from), None),
        };
    }
    match text[start..].chars().next() {
        // A title, a link: until BEL or ST.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            let body = &text[start..];
            let bell = body.find('\u{7}').map(|at| at + 1);
            let st = body.find("\u{1b}\\").map(|at| at + 2);
            (start + bell.into_iter().chain(st).min().unwrap_or(1), None)
        }
        Some(other) => (start + other.len_utf8(), None),
        None => (start, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay() {
        for text in ["plain\ttext\r\nand more", "\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[38:2::1:2:3mx\u{1b}[m", "größer"]
        {
            assert_eq!(tame(text), text);
        }
        assert_eq!(tame("\u{9b}32mgreen\n"), "\u{1b}[32mgreen\n", "in the form that every terminal knows");
    }

    #[test]
    fn nothing_else_is_obeyed() {
        for (text, shown) in [
            ("a\u{1b}[2Jb\u{1b}[3A\u{1b}[Hc", "abc"),
            ("\u{1b}[?1049hx\u{1b}[?25l", "x"),
            ("\u{1b}]0;title\u{7}a\u{1b}]52;c;eA==\u{1b}\\b\u{1b}P+q\u{1b}\\c", "abc"),
            ("\u{1b}[>4;1mx", "x"),
            ("\u{1b}cx\u{7}\u{8}\u{b}\u{85}\u{8d}y", "xy"),
            ("\u{1b}[\u{1b}[2Jx", "2Jx"),
            ("a\u{1b}\nb\u{1b}[\nc\u{1b}]\nd\u{9b}\n", "a\nb\nc\nd\n"),
        ] {
            assert_eq!(tame(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_sequence_that_comes_in_parts_is_one() {
        let mut tamer = Tamer::default();
        let parts = ["a\u{1b}", "[2", "Jb\nc\u{1b}[3", "1md", "\u{1b}["];
        let shown: String = parts.map(|part| tamer.take(part.as_bytes())).concat();
        assert_eq!(shown, "ab\n");
        assert_eq!(tamer.end(), "c\u{1b}[31md\u{1b}[0m");
        let mut tamer = Tamer::default();
        assert_eq!(tamer.take(&vec![b'x'; HELD_BYTES_MAX]), "");
        assert_eq!(tamer.take(b"y").len(), HELD_BYTES_MAX + 1, "what never ends is not held back for ever");
    }
}
