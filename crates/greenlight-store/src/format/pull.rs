//! Shapes of pull requests, and of merging them.

use greenlight_core::effect::MergeMethod;
use greenlight_core::event::{BranchRules, Comment, PullSnapshot, PullStanding, Review, Verdict, Verdicts};
use greenlight_core::pull::{Branch, MergeAsked, MergePhase, MergeStanding, Merging, Note, PendingCommand, Pull};

choice! { PullStanding { "open" => Open, "closed" => Closed, "merged" => Merged { commit } } }
record! { PullSnapshot {
    number, title, standing, draft, head_sha, head_ref, head_repo, base_ref, base_sha, author, updated_at, head_pushed_at,
} }
word! { Verdict {
    Approved = "approved",
    ChangesRequested = "changes_requested",
    Commented = "commented",
    Dismissed = "dismissed",
} }
record! { Review { id, user, verdict, commit } }
record! { Comment { id, pull, author, body, created_at } }
word! { Verdicts { Pending = "pending", Success = "success", NotSuccess = "not_success" } }
record! { BranchRules { required, approvals } }

record! { Pull {
    snapshot, event, head_since, reread, reviews, merge_asked, approved_heads, commands, comments_seen, merge, note,
} }
record! { PendingCommand { comment, head_read } }
record! { MergeAsked { head_sha, by } }
choice! { MergeStanding {
    "none" => None,
    "refused" => Refused { head_sha, reason },
    "landed" => Landed { tested_tree, landed_tree },
} }
record! { Note { wanted, accepted, id, given_up } }

record! { Branch { name, tip, pushed_at, merging, halted, rules } }
record! { Merging { pull, head_sha, phase, not_yet_since, called } }
choice! { MergePhase {
    "reading" => Reading { not_before },
    "retesting" => Retesting { attempt },
    "calling" => Calling { tree, base_sha, method },
} }
word! { MergeMethod { Merge = "merge", Squash = "squash", Rebase = "rebase" } }
