//! What a run comes to before anything of it has run: its jobs with those of the workflows that they call, in all variants,
//! with names, groups, permissions. What depends on jobs that have not run yet is left open and says so.

use std::sync::Arc;

use super::{JobPlan, MatrixContext, PlanError, ancestors, below_caller, expand_job};
use crate::call::{CalledContext, CalledWorkflow, JobResult, call_inputs};
use crate::expression::{Context, Expression, ExpressionError, Reference, StatusCheck};
use crate::permission::Permissions;
use crate::template::{Condition, Template, Tree};
use crate::value::Value;
use crate::workflow::{ConcurrencyGroup, JOBS_MAX, Job, JobKind, RunnerRequest, Workflow};

/// A run, as far as it is known before its jobs have run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// What people see: the `run-name:`, if it comes to anything.
    pub name: Option<String>,
    /// The group in which it takes its turn, if that is known.
    pub concurrency: Option<ConcurrencyGroup>,
    /// What is not known of it yet, in one sentence.
    pub open: Option<String>,
    /// Its jobs in the order of the file, those of a called workflow behind the calling job.
    pub jobs: Vec<PlannedJob>,
    /// What keeps it, or one of its jobs, from running.
    pub problems: Vec<PlanError>,
}

/// One job of a run.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// Its variant: name, key, matrix. The key and the name of a called job start with the caller's.
    pub variant: JobPlan,
    /// All jobs that must be over before, through others as well.
    pub ancestors: Vec<Arc<str>>,
    /// The key of the job whose call brought it.
    pub caller: Option<String>,
    /// Whether it runs.
    pub condition: Condition,
    /// What its condition comes to, if that is known.
    pub runs: Option<bool>,
    /// The runners it may go to, if that is known; None for a job that calls a workflow.
    pub runner: Option<RunnerRequest>,
    /// What its token may do.
    pub permissions: Permissions,
    /// The environment it deploys to, if that is known.
    pub environment: Option<String>,
    /// The group in which it takes its turn, if that is known.
    pub concurrency: Option<ConcurrencyGroup>,
    /// The workflow that it calls.
    pub calls: Option<String>,
    /// What is not known yet, in one sentence.
    pub open: Option<String>,
}

/// Returns the plan of a run. `calls` are the called workflows as [`crate::resolve_calls`] found them; one that is missing is
/// left out. `context` has `github`, `inputs`, `vars`, and `needs` as far as jobs have run.
pub fn plan_run(
    workflow: &Workflow,
    calls: &[CalledWorkflow],
    permissions: &Permissions,
    context: &dyn Context,
) -> RunPlan {
    let mut planner = Planner { jobs: Vec::new(), problems: Vec::new() };
    let name = workflow.run_name.as_ref().and_then(|name| planner.of_run(name.evaluate_string(context)));
    let group = workflow.concurrency.as_ref();
    let concurrency = group.and_then(|group| planner.of_run(settled(context, |context| group.evaluate(context))));
    let open = group.filter(|_| matches!(concurrency, Some(None))).map(|_| GROUP_OPEN.to_owned());
    let top = Level { workflow, calls, permissions, caller: None, caller_runs: Some(true), open: None };
    planner.level(&top, context);
    if planner.jobs.len() > JOBS_MAX {
        let message = format!("a run may have {JOBS_MAX} jobs, this one has {}", planner.jobs.len());
        planner.problems.push(PlanError { job_id: "".into(), message, span: crate::Span::default() });
    }
    let name = name.filter(|name| !name.trim().is_empty());
    RunPlan { name, concurrency: concurrency.flatten(), open, jobs: planner.jobs, problems: planner.problems }
}

/// What is said of a group whose name takes the run's number or id.
const GROUP_OPEN: &str = "its group has the run's own number or id in it, which is known once there is a run";

/// What a run alone has of the `github` context.
const OF_A_RUN: [&str; 3] = ["run_id", "run_number", "run_attempt"];

