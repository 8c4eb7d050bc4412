//! Text to tokens, one after the other. Positions are counted in UTF-16 units, as GitHub's messages count them.

use std::sync::Arc;

use super::{EXPRESSION_LENGTH_MAX, ExpressionError, ExpressionErrorKind};
use crate::value::number_from_str;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    LeftParen,
    RightParen,
    LeftBracket,
    RightBracket,
    Comma,
    Dot,
    Not,
    NotEqual,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
    Star,
    Number(f64),
    /// A text in quotes; what it says is known to [`unquoted`].
    String,
    Identifier,
    True,
    False,
    Null,
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// Returns `description: 'symbol'. Located at position N within expression: text`.
pub(super) fn located(description: &str, text: &str, start: usize, end: usize) -> String {
    let position = text[..start].encode_utf16().count() + 1;
    format!("{description}: '{}'. Located at position {position} within expression: {text}", &text[start..end])
}

/// Returns what a text in quotes says.
pub(super) fn unquoted(token: &str) -> Arc<str> {
    let text = &token[1..token.len() - 1];
    if text.as_bytes().contains(&b'\'') { text.replace("''", "'").into() } else { text.into() }
}

/// A way through the text of an expression.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The kind of the last token, on which depends what a point and a word are.
    last: Option<Kind>,
}

impl<'a> Lexer<'a> {
    /// Returns a lexer at the start of a text that is not too long.
    pub fn new(text: &'a str) -> Result<Lexer<'a>, Box<ExpressionError>> {
        if text.len() > EXPRESSION_LENGTH_MAX && text.encode_utf16().count() > EXPRESSION_LENGTH_MAX {
            let message = format!("Exceeded max expression length {EXPRESSION_LENGTH_MAX}");
            return Err(Box::new(ExpressionError::new(ExpressionErrorKind::Parsing, message)));
        }
        Ok(Lexer { text, at: 0, last: None })
    }

    /// Returns the next token, which is [`Kind::End`] at the end and ever after.
    pub fn next(&mut self) -> Result<Token, Box<ExpressionError>> {
        self.skip_blanks();
        let rest = &self.text.as_bytes()[self.at..];
        let second_is = |letter: u8| rest.get(1) == Some(&letter);
        let (kind, length) = match rest.first().copied() {
            None => (Kind::End, 0),
            Some(b'(') => (Kind::LeftParen, 1),
            Some(b')') => (Kind::RightParen, 1),
            Some(b'[') => (Kind::LeftBracket, 1),
            Some(b']') => (Kind::RightBracket, 1),
            Some(b',') => (Kind::Comma, 1),
            Some(b'*') => (Kind::Star, 1),
            Some(b'.') if self.follows_value() => (Kind::Dot, 1),
            Some(b'!') if second_is(b'=') => (Kind::NotEqual, 2),
            Some(b'!') => (Kind::Not, 1),
            Some(b'<') if second_is(b'=') => (Kind::LessOrEqual, 2),
            Some(b'<') => (Kind::Less, 1),
            Some(b'>') if second_is(b'=') => (Kind::GreaterOrEqual, 2),
            Some(b'>') => (Kind::Greater, 1),
            Some(b'=') if second_is(b'=') => (Kind::Equal, 2),
            Some(b'&') if second_is(b'&') => (Kind::And, 2),
            Some(b'|') if second_is(b'|') => (Kind::Or, 2),
            Some(b'\'') => (Kind::String, self.string_length()?),
            Some(b'.' | b'+' | b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
        };
        let start = self.at;
        self.at += length;
        self.last = Some(kind);
        Ok(Token { kind, start, end: self.at })
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b' ' => self.at += 1,
                b'!'..=b'~' => return,
                _ => match self.text[self.at..].chars().next().filter(|letter| letter.is_whitespace()) {
                    Some(letter) => self.at += letter.len_utf8(),
                    None => return,
                },
            }
        }
    }

    /// Says whether a point here is a dereference, not the start of a number.
    fn follows_value(&self) -> bool {
        matches!(self.last, Some(Kind::Identifier | Kind::RightBracket | Kind::RightParen | Kind::Star))
    }

    fn number(&self) -> Result<(Kind, usize), Box<ExpressionError>> {
        let end = self.boundary(self.at + 1, |letter| letter == '.');
        let number = number_from_str(&self.text[self.at..end]);
        if number.is_nan() {
            return Err(self.unexpected(end));
        }
        Ok((Kind::Number(number), end - self.at))
    }

    /// Returns how long the text in quotes is that starts here. Two quotes inside it are one of the text.
    fn string_length(&self) -> Result<usize, Box<ExpressionError>> {
        let bytes = &self.text.as_bytes()[self.at..];
        let mut at = 1;
        loop {
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'\''), Some(b'\'')) => at += 2,
                (Some(b'\''), _) => return Ok(at + 1),
                (Some(_), _) => at += 1,
                (None, _) => return Err(self.unexpected(self.text.len())),
            }
        }
    }

    fn word(&self) -> Result<(Kind, usize), Box<ExpressionError>> {
        let bytes = &self.text.as_bytes()[self.at..];
        let length = bytes.iter().take_while(|byte| is_of_name(**byte)).count();
        let starts_well = bytes[0].is_ascii_alphabetic() || bytes[0] == b'_';
        if !starts_well || bytes.get(length).is_some_and(|byte| !ends_word(*byte)) {
            let first = self.text[self.at..].chars().next().map_or(1, char::len_utf8);
            let end = self.boundary(self.at + first, |_| false);
            if !is_identifier(&self.text[self.at..end]) {
                return Err(self.unexpected(end));
            }
        }
        let word = &self.text[self.at..self.at + length];
        let is_property = self.last == Some(Kind::Dot);
        let kind = match word {
            _ if is_property => Kind::Identifier,
            "true" => Kind::True,
            "false" => Kind::False,
            "null" => Kind::Null,
            "NaN" => Kind::Number(f64::NAN),
            "Infinity" => Kind::Number(f64::INFINITY),
            _ => Kind::Identifier,
        };
        Ok((kind, word.len()))
    }

    /// Returns where the word that goes on at `from` ends.
    fn boundary(&self, from: usize, goes_on: impl Fn(char) -> bool) -> usize {
        let is_boundary = |letter: char| {
            let ends = match u8::try_from(letter) {
                Ok(byte) if byte.is_ascii() => ends_word(byte) || letter.is_whitespace(),
                _ => letter.is_whitespace(),
            };
            ends && !goes_on(letter)
        };
        self.text[from..].find(is_boundary).map_or(self.text.len(), |length| from + length)
    }

    fn unexpected(&self, end: usize) -> Box<ExpressionError> {
        let message = located("Unexpected symbol", self.text, self.at, end);
        Box::new(ExpressionError { kind: ExpressionErrorKind::Lexing, message, at: Some(self.at..end) })
    }
}

/// Says whether names are made of this letter. None of these ends a word.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Says whether a word ends before this letter; other blanks end it as well.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'(' | b'[' | b')' | b']' | b',' | b'.' | b'!' | b'>' | b'<' | b'=' | b'&' | b'|')
}

fn is_identifier(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && bytes.iter().all(|byte| is_of_name(*byte))
}
