//! What stands behind `if:`.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::Template;
use crate::expression::{Context, Expression, ExpressionError, Scope, parse_expression};

/// The `if:` of a job or step. Where it does not ask for the status itself, `success()` is asked first.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    expression: Expression,
    written: Option<Arc<str>>,
}

impl Condition {
    /// Returns the condition that a text means: without braces, or with them.
    pub fn parse(text: &str, scope: &Scope) -> Result<Condition, Vec<ExpressionError>> {
        Condition::of(&Template::parse(text, scope)?, scope)
    }

    /// Returns the condition that a template means.
    pub(crate) fn of(template: &Template, scope: &Scope) -> Result<Condition, Vec<ExpressionError>> {
        let written = Some(template.shared_source());
        let parsed = match template.only_expression() {
            Some(only) => only.clone(),
            None => {
                let text = match template.as_str() {
                    Some(text) => Cow::Borrowed(text),
                    None => Cow::Owned(template.expression_text()),
                };
                if text.trim().is_empty() {
                    return Ok(Condition::default());
                }
                parse_expression(text.trim(), scope).map_err(|error| vec![error])?
            }
        };
        let expression =
            if parsed.checks_status() { parsed } else { parsed.behind_success(scope).map_err(|error| vec![error])? };
        Ok(Condition { expression, written })
    }

    /// Returns the condition that a template means, taken as it is: no status check is added.
    pub(crate) fn exactly(template: &Template, scope: &Scope) -> Result<Condition, ExpressionError> {
        let expression = parse_expression(template.expression_text().trim(), scope)?;
        Ok(Condition { expression, written: Some(template.shared_source()) })
    }

    /// Returns the condition that always holds, `always()`.
    pub fn always() -> Condition {
        static ALWAYS: OnceLock<Expression> = OnceLock::new();
        Condition { expression: ALWAYS.get_or_init(|| constant("always()")).clone(), written: None }
    }

    /// Returns the text that was written, if any was.
    pub fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Returns the whole expression, with the status check that was added.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Says whether the condition holds.
    pub fn evaluate(&self, context: &dyn Context) -> Result<bool, ExpressionError> {
        self.expression.evaluate(context).map(|value| value.coerce_bool())
    }
}

impl Default for Condition {
    /// Returns the condition where none is written: `success()`.
    fn default() -> Condition {
        static SUCCESS: OnceLock<Expression> = OnceLock::new();
        Condition { expression: SUCCESS.get_or_init(|| constant("success()")).clone(), written: None }
    }
}

fn constant(text: &str) -> Expression {
    parse_expression(text, &Scope::everything()).expect("a status function is an expression")
}
