//! What people do.

use std::sync::Arc;

use greenlight_core::effect::Reply;
use greenlight_core::event::{
    Comment, DeploymentMaker, DeploymentSnapshot, Event, PullSnapshot, PullStanding, Review, Verdict,
};
use greenlight_core::fact::{Click, Fact, PullFact, PushFact, Source, Wish};
use greenlight_core::id::{CommentId, DeploymentId, PullNumber, RefName, RepoId, ReviewId, Sha};
use greenlight_core::run::Conclusion;
use greenlight_core::time::{Duration, Timestamp};

use super::{STRANGER, WRITER, World, event, push, sha, tree, user};

impl World {
    pub fn open_pull(&mut self, number: u64, head: char) {
        self.show_pull(number, head, RepoId(1), "opened");
    }

    pub fn open_fork(&mut self, number: u64, head: char) {
        self.show_pull(number, head, RepoId(2), "opened");
    }

    /// Something happens to a pull request from a fork.
    pub fn act_on_fork(&mut self, number: u64, head: char, action: &str) {
        self.now = self.now + Duration::from_secs(2);
        self.show_pull(number, head, RepoId(2), action);
    }

    pub fn push_pull(&mut self, number: u64, head: char) {
        self.now = self.now + Duration::from_secs(2);
        self.show_pull(number, head, RepoId(1), "synchronize");
    }

    /// Somebody pushes in the second in which the pull request was last seen.
    pub fn push_within_the_second(&mut self, number: u64, head: char) {
        let now = std::mem::replace(&mut self.now, self.pulls[&number].updated_at);
        self.show_pull(number, head, RepoId(1), "synchronize");
        self.now = now;
    }

    /// Somebody merges a pull request on GitHub's page, and the webhook comes.
    pub fn merge_by_hand(&mut self, number: u64, head: char, landed: char) {
        self.now = self.now + Duration::from_secs(2);
        let standing = PullStanding::Merged { commit: Some(sha(landed)) };
        let pull = PullSnapshot { standing, ..self.snapshot(number, head, RepoId(1)) };
        self.trees.insert(sha(landed), tree(sha(head), self.main));
        self.pulls.insert(number, pull.clone());
        self.step(Fact::Pull(PullFact { pull, event: event("pull_request", Some("closed")), source: Source::Webhook }));
    }

    /// Somebody closes a pull request, opens it again and merges it, and of all that only the closing is told, too late.
    pub fn merge_with_late_word_of_closing(&mut self, number: u64, head: char, landed: char) {
        let closed = PullSnapshot { standing: PullStanding::Closed, ..self.snapshot(number, head, RepoId(1)) };
        self.now = self.now + Duration::from_secs(2);
        let standing = PullStanding::Merged { commit: Some(sha(landed)) };
        let merged = PullSnapshot { standing, updated_at: self.now, ..closed.clone() };
        self.trees.insert(sha(landed), tree(sha(head), self.main));
        self.pulls.insert(number, merged);
        let event = event("pull_request", Some("closed"));
        self.step(Fact::Pull(PullFact { pull: closed, event, source: Source::Webhook }));
    }

    pub(super) fn snapshot(&self, number: u64, head: char, from: RepoId) -> PullSnapshot {
        PullSnapshot {
            number: PullNumber(number),
            title: format!("pull {number}").into(),
            standing: PullStanding::Open,
            draft: false,
            head_sha: sha(head),
            head_ref: format!("topic-{number}").into(),
            head_repo: Some(from),
            base_ref: RefName::branch("main"),
            base_sha: self.main,
            author: user(if from == RepoId(1) { WRITER } else { STRANGER }),
            updated_at: self.now,
            head_pushed_at: Some(self.now),
        }
    }

    pub(super) fn show_pull(&mut self, number: u64, head: char, from: RepoId, action: &str) {
        let snapshot = self.snapshot(number, head, from);
        if self.merged.contains(&number) {
            return;
        }
        self.pulls.insert(number, snapshot.clone());
        let fact = PullFact { pull: snapshot, event: event("pull_request", Some(action)), source: Source::Webhook };
        self.step(Fact::Pull(fact));
    }

