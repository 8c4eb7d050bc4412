//! What has happened so far, as far as the steps of the story ask for it: folded from the feed, entry by entry.

use std::collections::BTreeMap;

use super::recorded::{DeploymentStatus, Entry, Status, What};

/// Shown for a deployment whose server was killed in the middle of it.
pub const OUTCOME_UNKNOWN: &str = "outcome unknown";

/// The story so far.
#[derive(Default)]
pub struct Record {
    statuses: Vec<Status>,
    merges: BTreeMap<u64, String>,
    deployments: BTreeMap<u64, Deployment>,
    deliveries: Vec<(String, u64)>,
    pushes: Vec<(String, String)>,
    rooms: Vec<String>,
    logs_read: usize,
}

/// A deployment.
pub struct Deployment {
    /// Where to.
    pub environment: String,
    /// Of what.
    pub sha: String,
    /// Its statuses, the oldest first.
    pub statuses: Vec<DeploymentStatus>,
}

/// How far a deployment of one commit to one environment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is there.
    None,
    /// These states were shown, and more are to come.
    Going(Vec<String>),
    /// It waits behind one whose outcome is unknown, until a person looks.
    Blocked,
    /// Over.
    Over(DeploymentStatus),
}

impl Record {
    /// Takes in an entry.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.what {
            What::Status(status) => self.statuses.push(status.clone()),
            What::Merged { number, sha, .. } => {
                self.merges.insert(*number, sha.clone());
            }
            What::Deployment { id, environment, sha, .. } => {
                let made = Deployment { environment: environment.clone(), sha: sha.clone(), statuses: Vec::new() };
                self.deployments.entry(*id).or_insert(made);
            }
            What::DeploymentStatus { id, status } => {
                if let Some(deployment) = self.deployments.get_mut(id) {
                    deployment.statuses.push(status.clone());
                }
            }
            What::Delivery { event, action, answered, .. } => {
                let name = action.as_ref().map_or_else(|| event.clone(), |action| format!("{event} {action}"));
                self.deliveries.push((name, *answered));
            }
            What::Push { git_ref, after, .. } => self.pushes.push((git_ref.clone(), after.clone())),
            What::Room { text, .. } => self.rooms.push(text.clone()),
            What::Fork { .. } | What::PullOpened { .. } | What::Comment { .. } | What::Refused { .. } | What::Other => {
            }
        }
    }

    /// Notes that a job's log was read from the link that its status gave.
    pub fn note_log(&mut self) {
        self.logs_read += 1;
    }

    /// Returns how many logs were read.
    pub fn logs_read(&self) -> usize {
        self.logs_read
    }

    /// Returns the latest status of a commit whose context ends like this.
    pub fn latest(&self, sha: &str, is_wanted: impl Fn(&str) -> bool) -> Option<&Status> {
        self.statuses.iter().rev().find(|status| status.sha == sha && is_wanted(&status.context))
    }

    /// Was the commit shown in this state under a context?
    pub fn was_shown(&self, sha: &str, state: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.statuses.iter().any(|status| status.sha == sha && status.state == state && is_wanted(&status.context))
    }

    /// Returns the commit that a pull request became.
    pub fn merge_of(&self, number: u64) -> Option<&str> {
        self.merges.get(&number).map(String::as_str)
    }

    /// Returns a deployment.
    pub fn deployment(&self, id: u64) -> Option<&Deployment> {
        self.deployments.get(&id)
    }

    /// Was a ref pushed to this commit?
    pub fn was_pushed(&self, git_ref: &str, sha: &str) -> bool {
        self.pushes.iter().any(|(name, after)| name == git_ref && after == sha)
    }

    /// Counts the deliveries of a name ("pull_request opened") that were answered with 2xx.
    pub fn delivered(&self, name: &str) -> usize {
        self.deliveries.iter().filter(|(known, answered)| known == name && (200..300).contains(answered)).count()
    }

    /// Was a room told something with all of these words?
    pub fn was_told(&self, words: &[&str]) -> bool {
        self.rooms.iter().any(|text| words.iter().all(|word| text.contains(word)))
    }

    /// Returns how far a deployment has come.
    pub fn standing(&self, environment: &str, sha: &str) -> Standing {
        let mut here = self.deployments.values().filter(|deployment| deployment.environment == environment);
        let Some(found) = here.find(|deployment| deployment.sha == sha) else { return Standing::None };
        match found.statuses.last() {
            Some(status) if matches!(status.state.as_str(), "success" | "failure" | "error" | "inactive") => {
                Standing::Over(status.clone())
            }
            Some(_) if self.is_held(environment) => Standing::Blocked,
            _ => Standing::Going(found.statuses.iter().map(|status| status.state.clone()).collect()),
        }
    }

    /// Is an environment kept for a person, since nobody knows how a deployment to it ended?
    pub fn is_held(&self, environment: &str) -> bool {
        let mut here = self.deployments.values().filter(|deployment| deployment.environment == environment);
        here.any(|deployment| deployment.statuses.last().is_some_and(is_unknown))
    }
}

/// Did a deployment end with nobody knowing how?
pub fn is_unknown(status: &DeploymentStatus) -> bool {
    status.state == "error" && status.description.starts_with(OUTCOME_UNKNOWN)
}

/// Is it the context that stands for all?
pub fn is_aggregate(context: &str) -> bool {
    context == "greenlight"
}
