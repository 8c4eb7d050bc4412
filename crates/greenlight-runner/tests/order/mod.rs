//! The order that the jobs of all tests here begin with.

use std::time::Duration;

use greenlight_core::effect::{Checkout, JobOrder};
use greenlight_core::id::{AttemptId, JobKey, RepoId, RunNumber, Sha, Token};
use greenlight_workflow::Value;

/// Returns the order for the job `test` of this workflow.
pub fn order(workflow: &str) -> JobOrder {
    let sha = Sha::from_bytes([0xab; 20]);
    JobOrder {
        attempt: AttemptId { repo: RepoId(7), run: RunNumber(1), run_attempt: 1, job: JobKey::from("test"), tried: 1 },
        token: Token(3),
        repository: "octo/demo".into(),
        workflow_path: ".github/workflows/ci.yml".into(),
        workflow_text: workflow.into(),
        callers: Vec::new(),
        job_id: "test".into(),
        job_name: "test".into(),
        matrix: Value::Null,
        strategy: Value::Null,
        github: Value::from_json(
            r#"{"event_name": "push", "sha": "abababababababababababababababababababab", "ref": "refs/heads/main",
                "repository": "octo/demo", "actor": "mona", "run_number": 5, "event": {"after": "abab", "size": 2}}"#,
        )
        .unwrap(),
        needs: Value::Null,
        inputs: Value::Null,
        env: Vec::new(),
        checkout: Checkout { sha, git_ref: "refs/heads/main".into() },
        timeout: Duration::from_secs(60),
        trusted: true,
    }
}
