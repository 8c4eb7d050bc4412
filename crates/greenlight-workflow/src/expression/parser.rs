//! Tokens to a tree, by recursive descent: `||`, `&&`, `== !=`, `< <= > >=`, `!`, then values with their dereferences.

use std::sync::Arc;

use super::lexer::{Kind, Lexer, Token, located, unquoted};
use super::{
    Comparison, EXPRESSION_DEPTH_MAX, ExpressionError, ExpressionErrorKind, Function, Name, Node, Scope, Step,
};
use crate::value::Value;

/// For how many steps a path has room from the start.
const STEPS_EXPECTED: usize = 2;

/// Returns the tree, and how deep it was gone for it.
pub(super) fn parse(text: &Arc<str>, scope: &Scope) -> Result<(Node, usize), ExpressionError> {
    let mut parser = Parser::new(text, scope).map_err(|error| *error)?;
    parser.whole().map(|root| (root, parser.deepest)).map_err(|error| *parser.first_of(error))
}

/// What a part of an expression came to. Errors are rare and large.
type Parsed<T> = Result<T, Box<ExpressionError>>;

struct Parser<'a> {
    text: &'a Arc<str>,
    lexer: Lexer<'a>,
    /// The token that comes next, and the one before it.
    token: Token,
    before: Option<Token>,
    depth: usize,
    deepest: usize,
    scope: &'a Scope,
}

