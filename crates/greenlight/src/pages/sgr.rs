//! Terminal output as HTML: text is escaped, SGR colours become classes, every other escape is dropped (S16).

use std::fmt::Write as _;

use crate::terminal::sequence;

/// The colours and styles that are in force. They last across lines, as on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    struck: bool,
    colour: Option<u8>,
    ground: Option<u8>,
}

impl Style {
    /// Appends one line as HTML to `html`.
    pub fn line(&mut self, line: &str, html: &mut String) {
        let mut is_open = self.open(html);
        let mut rest = line;
        while let Some(at) = rest.find(['\u{1b}', '\u{9b}']) {
            escape(&rest[..at], html);
            let (length, sgr) = sequence(&rest[at..]);
            if let Some(codes) = sgr {
                if is_open {
                    html.push_str("</span>");
                }
                self.apply(codes);
                is_open = self.open(html);
            }
            rest = &rest[at + length..];
        }
        escape(rest, html);
        if is_open {
            html.push_str("</span>");
        }
    }

    fn open(self, html: &mut String) -> bool {
        if self == Self::default() {
            return false;
        }
        html.push_str("<span class=\"");
        let flags =
            [(self.bold, "b "), (self.dim, "d "), (self.italic, "i "), (self.underline, "u "), (self.struck, "s ")];
        flags.iter().filter(|(is_set, _)| *is_set).for_each(|(_, class)| html.push_str(class));
        for (letter, colour) in [('f', self.colour), ('g', self.ground)] {
            if let Some(colour) = colour {
                let _ = write!(html, "{letter}{colour} ");
            }
        }
        html.truncate(html.trim_end().len());
        html.push_str("\">");
        true
    }

    fn apply(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| if code.is_empty() { Ok(0) } else { code.parse::<u16>() });
        while let Some(Ok(code)) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                9 => self.struck = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                29 => self.struck = false,
                30..=37 => self.colour = u8::try_from(code - 30).ok(),
                39 => self.colour = None,
                40..=47 => self.ground = u8::try_from(code - 40).ok(),
                49 => self.ground = None,
                90..=97 => self.colour = u8::try_from(code - 90).ok(),
                100..=107 => self.ground = u8::try_from(code - 100).ok(),
                38 => self.colour = palette(&mut codes).or(self.colour),
                48 => self.ground = palette(&mut codes).or(self.ground),
                _ => {}
            }
        }
    }
}

/// Reads the rest of `38;5;N` or `38;2;R;G;B`: of the many colours, those that there are eight of.
fn palette(codes: &mut impl Iterator<Item = Result<u16, std::num::ParseIntError>>) -> Option<u8> {
    match codes.next()?.ok()? {
        5 => match codes.next()?.ok()? {
            number @ 0..=15 => u8::try_from(number % 8).ok(),
            number @ 16..=231 => {
                let number = number - 16;
                Some(nearest(number / 36 * 51, number / 6 % 6 * 51, number % 6 * 51))
            }
            _ => Some(7),
        },
        2 => Some(nearest(codes.next()?.ok()?, codes.next()?.ok()?, codes.next()?.ok()?)),
        _ => None,
    }
}

fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    u8::from(red > 127) | u8::from(green > 127) << 1 | u8::from(blue > 127) << 2
}

/// Appends text as HTML. Characters that nobody sees, or that turn the text around, are shown as replaced.
fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\t' => html.push('\t'),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => html.push('\u{fffd}'),
            c if c.is_control() => {}
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(lines: &[&str]) -> String {
        let (mut style, mut html) = (Style::default(), String::new());
        lines.iter().for_each(|line| style.line(line, &mut html));
        html
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(
            html(&["<script>alert('1' & \"2\")</script>"]),
            "&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;"
        );
    }

    #[test]
    fn colours_are_classes() {
        assert_eq!(html(&["\u{1b}[1;31mred\u{1b}[0m plain"]), "<span class=\"b f1\">red</span> plain");
        assert_eq!(
            html(&["\u{1b}[38;5;196mx\u{1b}[39my", "\u{1b}[38;2;0;255;0mz"]),
            "<span class=\"f1\">x</span>y<span class=\"f2\">z</span>"
        );
        assert_eq!(html(&["\u{1b}[42mgreen\u{1b}[m"]), "<span class=\"g2\">green</span>");
    }

    #[test]
    fn colours_last_across_lines() {
        assert_eq!(html(&["\u{1b}[32ma", "b\u{1b}[0mc"]), "<span class=\"f2\">a</span><span class=\"f2\">b</span>c");
    }

    #[test]
    fn other_escapes_are_dropped() {
        assert_eq!(html(&["a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{1b}]8;;https://x\u{1b}\\d\u{1b}(Be\u{8}\u{0}"]), "abcdBe");
        assert_eq!(html(&["\u{1b}[1;\"onload=x m"]), "nload=x m");
        assert_eq!(html(&["\u{1b}", "\u{1b}[", "\u{1b}[31"]), "31");
    }

    #[test]
    fn text_is_not_turned_around() {
        assert_eq!(html(&["a\u{202e}b\u{2066}c"]), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn no_input_makes_markup() {
        for codes in ["\"><script>", "1;<", "999999;1", ";;;", "38", "38;5", "38;2;1"] {
            let html = html(&[&format!("\u{1b}[{codes}mx")]);
            assert!(!html.contains("<script") && html.matches('<').count() <= 2, "{codes:?} gave {html}");
        }
    }
}
