//! Text to tokens. Positions are counted in UTF-16 units, as GitHub's messages count them.

use std::sync::Arc;

use super::{EXPRESSION_LENGTH_MAX, ExpressionError, ExpressionErrorKind};
use crate::value::number_from_str;

/// About how many letters a token has.
const LETTERS_PER_TOKEN: usize = 3;

#[derive(Clone, Debug, PartialEq)]
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
    String(Arc<str>),
    Identifier,
    True,
    False,
    Null,
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    if text.len() > EXPRESSION_LENGTH_MAX && text.encode_utf16().count() > EXPRESSION_LENGTH_MAX {
        let message = format!("Exceeded max expression length {EXPRESSION_LENGTH_MAX}");
        return Err(ExpressionError::new(ExpressionErrorKind::Parsing, message));
    }
    let mut lexer = Lexer { text, at: 0, tokens: Vec::with_capacity(text.len() / LETTERS_PER_TOKEN + 2) };
    while let Some(letter) = lexer.peek() {
        lexer.token(letter)?;
    }
    lexer.tokens.push(Token { kind: Kind::End, start: text.len(), end: text.len() });
    Ok(lexer.tokens)
}

/// Returns `description: 'symbol'. Located at position N within expression: text`.
pub(super) fn located(description: &str, text: &str, start: usize, end: usize) -> String {
    let position = text[..start].encode_utf16().count() + 1;
    format!("{description}: '{}'. Located at position {position} within expression: {text}", &text[start..end])
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn token(&mut self, letter: char) -> Result<(), ExpressionError> {
        let start = self.at;
        match letter {
            '(' => self.push(1, Kind::LeftParen),
            ')' => self.push(1, Kind::RightParen),
            '[' => self.push(1, Kind::LeftBracket),
            ']' => self.push(1, Kind::RightBracket),
            ',' => self.push(1, Kind::Comma),
            '*' => self.push(1, Kind::Star),
            '.' if self.follows_value() => self.push(1, Kind::Dot),
            '!' => self.one_or_two("!=", Kind::Not, Kind::NotEqual),
            '<' => self.one_or_two("<=", Kind::Less, Kind::LessOrEqual),
            '>' => self.one_or_two(">=", Kind::Greater, Kind::GreaterOrEqual),
            '=' if self.text[start..].starts_with("==") => self.push(2, Kind::Equal),
            '&' if self.text[start..].starts_with("&&") => self.push(2, Kind::And),
            '|' if self.text[start..].starts_with("||") => self.push(2, Kind::Or),
            '\'' => return self.string(),
            '.' | '+' | '-' | '0'..='9' => return self.number(),
            letter if letter.is_whitespace() => self.at += letter.len_utf8(),
            letter => return self.word(letter),
        }
        Ok(())
    }

    fn push(&mut self, length: usize, kind: Kind) {
        self.tokens.push(Token { kind, start: self.at, end: self.at + length });
        self.at += length;
    }

    fn one_or_two(&mut self, two: &str, short: Kind, long: Kind) {
        if self.text[self.at..].starts_with(two) { self.push(2, long) } else { self.push(1, short) }
    }

    /// Says whether a point here is a dereference, not the start of a number.
    fn follows_value(&self) -> bool {
        let last = self.tokens.last().map(|token| &token.kind);
        matches!(last, Some(Kind::Identifier | Kind::RightBracket | Kind::RightParen | Kind::Star))
    }

    fn number(&mut self) -> Result<(), ExpressionError> {
        let end = self.boundary(self.at + 1, |letter| letter == '.');
        let number = number_from_str(&self.text[self.at..end]);
        if number.is_nan() {
            return Err(self.unexpected(end));
        }
        self.push(end - self.at, Kind::Number(number));
        Ok(())
    }

    fn string(&mut self) -> Result<(), ExpressionError> {
        let mut value = String::new();
        let mut rest = &self.text[self.at + 1..];
        loop {
            let Some(quote) = rest.find('\'') else { return Err(self.unexpected(self.text.len())) };
            value.push_str(&rest[..quote]);
            rest = &rest[quote + 1..];
            let Some(after) = rest.strip_prefix('\'') else { break };
            value.push('\'');
            rest = after;
        }
        let end = self.text.len() - rest.len();
        self.push(end - self.at, Kind::String(value.into()));
        Ok(())
    }

    fn word(&mut self, first: char) -> Result<(), ExpressionError> {
        let end = self.boundary(self.at + first.len_utf8(), |_| false);
        let word = &self.text[self.at..end];
        if !is_identifier(word) {
            return Err(self.unexpected(end));
        }
        let is_property = matches!(self.tokens.last(), Some(Token { kind: Kind::Dot, .. }));
        let kind = match word {
            _ if is_property => Kind::Identifier,
            "true" => Kind::True,
            "false" => Kind::False,
            "null" => Kind::Null,
            "NaN" => Kind::Number(f64::NAN),
            "Infinity" => Kind::Number(f64::INFINITY),
            _ => Kind::Identifier,
        };
        self.push(end - self.at, kind);
        Ok(())
    }

    /// Returns where the word that goes on at `from` ends.
    fn boundary(&self, from: usize, goes_on: impl Fn(char) -> bool) -> usize {
        let is_boundary = |letter: char| {
            let ends = match letter {
                '(' | '[' | ')' | ']' | ',' | '.' | '!' | '>' | '<' | '=' | '&' | '|' => true,
                letter => letter.is_whitespace(),
            };
            ends && !goes_on(letter)
        };
        self.text[from..].find(is_boundary).map_or(self.text.len(), |length| from + length)
    }

    fn unexpected(&self, end: usize) -> ExpressionError {
        let message = located("Unexpected symbol", self.text, self.at, end);
        ExpressionError { kind: ExpressionErrorKind::Lexing, message, at: Some(self.at..end) }
    }
}

fn is_identifier(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
}
