//! One repository's live state: its pieces, which of them changed, what is to be looked at again, and when.
//!
//! Rules change pieces and *touch* topics; the engine settles touched topics until none is left. Nothing here decides
//! anything. State is the truth: after a restart every topic is touched once, and the same decisions follow (I32).

mod agenda;
mod changes;
mod load;
mod tracked;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenlight_workflow::{Value, Workflow};

use crate::config::{Config, ConfigStanding};
use crate::deployment::{DeployWish, Deployment, Environment};
use crate::entity::{Audit, Meta, Person, Proof, Report};
use crate::event::Verdicts;
use crate::fact::RepositoryRef;
use crate::id::{
    Context, DeploymentId, EffectKey, EnvironmentName, PullNumber, RefName, RunNumber, Sha, Token, UserId,
};
use crate::item::Item;
use crate::pull::{Branch, Pull};
use crate::run::{Run, Subject, Suite, SuiteKey};
use crate::time::Timestamp;

use agenda::Agenda;
pub use agenda::Topic;
pub use tracked::Tracked;

/// What a server is set up to do, for every repository alike.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// Are we a GitHub App? Then jobs are shown as check runs.
    pub app: bool,
    /// Our App's bot: what it causes starts nothing, unless it follows from an effect of ours.
    pub own_user: Option<UserId>,
    /// What the runners can do, lower case, where that is known: a job that asks for more is told so.
    pub labels: Option<Arc<[Arc<str>]>>,
    /// The variables of the repository, the `vars` context.
    pub vars: Vec<(Arc<str>, Arc<str>)>,
    /// Which jobs are asked for, where not all are.
    pub selection: Selection,
    /// Where GitHub is.
    pub addresses: Addresses,
    /// How long artifacts are kept.
    pub retention: RetentionDays,
    /// Whose limits hold for workflows.
    pub edition: Edition,
    /// Does nothing start by the clock? So it is where one event alone is to be run.
    pub ignores_clock: bool,
}

/// How many days artifacts are kept, as jobs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionDays(pub u64);

impl Default for RetentionDays {
    /// GitHub's own.
    fn default() -> Self {
        Self(90)
    }
}

/// Which GitHub it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Edition {
    /// github.com, or what looks like it.
    #[default]
    GitHubCom,
    /// GitHub Enterprise Server, which lets calls of workflows go less deep.
    EnterpriseServer,
}

/// Where GitHub is, as jobs are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Of its pages and of git, without a slash at its end (`github.server_url`).
    pub server: Arc<str>,
    /// Of its API (`github.api_url`).
    pub api: Arc<str>,
    /// Of its GraphQL API (`github.graphql_url`).
    pub graphql: Arc<str>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            server: "https://github.com".into(),
            api: "https://api.github.com".into(),
            graphql: "https://api.github.com/graphql".into(),
        }
    }
}

/// Which jobs are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Selection {
    /// The ids of the jobs in the run's own file; what they need comes with them. Empty for all.
    pub jobs: Vec<Arc<str>>,
    /// Matrix keys with the values that are asked for, as text.
    pub matrix: Vec<(Arc<str>, Arc<str>)>,
}

