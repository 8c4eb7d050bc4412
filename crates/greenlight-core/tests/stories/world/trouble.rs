//! What goes wrong outside: people who go, words that are lost, calls that fail.

use std::sync::Arc;

use greenlight_core::effect::JobOrder;
use greenlight_core::event::{Comment, PullSnapshot, PullStanding, Verdicts};
use greenlight_core::fact::{Fact, PullFact, Source};
use greenlight_core::id::{CommentId, PullNumber, RefName, RepoId};
use greenlight_core::time::{Duration, Timestamp};

use super::{StatusContext, World, event, user};

impl World {
    /// Somebody may not push any more. GitHub sends no webhook of it.
    pub fn may_not_push_any_more(&mut self, user: u64) {
        self.writers.remove(&user);
    }

    /// The rules of main ask for a context that somebody else reports.
    pub fn requires(&mut self, context: &str) {
        self.required.get_or_insert_default().push(StatusContext::from(context));
    }

    /// The rules of main ask for nothing any more. GitHub sends no webhook of it.
    pub fn requires_nothing(&mut self) {
        self.required = Some(Vec::new());
    }

    /// Somebody else reports a success on every head, and the webhook of it is lost.
    pub fn passes_unheard(&mut self, context: &str) {
        self.verdicts.push((StatusContext::from(context), Verdicts::Success));
    }

    /// Somebody opens a pull request, and the webhook of it is lost.
    pub fn open_unheard(&mut self, number: u64, head: char) {
        let pull = self.snapshot(number, head, RepoId(1));
        self.pulls.insert(number, pull.clone());
        self.unheard.push(PullFact { pull, event: event("pull_request", None), source: Source::Read });
    }

    /// A head conflicts with main.
    pub fn conflicts(&mut self, head: char) {
        self.conflicting = Some(super::sha(head));
    }

    /// From now on GitHub lets us write nothing but merges and deployments, or all of it again.
    pub fn forbids(&mut self, forbids: bool) {
        self.forbids = forbids;
    }

    /// From now on GitHub takes no comments, or takes them again.
    pub fn is_locked(&mut self, is_locked: bool) {
        self.is_locked = is_locked;
    }

    /// So many deployments cannot be made yet.
    pub fn creates_fail(&mut self, count: usize) {
        self.creates_refused = count;
    }

    /// The pull request is to be merged into another branch from now on.
    pub fn retarget(&mut self, number: u64, base: &str) {
        self.now = self.now + Duration::from_secs(2);
        let pull = self.pulls.get_mut(&number).expect("it is open");
        *pull = PullSnapshot { base_ref: RefName::branch(base), updated_at: self.now, ..pull.clone() };
        let pull = pull.clone();
        self.step(Fact::Pull(PullFact { pull, event: event("pull_request", Some("edited")), source: Source::Webhook }));
    }

    /// Returns what is live in an environment, as the letter that its head has, and who holds it for a person.
    pub fn live(&self, environment: &str) -> (Option<char>, Option<Arc<str>>) {
        let environment = self.cell.repository().environments.get(&environment.into()).expect("it is known");
        let letter = environment.live.map(|(_, sha)| char::from(sha.as_bytes()[0]));
        (letter, environment.lock.as_ref().and_then(|lock| lock.kept.clone()))
    }

    /// Somebody may push by now. GitHub sends no webhook of it.
    pub fn may_push_now(&mut self, user: u64) {
        self.writers.insert(user);
    }

    /// Somebody opens a pull request from a branch of the repository itself.
    pub fn open_pull_of(&mut self, number: u64, head: char, by: u64) {
        let pull = PullSnapshot { author: user(by), ..self.snapshot(number, head, RepoId(1)) };
        self.pulls.insert(number, pull.clone());
        self.step(Fact::Pull(PullFact { pull, event: event("pull_request", Some("opened")), source: Source::Webhook }));
    }

    pub fn said_last(&self) -> Comment {
        self.last_comment.clone().expect("somebody said something")
    }

    /// A comment is found again.
    pub fn hear(&mut self, comment: Comment) {
        self.step(Fact::Comment(comment));
    }

    /// Returns how often suites began, all together.
    pub fn attempts(&self) -> u32 {
        self.cell.repository().suites.values().map(|suite| suite.attempt).sum()
    }

    /// A runner on another machine takes the oldest job that waits, and is not heard of any more.
    pub fn take_without_a_word(&mut self) -> Option<JobOrder> {
        let order = self.ask_as("elsewhere-1", None)?;
        self.work();
        Some(order)
    }

    /// Returns when GitHub was last compared with.
    pub fn compared_at(&self) -> Option<Timestamp> {
        self.cell.repository().meta().reconciled_at
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Somebody sets a label on a pull request that was merged.
    pub fn label_merged(&mut self, number: u64) {
        self.now = self.now + Duration::from_secs(2);
        let pull = self.pulls.get_mut(&number).expect("it was opened once");
        pull.updated_at = self.now;
        let pull = pull.clone();
        let event = event("pull_request", Some("labeled"));
        self.step(Fact::Pull(PullFact { pull, event, source: Source::Webhook }));
    }

    /// Somebody says something, and the webhook of it is lost.
    pub fn say_unheard(&mut self, number: u64, by: u64, body: &str) -> Comment {
        self.now = self.now + Duration::from_secs(2);
        self.pulls.get_mut(&number).expect("it is open").updated_at = self.now;
        let id = CommentId(u64::try_from(self.now.as_millis()).expect("it is after 1970"));
        Comment { id, pull: PullNumber(number), author: user(by), body: body.into(), created_at: self.now }
    }

    /// Somebody opens a pull request again.
    pub fn reopen(&mut self, number: u64) {
        self.now = self.now + Duration::from_secs(2);
        let pull = self.pulls.get_mut(&number).expect("it was closed");
        (pull.standing, pull.updated_at) = (PullStanding::Open, self.now);
        let pull = pull.clone();
        let event = event("pull_request", Some("reopened"));
        self.step(Fact::Pull(PullFact { pull, event, source: Source::Webhook }));
    }

    /// The repository is deleted, or nobody may see it any more; or it is there again.
    pub fn is_gone(&mut self, is_gone: bool) {
        self.is_gone = is_gone;
    }

    /// Returns how often comparing was refused.
    pub fn comparisons_refused(&self) -> usize {
        self.comparisons
    }

    /// Somebody merges a pull request, and GitHub does not tell what landed, or only now.
    pub fn merge_untold(&mut self, number: u64, landed: Option<char>) {
        self.now = self.now + Duration::from_secs(2);
        if let Some(landed) = landed {
            self.trees.insert(super::sha(landed), super::sha(landed));
        }
        let pull = self.pulls.get_mut(&number).expect("it was opened");
        pull.standing = PullStanding::Merged { commit: landed.map(super::sha) };
        if landed.is_none() {
            pull.updated_at = self.now;
            let pull = pull.clone();
            let event = event("pull_request", Some("closed"));
            self.step(Fact::Pull(PullFact { pull, event, source: Source::Webhook }));
        }
    }

    /// What is read of a pull request stays as it is now.
    pub fn reads_are_old(&mut self, number: u64) {
        self.old_read = self.pulls.get(&number).cloned();
    }
}
