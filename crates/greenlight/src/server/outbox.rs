//! Who carries out which effect, and what may still be written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use greenlight_core::effect::{Dispatch, Effect, FORBIDDEN, Outcome, Refusal, Target};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::outbox::Budget;
use greenlight_core::port;
use greenlight_core::shown::ReportForm;
use greenlight_github::client::NOTHING_THERE;
use tokio::sync::Semaphore;

use super::github::{GitHub, Profile};
use super::mirrors::{ActionStores, Actions, Git};
use super::standing::Standing;
use super::{called, clock};
use crate::rooms::Rooms;

/// Git processes of ours at once: a fetch is mostly waiting, a merge mostly the disk.
const GIT_MAX: usize = 4;
/// How often reading a commit may be put off before that is a trouble.
const GIT_TRIES: u32 = 4;
/// Lines that go to rooms at once.
const ROOMS_MAX: usize = 8;

/// What is said to wait when a repository's commits cannot be read, and when GitHub does not answer; behind it stands its name.
const WAITS: [&str; 2] = ["git (", "GitHub ("];

/// Returns what is said to wait when a repository's commits cannot be read.
pub fn git_wait(full_name: &str) -> String {
    format!("{}{full_name})", WAITS[0])
}

/// Returns what is said to wait when GitHub does not answer about a repository.
pub fn github_wait(full_name: &str) -> String {
    format!("{}{full_name})", WAITS[1])
}

/// What is said to wait when GitHub does not let us write something, and which permission that takes.
const WRITES: [(&str, &str); 5] = [
    ("statuses (", "to write commit statuses"),
    ("check runs (", "to write checks"),
    ("deployments (", "to write deployments"),
    (COMMENT_WAIT, "to write issues and pull requests"),
    (MERGE_WAIT, "to write contents (and workflows, where a pull request changes them)"),
];
const COMMENT_WAIT: &str = "comments (";
const MERGE_WAIT: &str = "merges (";

/// Returns what is said to wait when GitHub does not let us write this, and the permission that it takes.
fn write_wait(effect: &Effect, full_name: &str) -> Option<(String, &'static str)> {
    let at = match effect {
        Effect::Show { report, .. } if report.form == ReportForm::Status => 0,
        Effect::Show { .. } => 1,
        Effect::CreateDeployment { .. } | Effect::ShowDeployment { .. } => 2,
        Effect::Comment { .. } => 3,
        Effect::Merge { .. } => 4,
        _ => return None,
    };
    let (wait, permission) = WRITES[at];
    Some((format!("{wait}{full_name})"), permission))
}

/// What is said to wait when a room does not hear.
const ROOM_WAIT: &str = "room ";

/// Can the server do all its work while this waits? A room that does not hear holds up nothing, and anybody who may push to one
/// repository can name one that there is not. A comment or a merge may be refused for its pull request alone: one that is locked, or
/// that changes workflows.
pub fn is_harmless(what: &str) -> bool {
    [ROOM_WAIT, COMMENT_WAIT, MERGE_WAIT].iter().any(|wait| what.starts_with(wait))
}

/// Forgets what repositories waited for that are not looked after any more, or not by that name.
pub fn forget_waits(standing: &Standing, is_known: impl Fn(&str) -> bool) {
    for (what, _) in standing.all() {
        let mut waits = WAITS.into_iter().chain(WRITES.map(|(wait, _)| wait));
        let name = waits.find_map(|wait| what.strip_prefix(wait)?.strip_suffix(')'));
        if name.is_some_and(|name| !is_known(name)) {
            standing.clear(&what);
        }
    }
}

/// The hands of the server.
pub struct Hands {
    git: Arc<Git>,
    actions: Arc<ActionStores>,
    github: Arc<GitHub>,
    rooms: Rooms,
    standing: Arc<Standing>,
    git_slots: Semaphore,
    room_slots: Semaphore,
    budgets: Mutex<BTreeMap<String, Budget>>,
}

impl Hands {
    /// Puts the hands together.
    pub fn new(
        git: Arc<Git>,
        actions: Arc<ActionStores>,
        github: Arc<GitHub>,
        rooms: Rooms,
        standing: Arc<Standing>,
    ) -> Self {
        let (git_slots, room_slots) = (Semaphore::new(GIT_MAX), Semaphore::new(ROOMS_MAX));
        Self { git, actions, github, rooms, standing, git_slots, room_slots, budgets: Mutex::default() }
    }

    /// Uses what the token of this repository may still write.
    pub fn with_budget<T>(&self, repository: &RepositoryRef, with: impl FnOnce(&mut Budget) -> T) -> T {
        let whose = self.github.whose_token(repository);
        let mut budgets = self.budgets.lock().expect("nobody panics while holding the budgets");
        with(budgets.entry(whose).or_insert_with(|| match self.github.profile() {
            Profile::GitHubCom => Budget::github_com(clock::now()),
            Profile::Enterprise => Budget::unlimited(),
        }))
    }

