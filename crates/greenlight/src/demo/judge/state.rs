//! The emulated GitHub's state, read over its API.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Expected, project};
use crate::demo::emulated::GitHub;
use crate::demo::recorded::{DeploymentStatus, Status, deployment_status_in, short, status_in};

/// What is there in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalState {
    /// The pull requests by number.
    pub pulls: BTreeMap<u64, PullState>,
    /// The statuses of the commits that matter, the oldest first.
    pub statuses: BTreeMap<String, Vec<Status>>,
    /// The parents of the merges.
    pub parents: BTreeMap<String, Vec<String>>,
    /// The default branch's tip.
    pub main: String,
    /// All deployments, the oldest first.
    pub deployments: Vec<DeploymentState>,
    /// What the rooms were told, the oldest first.
    pub rooms: Vec<String>,
}

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullState {
    /// `open` or `closed`.
    pub state: String,
    /// The commit that it became.
    pub merged_as: Option<String>,
    /// What was said on it.
    pub comments: Vec<String>,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentState {
    /// Its id.
    pub id: u64,
    /// Where to.
    pub environment: String,
    /// Of what.
    pub sha: String,
    /// Its statuses, the oldest first.
    pub statuses: Vec<DeploymentStatus>,
}

impl DeploymentState {
    /// Is it of this commit to this environment?
    pub fn is(&self, environment: &str, sha: &str) -> bool {
        self.environment == environment && self.sha == sha
    }

    /// Returns what it is and shows, for a report.
    pub fn told(&self) -> String {
        let states: Vec<String> =
            self.statuses.iter().map(|status| format!("{} ({})", status.state, status.description)).collect();
        format!("deployment {} of {} to {} shows {}", self.id, short(&self.sha), self.environment, states.join(", "))
    }
}

impl FinalState {
    /// Reads all that the judge looks at.
    pub async fn read(github: &GitHub, token: &str, expected: &Expected) -> anyhow::Result<Self> {
        let reader = Reader { github, token };
        let mut state = Self { rooms: github.rooms().await?, ..Self::default() };
        for pull in reader.list("/pulls?state=all&direction=asc&sort=created&").await? {
            reader.pull(&mut state, &pull).await?;
        }
        let main = reader.get("/branches/main").await?;
        state.main = text(&main["commit"], "sha");
        for deployment in reader.list("/deployments?").await?.iter().rev() {
            state.deployments.push(reader.deployment(deployment).await?);
        }
        let heads = expected.pulls.iter().flat_map(|pull| &pull.heads).map(|(sha, _)| sha.clone());
        let merges = state.pulls.values().filter_map(|pull| pull.merged_as.clone());
        let commits: Vec<String> = heads.chain(merges).collect();
        for sha in commits {
            let statuses = reader.list(&format!("/commits/{sha}/statuses?")).await?;
            state.statuses.insert(sha.clone(), statuses.iter().rev().map(|status| status_in(status, &sha)).collect());
        }
        Ok(state)
    }

    /// Counts the lines that a room was told with all of these words.
    pub fn count_told(&self, words: &[&str]) -> usize {
        self.rooms.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

struct Reader<'a> {
    github: &'a GitHub,
    token: &'a str,
}

impl Reader<'_> {
    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.github.get(self.token, &format!("/repos/{}{path}", project::FULL_NAME)).await
    }

    /// Reads a list; the story makes none of more than a page.
    async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        match self.get(&format!("{path}per_page=100")).await? {
            Value::Array(items) => Ok(items),
            _ => anyhow::bail!("{path} is no list"),
        }
    }

    async fn pull(&self, state: &mut FinalState, listed: &Value) -> anyhow::Result<()> {
        let number = listed["number"].as_u64().unwrap_or(0);
        let pull = self.get(&format!("/pulls/{number}")).await?;
        let comments = self.list(&format!("/issues/{number}/comments?")).await?;
        let merged_as = (pull["merged"] == true).then(|| text(&pull, "merge_commit_sha"));
        if let Some(sha) = &merged_as {
            let commit = self.get(&format!("/commits/{sha}")).await?;
            let parents =
                commit["parents"].as_array().into_iter().flatten().map(|parent| text(parent, "sha")).collect();
            state.parents.insert(sha.clone(), parents);
        }
        let comments = comments.iter().map(|comment| text(comment, "body")).collect();
        state.pulls.insert(number, PullState { state: text(&pull, "state"), merged_as, comments });
        Ok(())
    }

    async fn deployment(&self, listed: &Value) -> anyhow::Result<DeploymentState> {
        let id = listed["id"].as_u64().unwrap_or(0);
        let mut statuses = self.list(&format!("/deployments/{id}/statuses?")).await?;
        statuses.sort_by_key(|status| status["id"].as_u64());
        let statuses = statuses.iter().map(deployment_status_in).collect();
        Ok(DeploymentState { id, environment: text(listed, "environment"), sha: text(listed, "sha"), statuses })
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