impl<'a> Parser<'a> {
    fn new(text: &'a Arc<str>, scope: &'a Scope) -> Parsed<Parser<'a>> {
        let mut lexer = Lexer::new(text)?;
        let token = lexer.next()?;
        Ok(Parser { text, lexer, token, before: None, depth: 0, deepest: 0, scope })
    }

    fn whole(&mut self) -> Parsed<Node> {
        if self.token.kind == Kind::End {
            return Ok(Node::Literal(Value::Null));
        }
        let root = self.expression()?;
        if self.token.kind == Kind::End { Ok(root) } else { Err(self.unexpected()) }
    }

    /// GitHub finds all tokens before it looks at any: what is no token comes before every other error.
    fn first_of(&mut self, error: Box<ExpressionError>) -> Box<ExpressionError> {
        if error.kind == ExpressionErrorKind::Lexing {
            return error;
        }
        loop {
            match self.lexer.next() {
                Ok(Token { kind: Kind::End, .. }) => return error,
                Ok(_) => {}
                Err(earlier) => return earlier,
            }
        }
    }

    fn expression(&mut self) -> Parsed<Node> {
        self.nested(Parser::any_of)
    }

    fn any_of(&mut self) -> Parsed<Node> {
        let first = self.negation()?;
        // Most expressions have no operator, and are done here.
        if matches!(self.token.kind, Kind::End | Kind::RightParen | Kind::RightBracket | Kind::Comma) {
            return Ok(first);
        }
        let first = self.all_of(first)?;
        if self.token.kind != Kind::Or {
            return Ok(first);
        }
        self.nested(|parser| {
            let mut items = vec![first];
            while parser.take(Kind::Or)? {
                let first = parser.negation()?;
                items.push(parser.all_of(first)?);
            }
            Ok(Node::Or(items))
        })
    }

    /// Returns what begins with this operand, with all `&&` and what binds closer.
    fn all_of(&mut self, first: Node) -> Parsed<Node> {
        let first = self.equality(first)?;
        if self.token.kind != Kind::And {
            return Ok(first);
        }
        self.nested(|parser| {
            let mut items = vec![first];
            while parser.take(Kind::And)? {
                let first = parser.negation()?;
                items.push(parser.equality(first)?);
            }
            Ok(Node::And(items))
        })
    }

    fn equality(&mut self, first: Node) -> Parsed<Node> {
        let first = self.relation(first)?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.token.kind {
                Kind::Equal => Comparison::Equal,
                Kind::NotEqual => Comparison::NotEqual,
                _ => return Ok(compared(first, rest)),
            };
            self.advance()?;
            let operand = self.negation()?;
            rest.push((comparison, self.relation(operand)?));
        }
    }

    fn relation(&mut self, first: Node) -> Parsed<Node> {
        let mut rest = Vec::new();
        loop {
            let comparison = match self.token.kind {
                Kind::Less => Comparison::Less,
                Kind::LessOrEqual => Comparison::LessOrEqual,
                Kind::Greater => Comparison::Greater,
                Kind::GreaterOrEqual => Comparison::GreaterOrEqual,
                _ => return Ok(compared(first, rest)),
            };
            self.advance()?;
            rest.push((comparison, self.negation()?));
        }
    }

    fn negation(&mut self) -> Parsed<Node> {
        if self.take(Kind::Not)? {
            return self.nested(|parser| Ok(Node::Not(Box::new(parser.negation()?))));
        }
        self.dereferences()
    }

    fn dereferences(&mut self) -> Parsed<Node> {
        let is_literal = !matches!(self.token.kind, Kind::Identifier | Kind::LeftParen);
        let base = self.operand()?;
        if is_literal || !matches!(self.token.kind, Kind::LeftBracket | Kind::Dot) {
            return Ok(base);
        }
        let depth_before = self.depth;
        // What stands in parentheses may be a path itself, which goes on then.
        let (base, mut steps) = match base {
            Node::Path { base, steps } => (base, steps),
            base => (Box::new(base), Vec::with_capacity(STEPS_EXPECTED)),
        };
        loop {
            if self.take(Kind::LeftBracket)? {
                let step = if self.take(Kind::Star)? { Step::Star } else { Step::Index(self.expression()?) };
                self.expect(Kind::RightBracket)?;
                steps.push(step);
            } else if self.take(Kind::Dot)? {
                steps.push(self.property()?);
            } else {
                break;
            }
            self.deepen()?;
        }
        self.depth = depth_before;
        Ok(Node::Path { base, steps })
    }

    fn property(&mut self) -> Parsed<Step> {
        let token = self.token;
        let step = match token.kind {
            Kind::Star => Step::Star,
            Kind::Identifier => Step::Property(self.name_of(token)),
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(step)
    }

    fn name_of(&self, token: Token) -> Name {
        Name { text: self.text.clone(), start: token.start as u32, end: token.end as u32 }
    }

    fn operand(&mut self) -> Parsed<Node> {
        let token = self.token;
        let value = match token.kind {
            Kind::Identifier => return self.name(token),
            Kind::LeftParen => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect(Kind::RightParen)?;
                return Ok(inner);
            }
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Null => Value::Null,
            Kind::Number(number) => Value::Number(number),
            Kind::String => Value::string(unquoted(&self.text[token.start..token.end])),
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(Node::Literal(value))
    }

    fn name(&mut self, token: Token) -> Parsed<Node> {
        self.advance()?;
        let text: &'a str = self.text;
        let name = &text[token.start..token.end];
        if !self.take(Kind::LeftParen)? {
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

    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        let mut arguments = Vec::new();
        if self.take(Kind::RightParen)? {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.take(Kind::RightParen)? {
                return Ok(arguments);
            }
            self.expect(Kind::Comma)?;
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.deepen()?;
        let result = inner(self)?;
        self.depth -= 1;
        Ok(result)
    }

    fn deepen(&mut self) -> Parsed<()> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth > EXPRESSION_DEPTH_MAX {
            return Err(parse_error(format!("Exceeded max expression depth {EXPRESSION_DEPTH_MAX}")));
        }
        Ok(())
    }

    fn advance(&mut self) -> Parsed<()> {
        let next = self.lexer.next()?;
        self.before = Some(std::mem::replace(&mut self.token, next));
        Ok(())
    }

    fn take(&mut self, kind: Kind) -> Parsed<bool> {
        let found = self.token.kind == kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, kind: Kind) -> Parsed<()> {
        if self.take(kind)? { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Box<ExpressionError> {
        match (self.token.kind, self.before) {
            (Kind::End, Some(before)) => self.error("Unexpected end of expression", before),
            (Kind::End, None) => self.error("Unexpected end of expression", self.token),
            _ => self.error("Unexpected symbol", self.token),
        }
    }

    fn error(&self, description: &str, token: Token) -> Box<ExpressionError> {
        let message = located(description, self.text, token.start, token.end);
        Box::new(ExpressionError { at: Some(token.start..token.end), ..*parse_error(message) })
    }
}

/// Returns a comparison, or the one operand where there is nothing to compare it with.
fn compared(first: Node, rest: Vec<(Comparison, Node)>) -> Node {
    if rest.is_empty() { first } else { Node::Compare { first: Box::new(first), rest } }
}

fn parse_error(message: String) -> Box<ExpressionError> {
    Box::new(ExpressionError::new(ExpressionErrorKind::Parsing, message))
}
