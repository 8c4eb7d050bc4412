//! Shapes of environments and deployments.

use greenlight_core::deployment::{Carrying, DeployWish, Deployment, Environment, Lock, WishState};
use greenlight_core::event::{DeploymentMaker, DeploymentSnapshot, DeploymentState};

record! { Environment { name, lock, live } }
record! { Lock { deployment, token, since, kept } }
record! { DeployWish { environment, sha, tree, pull, since, state } }
choice! { WishState {
    "waiting" => Waiting { reason },
    "creating" => Creating { not_before },
    "created" => Created(id),
    "refused" => Refused { reason },
} }

record! { Deployment { snapshot, event, seen_at, state, wanted, accepted, given_up } }
choice! { Carrying {
    "watched" => Watched { reason },
    "waiting" => Waiting,
    "started" => Started { token, run },
    "done" => Done,
} }
record! { DeploymentSnapshot { id, sha, git_ref, task, environment, payload, key, creator, maker, state } }
word! { DeploymentMaker { Anyone = "anyone", Actions = "actions" } }
word! { DeploymentState {
    Pending = "pending",
    Queued = "queued",
    InProgress = "in_progress",
    Success = "success",
    Failure = "failure",
    Error = "error",
    Inactive = "inactive",
} }
