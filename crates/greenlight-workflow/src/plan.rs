//! From a job in a file to the jobs that run: its variants with their names and keys, what it depends on, and the words in a
//! commit's message that ask for no run at all.

mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::expression::{Context, ExpressionError, StatusCheck};
use crate::finding::Span;
use crate::matrix::{Combination, combinations};
use crate::value::{Value, fold_equals};
use crate::workflow::{Job, Strategy, Workflow};

pub use run::{PlannedJob, RunPlan, plan_run};

/// How long a job's name and key may be.
pub const JOB_NAME_LENGTH_MAX: usize = 100;

/// One variant of a job, ready to be queued.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPlan {
    /// What it is known by in its run: the job's id and its matrix values.
    pub key: String,
    /// The job's id in the file.
    pub job_id: Arc<str>,
    /// What people see.
    pub name: String,
    /// The `matrix` context: Null, or an object.
    pub matrix: Value,
    /// The `strategy` context.
    pub strategy: Value,
    /// Which of the variants this is, from 0.
    pub index: usize,
    /// How many variants there are.
    pub total: usize,
    /// Whether its failure cancels the others.
    pub fail_fast: bool,
    /// How many of them may run at once.
    pub max_parallel: Option<usize>,
    /// The jobs that were needed.
    pub needs: Vec<Arc<str>>,
}

/// Why a job has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job '{job_id}': {message}")]
pub struct PlanError {
    /// The job's id.
    pub job_id: Arc<str>,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// A job's contexts with the `matrix` and `strategy` of one variant.
pub struct MatrixContext<'a> {
    base: &'a dyn Context,
    matrix: Value,
    strategy: Value,
}

impl<'a> MatrixContext<'a> {
    /// Returns the contexts of one variant over those that all variants share.
    pub fn new(base: &'a dyn Context, plan: &JobPlan) -> MatrixContext<'a> {
        MatrixContext { base, matrix: plan.matrix.clone(), strategy: plan.strategy.clone() }
    }
}

impl Context for MatrixContext<'_> {
    fn named(&self, name: &str) -> Value {
        match name {
            name if fold_equals(name, "matrix") => self.matrix.clone(),
            name if fold_equals(name, "strategy") => self.strategy.clone(),
            name => self.base.named(name),
        }
    }

    fn status(&self) -> StatusCheck {
        self.base.status()
    }

    fn status_of(&self, job_ids: &[String]) -> StatusCheck {
        self.base.status_of(job_ids)
    }

    fn hash_files(&self, patterns: &[String], follow_symbolic_links: bool) -> Result<String, String> {
        self.base.hash_files(patterns, follow_symbolic_links)
    }
}

/// What a strategy comes to.
struct Evaluated {
    matrix: Option<Value>,
    fail_fast: bool,
    max_parallel: Option<usize>,
}

