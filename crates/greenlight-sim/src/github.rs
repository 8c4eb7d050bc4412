//! The fake GitHub: a model of one repository whose webhooks follow from what is done to it.
//!
//! Everything is done by a function here, by people and by the API alike; each leaves the hooks that GitHub would send in
//! [`GitHub::outgoing`]. It knows nothing of Greenlight's state: invariants are judged by what this model saw.

pub mod act;
pub mod api;
pub mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_core::effect::Refusal;
use greenlight_core::event::{
    BranchRules, Comment, DeploymentSnapshot, DeploymentState, Event, Permission, PullSnapshot, PullStanding, Review,
    User, Verdict, Verdicts,
};
use greenlight_core::fact::{Fact, RepositoryRef};
use greenlight_core::id::{CommentId, Context, DeploymentId, PullNumber, RefName, RepoId, Sha, UserId};
use greenlight_core::shown::{ShownDeployment, ShownReport};
use greenlight_core::time::Timestamp;

use crate::objects::{Index, Objects, PATHS, name};
use crate::rng::Rng;
use crate::sources::{CI_GOOD, Sources};

/// Who is who, by their place in [`GitHub::people`].
pub const ADMIN: usize = 0;
/// Two people with write permission.
pub const WRITERS: [usize; 2] = [1, 2];
/// Somebody who may read.
pub const READER: usize = 3;
/// Somebody who may do nothing.
pub const STRANGER: usize = 4;
/// Ourselves.
pub const US: usize = 5;
/// The bot that says `lint`.
pub const LINTER: usize = 6;
/// How far back a read may be.
pub const STALE_MAX: i64 = 60_000;

/// A branch.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The full ref.
    pub name: RefName,
    /// Where it is; nothing where it was deleted.
    pub tip: Option<Index>,
    /// When it was last pushed to.
    pub pushed_at: Timestamp,
    /// Where it was until when, the oldest first.
    pub history: Vec<(i64, Option<Index>)>,
    /// Did it move since the beginning?
    pub moved: bool,
}

/// A comment that a person wrote, and the head at that moment.
#[derive(Clone, Debug)]
pub struct Said {
    /// The comment.
    pub comment: Comment,
    /// The head at the moment it was written.
    pub head: Index,
    /// Who, by place.
    pub by: usize,
}

/// What was last read of a pull request by us.
#[derive(Clone, Copy, Debug)]
pub struct LastRead {
    /// The base, by place.
    pub base: usize,
    /// The base's tip.
    pub base_tip: Sha,
    /// When the answer was taken in.
    pub at: i64,
}

/// A pull request.
#[derive(Clone, Debug)]
pub struct Pull {
    /// Its number.
    pub number: PullNumber,
    /// Its title.
    pub title: Arc<str>,
    /// Where it stands.
    pub standing: PullStanding,
    /// Is it a draft?
    pub draft: bool,
    /// Its head.
    pub head: Index,
    /// The head's branch in this repository; nothing for a fork's.
    pub branch: Option<usize>,
    /// The head branch's name.
    pub head_ref: Arc<str>,
    /// The base, by place.
    pub base: usize,
    /// Who opened it, by place.
    pub author: usize,
    /// GitHub's `updated_at`.
    pub updated_at: Timestamp,
    /// When the head's repository was last pushed to.
    pub head_pushed_at: Timestamp,
    /// Its reviews.
    pub reviews: Vec<Review>,
    /// What people said.
    pub said: Vec<Said>,
    /// Our own comments: mark, id, text.
    pub ours: Vec<(Arc<str>, CommentId, Arc<str>)>,
    /// Older snapshots, each with the time until which it held.
    pub history: Vec<(i64, PullSnapshot)>,
    /// What we last read.
    pub last_read: Option<LastRead>,
    /// Heads that somebody with write permission let start.
    pub approved: Vec<Index>,
    /// The last moment at which an approving review of the present head counted.
    pub valid_until: i64,
    /// When it was merged.
    pub merged_at: Option<Timestamp>,
    /// The tree that was tested and the tree that landed, where we merged it.
    pub landed: Option<(Sha, Sha)>,
}

