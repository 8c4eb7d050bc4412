//! What can be done to the repository, by a person or through the API; each thing tells of itself by hooks.

use std::sync::Arc;

use greenlight_core::effect::{MergeMethod, Refusal};
use greenlight_core::event::{Comment, DeploymentMaker, DeploymentSnapshot, PullStanding, Review, Verdict, Verdicts};
use greenlight_core::fact::{Fact, PullFact, PushFact, Source};
use greenlight_core::id::{CommentId, Context, EffectKey, PullNumber, RefName, ReviewId, Sha};

use super::{Branch, Deployed, GitHub, Pull, Said, deployment_id};
use crate::objects::{Files, Index, name};

impl GitHub {
    /// Remembers a pull request as it is, since a read may be old, and whether it was approved.
    fn before_change(&mut self, at: usize) {
        let old = self.snapshot(&self.pulls[at]);
        let valid = self.is_approved(&self.pulls[at]);
        let (now, second) = (self.now, self.second());
        let pull = &mut self.pulls[at];
        if valid {
            pull.valid_until = now;
        }
        if pull.history.len() == 8 {
            pull.history.remove(0);
        }
        pull.history.push((now, old));
        pull.updated_at = pull.updated_at.max(second);
    }

    /// Tells of a pull request.
    fn tell_pull(&mut self, at: usize, action: &'static str, by: usize) {
        let event = self.event("pull_request", action, by);
        let pull = self.snapshot(&self.pulls[at]);
        self.send("pull_request", vec![Fact::Pull(PullFact { pull, event, source: Source::Webhook })]);
    }

    /// Opens a pull request.
    pub fn open_pull(&mut self, author: usize, head: Index, branch: Option<usize>, base: usize, draft: bool) -> usize {
        let number = PullNumber(u64::try_from(self.pulls.len()).expect("there are few") + 1);
        let head_ref: Arc<str> = match branch {
            Some(at) => self.branches[at].name.short().into(),
            None => "patch-1".into(),
        };
        self.pulls.push(Pull {
            number,
            title: format!("Change {number}").into(),
            standing: PullStanding::Open,
            draft,
            head,
            branch,
            head_ref,
            base,
            author,
            updated_at: self.second(),
            head_pushed_at: self.second(),
            reviews: Vec::new(),
            said: Vec::new(),
            ours: Vec::new(),
            history: Vec::new(),
            last_read: None,
            approved: Vec::new(),
            valid_until: 0,
            merged_at: None,
            landed: None,
        });
        let at = self.pulls.len() - 1;
        self.tell_pull(at, "opened", author);
        at
    }

    /// Makes a branch at a commit.
    pub fn create_branch(&mut self, tip: Index, by: usize) -> usize {
        let at = self.branches.len();
        let name = RefName::from(format!("refs/heads/topic-{at}"));
        let pushed_at = self.second();
        self.branches.push(Branch { name, tip: None, pushed_at, history: Vec::new(), moved: true });
        self.move_branch(at, Some(tip), by);
        at
    }

    /// Moves a branch, and the heads of the pull requests that come from it.
    pub fn move_branch(&mut self, at: usize, tip: Option<Index>, by: usize) {
        let (now, second) = (self.now, self.second());
        let branch = &mut self.branches[at];
        let before = std::mem::replace(&mut branch.tip, tip);
        if branch.history.len() == 8 {
            branch.history.remove(0);
        }
        branch.history.push((now, before));
        branch.pushed_at = second;
        branch.moved = true;
        let git_ref = branch.name.clone();
        let sha = |index: Option<Index>| index.map_or(Sha::ZERO, name);
        let event = self.event("push", "", by);
        let push = PushFact {
            git_ref,
            before: sha(before),
            after: sha(tip),
            pushed_at: second,
            event,
            source: Source::Webhook,
        };
        self.send("push", vec![Fact::Push(push)]);
        let Some(tip) = tip else { return };
        for pull in 0..self.pulls.len() {
            if self.pulls[pull].branch == Some(at) && self.pulls[pull].standing == PullStanding::Open {
                self.push_head(pull, tip, by);
            }
        }
    }

    /// Pushes to a pull request's head.
    pub fn push_head(&mut self, at: usize, head: Index, by: usize) {
        self.before_change(at);
        let second = self.second();
        let pull = &mut self.pulls[at];
        pull.head = head;
        pull.head_pushed_at = second;
        pull.valid_until = 0;
        self.tell_pull(at, "synchronize", by);
    }

    /// Pushes a change of a pull request's head, wherever it lives.
    pub fn push_change(&mut self, at: usize, files: Files, parents: [Option<Index>; 2], skips: bool, by: usize) {
        let head = self.objects.commit(parents, files, skips);
        match self.pulls[at].branch {
            Some(branch) => self.move_branch(branch, Some(head), by),
            None => self.push_head(at, head, by),
        }
    }

    /// Closes a pull request, or opens it again.
    pub fn set_open(&mut self, at: usize, open: bool, by: usize) {
        self.before_change(at);
        self.pulls[at].standing = if open { PullStanding::Open } else { PullStanding::Closed };
        self.tell_pull(at, if open { "reopened" } else { "closed" }, by);
    }

    /// Makes a pull request a draft, or ready.
    pub fn set_draft(&mut self, at: usize, draft: bool, by: usize) {
        self.before_change(at);
        self.pulls[at].draft = draft;
        self.tell_pull(at, if draft { "converted_to_draft" } else { "ready_for_review" }, by);
    }

