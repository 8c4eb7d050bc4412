//! Trees of texts, and the entries of mappings.

use std::sync::Arc;

use super::{OPEN, Template};
use crate::expression::{Context, ExpressionError, ExpressionErrorKind, Scope};
use crate::finding::Span;
use crate::value::{Object, Value};

/// The key that stands for all entries of the object that is its value.
pub const INSERT: &str = "${{ insert }}";

/// A tree whose scalars may have to be computed, for what may be an expression at any level: a matrix, a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: TreeKind,
}

/// What a node of such a tree is.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeKind {
    /// A scalar, or an expression that may become anything.
    Scalar(Template),
    /// Items in order.
    Sequence(Vec<Tree>),
    /// Keys and values in order; a key may be `${{ insert }}`.
    Mapping(Vec<(Template, Tree)>),
}

impl Tree {
    /// Returns the value of a key that was written so.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.entries().iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// Returns the entries of a mapping, none for anything else.
    pub fn entries(&self) -> &[(Template, Tree)] {
        match &self.kind {
            TreeKind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a sequence, none for anything else.
    pub fn items(&self) -> &[Tree] {
        match &self.kind {
            TreeKind::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Returns the scalar.
    pub fn as_template(&self) -> Option<&Template> {
        match &self.kind {
            TreeKind::Scalar(template) => Some(template),
            _ => None,
        }
    }

    /// Returns the text of a literal scalar.
    pub fn as_str(&self) -> Option<&str> {
        self.as_template().and_then(Template::as_str)
    }

    /// Returns the value in these contexts.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, ExpressionError> {
        match &self.kind {
            TreeKind::Scalar(template) => template.evaluate(context),
            TreeKind::Sequence(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    match (item.as_template(), item.evaluate(context)?) {
                        // A list in a list that an expression gives is put in its place.
                        (Some(template), Value::Array(inner)) if template.is_expression() => {
                            values.extend(inner.iter().cloned());
                        }
                        (_, value) => values.push(value),
                    }
                }
                Ok(Value::array(values))
            }
            TreeKind::Mapping(entries) => {
                let mut pairs: Vec<(Arc<str>, Value)> = Vec::new();
                for (key, value) in entries {
                    let value = value.evaluate(context)?;
                    if key.is_insert() {
                        let object = value.as_object().ok_or_else(|| insert_error(&value))?;
                        pairs.extend(object.iter().map(|(key, value)| (key.into(), value.clone())));
                    } else {
                        pairs.push((key.evaluate(context)?.coerce_string(), value));
                    }
                }
                Ok(Value::Object(Arc::new(Object::new(pairs))))
            }
        }
    }

    /// Calls `visit` for each scalar, keys included.
    pub fn visit_templates<'a>(&'a self, visit: &mut dyn FnMut(&'a Template)) {
        match &self.kind {
            TreeKind::Scalar(template) => visit(template),
            TreeKind::Sequence(items) => items.iter().for_each(|item| item.visit_templates(visit)),
            TreeKind::Mapping(entries) => {
                for (key, value) in entries {
                    visit(key);
                    value.visit_templates(visit);
                }
            }
        }
    }
}

/// Returns the names and texts of an `env:`, `with:` or `outputs:` in these contexts. The key [`INSERT`] stands for all
/// entries of its value; of two equal names the first counts.
pub fn evaluate_entries(
    entries: &[(String, Template)],
    context: &dyn Context,
) -> Result<Vec<(String, String)>, ExpressionError> {
    let mut out: Vec<(String, String)> = Vec::with_capacity(entries.len());
    for (key, template) in entries {
        let value = template.evaluate(context)?;
        if key == INSERT {
            let object = value.as_object().ok_or_else(|| insert_error(&value))?;
            out.extend(object.iter().map(|(key, value)| (key.to_owned(), value.coerce_string().to_string())));
        } else if key.contains(OPEN) {
            let name = Template::parse(key, &Scope::everything()).map_err(first_error)?.evaluate_string(context)?;
            out.push((name, value.coerce_string().to_string()));
        } else {
            out.push((key.clone(), value.coerce_string().to_string()));
        }
    }
    Ok(out)
}

fn first_error(mut errors: Vec<ExpressionError>) -> ExpressionError {
    errors.swap_remove(0)
}

fn insert_error(value: &Value) -> ExpressionError {
    let message = format!("A mapping was expected to insert, not '{}'", value.coerce_string());
    ExpressionError::new(ExpressionErrorKind::Evaluation, message)
}