/// What GitHub shows under one context of one commit.
#[derive(Clone, Debug)]
pub struct Status {
    /// The latest.
    pub shown: ShownReport,
    /// The check run's id, where it is one.
    pub check_run: Option<u64>,
    /// How often it was written.
    pub writes: u32,
}

/// A deployment.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// As GitHub shows it.
    pub snapshot: DeploymentSnapshot,
    /// What was shown of it, the oldest first.
    pub statuses: Vec<ShownDeployment>,
    /// Its event.
    pub event: Arc<Event>,
}

/// A hook that is to be sent.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The event's name.
    pub event: &'static str,
    /// What our reader makes of it.
    pub facts: Vec<Fact>,
}

/// One repository on GitHub.
#[derive(Clone, Debug)]
pub struct GitHub {
    /// Its commits.
    pub objects: Objects,
    /// Its name.
    pub repository: RepositoryRef,
    /// Everybody, with their permission.
    pub people: Vec<(User, Permission)>,
    /// Its branches; the first is the default one.
    pub branches: Vec<Branch>,
    /// Its pull requests, by number minus one.
    pub pulls: Vec<Pull>,
    /// What is shown on its commits.
    pub statuses: BTreeMap<(Sha, Context), Status>,
    /// What others say of its commits.
    pub verdicts: BTreeMap<(Sha, Context), Verdicts>,
    /// Its deployments.
    pub deployments: Vec<Deployed>,
    /// The rules of its branches, where we may read them.
    pub rules: Option<BranchRules>,
    /// What the workflows and settings say.
    pub sources: Sources,
    /// The hooks that are to be sent.
    pub outgoing: Vec<Hook>,
    /// The lines that the room got.
    pub room: u64,
    /// The time, by GitHub's clock.
    pub now: i64,
    events: Vec<(Told, Arc<Event>)>,
    last_id: u64,
    last_version: u16,
    no_payload: Arc<str>,
}

/// An event's name, its action, and who did it, by place.
type Told = (&'static str, &'static str, usize);

/// Our repository's id.
pub const REPO: RepoId = RepoId(1);
const FORK: RepoId = RepoId(99);

impl GitHub {
    /// Begins a repository with one commit.
    pub fn new(rng: &mut Rng, now: i64) -> Self {
        let sources = Sources::new(rng);
        let rules = match rng.below(5) {
            0 => Some(BranchRules { required: vec![Context::from("greenlight")], approvals: 0 }),
            1 => Some(BranchRules { required: vec![Context::from("greenlight")], approvals: 1 }),
            2 => Some(BranchRules::default()),
            _ => None,
        };
        let mut files = [0; PATHS];
        files[0] = u16::try_from(rng.below(usize::from(CI_GOOD))).expect("there are few");
        let mut objects = Objects::default();
        let root = objects.commit([None, None], files, false);
        let mut github = Self {
            objects,
            repository: RepositoryRef { id: REPO, full_name: "octocat/spoon".into(), default_branch: "main".into() },
            people: people(),
            branches: Vec::new(),
            pulls: Vec::new(),
            statuses: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            deployments: Vec::new(),
            rules,
            sources,
            outgoing: Vec::new(),
            room: 0,
            now,
            events: Vec::new(),
            last_id: 1000,
            last_version: 10,
            no_payload: "{}".into(),
        };
        for name in ["main", "release"] {
            github.branches.push(Branch {
                name: RefName::branch(name),
                tip: Some(root),
                pushed_at: github.second(),
                history: Vec::new(),
                moved: false,
            });
        }
        github
    }

    /// Returns the present second, which is all that GitHub tells of the time.
    pub fn second(&self) -> Timestamp {
        Timestamp::from_millis(self.now - self.now.rem_euclid(1000))
    }

    /// Returns the pull request of this number.
    pub fn pull(&self, number: PullNumber) -> Option<&Pull> {
        self.pulls.get(usize::try_from(number.0).ok()?.checked_sub(1)?)
    }

    /// Returns the pull request of this number, to be changed.
    pub fn pull_mut(&mut self, number: PullNumber) -> Option<&mut Pull> {
        self.pulls.get_mut(usize::try_from(number.0).ok()?.checked_sub(1)?)
    }