/// Returns what something comes to in whatever run; None where that depends on the run.
fn settled<T: PartialEq>(
    context: &dyn Context,
    evaluate: impl Fn(&dyn Context) -> Result<T, ExpressionError>,
) -> Result<Option<T>, ExpressionError> {
    let github = context.named("github");
    let missing: Vec<&str> = OF_A_RUN.into_iter().filter(|name| github.get(name).is_null()).collect();
    if missing.is_empty() {
        return evaluate(context).map(Some);
    }
    let in_run = |number: &str| {
        let own = missing.iter().map(|name| ((*name).to_owned(), Value::string(number)));
        let rest = github.as_object().into_iter().flat_map(|github| github.iter());
        let all = own.chain(rest.map(|(name, value)| (name.to_owned(), value.clone())));
        evaluate(&InRun { base: context, github: Value::object(all) })
    };
    let (first, second) = (in_run("1")?, in_run("2")?);
    Ok((first == second).then_some(first))
}

/// Contexts with a `github` that has what a run has.
struct InRun<'a> {
    base: &'a dyn Context,
    github: Value,
}

impl Context for InRun<'_> {
    fn named(&self, name: &str) -> Value {
        if name.eq_ignore_ascii_case("github") { self.github.clone() } else { self.base.named(name) }
    }

    fn status(&self) -> StatusCheck {
        self.base.status()
    }
}

/// Returns what a condition comes to however the jobs before it end; None where that depends on them.
fn whatever_ran(condition: &Expression, context: &dyn Context) -> Option<bool> {
    if condition.refers_to("needs") {
        return None;
    }
    let ends = [StatusCheck::SUCCESS, StatusCheck::FAILURE, StatusCheck::CANCELLED, StatusCheck::SKIPPED];
    let mut found = None;
    for status in ends {
        let runs = condition.evaluate(&Standing { base: context, status }).ok()?.coerce_bool();
        if found.is_some_and(|found| found != runs) {
            return None;
        }
        found = Some(runs);
    }
    found
}

struct Planner {
    jobs: Vec<PlannedJob>,
    problems: Vec<PlanError>,
}

/// One workflow of a run: the one that was triggered, or one that a job calls.
struct Level<'a> {
    workflow: &'a Workflow,
    calls: &'a [CalledWorkflow],
    permissions: &'a Permissions,
    caller: Option<&'a JobPlan>,
    /// Whether the calling job runs, if that is known.
    caller_runs: Option<bool>,
    /// Why the inputs of this call are not known.
    open: Option<&'a str>,
}

impl Planner {
    fn level(&mut self, level: &Level<'_>, context: &dyn Context) {
        for job in &level.workflow.jobs {
            if self.jobs.len() > JOBS_MAX {
                return;
            }
            self.job(level, job, context);
        }
    }