    /// Puts a label on a pull request.
    pub fn label(&mut self, at: usize, by: usize) {
        self.before_change(at);
        self.tell_pull(at, "labeled", by);
    }

    /// Changes a pull request's base.
    pub fn retarget(&mut self, at: usize, base: usize, by: usize) {
        self.before_change(at);
        self.pulls[at].base = base;
        self.tell_pull(at, "edited", by);
    }

    /// Reviews a pull request.
    pub fn review(&mut self, at: usize, by: usize, verdict: Verdict, commit: Index) {
        self.before_change(at);
        let review = Review { id: ReviewId(self.next_id()), user: self.user(by), verdict, commit: Some(name(commit)) };
        self.pulls[at].reviews.push(review.clone());
        let pull = self.pulls[at].number;
        self.send("pull_request_review", vec![Fact::Review { pull, review }]);
    }

    /// Takes a review back.
    pub fn dismiss(&mut self, at: usize, review: usize) {
        self.before_change(at);
        let pull = self.pulls[at].number;
        let Some(review) = self.pulls[at].reviews.get_mut(review) else { return };
        review.verdict = Verdict::Dismissed;
        let review = review.clone();
        self.send("pull_request_review", vec![Fact::Review { pull, review }]);
    }

    /// Writes a comment.
    pub fn say(&mut self, at: usize, by: usize, body: &str) {
        self.before_change(at);
        let comment = Comment {
            id: CommentId(self.next_id()),
            pull: self.pulls[at].number,
            author: self.user(by),
            body: body.into(),
            created_at: self.second(),
        };
        let may_push = self.people[by].1.can_write();
        let pull = &mut self.pulls[at];
        let head = pull.head;
        pull.said.push(Said { comment: comment.clone(), head, by });
        if !may_push {
            return self.send("issue_comment", vec![Fact::Comment(comment)]);
        }
        match body.strip_prefix("/ok-to-test ") {
            // It names a commit, whether or not that is the head any more.
            Some(named) => {
                let parent = self.objects.get(head).parents[0];
                let seen = [Some(head), parent];
                let named = seen.into_iter().flatten().find(|index| name(*index).to_string().starts_with(named));
                self.pulls[at].approved.extend(named);
            }
            None if body.starts_with("/retest") => self.pulls[at].approved.push(head),
            None => {}
        }
        self.send("issue_comment", vec![Fact::Comment(comment)]);
    }

    /// Merges a pull request: what the button and the API do alike.
    pub fn merge(&mut self, at: usize, guard: Option<Sha>, method: MergeMethod, by: usize) -> Result<Index, Refusal> {
        let pull = &self.pulls[at];
        if pull.standing != PullStanding::Open {
            return Err(Refusal::Other("Pull Request is not mergeable".into()));
        }
        if guard.is_some_and(|sha| sha != name(pull.head)) {
            return Err(Refusal::HeadMoved);
        }
        if pull.draft {
            return Err(Refusal::Other("Pull Request is still a draft".into()));
        }
        let (base, head) = (pull.base, pull.head);
        let Some(tip) = self.branches[base].tip else { return Err(Refusal::Gone("the base was deleted".into())) };
        let Some(files) = self.objects.merged(tip, head) else {
            return Err(Refusal::Other("Pull Request has merge conflicts".into()));
        };
        self.before_change(at);
        let second = match method {
            MergeMethod::Merge => Some(head),
            MergeMethod::Squash | MergeMethod::Rebase => None,
        };
        let commit = self.objects.commit([Some(tip), second], files, false);
        self.pulls[at].standing = PullStanding::Merged { commit: Some(name(commit)) };
        self.pulls[at].merged_at = Some(self.second());
        self.move_branch(base, Some(commit), by);
        self.tell_pull(at, "closed", by);
        Ok(commit)
    }

    /// Somebody says of a commit what they think.
    pub fn judge(&mut self, sha: Sha, context: &str, verdict: Verdicts) {
        let context = Context::from(context);
        self.verdicts.insert((sha, context.clone()), verdict);
        self.send("status", vec![Fact::Verdict { sha, context, verdict }]);
    }

    /// Makes a deployment.
    pub fn deploy(&mut self, sha: Sha, environment: &str, key: Option<EffectKey>, by: usize) -> DeploymentSnapshot {
        let maker = if by == self.people.len() - 1 { DeploymentMaker::Actions } else { DeploymentMaker::Anyone };
        let snapshot = DeploymentSnapshot {
            id: deployment_id(self.deployments.len()),
            sha,
            git_ref: sha.to_string().into(),
            task: "deploy".into(),
            environment: environment.into(),
            payload: "{}".into(),
            key,
            creator: self.user(by),
            maker,
            state: None,
        };
        let event = self.event("deployment", "created", by);
        let fact = Fact::Deployment { deployment: snapshot.clone(), event: Some(event.clone()) };
        self.deployments.push(Deployed { snapshot: snapshot.clone(), statuses: Vec::new(), event });
        self.send("deployment", vec![fact]);
        snapshot
    }

    /// Gives the repository another name.
    pub fn rename(&mut self, to: &str) {
        self.repository.full_name = to.into();
        self.send("repository", vec![Fact::Repository(self.repository.clone())]);
    }
}
