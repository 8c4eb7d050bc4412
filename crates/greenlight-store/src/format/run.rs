//! Shapes of suites, runs and jobs.

use greenlight_core::event::{Event, Looked, User};
use greenlight_core::run::{
    Approval, Call, Conclusion, Concurrency, ConcurrencyQueue, Job, JobState, Lease, Planned, Run, RunState, Subject,
    Suite, SuiteKey, SuitePhase, Trust, Turn,
};
use serde_json::Value as Json;

record! { User { id, login } }
record! { Event { name, action, payload, sender } }

word! { Conclusion {
    Success = "success",
    Skipped = "skipped",
    Failure = "failure",
    Cancelled = "cancelled",
    TimedOut = "timed_out",
    Lost = "lost",
} }

choice! { Subject {
    "pull" => Pull(number, base),
    "pull_action" => PullAction(number, action, updated_at),
    "ref" => Ref(git_ref),
    "deployment" => Deployment(id),
    "other" => Other(text),
} }
record! { SuiteKey { head_sha, event, subject } }
word! { Trust { Asking = "asking", Trusted = "trusted", Untrusted = "untrusted" } }
record! { Approval { attempt, head_sha, by } }
record! { Suite {
    key, attempt, event, git_ref, before, trust, author, approval, phase, runs, requested_at, decides, given, turns,
} }
choice! { SuitePhase {
    "reading" => Reading { trouble },
    "planned" => Planned(planned),
    "stopped" => Stopped { conclusion, reason },
} }
record! { Planned { sha, tree, base_sha, nothing, config_problem, config_findings } }

record! { Run {
    number, suite, attempt, workflow, name, run_number, source, called, elsewhere, sha, jobs, state, reason, cancelled, concurrency, created_at,
    deployment, problem,
} }
choice! { Looked { "at" => At(sha), "missing" => Missing(why) } }
record! { Concurrency { group, cancel_in_progress, queue } }
word! { ConcurrencyQueue { Single = "single", Max = "max" } }
record! { Turn { concurrency, since } }
record! { Call { file, inputs } }
choice! { RunState { "active" => Active, "completed" => Completed { conclusion, at } } }

record! { Job {
    key, caller, job_id, call, turn, name, context, matrix, leg, expanded, needs, labels, timeout, continue_on_error, fail_fast, max_parallel,
    state, attempt, tried, cancelled, outputs, environment_url,
} }
choice! { JobState {
    "waiting" => Waiting,
    "queued" => Queued { since },
    "leased" => Leased(lease),
    "completed" => Completed { conclusion, at, reason, started_at },
} }
record! { Lease { runner, boot, token, length, until, since, started_at } }

/// Adds what a run of format 1 lacks: it called no workflow, and no job asked for a turn.
pub(super) fn from_format_1(run: &mut Json) {
    let Some(run) = run.get_mut("run").and_then(Json::as_object_mut) else { return };
    run.insert("called".into(), Json::Array(Vec::new()));
    if let Some(Json::Object(concurrency)) = run.get_mut("concurrency") {
        concurrency.insert("queue".into(), "single".into());
    }
    for job in run.get_mut("jobs").and_then(Json::as_array_mut).into_iter().flatten() {
        let Some(job) = job.as_object_mut() else { continue };
        for name in ["caller", "call", "turn"] {
            job.insert(name.into(), Json::Null);
        }
    }
}

/// Adds what a suite of formats 1 and 2 lacks: everything that is wrong with its `.greenlight.yml`.
pub(super) fn from_format_2(suite: &mut Json) {
    let planned = suite.pointer_mut("/suite/phase/planned").and_then(Json::as_object_mut);
    if let Some(planned) = planned {
        planned.insert("config_findings".into(), Json::Null);
    }
}

/// Adds what the jobs of formats 1 to 3 lack: the attempt in which they ran, which was their run's.
pub(super) fn from_format_3(run: &mut Json) {
    let Some(run) = run.get_mut("run").and_then(Json::as_object_mut) else { return };
    let attempt = run.get("attempt").cloned().unwrap_or_default();
    for job in run.get_mut("jobs").and_then(Json::as_array_mut).into_iter().flatten() {
        if let Some(job) = job.as_object_mut() {
            job.insert("attempt".into(), attempt.clone());
        }
    }
}

/// Adds what a run of formats 1 to 5 lacks: what came of looking for files of other repositories.
pub(super) fn from_format_5(run: &mut Json) {
    if let Some(run) = run.get_mut("run").and_then(Json::as_object_mut) {
        run.insert("elsewhere".into(), Json::Array(Vec::new()));
    }
}
