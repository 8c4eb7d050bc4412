//! The Actions language: YAML to workflow, expressions, matrix, filters, findings. Pure: no clock, no files, no network, no
//! randomness; what it needs from outside comes through [`Context`]. It knows no other crate of ours.
//!
//! A file's way: [`yaml`] makes a tree with spans of its text, `schema` and `reader` hold it against the grammar, `decode`
//! makes a [`Workflow`] of it, and [`lint`] says what in it is surely not meant; [`trigger`] says whether an event starts
//! it, [`cron`] when a schedule comes due, [`plan`] which jobs that means, [`template`] and [`expression`] what its texts come to while it runs.

pub mod action;
pub mod call;
pub mod cron;
mod decode;
pub mod event;
pub mod expression;
pub mod finding;
pub mod glob;
pub mod lint;
mod matrix;
pub mod permission;
pub mod plan;
mod reader;
mod schema;
pub mod template;
pub mod trigger;
pub mod value;
pub mod workflow;
pub mod yaml;

pub use action::{ActionInput, ActionManifest, ActionRuns, Branding, ParsedAction, parse_action};
pub use call::{
    CallRules, CallSource, CalledContext, CalledFile, CalledWorkflow, Calls, FileFinding, HandoverError, JobEnd,
    JobResult, call_inputs, call_outputs, call_secrets, dispatch_inputs, resolve_calls,
};
pub use cron::Cron;
pub use event::{EventPayload, short_ref};
pub use expression::{
    Context, Contexts, Expression, ExpressionError, ExpressionErrorKind, Reference, Scope, StatusCheck,
    parse_expression,
};
pub use finding::{Finding, Severity, Span, nearest};
pub use lint::{
    Script, ScriptChecker, ScriptProblem, check_action_scripts, check_scripts, lint_action, lint_draft, lint_workflow,
};
pub use permission::{PermissionLevel, Permissions};
pub use plan::{
    JobPlan, MatrixContext, PlanError, PlannedJob, RunPlan, ancestors, below_caller, expand_job, plan_run, skip_words,
    strategy_context,
};
pub use reader::expression_help;
pub use template::{Condition, Template, Tree, TreeKind, evaluate_entries};
pub use trigger::{EventFacts, EventTrigger, Filter, Trigger, Triggers};
pub use value::{JsonError, Object, Value};
pub use workflow::{
    CallRef, CallSecrets, Concurrency, ConcurrencyGroup, ConcurrencyQueue, Container, ContainerSpec, Defaults,
    Environment, Job, JobKind, Parsed, RunDefaults, RunnerRequest, RunsOn, Services, Snapshot, Step, StepKind,
    Strategy, UsesRef, Workflow, parse_workflow, parse_workflow_within,
};
