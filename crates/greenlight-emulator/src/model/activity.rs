//! What happened to a branch: one entry for each time that it moved.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{At, Oid};

/// How many activities of a repository are kept; the oldest go.
pub const ACTIVITIES_MAX: usize = 2_000;

/// One move of one branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Activity {
    pub id: u64,
    /// The full ref.
    pub name: String,
    pub before: Oid,
    pub after: Oid,
    pub at: At,
    pub kind: ActivityKind,
    pub actor: u64,
}

/// What kind of move it was. There is no merge queue here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivityKind {
    Push,
    ForcePush,
    BranchCreation,
    BranchDeletion,
    PrMerge,
}

impl ActivityKind {
    /// Returns GitHub's word.
    pub fn word(self) -> &'static str {
        match self {
            ActivityKind::Push => "push",
            ActivityKind::ForcePush => "force_push",
            ActivityKind::BranchCreation => "branch_creation",
            ActivityKind::BranchDeletion => "branch_deletion",
            ActivityKind::PrMerge => "pr_merge",
        }
    }
}

/// Adds the newest activity, and lets the oldest go where there are too many.
pub fn keep(activities: &mut VecDeque<Activity>, newest: Activity) {
    activities.push_back(newest);
    while activities.len() > ACTIVITIES_MAX {
        activities.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_activity_goes() {
        let mut activities = VecDeque::new();
        for id in 0..=ACTIVITIES_MAX as u64 {
            let (name, at) = ("refs/heads/main".to_owned(), At(0));
            let (before, after) = (Oid::new(), Oid::new());
            keep(&mut activities, Activity { id, name, before, after, at, kind: ActivityKind::Push, actor: 1 });
        }
        let newest = activities.back().map(|activity| activity.id);
        assert_eq!((activities.len(), activities[0].id), (ACTIVITIES_MAX, 1));
        assert_eq!(newest, Some(ACTIVITIES_MAX as u64));
    }
}
