//! One repository's live state: its pieces, which of them changed, what is to be looked at again, and when.
//!
//! Rules change pieces and *touch* topics; the engine settles touched topics until none is left. Nothing here decides
//! anything. State is the truth: after a restart every topic is touched once, and the same decisions follow (I32).

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenlight_workflow::{Value, Workflow};

use crate::config::{Config, ConfigStanding};
use crate::deployment::{DeployWish, Deployment, Environment};
use crate::effect::Effect;
use crate::entity::{Audit, Entity, EntityKey, Meta, Person, Proof, Report};
use crate::event::Verdicts;
use crate::fact::RepositoryRef;
use crate::id::{
    Context, DeploymentId, EffectKey, EnvironmentName, PullNumber, RefName, RunNumber, Sha, Token, UserId,
};
use crate::item::{Item, ItemState};
use crate::pull::{Branch, Pull};
use crate::run::{Run, Subject, Suite, SuiteKey, SuitePhase};
use crate::time::Timestamp;

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
}

/// Which jobs are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Selection {
    /// The ids of the jobs in the run's own file; what they need comes with them. Empty for all.
    pub jobs: Vec<Arc<str>>,
    /// Matrix keys with the values that are asked for, as text.
    pub matrix: Vec<(Arc<str>, Arc<str>)>,
}

/// Something that a rule looks at as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The comparison with GitHub, and the configuration.
    Repository,
    /// A person's permission.
    Person(UserId),
    /// A pull request.
    Pull(PullNumber),
    /// A suite.
    Suite(SuiteKey),
    /// A run.
    Run(RunNumber),
    /// What is to be shown on a commit as a whole.
    Commit(Sha),
    /// One report.
    Report(Sha, Context),
    /// Merging into a branch.
    Branch(RefName),
    /// A wish for a deployment.
    Wish(EnvironmentName, Sha),
    /// An environment's turn.
    Environment(EnvironmentName),
    /// A deployment.
    Deployment(DeploymentId),
}

/// Topics that are to be settled: a set for each kind, and the kinds in the order in which they are settled.
#[derive(Clone, Debug, Default)]
struct Agenda {
    repository: bool,
    people: BTreeSet<UserId>,
    pulls: BTreeSet<PullNumber>,
    suites: BTreeSet<SuiteKey>,
    runs: BTreeSet<RunNumber>,
    commits: BTreeSet<Sha>,
    reports: BTreeSet<(Sha, Context)>,
    branches: BTreeSet<RefName>,
    wishes: BTreeSet<(EnvironmentName, Sha)>,
    environments: BTreeSet<EnvironmentName>,
    deployments: BTreeSet<DeploymentId>,
}

impl Agenda {
    /// Puts a topic in. Returns whether it was not there.
    fn insert(&mut self, topic: Topic) -> bool {
        match topic {
            Topic::Repository => !std::mem::replace(&mut self.repository, true),
            Topic::Person(id) => self.people.insert(id),
            Topic::Pull(number) => self.pulls.insert(number),
            Topic::Suite(key) => self.suites.insert(key),
            Topic::Run(number) => self.runs.insert(number),
            Topic::Commit(sha) => self.commits.insert(sha),
            Topic::Report(sha, context) => self.reports.insert((sha, context)),
            Topic::Branch(name) => self.branches.insert(name),
            Topic::Wish(environment, sha) => self.wishes.insert((environment, sha)),
            Topic::Environment(name) => self.environments.insert(name),
            Topic::Deployment(id) => self.deployments.insert(id),
        }
    }

