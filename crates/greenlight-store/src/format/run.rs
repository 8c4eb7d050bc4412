//! Shapes of suites, runs and jobs.

use greenlight_core::event::{Event, User};
use greenlight_core::run::{
    Approval, Conclusion, Concurrency, Job, JobState, Lease, Planned, Run, RunState, Subject, Suite, SuiteKey,
    SuitePhase, Trust,
};

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
record! { Planned { sha, tree, base_sha, nothing, config_problem } }

record! { Run {
    number, suite, attempt, workflow, name, run_number, source, sha, jobs, state, reason, cancelled, concurrency, created_at,
    deployment, problem,
} }
record! { Concurrency { group, cancel_in_progress } }
choice! { RunState { "active" => Active, "completed" => Completed { conclusion, at } } }

record! { Job {
    key, job_id, name, context, matrix, leg, expanded, needs, labels, timeout, continue_on_error, fail_fast, max_parallel,
    state, tried, cancelled, outputs, environment_url,
} }
choice! { JobState {
    "waiting" => Waiting,
    "queued" => Queued { since },
    "leased" => Leased(lease),
    "completed" => Completed { conclusion, at, reason, started_at },
} }
record! { Lease { runner, boot, token, length, until, since, started_at } }
