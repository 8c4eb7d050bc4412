//! What GitHub, git and the rooms answer.

use greenlight_core::effect::{Answer, Dispatch, Effect, FORBIDDEN, Outcome, PullRead, Reconciled, Refusal};
use greenlight_core::event::{
    BranchRules, CommitFiles, DeploymentMaker, DeploymentSnapshot, DeploymentState, Permission, PullStanding, TestMerge,
};
use greenlight_core::fact::{Fact, PullFact, PushFact, Source};
use greenlight_core::id::{CommentId, DeploymentId, Sha};
use greenlight_core::step::{self, Input};
use greenlight_core::time::Duration;

use super::{OURS, World, event, now_or_never, push, repository, sha, tree, user};

impl World {
    pub(super) fn perform(&mut self, dispatch: &Dispatch) -> Outcome {
        let answer = match &dispatch.effect {
            Effect::Show { .. } | Effect::ShowDeployment { .. } if self.forbids => return forbidden(),
            Effect::Comment { .. } if self.forbids || self.is_locked => return forbidden(),
            Effect::PrepareMerge { .. } if self.git_is_away => {
                return Outcome::Later { not_before: None, reason: "git is away".into() };
            }
            Effect::PrepareMerge { head_sha, .. } if self.conflicting == Some(*head_sha) => {
                return Outcome::Refused(Refusal::Conflict { base_sha: self.main });
            }
            Effect::PrepareMerge { head_sha, .. } => {
                let files = self.files(sha('m'), tree(*head_sha, self.main));
                Answer::TestMerge(Box::new(TestMerge { base_sha: self.main, files }))
            }
            Effect::ReadCommit { sha, .. } => match self.trees.get(sha) {
                Some(tree) => Answer::Commit(Box::new(self.files(*sha, *tree))),
                None => return Outcome::Refused(Refusal::Gone("there is no such commit".into())),
            },
            Effect::ReadPermission(user) => Answer::Permission(match self.writers.contains(&user.id.0) {
                true => Permission::Write,
                false => Permission::Read,
            }),
            Effect::ReadPull(number) => {
                self.reads_of_pulls += 1;
                Answer::Pull(Box::new(self.read_pull(number.0)))
            }
            Effect::Reconcile { .. } if self.is_gone => {
                self.comparisons += 1;
                return Outcome::Refused(Refusal::Gone("there is no such repository".into()));
            }
            Effect::Reconcile { pulls_since, .. } => Answer::Reconciled(Box::new(Reconciled {
                repository: repository(),
                pulls: self.unheard.iter().filter(|_| pulls_since.is_some()).cloned().collect(),
                pulls_until: Some(self.now),
                reviews: Vec::new(),
                comments: self.last_comment.iter().cloned().collect(),
                refs: vec![PushFact { source: Source::Read, ..push(Sha::ZERO, self.main, self.now) }],
                deployments: Vec::new(),
            })),
            Effect::Show { sha, context, report, .. } => {
                let text = format!("{:?}: {}", report.state, report.description);
                self.statuses
                    .insert((*sha, context.to_string()), format!("{}{}", text[..1].to_lowercase(), &text[1..]));
                Answer::Nothing
            }
            Effect::Comment { pull, mark, body, .. } => {
                self.comments.entry(pull.0).or_default().insert(mark.to_string(), body.to_string());
                Answer::Comment(CommentId(1))
            }
            Effect::Merge { pull, head_sha, .. } => return self.merge(pull.0, *head_sha),
            Effect::CreateDeployment { .. } if self.creates_refused > 0 => {
                self.creates_refused -= 1;
                return Outcome::Later { not_before: None, reason: "GitHub answered 502".into() };
            }
            Effect::CreateDeployment { sha, environment, .. } => {
                assert!(self.statuses[&(*sha, "greenlight".into())].starts_with("success"));
                let snapshot = DeploymentSnapshot {
                    id: DeploymentId(self.deployed.len() as u64 + 1),
                    sha: *sha,
                    git_ref: sha.to_string().into(),
                    task: "deploy".into(),
                    environment: environment.clone(),
                    payload: "{}".into(),
                    key: Some(dispatch.key.clone()),
                    creator: user(OURS),
                    maker: DeploymentMaker::Anyone,
                    state: None,
                };
                self.deployed.push((snapshot.clone(), String::new()));
                Answer::Deployment(Box::new(snapshot))
            }
            Effect::ShowDeployment { id, shown } => {
                let word = match shown.state {
                    DeploymentState::Queued => "queued",
                    DeploymentState::InProgress => "in_progress",
                    DeploymentState::Success => "success",
                    DeploymentState::Failure => "failure",
                    _ => "error",
                };
                let (_, states) = &mut self.deployed[usize::try_from(id.0).unwrap() - 1];
                *states = format!("{states} {word}");
                self.deployment_text = shown.description.to_string();
                Answer::Nothing
            }
            Effect::Tell { message, .. } => {
                self.room.push(message.to_string());
                Answer::Nothing
            }
        };
        Outcome::Done(answer)
    }

    pub(super) fn merge(&mut self, number: u64, head: Sha) -> Outcome {
        let pull = self.pulls.get_mut(&number).unwrap();
        if pull.head_sha != head {
            return Outcome::Refused(Refusal::HeadMoved);
        }
        let mut bytes = *head.as_bytes();
        bytes[18] = b'L';
        let landed = Sha::from_bytes(bytes);
        let tree = tree(head, self.main);
        self.now = self.now + Duration::from_secs(2);
        pull.standing = PullStanding::Merged { commit: Some(landed) };
        pull.updated_at = self.now;
        self.trees.insert(landed, tree);
        let moved = push(self.main, landed, self.now);
        self.main = landed;
        self.merged.push(number);
        let input = Input { facts: vec![Fact::Push(moved)], deliveries: Vec::new() };
        now_or_never(step::step(&self.store, &mut self.cell, input, self.now)).unwrap();
        Outcome::Done(Answer::Merged { sha: landed, tree })
    }

    pub(super) fn read_pull(&self, number: u64) -> PullRead {
        PullRead {
            fact: PullFact {
                pull: self.old_read.as_ref().unwrap_or(&self.pulls[&number]).clone(),
                event: event("pull_request", Some("synchronize")),
                source: Source::Read,
            },
            base_tip: self.main,
            reviews: self.reviews.clone(),
            rules: (self.needs_approval || self.required.is_some()).then(|| BranchRules {
                required: self.required.clone().unwrap_or_default(),
                approvals: u32::from(self.needs_approval),
            }),
            verdicts: self.verdicts.clone(),
        }
    }

    pub(super) fn files(&self, sha: Sha, tree: Sha) -> CommitFiles {
        CommitFiles {
            sha,
            tree,
            message: "a change".into(),
            workflows: self.workflows.clone(),
            called: Vec::new(),
            elsewhere: Vec::new(),
            config: Some((".greenlight.yml".into(), self.config.clone())),
            cibuild: self.cibuild,
            changed_paths: None,
        }
    }
}

fn forbidden() -> Outcome {
    Outcome::Refused(Refusal::Forbidden(format!("{FORBIDDEN} POST /x: Resource not accessible").into()))
}
