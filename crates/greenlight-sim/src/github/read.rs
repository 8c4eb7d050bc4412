//! What GitHub answers when it is read: now, or as it was up to a minute ago.

use greenlight_core::effect::{PullRead, Reconciled};
use greenlight_core::event::{CommitFiles, PullSnapshot, PullStanding};
use greenlight_core::fact::{PullFact, PushFact, Source};
use greenlight_core::id::{PullNumber, Sha};
use greenlight_core::time::Timestamp;

use super::{ADMIN, GitHub, Pull};
use crate::objects::{CI, CONFIG, DEPLOY, Index, name, path};

impl GitHub {
    /// Returns a pull request as it is shown now.
    pub fn snapshot(&self, pull: &Pull) -> PullSnapshot {
        let head_repo = if pull.branch.is_some() { super::REPO } else { super::FORK };
        PullSnapshot {
            number: pull.number,
            title: pull.title.clone(),
            standing: pull.standing,
            draft: pull.draft,
            head_sha: name(pull.head),
            head_ref: pull.head_ref.clone(),
            head_repo: Some(head_repo),
            base_ref: self.branches[pull.base].name.clone(),
            base_sha: name(self.tip(pull.base)),
            author: self.people[pull.author].0.clone(),
            updated_at: pull.updated_at,
            head_pushed_at: Some(pull.head_pushed_at),
        }
    }

    /// Returns a pull request as it was at `at`.
    fn snapshot_at(&self, pull: &Pull, at: i64) -> PullSnapshot {
        match pull.history.iter().find(|(until, _)| *until > at) {
            Some((_, old)) => old.clone(),
            None => self.snapshot(pull),
        }
    }

    /// Returns a branch's tip as it was at `at`.
    pub fn tip_at(&self, branch: usize, at: i64) -> Option<Index> {
        let branch = &self.branches[branch];
        match branch.history.iter().find(|(until, _)| *until > at) {
            Some((_, old)) => *old,
            None => branch.tip,
        }
    }

    /// Reads a pull request as it was at `at`.
    pub fn read_pull(&mut self, number: PullNumber, at: i64) -> Option<PullRead> {
        let event = self.event("pull_request", "synchronize", ADMIN);
        let pull = self.pull(number)?;
        let snapshot = self.snapshot_at(pull, at);
        let base = self.branches.iter().position(|branch| branch.name == snapshot.base_ref).unwrap_or(0);
        let head = snapshot.head_sha;
        let verdicts = self
            .verdicts
            .range((head, "".into())..)
            .take_while(|((sha, _), _)| *sha == head)
            .map(|((_, context), verdict)| (context.clone(), *verdict))
            .collect();
        Some(PullRead {
            base_tip: self.tip_at(base, at).map_or(Sha::ZERO, name),
            reviews: pull.reviews.clone(),
            rules: self.rules.clone(),
            verdicts,
            fact: PullFact { pull: snapshot, event, source: Source::Read },
        })
    }

    /// Reads everything that hooks would have told, as it was at `at`.
    pub fn reconcile(&mut self, known_open: &[PullNumber], pulls_since: Option<Timestamp>, at: i64) -> Reconciled {
        let event = self.event("pull_request", "synchronize", ADMIN);
        let push = self.event("push", "", ADMIN);
        // What an old read does not show yet was not seen.
        let then = Timestamp::from_millis(at - at.rem_euclid(1000));
        let shown: Vec<&Pull> = self
            .pulls
            .iter()
            .filter(|pull| {
                let merged_since = pulls_since.is_some_and(|since| {
                    let is_merged = matches!(self.snapshot_at(pull, at).standing, PullStanding::Merged { .. });
                    is_merged && pull.merged_at.is_some_and(|merged_at| merged_at >= since)
                });
                pull.standing == PullStanding::Open || known_open.contains(&pull.number) || merged_since
            })
            .collect();
        let open = || shown.iter().filter(|pull| pull.standing == PullStanding::Open);
        let pulls = shown.iter().map(|pull| PullFact {
            pull: self.snapshot_at(pull, at),
            event: event.clone(),
            source: Source::Read,
        });
        let comments = open().flat_map(|pull| &pull.said).map(|said| &said.comment);
        let refs = (0..self.branches.len()).filter_map(|branch| {
            let tip = self.tip_at(branch, at)?;
            let branch = &self.branches[branch];
            Some(PushFact {
                git_ref: branch.name.clone(),
                before: Sha::ZERO,
                after: name(tip),
                pushed_at: branch.pushed_at,
                event: push.clone(),
                source: Source::Read,
            })
        });
        Reconciled {
            repository: self.repository.clone(),
            pulls: pulls.collect(),
            pulls_until: self
                .pulls
                .iter()
                .map(|pull| self.snapshot_at(pull, at).updated_at.min(then))
                .max()
                .or(Some(Timestamp::EPOCH)),
            reviews: open().flat_map(|pull| pull.reviews.iter().map(|review| (pull.number, review.clone()))).collect(),
            comments: comments.filter(|comment| comment.body.starts_with('/')).cloned().collect(),
            refs: refs.collect(),
            deployments: self
                .deployments
                .iter()
                .map(|deployed| {
                    let mut snapshot = deployed.snapshot.clone();
                    snapshot.state = deployed.statuses.last().map(|shown| shown.state);
                    snapshot
                })
                .collect(),
        }
    }

    /// Reads a commit's files.
    pub fn files(&self, index: Index, before: Option<Index>) -> CommitFiles {
        let commit = self.objects.get(index);
        let changed = before.map(|before| {
            let old = self.objects.get(before).files;
            (0..commit.files.len()).filter(|at| commit.files[*at] != old[*at]).map(path).collect()
        });
        CommitFiles {
            sha: name(index),
            tree: self.objects.tree(index),
            message: if commit.skips { "Change [skip ci]".into() } else { self.no_payload.clone() },
            workflows: self.sources.workflows(commit.files[CI], commit.files[DEPLOY]),
            called: Vec::new(),
            elsewhere: Vec::new(),
            config: Some(self.sources.config(commit.files[CONFIG])),
            cibuild: false,
            changed_paths: changed,
        }
    }
}
