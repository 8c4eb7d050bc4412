//! Commit statuses and what they come to together.

use serde::{Deserialize, Serialize};

use super::At;

/// How many statuses one commit takes for one context.
pub const STATUSES_MAX: usize = 1000;

/// One status, as it was posted. There may be many of one context; the newest counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommitStatus {
    pub id: u64,
    pub state: String,
    pub context: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
    pub creator: u64,
    pub created_at: At,
    /// From when on readers see it.
    pub visible_at: At,
}

/// Returns the newest visible status of each context, newest first.
pub fn latest(statuses: &[CommitStatus], now: At) -> Vec<&CommitStatus> {
    let mut latest: Vec<&CommitStatus> = Vec::new();
    for status in statuses.iter().rev().filter(|status| status.visible_at <= now) {
        if !latest.iter().any(|known| known.context.eq_ignore_ascii_case(&status.context)) {
            latest.push(status);
        }
    }
    latest
}

/// Returns the combined state: failure before pending before success, and pending where there is nothing.
pub fn combined(latest: &[&CommitStatus]) -> &'static str {
    if latest.iter().any(|status| matches!(status.state.as_str(), "error" | "failure")) {
        "failure"
    } else if latest.is_empty() || latest.iter().any(|status| status.state == "pending") {
        "pending"
    } else {
        "success"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(id: u64, context: &str, state: &str, visible_at: i64) -> CommitStatus {
        CommitStatus {
            id,
            state: state.to_owned(),
            context: context.to_owned(),
            description: None,
            target_url: None,
            creator: 1,
            created_at: At(0),
            visible_at: At(visible_at),
        }
    }

    #[test]
    fn the_newest_of_a_context_counts_once_it_is_visible() {
        let statuses = [status(1, "ci", "pending", 0), status(2, "CI", "success", 100)];
        assert_eq!(combined(&latest(&statuses, At(50))), "pending");
        assert_eq!(combined(&latest(&statuses, At(100))), "success");
        assert_eq!(combined(&latest(&[], At(100))), "pending");
    }

    #[test]
    fn one_failure_outweighs_what_is_pending() {
        let statuses = [status(1, "a", "pending", 0), status(2, "b", "error", 0), status(3, "c", "success", 0)];
        assert_eq!(combined(&latest(&statuses, At(0))), "failure");
    }
}
