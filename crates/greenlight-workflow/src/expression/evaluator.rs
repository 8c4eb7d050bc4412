//! A tree and contexts to a value.

use super::{
    Comparison, Context, EVALUATION_BYTES_MAX, ExpressionError, ExpressionErrorKind, Function, Node, functions,
};
use crate::value::Value;

pub(super) fn evaluate(root: &Node, context: &dyn Context) -> Result<Value, ExpressionError> {
    Evaluation { context, produced: 0 }.value(root)
}

/// Returns an error of this stage.
pub(super) fn evaluation_error(message: impl Into<String>) -> ExpressionError {
    ExpressionError::new(ExpressionErrorKind::Evaluation, message)
}

/// One evaluation, with the bytes that its functions have made so far.
pub(super) struct Evaluation<'a> {
    pub context: &'a dyn Context,
    produced: usize,
}

/// A value, or the array that a `*` made: later dereferences go to each of its items.
pub(super) enum Found {
    Value(Value),
    Filtered(Vec<Value>),
}

impl Found {
    fn coerce_bool(&self) -> bool {
        match self {
            Found::Value(value) => value.coerce_bool(),
            Found::Filtered(_) => true,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Found::Value(value) => value,
            Found::Filtered(items) => Value::Array(items.into()),
        }
    }
}

impl Evaluation<'_> {
    pub(super) fn value(&mut self, node: &Node) -> Result<Value, ExpressionError> {
        self.find(node).map(Found::into_value)
    }

    /// Counts bytes that a function made.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), ExpressionError> {
        self.produced = self.produced.saturating_add(bytes);
        if self.produced > EVALUATION_BYTES_MAX {
            return Err(evaluation_error("The maximum allowed memory size was exceeded"));
        }
        Ok(())
    }

    pub(super) fn find(&mut self, node: &Node) -> Result<Found, ExpressionError> {
        let value = match node {
            Node::Literal(value) => value.clone(),
            Node::Named(name) => self.context.named(name),
            Node::Not(inner) => Value::Bool(!self.value(inner)?.coerce_bool()),
            Node::And(items) => return self.first_where(items, |found| !found.coerce_bool()),
            Node::Or(items) => return self.first_where(items, Found::coerce_bool),
            Node::Compare { first, rest } => self.compare(first, rest)?,
            Node::Call { function: Function::Case, arguments } => return functions::case(self, arguments),
            Node::Call { function, arguments } => functions::call(self, *function, arguments)?,
            Node::Star { base } => return self.star(base),
            Node::Index { base, index } => return self.index(base, index),
        };
        Ok(Found::Value(value))
    }

    /// Returns what the first item came to that decides, or the last one. It stays what it was: an array that a `*` made
    /// goes on being one.
    fn first_where(&mut self, items: &[Node], decides: impl Fn(&Found) -> bool) -> Result<Found, ExpressionError> {
        let mut last = Found::Value(Value::Null);
        for item in items {
            last = self.find(item)?;
            if decides(&last) {
                break;
            }
        }
        Ok(last)
    }

    fn compare(&mut self, first: &Node, rest: &[(Comparison, Node)]) -> Result<Value, ExpressionError> {
        let mut left = self.value(first)?;
        for (comparison, node) in rest {
            let right = self.value(node)?;
            left = Value::Bool(match comparison {
                Comparison::Equal => left.loosely_equals(&right),
                Comparison::NotEqual => !left.loosely_equals(&right),
                Comparison::Greater => left.loosely_exceeds(&right),
                Comparison::Less => right.loosely_exceeds(&left),
                Comparison::GreaterOrEqual => left.loosely_equals(&right) || left.loosely_exceeds(&right),
                Comparison::LessOrEqual => left.loosely_equals(&right) || right.loosely_exceeds(&left),
            });
        }
        Ok(left)
    }

    fn star(&mut self, base: &Node) -> Result<Found, ExpressionError> {
        let items = match self.find(base)? {
            Found::Filtered(items) => items.iter().flat_map(children).collect(),
            Found::Value(value) => children(&value),
        };
        self.charge(items.len() * size_of::<Value>())?;
        Ok(Found::Filtered(items))
    }

    fn index(&mut self, base: &Node, index: &Node) -> Result<Found, ExpressionError> {
        let index = self.value(index)?;
        Ok(match self.find(base)? {
            Found::Filtered(items) => Found::Filtered(items.iter().filter_map(|item| member(item, &index)).collect()),
            Found::Value(value) => Found::Value(member(&value, &index).unwrap_or_default()),
        })
    }
}

fn children(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Object(object) => object.iter().map(|(_, value)| value.clone()).collect(),
        _ => Vec::new(),
    }
}

fn member(value: &Value, index: &Value) -> Option<Value> {
    match value {
        Value::Object(object) if index.is_scalar() => object.get(&index.coerce_string()).cloned(),
        Value::Array(items) => {
            let number = index.coerce_number();
            let at = (number.is_finite() && number >= 0.0).then_some(number as usize)?;
            items.get(at).cloned()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Contexts, Scope, parse_expression};
    use crate::value::Value;

    #[test]
    fn an_array_of_a_star_stays_one_through_operators_and_case() {
        let context = Contexts::new().with("a", Value::from_json(r#"[{"x":1},{"x":2},{"y":3}]"#).unwrap());
        let value = |text: &str| {
            let scope = Scope::of(["a"]);
            parse_expression(text, &scope).unwrap().evaluate(&context).unwrap().to_json()
        };
        assert_eq!(value("(a.* || a).x"), "[1,2]");
        assert_eq!(value("(true && a.*).x"), "[1,2]");
        assert_eq!(value("case(false, a, a.*).x"), "[1,2]");
        assert_eq!(value("(a || a.*).x"), "null");
    }
}