/// One repository's live state.
#[derive(Clone, Debug)]
pub struct Repository {
    /// What the server is set up to do.
    pub settings: Settings,
    meta: Meta,
    meta_changed: bool,
    words: Words,
    /// What people may do.
    pub people: Tracked<UserId, Person>,
    /// Branches and tags.
    pub branches: Tracked<RefName, Branch>,
    /// Pull requests.
    pub pulls: Tracked<PullNumber, Pull>,
    /// Suites.
    pub suites: Tracked<SuiteKey, Suite>,
    /// Runs.
    pub runs: Tracked<RunNumber, Run>,
    /// Reports.
    pub reports: Tracked<(Sha, Context), Report>,
    /// What others say.
    pub verdicts: Tracked<(Sha, Context), Verdicts>,
    /// Trees that were tested green.
    pub proofs: Tracked<Sha, Proof>,
    /// Environments.
    pub environments: Tracked<EnvironmentName, Environment>,
    /// Wishes for deployments.
    pub wishes: Tracked<(EnvironmentName, Sha), DeployWish>,
    /// Deployments.
    pub deployments: Tracked<DeploymentId, Deployment>,
    /// Effects that have not come to their end.
    pub outbox: Tracked<EffectKey, Item>,
    /// The lanes of the outbox that items share, each with its places in order: an index, made anew at each load.
    lanes: BTreeMap<Arc<str>, BTreeSet<u64>>,
    /// Runs with a job that waits for a runner, and since when the oldest does: an index.
    pub(crate) queued: BTreeMap<RunNumber, Timestamp>,
    /// Runs that have a part in a concurrency group, themselves or by how many jobs that are not over: an index.
    pub(crate) groups: BTreeMap<Arc<str>, BTreeMap<RunNumber, usize>>,
    /// Runs that are not over: an index.
    pub(crate) active: BTreeSet<RunNumber>,
    agenda: Agenda,
    alarms: BTreeMap<Topic, Timestamp>,
    due: BTreeSet<(Timestamp, Topic)>,
    audit: Vec<Audit>,
    /// Parsed workflows by run; made again when they are needed after a restart.
    pub(crate) parsed: BTreeMap<RunNumber, Arc<Workflow>>,
    /// The `github` contexts of runs that are not over; made again when what they were made of is another.
    pub(crate) github: BTreeMap<RunNumber, Remembered>,
    /// What was read last, by path and text: most pushes bring the same files.
    pub(crate) read: BTreeMap<(Arc<str>, Arc<str>), Reading>,
    /// What workflows call, by path and text of the caller, where all of it was right and at hand.
    pub(crate) called: BTreeMap<(Arc<str>, Arc<str>), Called>,
    /// The suites of each pull request: an index.
    by_pull: BTreeMap<PullNumber, BTreeSet<SuiteKey>>,
    /// Those of them that may not be over: an index. One that is over may be here; one that is not is.
    open_by_pull: BTreeMap<PullNumber, BTreeSet<SuiteKey>>,
    /// Are the indices of runs there? Not after a load: whose turn it is in a group is told by all of its runs together.
    pub(crate) indexed: bool,
    /// Reports that have an effect in the outbox: an index.
    pub(crate) showing: BTreeSet<(Sha, Context)>,
    /// Reports that GitHub did not let us write when they were last tried: an index.
    pub(crate) forbidden: BTreeSet<(Sha, Context)>,
    /// Pull requests whose note may have an effect in the outbox: an index.
    pub(crate) noting: BTreeSet<PullNumber>,
}

/// Names that rules ask for all the time, made once.
#[derive(Clone, Debug)]
struct Words {
    default_branch: RefName,
    aggregate: Context,
    /// What comes before every suite of its commit.
    first: SuiteKey,
}

impl Words {
    fn of(repository: &RepositoryRef) -> Self {
        let nothing: Arc<str> = "".into();
        let subject = Subject::Pull(PullNumber(0), RefName::new(nothing.clone()));
        Self {
            default_branch: RefName::branch(&repository.default_branch),
            aggregate: Context::from(AGGREGATE),
            first: SuiteKey { head_sha: Sha::ZERO, event: nothing, subject },
        }
    }
}

/// The aggregate's context.
pub const AGGREGATE: &str = "greenlight";

/// A run's `github` context, and what it was made of as far as that can change.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub made_of: MadeOf,
    pub github: Value,
}

/// The attempt, the commit, the repository's name, and the refs of its pull request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MadeOf {
    pub attempt: u32,
    pub sha: Sha,
    pub full_name: Arc<str>,
    pub protected: bool,
    pub refs: Option<(Arc<str>, RefName)>,
}

/// Called files: their references and their texts.
pub(crate) type Called = Vec<(Arc<str>, Arc<str>)>;

/// What a workflow file was read as: the workflow, or what is wrong with it, in one sentence and rendered.
pub(crate) type Reading = Result<Arc<Workflow>, (Arc<str>, Arc<str>)>;

impl Repository {
    /// Returns a repository of which nothing is known yet.
    pub fn new(repository: RepositoryRef, settings: Settings) -> Self {
        let words = Words::of(&repository);
        let meta = Meta {
            repository,
            last_run: 0,
            last_token: 0,
            last_place: 0,
            run_numbers: BTreeMap::new(),
            config: ConfigStanding::Unknown,
            last_right: None,
            reconciled_at: None,
            pulls_seen: None,
            boot: None,
            refs_known: false,
            timetable: Arc::default(),
        };
        Self {
            settings,
            meta,
            meta_changed: true,
            words,
            people: Tracked::default(),
            branches: Tracked::default(),
            pulls: Tracked::default(),
            suites: Tracked::default(),
            runs: Tracked::default(),
            reports: Tracked::default(),
            verdicts: Tracked::default(),
            proofs: Tracked::default(),
            environments: Tracked::default(),
            wishes: Tracked::default(),
            deployments: Tracked::default(),
            outbox: Tracked::default(),
            lanes: BTreeMap::new(),
            queued: BTreeMap::new(),
            groups: BTreeMap::new(),
            active: BTreeSet::new(),
            agenda: Agenda { repository: true, ..Agenda::default() },
            alarms: BTreeMap::new(),
            due: BTreeSet::new(),
            audit: Vec::new(),
            parsed: BTreeMap::new(),
            github: BTreeMap::new(),
            read: BTreeMap::new(),
            called: BTreeMap::new(),
            by_pull: BTreeMap::new(),
            open_by_pull: BTreeMap::new(),
            indexed: true,
            showing: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            noting: BTreeSet::new(),
        }
    }

