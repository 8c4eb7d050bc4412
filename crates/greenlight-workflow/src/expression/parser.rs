//! Tokens to a tree, by recursive descent: `||`, `&&`, `== !=`, `< <= > >=`, `!`, then values with their dereferences.

use std::sync::Arc;

use super::lexer::{Kind, Token, located, tokens};
use super::{
    Comparison, EXPRESSION_DEPTH_MAX, ExpressionError, ExpressionErrorKind, Function, Name, Node, Scope, Step,
};
use crate::value::Value;

/// Returns the tree, and how deep it was gone for it.
pub(super) fn parse(text: &Arc<str>, scope: &Scope) -> Result<(Node, usize), ExpressionError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, at: 0, depth: 0, deepest: 0, scope };
    if parser.peek().kind == Kind::End {
        return Ok((Node::Literal(Value::Null), 0));
    }
    let root = parser.expression()?;
    match parser.peek().kind {
        Kind::End => Ok((root, parser.deepest)),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    text: &'a Arc<str>,
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    deepest: usize,
    scope: &'a Scope,
}

impl<'a> Parser<'a> {
    fn expression(&mut self) -> Result<Node, ExpressionError> {
        self.nested(Parser::any_of)
    }

    fn any_of(&mut self) -> Result<Node, ExpressionError> {
        let first = self.all_of()?;
        if self.peek().kind != Kind::Or {
            return Ok(first);
        }
        self.nested(|parser| {
            let mut items = vec![first];
            while parser.take(&Kind::Or) {
                items.push(parser.all_of()?);
            }
            Ok(Node::Or(items))
        })
    }

    fn all_of(&mut self) -> Result<Node, ExpressionError> {
        let first = self.equality()?;
        if self.peek().kind != Kind::And {
            return Ok(first);
        }
        self.nested(|parser| {
            let mut items = vec![first];
            while parser.take(&Kind::And) {
                items.push(parser.equality()?);
            }
            Ok(Node::And(items))
        })
    }

    fn equality(&mut self) -> Result<Node, ExpressionError> {
        self.comparisons(Parser::relation, |kind| match kind {
            Kind::Equal => Some(Comparison::Equal),
            Kind::NotEqual => Some(Comparison::NotEqual),
            _ => None,
        })
    }

    fn relation(&mut self) -> Result<Node, ExpressionError> {
        self.comparisons(Parser::negation, |kind| match kind {
            Kind::Less => Some(Comparison::Less),
            Kind::LessOrEqual => Some(Comparison::LessOrEqual),
            Kind::Greater => Some(Comparison::Greater),
            Kind::GreaterOrEqual => Some(Comparison::GreaterOrEqual),
            _ => None,
        })
    }

