//! What a job asks for before it may start: a runner, an environment, a turn in its concurrency group. Each may be an
//! expression as a whole, so each has a method that gives what it comes to.

use crate::expression::{Context, ExpressionError, ExpressionErrorKind};
use crate::template::Template;
use crate::value::Value;

/// How many characters the name of a concurrency group may have.
pub(crate) const CONCURRENCY_GROUP_LENGTH_MAX: usize = 400;

/// The runners that a job accepts, as it was written.
#[derive(Clone, Debug, Default)]
pub struct RunsOn {
    /// Labels that a runner must have; an expression may come to several.
    pub labels: Vec<Template>,
    /// The runner group.
    pub group: Option<Template>,
}

/// The runners that a job accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerRequest {
    /// Labels that a runner must have, all of them.
    pub labels: Vec<String>,
    /// The runner group it must be in.
    pub group: Option<String>,
}

impl RunsOn {
    /// Returns the runners that are meant in these contexts.
    pub fn evaluate(&self, context: &dyn Context) -> Result<RunnerRequest, ExpressionError> {
        let mut request = RunnerRequest::default();
        for label in &self.labels {
            add_labels(&mut request, &label.evaluate(context)?)?;
        }
        if let Some(group) = &self.group {
            request.group = Some(group.evaluate_string(context)?);
        }
        // An empty mapping accepts any runner; what was written and came to nothing was not meant so.
        let is_written = !self.labels.is_empty() || self.group.is_some();
        if is_written && request.labels.is_empty() && request.group.is_none() {
            return Err(refused("'runs-on' names no label and no group"));
        }
        Ok(request)
    }
}

fn add_labels(request: &mut RunnerRequest, value: &Value) -> Result<(), ExpressionError> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| match item {
            Value::Array(_) | Value::Object(_) => Err(refused("a label in 'runs-on' is no text")),
            item => add_labels(request, item),
        }),
        Value::Object(object) => {
            if let Some(group) = object.get("group").filter(|group| !group.is_null()) {
                request.group = Some(group.coerce_string().to_string());
            }
            object.get("labels").map_or(Ok(()), |labels| add_labels(request, labels))
        }
        scalar => {
            let label = scalar.coerce_string();
            if label.is_empty() {
                return Err(refused("a label in 'runs-on' is empty"));
            }
            request.labels.push(label.to_string());
            Ok(())
        }
    }
}

/// The environment that a job deploys to.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name.
    pub name: Template,
    /// The address at which it is seen, known when the job ends.
    pub url: Option<Template>,
    /// Whether a deployment is made; true unless said otherwise.
    pub deployment: Template,
}

impl Environment {
    /// Returns the name in these contexts; None where it comes to nothing, which asks for no environment.
    pub fn evaluate_name(&self, context: &dyn Context) -> Result<Option<String>, ExpressionError> {
        let value = self.name.evaluate(context)?;
        let name = match &value {
            Value::Object(_) => value.get("name").coerce_string(),
            value => value.coerce_string(),
        };
        Ok((!name.is_empty()).then(|| name.to_string()))
    }

    /// Returns the address in these contexts, those of the job's end; None where it comes to nothing.
    pub fn evaluate_url(&self, context: &dyn Context) -> Result<Option<String>, ExpressionError> {
        let url = match &self.url {
            Some(url) => url.evaluate(context)?,
            // Only where all of it is one expression can there be an address inside.
            None => self.name.evaluate(context)?.get("url").clone(),
        };
        let url = url.coerce_string();
        Ok((!url.is_empty()).then(|| url.to_string()))
    }

    /// Says whether a deployment is made, in these contexts.
    pub fn evaluate_deployment(&self, context: &dyn Context) -> Result<bool, ExpressionError> {
        match self.name.evaluate(context)? {
            Value::Object(object) => Ok(object.get("deployment").is_none_or(Value::coerce_bool)),
            _ => self.deployment.evaluate_bool(context),
        }
    }
}

/// A concurrency group, as it was written.
#[derive(Clone, Debug)]
pub struct Concurrency {
    /// The group's name.
    pub group: Template,
    /// Whether a newcomer cancels what runs; false unless said otherwise.
    pub cancel_in_progress: Template,
    /// How many may wait.
    pub queue: Option<Template>,
}

/// A concurrency group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyGroup {
    /// Its name; case does not matter.
    pub group: String,
    /// Whether a newcomer cancels what runs.
    pub cancel_in_progress: bool,
    /// How many may wait.
    pub queue: ConcurrencyQueue,
}

/// How many runs may wait in a concurrency group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConcurrencyQueue {
    /// One: a newer one takes the place of the one that waits.
    #[default]
    Single,
    /// As many as come, in order.
    Max,
}

impl Concurrency {
    /// Returns the group in these contexts.
    pub fn evaluate(&self, context: &dyn Context) -> Result<ConcurrencyGroup, ExpressionError> {
        let value = self.group.evaluate(context)?;
        let (group, cancel_in_progress, queue) = match &value {
            Value::Object(_) => {
                (value.get("group").clone(), value.get("cancel-in-progress").clone(), value.get("queue").clone())
            }
            _ => {
                let queue = self.queue.as_ref().map(|queue| queue.evaluate(context)).transpose()?.unwrap_or_default();
                (value.clone(), Value::Bool(self.cancel_in_progress.evaluate_bool(context)?), queue)
            }
        };
        let group = group.coerce_string().to_string();
        if group.is_empty() {
            return Err(refused("the concurrency group's name is empty"));
        }
        if group.chars().count() > CONCURRENCY_GROUP_LENGTH_MAX {
            let message =
                format!("the concurrency group's name is longer than {CONCURRENCY_GROUP_LENGTH_MAX} characters");
            return Err(refused(&message));
        }
        let queue = match &*queue.coerce_string() {
            "" | "single" => ConcurrencyQueue::Single,
            "max" => ConcurrencyQueue::Max,
            other => return Err(refused(&format!("the concurrency queue is 'single' or 'max', not '{other}'"))),
        };
        Ok(ConcurrencyGroup { group, cancel_in_progress: cancel_in_progress.coerce_bool(), queue })
    }
}

fn refused(message: &str) -> ExpressionError {
    ExpressionError::new(ExpressionErrorKind::Evaluation, message)
}