    /// Puts a suite in.
    pub(crate) fn insert_suite(&mut self, suite: Suite) {
        self.index_suite(&suite.key);
        self.suites.insert(suite.key.clone(), suite);
    }

    /// Takes a suite out.
    pub(crate) fn remove_suite(&mut self, key: &SuiteKey) -> Option<Arc<Suite>> {
        if let Subject::Pull(number, _) = &key.subject
            && let Some(keys) = self.by_pull.get_mut(number)
        {
            keys.remove(key);
            self.close_suite(*number, key);
        }
        self.suites.remove(key)
    }

    fn index_suite(&mut self, key: &SuiteKey) {
        if let Subject::Pull(number, _) = &key.subject {
            self.by_pull.entry(*number).or_default().insert(key.clone());
            self.reopen_suite(key);
        }
    }

    /// A suite is not over, or not any more.
    pub(crate) fn reopen_suite(&mut self, key: &SuiteKey) {
        if let Subject::Pull(number, _) = &key.subject {
            self.open_by_pull.entry(*number).or_default().insert(key.clone());
        }
    }

    /// A suite of a pull request is over.
    pub(crate) fn close_suite(&mut self, number: PullNumber, key: &SuiteKey) {
        if let Some(keys) = self.open_by_pull.get_mut(&number) {
            keys.remove(key);
        }
    }

    /// Returns the suites of a pull request that may not be over.
    pub(crate) fn open_suites_of(&self, number: PullNumber) -> impl Iterator<Item = &SuiteKey> {
        self.open_by_pull.get(&number).into_iter().flatten()
    }

    /// Touches what was, and is being, tested of a pull request.
    pub(crate) fn touch_suites_of(&mut self, number: PullNumber) {
        let keys: Vec<_> = self.by_pull.get(&number).into_iter().flatten().cloned().collect();
        for key in keys {
            self.touch(Topic::Commit(key.head_sha));
            self.touch(Topic::Suite(key));
        }
    }

    /// Returns the suites that test a pull request.
    pub(crate) fn suites_of(&self, number: PullNumber) -> impl Iterator<Item = &Suite> {
        self.by_pull.get(&number).into_iter().flatten().filter_map(|key| self.suites.get(key))
    }

    /// Touches every topic: what is decided then is what would be decided from state alone.
    pub fn touch_all(&mut self) {
        let agenda = &mut self.agenda;
        agenda.repository = true;
        agenda.people.put_all(self.people.map.keys().copied());
        agenda.pulls.put_all(self.pulls.map.keys().copied());
        agenda.suites.put_all(self.suites.map.keys().cloned());
        let tested = self.suites.map.keys().map(|key| key.head_sha);
        agenda.commits.put_all(tested.chain(self.reports.map.keys().map(|(sha, _)| *sha)));
        agenda.runs.put_all(self.runs.map.keys().copied());
        agenda.reports.put_all(self.reports.map.keys().cloned());
        agenda.branches.put_all(self.branches.map.keys().cloned());
        agenda.wishes.put_all(self.wishes.map.keys().cloned());
        agenda.environments.put_all(self.environments.map.keys().cloned());
        agenda.deployments.put_all(self.deployments.map.keys().copied());
    }

    /// Touches what waits for a commit's reports: its pull requests, and the wishes to deploy it.
    pub(crate) fn touch_followers(&mut self, sha: Sha) {
        let Self { agenda, pulls, wishes, .. } = self;
        agenda
            .pulls
            .extend(pulls.map.values().filter(|pull| pull.snapshot.head_sha == sha).map(|pull| pull.snapshot.number));
        let wishes = wishes.map.keys().filter(|(_, wished)| *wished == sha);
        agenda.wishes.extend(wishes.cloned());
    }

    /// Puts a topic on the agenda.
    pub fn touch(&mut self, topic: Topic) {
        self.agenda.insert(topic);
    }

