//! A tree and contexts to a value.

use super::{
    Comparison, Context, EVALUATION_BYTES_MAX, ExpressionError, ExpressionErrorKind, Function, Node, Step, functions,
};
use crate::value::{Value, number_from_str};

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

    /// Dereferences the value, or each item and drops those that have nothing there.
    fn each(self, member: impl Fn(&Value) -> Option<Value>) -> Found {
        match self {
            Found::Filtered(items) => Found::Filtered(items.iter().filter_map(member).collect()),
            Found::Value(value) => Found::Value(member(&value).unwrap_or_default()),
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
            Node::Path { base, steps } => return self.path(base, steps),
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

    /// Evaluates the indexes before the base, the last one first, as GitHub does.
    fn path(&mut self, base: &Node, steps: &[Step]) -> Result<Found, ExpressionError> {
        let mut indexes = Vec::new();
        for index in steps.iter().rev().filter_map(Step::index) {
            indexes.push(self.value(index)?);
        }
        let mut found = self.find(base)?;
        for step in steps {
            found = match step {
                Step::Star => self.star(found)?,
                Step::Property(name) => found.each(|value| property(value, name)),
                Step::Index(_) => {
                    let index = indexes.pop().expect("there is one for each index");
                    found.each(|value| member(value, &index))
                }
            };
        }
        Ok(found)
    }

    fn star(&mut self, base: Found) -> Result<Found, ExpressionError> {
        let items = match base {
            Found::Filtered(items) => items.iter().flat_map(children).collect(),
            Found::Value(value) => children(&value),
        };
        self.charge(items.len() * size_of::<Value>())?;
        Ok(Found::Filtered(items))
    }
}

fn children(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Object(object) => object.iter().map(|(_, value)| value.clone()).collect(),
        _ => Vec::new(),
    }
}

fn property(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Object(object) => object.get(name).cloned(),
        Value::Array(items) => item(items, number_from_str(name)),
        _ => None,
    }
}

fn member(value: &Value, index: &Value) -> Option<Value> {
    match value {
        Value::Object(object) if index.is_scalar() => object.get(&index.coerce_string()).cloned(),
        Value::Array(items) => item(items, index.coerce_number()),
        _ => None,
    }
}

fn item(items: &[Value], number: f64) -> Option<Value> {
    let at = (number.is_finite() && number >= 0.0).then_some(number as usize)?;
    items.get(at).cloned()
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
