//! Check suites, check runs and annotations.

use serde_json::{Value, json};

use super::{Render, node_id};
use crate::model::{
    Repository,
    check::{CheckRun, CheckSuite, suite_state},
};

impl Render<'_> {
    /// Writes a check run.
    pub fn check_run(&self, repository: &Repository, run: &CheckRun) -> Value {
        let url = self.api_of(repository, &format!("/check-runs/{}", run.id));
        let html = self.web_of(repository, &format!("/runs/{}", run.id));
        json!({
            "id": run.id,
            "name": run.name,
            "node_id": node_id("CheckRun", run.id),
            "head_sha": run.head_sha,
            "external_id": run.external_id,
            "url": url,
            "html_url": html,
            "details_url": run.details_url.clone().unwrap_or(html),
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": run.started_at,
            "completed_at": run.completed_at,
            "output": {
                "title": run.title,
                "summary": run.summary,
                "text": run.text,
                "annotations_count": run.annotations.len(),
                "annotations_url": format!("{url}/annotations"),
            },
            "check_suite": {"id": run.suite},
            "app": self.app(run.app),
            "pull_requests": self.pulls_of(repository, &run.head_sha),
        })
    }

    /// Writes a check run as payloads have it, with its suite.
    pub fn event_check_run(&self, repository: &Repository, run: &CheckRun) -> Value {
        let mut object = self.check_run(repository, run);
        if let Some(suite) = repository.check_suites.get(&run.suite) {
            object["check_suite"] = self.short_suite(repository, suite);
        }
        object["actions"] = json!(run.actions);
        object
    }

    /// Writes a check suite.
    pub fn check_suite(&self, repository: &Repository, suite: &CheckSuite) -> Value {
        let mut object = self.short_suite(repository, suite);
        object["latest_check_runs_count"] = json!(self.runs_of(repository, suite).len());
        object["check_runs_url"] = json!(self.api_of(repository, &format!("/check-suites/{}/check-runs", suite.id)));
        object["head_commit"] = self.simple_commit(repository, &suite.head_sha);
        object["rerequestable"] = json!(true);
        object["runs_rerequestable"] = json!(true);
        object
    }

    /// Returns the newest runs of a suite.
    pub fn runs_of<'r>(&self, repository: &'r Repository, suite: &CheckSuite) -> Vec<&'r CheckRun> {
        repository.latest_check_runs(&suite.head_sha).into_iter().filter(|run| run.suite == suite.id).collect()
    }

    /// Writes one annotation.
    pub fn annotation(&self, repository: &Repository, run: &CheckRun, annotation: &Value) -> Value {
        let path = annotation["path"].as_str().unwrap_or_default();
        json!({
            "path": path,
            "blob_href": self.web_of(repository, &format!("/blob/{}/{path}", run.head_sha)),
            "start_line": annotation["start_line"],
            "start_column": annotation["start_column"],
            "end_line": annotation["end_line"],
            "end_column": annotation["end_column"],
            "annotation_level": annotation["annotation_level"],
            "title": annotation["title"],
            "message": annotation["message"],
            "raw_details": annotation["raw_details"],
        })
    }

    fn short_suite(&self, repository: &Repository, suite: &CheckSuite) -> Value {
        let (status, conclusion) = suite_state(&self.runs_of(repository, suite));
        json!({
            "id": suite.id,
            "node_id": node_id("CheckSuite", suite.id),
            "head_branch": suite.head_branch,
            "head_sha": suite.head_sha,
            "status": status,
            "conclusion": conclusion,
            "url": self.api_of(repository, &format!("/check-suites/{}", suite.id)),
            "before": suite.before,
            "after": suite.head_sha,
            "pull_requests": self.pulls_of(repository, &suite.head_sha),
            "app": self.app(suite.app),
            "created_at": suite.created_at.iso(),
            "updated_at": suite.updated_at.iso(),
            "repository": self.minimal_repository(repository),
        })
    }

    /// Pull requests of the repository itself whose head this is; those of forks are left out, as on GitHub.
    fn pulls_of(&self, repository: &Repository, sha: &str) -> Vec<Value> {
        let own = repository
            .pulls
            .values()
            .filter(|pull| pull.is_open() && pull.head.sha == sha && pull.head.repository == Some(repository.id));
        own.map(|pull| self.minimal_pull(repository, pull)).collect()
    }
}