    fn job(&mut self, level: &Level<'_>, job: &Job, context: &dyn Context) {
        let strategy = strategy_expressions(job);
        if let Some(open) = unknown_need(job, strategy.iter().copied(), context) {
            let open = format!("its matrix comes from '{open}', which has not run");
            let planned = self.planned(level, job, unexpanded(job), context);
            self.jobs.push(PlannedJob { open: Some(open), runner: None, ..planned });
            return;
        }
        match expand_job(job, context) {
            Ok(variants) => variants.into_iter().for_each(|variant| self.variant(level, job, variant, context)),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn variant(&mut self, level: &Level<'_>, job: &Job, variant: JobPlan, context: &dyn Context) {
        let inside = MatrixContext::new(context, &variant);
        let planned = self.planned(level, job, variant.clone(), &inside);
        let (plan, permissions, runs) = (planned.variant.clone(), planned.permissions.clone(), planned.runs);
        self.jobs.push(planned);
        let JobKind::Call { with, .. } = &job.kind else { return };
        let Some(called) = level.calls.iter().find(|called| called.job_id == job.id) else { return };
        let Some(declared) = called.workflow.on.event("workflow_call") else { return };
        let open = unknown_need(job, with.iter().flat_map(|(_, value)| value.expressions()), &inside)
            .map(|need| format!("its inputs come from '{need}', which has not run"));
        let inputs = match &open {
            Some(_) => Value::Null,
            None => match call_inputs(declared, with, &inside) {
                Ok(inputs) => inputs,
                Err(error) => {
                    let (message, span) = (error.message, error.span);
                    return self.problems.push(PlanError { job_id: job.id.clone(), message, span });
                }
            },
        };
        let nested = Level {
            workflow: &called.workflow,
            calls: &called.calls,
            permissions: called.workflow.permissions.as_ref().unwrap_or(&permissions),
            caller: Some(&plan),
            caller_runs: runs,
            open: open.as_deref().or(level.open),
        };
        self.level(&nested, &CalledContext::new(context, inputs, Value::Null));
    }

    fn planned(&mut self, level: &Level<'_>, job: &Job, variant: JobPlan, context: &dyn Context) -> PlannedJob {
        let name = match &job.name {
            Some(name) if unknown_need(job, name.expressions(), context).is_some() => name.source().to_owned(),
            _ => variant.name.clone(),
        };
        let plan = JobPlan {
            key: below_caller(level.caller.map(|plan| &*plan.key), &variant.key),
            name: below_caller(level.caller.map(|plan| &*plan.name), &name),
            ..variant
        };
        let is_open = level.open.is_some();
        let runner = match (&job.kind, is_open) {
            (JobKind::Steps(_), false) => {
                let templates = job.runs_on.labels.iter().chain(&job.runs_on.group);
                self.known(job, templates, context, || job.runs_on.evaluate(context))
            }
            _ => None,
        };
        let environment = job.environment.as_ref().filter(|_| !is_open);
        let concurrency = job.concurrency.as_ref().filter(|_| !is_open);
        let condition = job.condition.expression();
        let ancestors = ancestors(level.workflow, &job.id);
        let standing = Standing { base: context, status: status_of(&ancestors, context) };
        let runs = match () {
            () if is_open => None,
            () if job.needs.is_empty() || known_needs(job, context) => {
                self.of_job(job, condition.evaluate(&standing)).map(|value| value.coerce_bool())
            }
            () => whatever_ran(condition, context),
        };
        let concurrency = concurrency.and_then(|group| {
            let templates = [&group.group, &group.cancel_in_progress].into_iter().chain(&group.queue);
            self.known(job, templates, context, || settled(context, |context| group.evaluate(context)))
        });
        let open = match concurrency {
            Some(None) if !is_open => Some(GROUP_OPEN.to_owned()),
            _ => level.open.map(str::to_owned),
        };
        PlannedJob {
            ancestors,
            caller: level.caller.map(|plan| plan.key.clone()),
            runs: match (level.caller_runs, runs) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), runs) => runs,
                (None, _) => None,
            },
            condition: job.condition.clone(),
            runner,
            permissions: job
                .permissions
                .as_ref()
                .or(level.workflow.permissions.as_ref())
                .unwrap_or(level.permissions)
                .clone(),
            environment: environment
                .and_then(|to| self.known(job, [&to.name], context, || to.evaluate_name(context)))
                .flatten(),
            concurrency: concurrency.flatten(),
            calls: match &job.kind {
                JobKind::Call { uses, .. } => Some(uses.to_string()),
                JobKind::Steps(_) => None,
            },
            open,
            variant: plan,
        }
    }

    /// Returns what something comes to, None where that takes jobs that have not run, or a matrix that comes from them.
    fn known<'t, T>(
        &mut self,
        job: &Job,
        templates: impl IntoIterator<Item = &'t Template>,
        context: &dyn Context,
        evaluate: impl FnOnce() -> Result<T, ExpressionError>,
    ) -> Option<T> {
        let expressions: Vec<&Expression> = templates.into_iter().flat_map(Template::expressions).collect();
        let is_of_variant = |one: &&Expression| one.refers_to("matrix") || one.refers_to("strategy");
        let lacks_variant = context.named("strategy").is_null() && expressions.iter().any(is_of_variant);
        if lacks_variant || unknown_need(job, expressions, context).is_some() {
            return None;
        }
        self.of_job(job, evaluate())
    }

    fn of_job<T>(&mut self, job: &Job, result: Result<T, ExpressionError>) -> Option<T> {
        let span = job.span;
        result
            .map_err(|error| {
                self.problems.push(PlanError { job_id: job.id.clone(), message: error.message, span });
            })
            .ok()
    }

    fn of_run<T>(&mut self, result: Result<T, ExpressionError>) -> Option<T> {
        result
            .map_err(|error| {
                self.problems.push(PlanError {
                    job_id: "".into(),
                    message: error.message,
                    span: crate::Span::default(),
                });
            })
            .ok()
    }
}