    pub fn move_main(&mut self, to: char) {
        self.now = self.now + Duration::from_secs(2);
        let push = push(self.main, sha(to), self.now);
        self.trees.insert(sha(to), tree(sha(to), self.main));
        self.main = sha(to);
        self.step(Fact::Push(push));
    }

    pub fn comment(&mut self, number: u64, by: u64, body: &str) {
        self.now = self.now + Duration::from_secs(2);
        let id = CommentId(u64::try_from(self.now.as_millis()).unwrap());
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.updated_at = self.now;
        }
        let comment =
            Comment { id, pull: PullNumber(number), author: user(by), body: body.into(), created_at: self.now };
        self.last_comment = Some(comment.clone());
        self.step(Fact::Comment(comment));
    }

    /// The last comment is told of once more, as a comparison does.
    pub fn comment_again(&mut self) {
        let comment = self.last_comment.clone().expect("somebody said something");
        self.step(Fact::Comment(comment));
    }

    /// A comment is found that was written long before.
    pub fn comment_days_ago(&mut self, number: u64, by: u64, body: &str, days: u64) {
        self.now = self.now + Duration::from_secs(days * 24 * 3600);
        let id = CommentId(u64::try_from(self.now.as_millis()).unwrap());
        let created_at = self.now - Duration::from_secs(days * 24 * 3600);
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.updated_at = created_at;
        }
        self.step(Fact::Comment(Comment {
            id,
            pull: PullNumber(number),
            author: user(by),
            body: body.into(),
            created_at,
        }));
    }

    pub fn close_pull(&mut self, number: u64) {
        self.now = self.now + Duration::from_secs(2);
        let pull = self.pulls.get_mut(&number).unwrap();
        pull.standing = PullStanding::Closed;
        pull.updated_at = self.now;
        let fact =
            PullFact { pull: pull.clone(), event: event("pull_request", Some("closed")), source: Source::Webhook };
        self.step(Fact::Pull(fact));
    }

    /// Somebody opens a pull request and merges it, and every webhook of it is lost.
    pub fn merge_unheard(&mut self, number: u64, head: char, landed: char) {
        let pull = PullSnapshot {
            standing: PullStanding::Merged { commit: Some(sha(landed)) },
            ..self.snapshot(number, head, RepoId(1))
        };
        self.unheard.push(PullFact { pull, event: event("pull_request", Some("closed")), source: Source::Read });
        self.trees.insert(sha(landed), tree(sha(head), self.main));
        self.main = sha(landed);
    }

    /// Somebody opens a pull request and says something on it, and then the repository is pushed to elsewhere; the webhooks of
    /// all that are lost. A list knows only the last push. A read knows when the head was pushed, so many seconds after the
    /// comment, where it is told.
    pub fn open_and_say_unheard(&mut self, number: u64, head: char, body: &str, pushed_after: Option<i64>) {
        self.now = self.now + Duration::from_secs(60);
        let created_at = self.now;
        let (id, by) = (CommentId(number), user(WRITER));
        let comment = Comment { id, pull: PullNumber(number), author: by, body: body.into(), created_at };
        self.last_comment = Some(comment);
        self.now = self.now + Duration::from_secs(60);
        self.open_unheard(number, head);
        self.unheard.last_mut().expect("it is there").pull.updated_at = created_at;
        let pushed_at = pushed_after.map(|seconds| Timestamp::from_millis(created_at.as_millis() + seconds * 1000));
        let pull = self.pulls.get_mut(&number).expect("it is there");
        pull.updated_at = created_at;
        pull.head_pushed_at = pushed_at.or(pull.head_pushed_at);
    }

    /// The head repository is pushed to elsewhere, which lists tell of from now on.
    pub fn push_elsewhere(&mut self) {
        self.now = self.now + Duration::from_secs(60);
        for fact in &mut self.unheard {
            fact.pull.head_pushed_at = Some(self.now);
        }
    }

    /// A head is pushed; GitHub shows it four seconds later in the pull request, and something is said between the two, which
    /// is heard of after all that, and after something else that was said.
    pub fn say_before_the_head_is_shown(&mut self, number: u64, head: char, body: &str) {
        self.now = self.now + Duration::from_secs(60);
        let (pushed_at, created_at) = (self.now, self.now + Duration::from_secs(2));
        self.now = self.now + Duration::from_secs(4);
        let pull = PullSnapshot { head_pushed_at: Some(pushed_at), ..self.snapshot(number, head, RepoId(1)) };
        self.pulls.insert(number, pull.clone());
        let event = event("pull_request", Some("synchronize"));
        self.step(Fact::Pull(PullFact { pull, event, source: Source::Webhook }));
        self.now = self.now + Duration::from_secs(1);
        self.pulls.get_mut(&number).expect("it is there").updated_at = self.now;
        let id = CommentId(u64::try_from(self.now.as_millis()).expect("it is after 1970"));
        let author = user(WRITER);
        self.hear(Comment { id, pull: PullNumber(number), author, body: body.into(), created_at });
    }

    /// Days go by.
    pub fn pass(&mut self, days: u64) {
        self.now = self.now + Duration::from_secs(days * 24 * 3600);
    }

    /// Runs everything; what tests a pull request fails.
    pub fn finish_with_failing_pulls(&mut self) {
        loop {
            self.work();
            let Some(order) = self.take() else { return };
            let fails = order.checkout.git_ref.as_str().starts_with("refs/pull/");
            self.end(&order, if fails { Conclusion::Failure } else { Conclusion::Success }, &[]);
        }
    }

    /// Every commit from now on has this `.greenlight.yml`.
    pub fn configure(&mut self, config: &str) {
        self.config = config.into();
    }

    /// Changes the text of a workflow file, on all commits that are read from now on.
    pub fn write(&mut self, path: &str, text: &str) {
        let file = self.workflows.iter_mut().find(|(known, _)| **known == *path).expect("the file is there");
        file.1 = text.into();
    }

    /// Test merges cannot be made for a while, or can again.
    pub fn git_is_away(&mut self, is_away: bool) {
        self.git_is_away = is_away;
    }

    /// The rules of main ask for an approval.
    pub fn needs_approval(&mut self) {
        self.needs_approval = true;
    }

    /// Every commit has a `script/cibuild`.
    pub fn has_cibuild(&mut self) {
        self.cibuild = true;
    }

    pub fn push_branch(&mut self, branch: &str, to: char) {
        self.trees.insert(sha(to), tree(sha(to), self.main));
        let push = PushFact { git_ref: RefName::branch(branch), ..push(Sha::ZERO, sha(to), self.now) };
        self.step(Fact::Push(push));
    }

    /// GitHub tells of something else, on a commit.
    pub fn tell(&mut self, name: &str, action: Option<&str>, payload: &str, git_ref: &str, at: char) {
        self.trees.insert(sha(at), tree(sha(at), self.main));
        let event = Event { payload: payload.into(), ..(*event(name, action)).clone() };
        let git_ref = Some(RefName::new(git_ref));
        self.step(Fact::Event { subject: "it".into(), git_ref, sha: Some(sha(at)), event: Arc::new(event) });
    }

    /// Somebody makes a deployment by hand.
    pub fn deploy(&mut self, environment: &str, at: char) {
        let snapshot = DeploymentSnapshot {
            id: DeploymentId(self.deployed.len() as u64 + 1),
            sha: sha(at),
            git_ref: "main".into(),
            task: "deploy".into(),
            environment: environment.into(),
            payload: "{}".into(),
            key: None,
            creator: user(WRITER),
            maker: DeploymentMaker::Anyone,
            state: None,
        };
        self.deployed.push((snapshot.clone(), String::new()));
        self.step(Fact::Deployment { deployment: snapshot, event: Some(event("deployment", Some("created"))) });
    }

    pub fn approve(&mut self, number: u64, by: u64, head: char) {
        let id = ReviewId(self.reviews.len() as u64 + 1);
        let review = Review { id, user: user(by), verdict: Verdict::Approved, commit: Some(sha(head)) };
        self.reviews.push(review.clone());
        self.step(Fact::Review { pull: PullNumber(number), review });
    }

    pub fn click(&mut self, wish: Wish) -> String {
        match self.step(Fact::Click(Click { by: "octocat".into(), wish })) {
            Some(Reply::Granted(text)) => text.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// Runners came or went.
    pub fn labels(&mut self, labels: &[&str]) {
        self.step(Fact::Labels(labels.iter().map(|label| Arc::from(*label)).collect()));
    }
}
