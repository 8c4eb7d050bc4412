//! Shapes of the outbox: effects that have not come to their end, and what they show.

use greenlight_core::effect::Effect;
use greenlight_core::item::{Class, Item, ItemState};
use greenlight_core::shown::{Link, ReportForm, ReportState, ShownDeployment, ShownReport};

record! { Item { key, lane, place, class, effect, tried, confirm, state, after_success, trouble } }
choice! { ItemState { "ready" => Ready { not_before }, "in_flight" => InFlight { since } } }
word! { Class {
    Read = "read",
    AggregateEnd = "aggregate_end",
    Deployment = "deployment",
    Merge = "merge",
    AggregatePending = "aggregate_pending",
    JobEnd = "job_end",
    Pending = "pending",
    Comment = "comment",
} }

choice! { Effect {
    "prepare_merge" => PrepareMerge { pull, head_sha, base_ref },
    "read_commit" => ReadCommit { sha, git_ref, before },
    "read_permission" => ReadPermission(user),
    "read_pull" => ReadPull(pull),
    "reconcile" => Reconcile { known_open, since, pulls_since },
    "show" => Show { sha, context, report, check_run },
    "comment" => Comment { pull, mark, body, id },
    "merge" => Merge { pull, head_sha, base_ref, method },
    "create_deployment" => CreateDeployment { sha, environment, description, production },
    "show_deployment" => ShowDeployment { id, shown },
    "tell" => Tell { room, message },
} }

choice! { Link { "run" => Run(number), "job" => Job(number, job), "pull" => Pull(number), "environments" => Environments } }
word! { ReportState {
    Pending = "pending",
    Running = "running",
    Success = "success",
    Skipped = "skipped",
    Failure = "failure",
    Cancelled = "cancelled",
    Error = "error",
} }
word! { ReportForm { Status = "status", CheckRun = "check_run" } }
record! { ShownReport { state, description, link, summary, form } }
record! { ShownDeployment { state, description, log, environment_url } }