    /// Takes the next topic off the agenda.
    pub(crate) fn next_topic(&mut self) -> Option<Topic> {
        self.agenda.next()
    }

    /// Sets, moves or clears the time at which a topic is looked at again.
    pub fn set_alarm(&mut self, topic: Topic, at: Option<Timestamp>) {
        if self.alarms.get(&topic).copied() == at {
            return;
        }
        if let Some(before) = self.alarms.remove(&topic) {
            self.due.remove(&(before, topic.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, topic.clone()));
            self.alarms.insert(topic, at);
        }
    }

    /// Puts every topic whose time has come on the agenda.
    pub(crate) fn ring(&mut self, now: Timestamp) {
        while let Some((at, topic)) = self.due.first() {
            if *at > now {
                break;
            }
            let (_, topic) = (*at, topic.clone());
            self.set_alarm(topic.clone(), None);
            self.agenda.insert(topic);
        }
    }

    /// Returns when a topic is next to be looked at.
    pub fn next_alarm(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns what is known of the repository as a whole.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the same, to be changed.
    pub(crate) fn meta_mut(&mut self) -> &mut Meta {
        self.meta_changed = true;
        &mut self.meta
    }

    /// Takes in what GitHub calls the repository and its default branch by now.
    pub(crate) fn set_reference(&mut self, repository: RepositoryRef) {
        self.words = Words::of(&repository);
        self.meta_mut().repository = repository;
    }

    /// Returns the full ref of the default branch.
    pub fn default_branch(&self) -> RefName {
        self.words.default_branch.clone()
    }

    /// Returns the aggregate's context.
    pub(crate) fn aggregate(&self) -> Context {
        self.words.aggregate.clone()
    }

    /// Returns what `.greenlight.yml` says, where it was read and is right.
    pub fn config(&self) -> Option<Arc<Config>> {
        match &self.meta.config {
            ConfigStanding::Read { config: Ok(config), .. } => Some(config.clone()),
            _ => None,
        }
    }

    /// Returns what `.greenlight.yml` says or, while it is wrong, what it said when it was last right: enough to know names
    /// by, and too little to do anything by.
    pub fn known_config(&self) -> Option<Arc<Config>> {
        self.config().or_else(|| self.meta.last_right.as_ref().map(|right| right.config.clone()))
    }

    /// Returns a new fencing token, larger than every one before.
    pub fn next_token(&mut self) -> Token {
        self.meta_mut().last_token += 1;
        Token(self.meta.last_token)
    }

    /// Returns a new place in the outbox's order.
    pub(crate) fn next_place(&mut self) -> u64 {
        self.meta_mut().last_place += 1;
        self.meta.last_place
    }

    /// Returns a new run's number, and its number within its workflow.
    pub(crate) fn next_run(&mut self, workflow: &Arc<str>) -> (RunNumber, u64) {
        let meta = self.meta_mut();
        meta.last_run += 1;
        let count = meta.run_numbers.entry(workflow.clone()).or_insert(0);
        *count += 1;
        let count = *count;
        (RunNumber(meta.last_run), count)
    }

    /// Writes a line for people.
    pub fn note(&mut self, about: impl Into<Arc<str>>, text: impl Into<Arc<str>>) {
        self.audit.push(Audit { about: about.into(), text: text.into() });
    }

    /// Returns the suites of a commit.
    pub fn suites_at(&self, sha: Sha) -> impl Iterator<Item = &Suite> {
        let first = SuiteKey { head_sha: sha, ..self.words.first.clone() };
        self.suites.range(first..).map(|(_, suite)| suite).take_while(move |suite| suite.key.head_sha == sha)
    }

    /// An item is in the outbox. One whose lane is its own has nobody before or behind it.
    pub(crate) fn enter_lane(&mut self, item: &Item) {
        if !item.has_own_lane() {
            self.lanes.entry(item.lane.clone()).or_default().insert(item.place);
        }
    }

    /// An item is not in the outbox any more.
    pub(crate) fn leave_lane(&mut self, item: &Item) {
        if let Some(places) = self.lanes.get_mut(&item.lane) {
            places.remove(&item.place);
            if places.is_empty() {
                self.lanes.remove(&item.lane);
            }
        }
    }

    /// Is nothing older than this item in its lane?
    pub(crate) fn is_first_in_lane(&self, item: &Item) -> bool {
        item.has_own_lane() || self.lanes.get(&item.lane).and_then(BTreeSet::first) == Some(&item.place)
    }

    /// Returns every effect that has not come to its end, in the order in which it was wanted.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.outbox.values()
    }
}