/// Returns the variants of a job, to be asked once all that it needs is done. A matrix whose combinations are all excluded
/// gives none.
pub fn expand_job(job: &Job, context: &dyn Context) -> Result<Vec<JobPlan>, PlanError> {
    let span = job.strategy.as_ref().map_or(job.span, |strategy| strategy.span);
    let refused = |message: String| PlanError { job_id: job.id.clone(), message, span };
    let evaluated = match &job.strategy {
        Some(strategy) => evaluate(strategy, context).map_err(|error| refused(error.message))?,
        None => Evaluated { matrix: None, fail_fast: true, max_parallel: None },
    };
    let variants = match &evaluated.matrix {
        Some(matrix) => combinations(matrix).map_err(refused)?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let total = variants.len();
    let mut keys = BTreeSet::new();
    let plan = |(index, variant): (usize, Option<Combination>)| {
        let mut plan = variant_plan(job, &evaluated, variant.as_ref(), index, total);
        plan.name = display_name(job, variant.as_ref(), &MatrixContext::new(context, &plan))
            .map_err(|error| PlanError { job_id: job.id.clone(), message: error.message, span: job.span })?;
        plan.key = unique_key(&plan.key, &mut keys);
        Ok(plan)
    };
    variants.into_iter().enumerate().map(plan).collect()
}

fn evaluate(strategy: &Strategy, context: &dyn Context) -> Result<Evaluated, ExpressionError> {
    let (matrix, fail_fast, max_parallel) = match &strategy.whole {
        Some(whole) => {
            let value = whole.evaluate(context)?;
            (value.get("matrix").clone(), value.get("fail-fast").clone(), value.get("max-parallel").clone())
        }
        None => {
            let scalar = |template: &Option<crate::template::Template>| {
                template.as_ref().map_or(Ok(Value::Null), |template| template.evaluate(context))
            };
            let matrix = strategy.matrix.as_ref().map_or(Ok(Value::Null), |matrix| matrix.evaluate(context))?;
            (matrix, scalar(&strategy.fail_fast)?, scalar(&strategy.max_parallel)?)
        }
    };
    let max_parallel = max_parallel.coerce_number();
    Ok(Evaluated {
        matrix: (!matrix.is_null()).then_some(matrix),
        fail_fast: fail_fast.is_null() || !fold_equals(&fail_fast.coerce_string(), "false"),
        max_parallel: (max_parallel >= 1.0).then_some(max_parallel as usize),
    })
}

fn variant_plan(
    job: &Job,
    evaluated: &Evaluated,
    variant: Option<&Combination>,
    index: usize,
    total: usize,
) -> JobPlan {
    let strategy = strategy_context(evaluated.fail_fast, index, total, evaluated.max_parallel);
    JobPlan {
        key: with_leaves(&job.id, variant),
        job_id: job.id.clone(),
        name: String::new(),
        matrix: variant.map(Combination::value).unwrap_or_default(),
        strategy,
        index,
        total,
        fail_fast: evaluated.fail_fast,
        max_parallel: evaluated.max_parallel,
        needs: job.needs.clone(),
    }
}

/// Returns the `strategy` context of one variant.
pub fn strategy_context(fail_fast: bool, index: usize, total: usize, max_parallel: Option<usize>) -> Value {
    Value::object([
        ("fail-fast", Value::Bool(fail_fast)),
        ("job-index", Value::Number(index as f64)),
        ("job-total", Value::Number(total as f64)),
        ("max-parallel", Value::Number(max_parallel.unwrap_or(total) as f64)),
    ])
}

/// Returns how the key or the name of a called workflow's job is written: behind its caller's.
pub fn below_caller(caller: Option<&str>, own: &str) -> String {
    caller.map_or_else(|| own.to_owned(), |caller| format!("{caller} / {own}"))
}

/// A name with an expression in it stands for itself; any other is told apart by the matrix values.
fn display_name(job: &Job, variant: Option<&Combination>, context: &dyn Context) -> Result<String, ExpressionError> {
    match &job.name {
        Some(name) if name.is_expression() => {
            let name = name.evaluate_string(context)?;
            Ok(if name.trim().is_empty() { with_leaves(&job.id, variant) } else { name })
        }
        Some(name) => Ok(with_leaves(name.source(), variant)),
        None => Ok(with_leaves(&job.id, variant)),
    }
}

fn with_leaves(name: &str, variant: Option<&Combination>) -> String {
    let leaves = variant.map(Combination::leaves).unwrap_or_default();
    let full = if leaves.is_empty() { name.to_owned() } else { format!("{name} ({})", leaves.join(", ")) };
    if full.chars().count() <= JOB_NAME_LENGTH_MAX {
        return full;
    }
    full.chars().take(JOB_NAME_LENGTH_MAX - 3).chain("...".chars()).collect()
}

fn unique_key(key: &str, keys: &mut BTreeSet<String>) -> String {
    let mut unique = key.to_owned();
    let mut number = 1;
    while !keys.insert(unique.clone()) {
        number += 1;
        unique = format!("{key} #{number}");
    }
    unique
}

/// Returns the ids of all jobs that a job needs, directly or through others, in the order of the file.
pub fn ancestors(workflow: &Workflow, id: &str) -> Vec<Arc<str>> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = vec![id];
    while let Some(next) = open.pop() {
        for need in workflow.job(next).map(|job| job.needs.as_slice()).unwrap_or_default() {
            if found.insert(need) {
                open.push(need);
            }
        }
    }
    workflow.jobs.iter().filter(|job| found.contains(&*job.id)).map(|job| job.id.clone()).collect()
}

/// Returns the words of a commit's message that ask for no run on push and pull request, if it has any.
pub fn skip_words(commit_message: &str) -> Option<&'static str> {
    const WORDS: [&str; 5] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
    const TRAILERS: [&str; 2] = ["skip-checks:true", "skip-checks: true"];
    if let Some(word) = WORDS.into_iter().find(|word| commit_message.contains(word)) {
        return Some(word);
    }
    let (_, trailers) = commit_message.trim_end().rsplit_once("\n\n")?;
    TRAILERS.into_iter().find(|trailer| trailers.lines().any(|line| line.trim().eq_ignore_ascii_case(trailer)))
}