    /// Takes the next topic: the first of the first kind of which there is one.
    fn next(&mut self) -> Option<Topic> {
        if std::mem::take(&mut self.repository) {
            return Some(Topic::Repository);
        }
        if let Some(id) = self.people.pop_first() {
            return Some(Topic::Person(id));
        }
        if let Some(number) = self.pulls.pop_first() {
            return Some(Topic::Pull(number));
        }
        if let Some(key) = self.suites.pop_first() {
            return Some(Topic::Suite(key));
        }
        if let Some(number) = self.runs.pop_first() {
            return Some(Topic::Run(number));
        }
        if let Some(sha) = self.commits.pop_first() {
            return Some(Topic::Commit(sha));
        }
        if let Some((sha, context)) = self.reports.pop_first() {
            return Some(Topic::Report(sha, context));
        }
        if let Some(name) = self.branches.pop_first() {
            return Some(Topic::Branch(name));
        }
        if let Some((environment, sha)) = self.wishes.pop_first() {
            return Some(Topic::Wish(environment, sha));
        }
        if let Some(name) = self.environments.pop_first() {
            return Some(Topic::Environment(name));
        }
        self.deployments.pop_first().map(Topic::Deployment)
    }
}

/// A map that knows which of its entries were changed since the last commit. What was committed is shared with whoever
/// keeps it, and copied only when it is changed again.
#[derive(Clone, Debug)]
pub struct Tracked<K, V> {
    map: BTreeMap<K, Arc<V>>,
    changed: BTreeSet<K>,
}