/// Returns a job as one entry, where its variants are not known.
fn unexpanded(job: &Job) -> JobPlan {
    let name = job.name.as_ref().map_or(&*job.id, Template::source);
    JobPlan {
        key: job.id.to_string(),
        job_id: job.id.clone(),
        name: name.to_owned(),
        matrix: Value::Null,
        strategy: Value::Null,
        index: 0,
        total: 1,
        fail_fast: true,
        max_parallel: None,
        needs: job.needs.clone(),
    }
}

fn strategy_expressions(job: &Job) -> Vec<&Expression> {
    let Some(strategy) = &job.strategy else { return Vec::new() };
    let mut expressions = Vec::new();
    let scalars = [&strategy.fail_fast, &strategy.max_parallel, &strategy.whole];
    scalars.into_iter().flatten().for_each(|template| expressions.extend(template.expressions()));
    if let Some(matrix) = &strategy.matrix {
        visit(matrix, &mut expressions);
    }
    expressions
}

fn visit<'a>(tree: &'a Tree, expressions: &mut Vec<&'a Expression>) {
    tree.visit_templates(&mut |template| expressions.extend(template.expressions()));
}

/// Returns the first job that one of the expressions asks about and that has not run.
fn unknown_need<'a>(
    job: &'a Job,
    expressions: impl IntoIterator<Item = &'a Expression>,
    context: &dyn Context,
) -> Option<String> {
    let known = context.named("needs");
    let is_unknown = |id: &str| known.get(id).is_null() && job.needs.iter().any(|need| **need == *id);
    let asked = |reference: Reference| match reference.part(1) {
        Some(id) => Some(id.to_owned()).filter(|id| is_unknown(id)),
        None => job.needs.iter().map(ToString::to_string).find(|id| is_unknown(id)),
    };
    expressions
        .into_iter()
        .flat_map(Expression::references)
        .filter(|reference| reference.context().eq_ignore_ascii_case("needs"))
        .find_map(asked)
}

fn known_needs(job: &Job, context: &dyn Context) -> bool {
    let known = context.named("needs");
    !job.needs.is_empty() && job.needs.iter().all(|id| !known.get(id).is_null())
}

/// A job's contexts with how those before it ended.
struct Standing<'a> {
    base: &'a dyn Context,
    status: StatusCheck,
}

impl Context for Standing<'_> {
    fn named(&self, name: &str) -> Value {
        self.base.named(name)
    }

    fn status(&self) -> StatusCheck {
        self.status
    }
}

/// Returns how the jobs before one ended, as far as they have run.
fn status_of(ancestors: &[Arc<str>], context: &dyn Context) -> StatusCheck {
    let known = context.named("needs");
    let result = |id: &Arc<str>| JobResult::of_text(&known.get(id).get("result").coerce_string());
    StatusCheck::of_results(ancestors.iter().filter_map(result))
}