    /// Returns the places of the open pull requests.
    pub fn open(&self) -> Vec<usize> {
        (0..self.pulls.len()).filter(|at| self.pulls[*at].standing == PullStanding::Open).collect()
    }

    /// May this person push?
    pub fn may_push(&self, user: UserId) -> bool {
        self.people.iter().any(|(known, permission)| known.id == user && permission.can_write())
    }

    /// Does the code of this pull request come from somebody who may push anyway?
    pub fn is_trusted(&self, pull: &Pull) -> bool {
        pull.branch.is_some() && self.people[pull.author].1.can_write()
    }

    /// Returns the branch's tip; the root where it was deleted.
    pub fn tip(&self, branch: usize) -> Index {
        self.branches[branch].tip.unwrap_or(0)
    }

    /// Is there an approving review of this very head by somebody with write permission, and no objection?
    pub fn is_approved(&self, pull: &Pull) -> bool {
        let mut latest: Vec<(UserId, Verdict, Option<Sha>)> = Vec::new();
        for review in pull.reviews.iter().filter(|review| review.verdict != Verdict::Commented) {
            latest.retain(|(user, _, _)| *user != review.user.id);
            latest.push((review.user.id, review.verdict, review.commit));
        }
        let author = self.people[pull.author].0.id;
        let head = name(pull.head);
        let approves = |(user, verdict, commit): &(UserId, Verdict, Option<Sha>)| {
            *verdict == Verdict::Approved && *commit == Some(head) && *user != author && self.may_push(*user)
        };
        let objects = |(user, verdict, _): &(UserId, Verdict, Option<Sha>)| {
            *verdict == Verdict::ChangesRequested && self.may_push(*user)
        };
        latest.iter().any(approves) && !latest.iter().any(objects)
    }

    /// Returns what the aggregate shows on a commit.
    pub fn aggregate(&self, sha: Sha) -> Option<&ShownReport> {
        self.statuses.get(&(sha, Context::from("greenlight"))).map(|status| &status.shown)
    }

    /// Returns a version that no path had yet, broken or not.
    pub fn version(&mut self, broken: bool) -> u16 {
        self.last_version += 2;
        self.last_version | u16::from(broken)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn user(&self, at: usize) -> User {
        self.people[at].0.clone()
    }

    /// Returns an event, made once for each name, action and person.
    pub fn event(&mut self, name: &'static str, action: &'static str, by: usize) -> Arc<Event> {
        let wanted = (name, action, by);
        if let Some((_, event)) = self.events.iter().find(|(known, _)| *known == wanted) {
            return event.clone();
        }
        let event = Arc::new(Event {
            name: name.into(),
            action: (!action.is_empty()).then(|| action.into()),
            payload: self.no_payload.clone(),
            sender: self.user(by),
        });
        self.events.push((wanted, event.clone()));
        event
    }

    fn send(&mut self, event: &'static str, facts: Vec<Fact>) {
        self.outgoing.push(Hook { event, facts });
    }
}

/// Why a merge did not happen.
pub type Refused = Refusal;

fn people() -> Vec<(User, Permission)> {
    let everybody = [
        ("alice", Permission::Admin),
        ("bob", Permission::Write),
        ("carol", Permission::Write),
        ("dave", Permission::Read),
        ("mallory", Permission::None),
        ("greenlight[bot]", Permission::Write),
        ("lint[bot]", Permission::Write),
        ("github-actions[bot]", Permission::Write),
    ];
    let user = |(at, (login, permission)): (usize, (&str, Permission))| {
        let id = UserId(u64::try_from(at).expect("there are few") + 1);
        (User { id, login: login.into() }, permission)
    };
    everybody.into_iter().enumerate().map(user).collect()
}

/// Is nothing more to come for a deployment?
pub fn is_over(deployed: &Deployed) -> bool {
    deployed.statuses.last().is_some_and(|shown| shown.state.is_final())
}

/// Returns the id of a deployment at this place.
pub fn deployment_id(at: usize) -> DeploymentId {
    DeploymentId(u64::try_from(at).expect("a usize fits") + 1)
}

/// Returns a deployment's latest state.
pub fn state_of(deployed: &Deployed) -> Option<DeploymentState> {
    deployed.statuses.last().map(|shown| shown.state)
}
