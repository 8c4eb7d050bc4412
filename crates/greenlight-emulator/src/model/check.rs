//! Check suites and check runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{At, Oid};

/// How many annotations one request may carry.
pub const ANNOTATIONS_PER_REQUEST_MAX: usize = 50;
/// How long summary and text of an output may be.
pub const OUTPUT_TEXT_MAX: usize = 65_535;
/// How many buttons a check run may have.
pub const ACTIONS_MAX: usize = 3;

/// The runs of one App on one commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckSuite {
    pub id: u64,
    pub app: u64,
    pub head_sha: Oid,
    pub head_branch: Option<String>,
    pub before: Option<Oid>,
    pub created_at: At,
    pub updated_at: At,
}

/// One check run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckRun {
    pub id: u64,
    pub suite: u64,
    pub app: u64,
    pub name: String,
    pub head_sha: Oid,
    pub details_url: Option<String>,
    pub external_id: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    pub text: Option<String>,
    pub annotations: Vec<Value>,
    pub actions: Vec<Value>,
}

/// Returns where a suite stands: (status, conclusion), the worst of its runs.
pub fn suite_state(runs: &[&CheckRun]) -> (&'static str, Option<&'static str>) {
    if runs.is_empty() {
        return ("queued", None);
    }
    if runs.iter().any(|run| run.conclusion.is_none()) {
        let started = runs.iter().any(|run| run.status != "queued");
        return (if started { "in_progress" } else { "queued" }, None);
    }
    const WORST_FIRST: [&str; 8] =
        ["action_required", "timed_out", "failure", "cancelled", "stale", "success", "neutral", "skipped"];
    let worst = WORST_FIRST.iter().find(|word| runs.iter().any(|run| run.conclusion.as_deref() == Some(**word)));
    ("completed", worst.copied().or(Some("neutral")))
}