    /// Carries out one try.
    pub async fn perform(&self, repository: &RepositoryRef, dispatch: &Dispatch) -> Outcome {
        match dispatch.effect.target() {
            Target::Git => {
                let _slot = self.git_slots.acquire().await;
                let mut outcome = self.git.perform(repository, dispatch).await;
                let source = Actions::of(self.actions.clone(), repository.clone());
                called::complete(&mut outcome, repository, &source, dispatch).await;
                self.watch_git(repository, dispatch, &outcome);
                outcome
            }
            Target::GitHubRead | Target::GitHubWrite => {
                let outcome = self.github.perform(repository, dispatch).await;
                self.watch_github(repository, dispatch, &outcome);
                self.watch_permission(repository, dispatch, &outcome);
                outcome
            }
            Target::Room => {
                let _slot = self.room_slots.acquire().await;
                let outcome = port::Hands::perform(&self.rooms, repository, dispatch).await;
                self.watch_room(dispatch, &outcome);
                outcome
            }
        }
    }

    /// Keeps it known whether a room takes what it is told. One that refused a line is in trouble until it takes another.
    fn watch_room(&self, dispatch: &Dispatch, outcome: &Outcome) {
        let Effect::Tell { room, .. } = &dispatch.effect else { return };
        let what = format!("{ROOM_WAIT}{room}");
        match outcome {
            Outcome::Done(_) => self.standing.clear(&what),
            Outcome::Later { reason, .. } | Outcome::Unknown { reason } => self.standing.wait(&what, reason.clone()),
            Outcome::Refused(refusal) => {
                self.standing.wait(&what, format!("{}, so a line was given up", refusal.reason()));
            }
        }
    }

    /// Keeps it known whether commits can be read. What was pushed a moment ago may come a little late: that is no trouble.
    fn watch_git(&self, repository: &RepositoryRef, dispatch: &Dispatch, outcome: &Outcome) {
        let what = git_wait(&repository.full_name);
        match outcome {
            Outcome::Done(_) | Outcome::Refused(_) => self.standing.clear(&what),
            Outcome::Later { .. } if dispatch.tried < GIT_TRIES => {}
            Outcome::Later { reason, .. } | Outcome::Unknown { reason } => self.standing.wait(&what, reason.clone()),
        }
    }

    /// Keeps it known what GitHub does not let us write: until it does, however rarely it is tried.
    fn watch_permission(&self, repository: &RepositoryRef, dispatch: &Dispatch, outcome: &Outcome) {
        let Some((what, permission)) = write_wait(&dispatch.effect, &repository.full_name) else { return };
        match outcome {
            Outcome::Done(_) => self.standing.clear(&what),
            Outcome::Refused(Refusal::Forbidden(reason)) => {
                let reason = reason.strip_prefix(FORBIDDEN).unwrap_or(reason).trim_start();
                let why =
                    format!("GitHub does not let us write them: {reason}; give the token the permission {permission}");
                self.standing.wait(&what, why);
            }
            Outcome::Refused(_) | Outcome::Later { .. } | Outcome::Unknown { .. } => {}
        }
    }

    /// Keeps it known whether GitHub answers. That something was made a moment ago and is not seen yet is no outage, and a merge or
    /// a deployment may wait for other reasons.
    fn watch_github(&self, repository: &RepositoryRef, dispatch: &Dispatch, outcome: &Outcome) {
        let what = github_wait(&repository.full_name);
        match outcome {
            // A no is an answer.
            Outcome::Done(_) | Outcome::Refused(_) => self.standing.clear(&what),
            Outcome::Later { .. } | Outcome::Unknown { .. }
                if matches!(dispatch.effect, Effect::Merge { .. } | Effect::CreateDeployment { .. }) => {}
            Outcome::Later { reason, .. } if dispatch.tried == 1 && reason.starts_with(NOTHING_THERE) => {}
            Outcome::Later { reason, .. } | Outcome::Unknown { reason } => self.standing.wait(&what, reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_forgotten_with_its_repository() {
        let standing = Standing::default();
        let all: Vec<&str> = WAITS.into_iter().chain(WRITES.map(|(wait, _)| wait)).collect();
        for wait in &all {
            standing.wait(&format!("{wait}acme/gone)"), "x");
            standing.wait(&format!("{wait}acme/app)"), "x");
        }
        standing.wait("store", "x");
        forget_waits(&standing, |name| name == "acme/app");
        assert_eq!(standing.all().len(), all.len() + 1, "{:?}", standing.all());
        assert!(standing.all().iter().all(|(what, _)| !what.contains("gone")), "{:?}", standing.all());
    }
}