impl<K: Ord + Clone, V> Default for Tracked<K, V> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Tracked<K, V> {
    /// Returns the entry.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.map.get(key).map(|value| &**value)
    }

    /// Returns the entry, to be kept beside the state.
    pub fn get_shared<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.map.get(key).cloned()
    }

    /// Returns the entry to be changed; it counts as changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let value = self.map.get_mut(key)?;
        if !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
        Some(Arc::make_mut(value))
    }

    /// Returns the entry to be changed in memory only: what is not stored need not be.
    pub(crate) fn get_quiet(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key).map(Arc::make_mut)
    }

    /// Puts an entry in.
    pub fn insert(&mut self, key: K, value: V) {
        self.changed.insert(key.clone());
        self.map.insert(key, Arc::new(value));
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<Arc<V>> {
        let value = self.map.remove(key)?;
        self.changed.insert(key.clone());
        Some(value)
    }

    /// Is there such an entry?
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.map.contains_key(key)
    }

    /// Returns all entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.map.iter().map(|(key, value)| (key, &**value))
    }

    /// Returns all values in order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.map.values().map(|value| &**value)
    }

    /// Returns the entries of a range of keys.
    pub fn range<R: std::ops::RangeBounds<K>>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.map.range(range).map(|(key, value)| (key, &**value))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    fn load(&mut self, key: K, value: Arc<V>) {
        self.map.insert(key, value);
    }
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
    /// The lanes of the outbox, each with its items in order: an index, made anew at each load.
    pub(crate) lanes: BTreeMap<Arc<str>, BTreeMap<u64, EffectKey>>,
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
    /// The suites of each pull request: an index.
    by_pull: BTreeMap<PullNumber, BTreeSet<SuiteKey>>,
    /// Those of them that may not be over: an index. One that is over may be here; one that is not is.
    open_by_pull: BTreeMap<PullNumber, BTreeSet<SuiteKey>>,
    /// Are the indices of runs there? Not after a load: whose turn it is in a group is told by all of its runs together.
    pub(crate) indexed: bool,
    /// Reports that have an effect in the outbox: an index.
    pub(crate) showing: BTreeSet<(Sha, Context)>,
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
    pub refs: Option<(Arc<str>, RefName)>,
}

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
            reconciled_at: None,
            pulls_seen: None,
            boot: None,
            refs_known: false,
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
            by_pull: BTreeMap::new(),
            open_by_pull: BTreeMap::new(),
            indexed: true,
            showing: BTreeSet::new(),
            noting: BTreeSet::new(),
        }
    }

    /// Returns a repository as it was stored. Everything is touched, so that all alarms are set again.
    pub fn load(repository: RepositoryRef, settings: Settings, entities: Vec<Entity>) -> Self {
        let mut state = Self::new(repository, settings);
        state.meta_changed = false;
        state.indexed = false;
        for entity in entities {
            state.take_in(entity);
        }
        // At start GitHub is compared with, whenever that was done last (R5).
        state.meta.reconciled_at = None;
        state.touch_open();
        state
    }

    /// Touches what is not over, so that alarms and indices are there again. What is over was settled when it was stored.
    fn touch_open(&mut self) {
        let agenda = &mut self.agenda;
        agenda.repository = true;
        let asked = self.people.map.iter().filter(|(_, person)| person.asked_at.is_some());
        agenda.people.extend(asked.map(|(id, _)| *id));
        agenda.pulls.extend(self.pulls.map.iter().filter(|(_, pull)| pull.is_unsettled()).map(|(number, _)| *number));
        for suite in self.suites.map.values() {
            let is_active = |number| self.runs.map.get(number).is_some_and(|run| !run.is_over());
            if matches!(suite.phase, SuitePhase::Reading { .. }) || suite.runs.iter().any(is_active) {
                agenda.suites.insert(suite.key.clone());
                agenda.commits.insert(suite.key.head_sha);
            }
        }
        agenda.runs.extend(self.runs.map.iter().filter(|(_, run)| !run.is_over()).map(|(number, _)| *number));
        let unsettled = self.reports.map.iter().filter(|(_, report)| report.is_unsettled());
        agenda.reports.extend(unsettled.map(|(name, _)| name.clone()));
        agenda.branches.extend(self.branches.map.keys().cloned());
        agenda.wishes.extend(self.wishes.map.iter().filter(|(_, wish)| wish.is_open()).map(|(name, _)| name.clone()));
        agenda.environments.extend(self.environments.map.keys().cloned());
        let open = self.deployments.map.iter().filter(|(_, deployment)| deployment.is_unsettled());
        agenda.deployments.extend(open.map(|(id, _)| *id));
        // What was under way may be older than what is wanted, though GitHub shows that already.
        for item in self.outbox.map.values() {
            match &item.effect {
                Effect::Show { sha, context, .. } => agenda.reports.insert((*sha, context.clone())),
                Effect::ShowDeployment { id, .. } => agenda.deployments.insert(*id),
                Effect::Comment { pull, .. } => agenda.pulls.insert(*pull),
                Effect::CreateDeployment { sha, environment, .. } => agenda.wishes.insert((environment.clone(), *sha)),
                _ => false,
            };
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

    fn take_in(&mut self, entity: Entity) {
        match entity {
            Entity::Meta(meta) => {
                self.words = Words::of(&meta.repository);
                self.meta = meta;
            }
            Entity::Person(person) => self.people.load(person.user.id, person),
            Entity::Branch(branch) => self.branches.load(branch.name.clone(), branch),
            Entity::Pull(pull) => self.pulls.load(pull.snapshot.number, pull),
            Entity::Suite(suite) => {
                self.index_suite(&suite.key);
                self.suites.load(suite.key.clone(), suite);
            }
            Entity::Run(run) => self.runs.load(run.number, run),
            Entity::Report(report) => self.reports.load((report.sha, report.context.clone()), report),
            Entity::Verdict(sha, context, verdict) => self.verdicts.load((sha, context), Arc::new(verdict)),
            Entity::Proof(proof) => self.proofs.load(proof.tree, Arc::new(proof)),
            Entity::Environment(environment) => self.environments.load(environment.name.clone(), environment),
            Entity::Wish(wish) => self.wishes.load((wish.environment.clone(), wish.sha), wish),
            Entity::Deployment(deployment) => self.deployments.load(deployment.snapshot.id, deployment),
            Entity::Item(mut shared) => {
                let item = Arc::make_mut(&mut shared);
                // Whether it was carried out before the restart nobody knows.
                item.confirm = true;
                item.state = match item.state {
                    ItemState::InFlight { since } => ItemState::Ready { not_before: since },
                    ready => ready,
                };
                self.lanes.entry(item.lane.clone()).or_default().insert(item.place, item.key.clone());
                match &item.effect {
                    Effect::Show { sha, context, .. } => {
                        self.showing.insert((*sha, context.clone()));
                    }
                    Effect::Comment { pull, .. } => {
                        self.noting.insert(*pull);
                    }
                    _ => {}
                }
                self.outbox.load(item.key.clone(), shared);
            }
        }
    }

    /// Touches every topic: what is decided then is what would be decided from state alone.
    pub fn touch_all(&mut self) {
        let agenda = &mut self.agenda;
        agenda.repository = true;
        put_all(&mut agenda.people, self.people.map.keys());
        put_all(&mut agenda.pulls, self.pulls.map.keys());
        put_all(&mut agenda.suites, self.suites.map.keys());
        agenda.commits.extend(self.suites.map.keys().map(|key| key.head_sha));
        agenda.commits.extend(self.reports.map.keys().map(|(sha, _)| *sha));
        put_all(&mut agenda.runs, self.runs.map.keys());
        put_all(&mut agenda.reports, self.reports.map.keys());
        put_all(&mut agenda.branches, self.branches.map.keys());
        put_all(&mut agenda.wishes, self.wishes.map.keys());
        put_all(&mut agenda.environments, self.environments.map.keys());
        put_all(&mut agenda.deployments, self.deployments.map.keys());
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

    /// Returns every effect that has not come to its end, in the order in which it was wanted.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.outbox.values()
    }

    /// Takes what was changed since the last time, for the store.
    pub fn take_changes(&mut self) -> (Vec<(EntityKey, Option<Entity>)>, Vec<Audit>) {
        let mut changes = Vec::new();
        if std::mem::take(&mut self.meta_changed) {
            changes.push((EntityKey::Meta, Some(Entity::Meta(self.meta.clone()))));
        }
        drain(&mut self.people, &mut changes, |key| EntityKey::Person(*key), |value| Entity::Person(value.clone()));
        drain(
            &mut self.branches,
            &mut changes,
            |key| EntityKey::Branch(key.clone()),
            |value| Entity::Branch(value.clone()),
        );
        drain(&mut self.pulls, &mut changes, |key| EntityKey::Pull(*key), |value| Entity::Pull(value.clone()));
        drain(
            &mut self.suites,
            &mut changes,
            |key| EntityKey::Suite(key.clone()),
            |value| Entity::Suite(value.clone()),
        );
        drain(&mut self.runs, &mut changes, |key| EntityKey::Run(*key), |value| Entity::Run(value.clone()));
        drain(
            &mut self.reports,
            &mut changes,
            |key| EntityKey::Report(key.0, key.1.clone()),
            |value| Entity::Report(value.clone()),
        );
        for key in std::mem::take(&mut self.verdicts.changed) {
            let entity = self.verdicts.map.get(&key).map(|verdict| Entity::Verdict(key.0, key.1.clone(), **verdict));
            changes.push((EntityKey::Verdict(key.0, key.1), entity));
        }
        drain(&mut self.proofs, &mut changes, |key| EntityKey::Proof(*key), |value| Entity::Proof((**value).clone()));
        drain(
            &mut self.environments,
            &mut changes,
            |key| EntityKey::Environment(key.clone()),
            |value| Entity::Environment(value.clone()),
        );
        drain(
            &mut self.wishes,
            &mut changes,
            |key| EntityKey::Wish(key.0.clone(), key.1),
            |value| Entity::Wish(value.clone()),
        );
        drain(
            &mut self.deployments,
            &mut changes,
            |key| EntityKey::Deployment(*key),
            |value| Entity::Deployment(value.clone()),
        );
        drain(&mut self.outbox, &mut changes, |key| EntityKey::Item(key.clone()), |value| Entity::Item(value.clone()));
        (changes, std::mem::take(&mut self.audit))
    }
}

/// Puts keys that come in order into a set, which is most often empty: then it is built at once.
fn put_all<'a, K: Ord + Clone + 'a>(set: &mut BTreeSet<K>, keys: impl Iterator<Item = &'a K>) {
    if set.is_empty() {
        *set = keys.cloned().collect();
    } else {
        set.extend(keys.cloned());
    }
}

fn drain<K: Ord + Clone, V>(
    tracked: &mut Tracked<K, V>,
    changes: &mut Vec<(EntityKey, Option<Entity>)>,
    name: impl Fn(&K) -> EntityKey,
    entity: impl Fn(&Arc<V>) -> Entity,
) {
    for key in std::mem::take(&mut tracked.changed) {
        let value = tracked.map.get(&key).map(&entity);
        changes.push((name(&key), value));
    }
}