    fn comparisons(
        &mut self,
        operand: fn(&mut Self) -> Result<Node, ExpressionError>,
        operator: fn(&Kind) -> Option<Comparison>,
    ) -> Result<Node, ExpressionError> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(comparison) = operator(&self.peek().kind) {
            self.at += 1;
            rest.push((comparison, operand(self)?));
        }
        Ok(if rest.is_empty() { first } else { Node::Compare { first: Box::new(first), rest } })
    }

    fn negation(&mut self) -> Result<Node, ExpressionError> {
        if self.take(&Kind::Not) {
            return self.nested(|parser| Ok(Node::Not(Box::new(parser.negation()?))));
        }
        self.dereferences()
    }

    fn dereferences(&mut self) -> Result<Node, ExpressionError> {
        let is_literal = !matches!(self.peek().kind, Kind::Identifier | Kind::LeftParen);
        let base = self.operand()?;
        if is_literal || !matches!(self.peek().kind, Kind::LeftBracket | Kind::Dot) {
            return Ok(base);
        }
        let depth_before = self.depth;
        // What stands in parentheses may be a path itself, which goes on then.
        let (base, mut steps) = match base {
            Node::Path { base, steps } => (base, steps),
            base => (Box::new(base), Vec::new()),
        };
        loop {
            if self.take(&Kind::LeftBracket) {
                let step = if self.take(&Kind::Star) { Step::Star } else { Step::Index(self.expression()?) };
                self.expect(&Kind::RightBracket)?;
                steps.push(step);
            } else if self.take(&Kind::Dot) {
                steps.push(self.property()?);
            } else {
                break;
            }
            self.deepen()?;
        }
        self.depth = depth_before;
        Ok(Node::Path { base, steps })
    }

    fn property(&mut self) -> Result<Step, ExpressionError> {
        let token = self.peek();
        let step = match token.kind {
            Kind::Star => Step::Star,
            Kind::Identifier => Step::Property(self.name_of(token)),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(step)
    }

    fn name_of(&self, token: &Token) -> Name {
        Name { text: self.text.clone(), start: token.start as u32, end: token.end as u32 }
    }

    fn operand(&mut self) -> Result<Node, ExpressionError> {
        let token = self.peek();
        let value = match &token.kind {
            Kind::Identifier => return self.name(token),
            Kind::LeftParen => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(&Kind::RightParen)?;
                return Ok(inner);
            }
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Null => Value::Null,
            Kind::Number(number) => Value::Number(*number),
            Kind::String(text) => Value::String(text.clone()),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(Node::Literal(value))
    }

    fn name(&mut self, token: &'a Token) -> Result<Node, ExpressionError> {
        self.at += 1;
        let name = &self.text[token.start..token.end];
        if !self.take(&Kind::LeftParen) {
            if !self.scope.knows(name) {
                return Err(self.error("Unrecognized named-value", token));
            }
            return Ok(Node::Named(self.name_of(token)));
        }
        let arguments = self.arguments()?;
        let Some((function, min, max)) = Function::find(name, self.scope) else {
            return Err(self.error("Unrecognized function", token));
        };
        if arguments.len() < min {
            return Err(self.error("Too few parameters supplied", token));
        }
        if arguments.len() > max {
            return Err(self.error("Too many parameters supplied", token));
        }
        if function == Function::Case && arguments.len().is_multiple_of(2) {
            return Err(self.error("Even number of parameters supplied, requires an odd number of parameters", token));
        }
        Ok(Node::Call { function, arguments })
    }

    fn arguments(&mut self) -> Result<Vec<Node>, ExpressionError> {
        let mut arguments = Vec::new();
        if self.take(&Kind::RightParen) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.take(&Kind::RightParen) {
                return Ok(arguments);
            }
            self.expect(&Kind::Comma)?;
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, ExpressionError>) -> Result<T, ExpressionError> {
        self.deepen()?;
        let result = inner(self)?;
        self.depth -= 1;
        Ok(result)
    }

    fn deepen(&mut self) -> Result<(), ExpressionError> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth > EXPRESSION_DEPTH_MAX {
            return Err(parse_error(format!("Exceeded max expression depth {EXPRESSION_DEPTH_MAX}")));
        }
        Ok(())
    }

    fn peek(&self) -> &'a Token {
        &self.tokens[self.at]
    }

    fn take(&mut self, kind: &Kind) -> bool {
        let found = self.peek().kind == *kind;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, kind: &Kind) -> Result<(), ExpressionError> {
        if self.take(kind) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> ExpressionError {
        match self.peek().kind {
            Kind::End => self.error("Unexpected end of expression", &self.tokens[self.at.saturating_sub(1)]),
            _ => self.error("Unexpected symbol", self.peek()),
        }
    }

    fn error(&self, description: &str, token: &Token) -> ExpressionError {
        let message = located(description, self.text, token.start, token.end);
        ExpressionError { at: Some(token.start..token.end), ..parse_error(message) }
    }
}

fn parse_error(message: String) -> ExpressionError {
    ExpressionError::new(ExpressionErrorKind::Parsing, message)
}
