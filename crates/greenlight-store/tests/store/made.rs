//! State made by hand: every kind of entity, every variant of what is in it.

// Named in full, since the tests of the formats take in this file by its path.
#[path = "made/deploying.rs"]
mod deploying;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenlight_core::config::{self, ConfigStanding, LastRight};
use greenlight_core::effect::Value;
use greenlight_core::effect::{Effect, MergeMethod};
use greenlight_core::entity::{Entity, Meta, Person, Proof, Report};
use greenlight_core::event::{
    BranchRules, Comment, DeploymentState, Event, Looked, Permission, PullSnapshot, PullStanding, Review, User,
    Verdict, Verdicts,
};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{
    CommentId, Context, DeploymentId, EnvironmentName, JobKey, PullNumber, RefName, RepoId, ReviewId, RunNumber, Sha,
    Token, UserId,
};
use greenlight_core::item::{Class, Item, ItemState};
use greenlight_core::pull::{Branch, MergeAsked, MergePhase, MergeStanding, Merging, Note, PendingCommand, Pull};
use greenlight_core::run::{
    Approval, Call, Conclusion, Concurrency, ConcurrencyQueue, Job, JobState, Lease, Planned, Run, RunState, Subject,
    Suite, SuiteKey, SuitePhase, Trust, Turn,
};
use greenlight_core::shown::{Link, ReportForm, ReportState, ShownDeployment, ShownReport};
use greenlight_core::time::{Duration, Timestamp};
use greenlight_core::timetable::{CronLine, Timetable};

pub use deploying::*;

pub fn sha(digit: u8) -> Sha {
    Sha::from_bytes([digit; 20])
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

pub fn repository() -> RepositoryRef {
    RepositoryRef { id: RepoId(1296269), full_name: "octocat/Spoon-Knife".into(), default_branch: "main".into() }
}

pub fn user(id: u64) -> User {
    User { id: UserId(id), login: "mona \"Lisa\" \u{1f419}\n".into() }
}

/// A payload that is too long to stand in a row.
pub fn event(action: Option<&str>) -> Arc<Event> {
    let payload = format!("{{\"action\":\"{}\",\"filler\":\"{}\"}}", action.unwrap_or("none"), "x".repeat(3000));
    Arc::new(Event {
        name: "pull_request".into(),
        action: action.map(Into::into),
        payload: payload.into(),
        sender: user(7),
    })
}

pub fn meta() -> Meta {
    Meta {
        repository: repository(),
        last_run: 12,
        last_token: u64::MAX,
        last_place: 3,
        run_numbers: BTreeMap::from([(".github/workflows/ci.yml".into(), 4), ("\\odd\"".into(), 1)]),
        config: ConfigStanding::Unknown,
        last_right: None,
        reconciled_at: Some(at(-1)),
        pulls_seen: Some(at(3)),
        boot: Some("boot-1".into()),
        refs_known: true,
        timetable: Arc::new(Timetable { read_at: Some(sha(1)), lines: vec![cron_line()] }),
    }
}

fn cron_line() -> CronLine {
    CronLine { cron: "*/5 * * * *".into(), timezone: "Europe/Berlin".into(), actor: user(7), from: at(5) }
}

fn config_read(file: Option<(&str, &str)>) -> ConfigStanding {
    let config = match file {
        None => Ok(Arc::default()),
        Some((path, text)) => config::decode(path, text).map(Arc::new),
    };
    ConfigStanding::Read { sha: sha(1), file: file.map(|(path, text)| (path.into(), text.into())), config }
}

fn last_right(path: &str, text: &str) -> LastRight {
    let config = config::decode(path, text).map(Arc::new).expect("it is right");
    LastRight { file: (path.into(), text.into()), config }
}

pub fn snapshot(number: u64, standing: PullStanding) -> PullSnapshot {
    PullSnapshot {
        number: PullNumber(number),
        title: "Fix the spoon".into(),
        standing,
        draft: number.is_multiple_of(2),
        head_sha: sha(2),
        head_ref: "spoon".into(),
        head_repo: (number > 1).then_some(RepoId(5)),
        base_ref: RefName::branch("main"),
        base_sha: sha(3),
        author: user(8),
        updated_at: at(0),
        head_pushed_at: (number > 2).then(|| at(-5)),
    }
}

pub fn pulls() -> Vec<Pull> {
    let blank = |number, standing| Pull::new(snapshot(number, standing), event(None), at(1));
    let comment = Comment {
        id: CommentId(99),
        pull: PullNumber(1),
        author: user(9),
        body: "/merge\nplease".into(),
        created_at: at(4),
    };
    let verdicts = [Verdict::Approved, Verdict::ChangesRequested, Verdict::Commented, Verdict::Dismissed];
    let reviews = verdicts.into_iter().zip(1..).map(|(verdict, id)| {
        let commit = (id != 2).then_some(sha(2));
        (ReviewId(id), Review { id: ReviewId(id), user: user(id), verdict, commit })
    });
    let full = Pull {
        reread: true,
        event: event(Some("synchronize")),
        reviews: reviews.collect(),
        merge_asked: Some(MergeAsked { head_sha: sha(2), by: UserId(9) }),
        approved_heads: BTreeMap::from([(sha(2), UserId(9)), (sha(4), UserId(10))]),
        commands: vec![
            PendingCommand { comment: comment.clone(), head_read: false },
            PendingCommand { comment, head_read: true },
        ],
        comments_seen: BTreeSet::from([CommentId(98), CommentId(99)]),
        merge: MergeStanding::Refused { head_sha: sha(2), reason: "it conflicts".into() },
        note: Note {
            wanted: Some("waits".into()),
            accepted: Some("waited".into()),
            id: Some(CommentId(100)),
            given_up: Some("forbidden".into()),
        },
        ..blank(1, PullStanding::Open)
    };
    let landed = Pull {
        merge: MergeStanding::Landed { tested_tree: sha(5), landed_tree: Some(sha(6)) },
        ..blank(3, PullStanding::Merged { commit: Some(sha(7)) })
    };
    vec![full, blank(2, PullStanding::Closed), landed, blank(4, PullStanding::Merged { commit: None })]
}

pub fn branches() -> Vec<Branch> {
    let phases = [
        MergePhase::Reading { not_before: at(9) },
        MergePhase::Retesting { attempt: 2 },
        MergePhase::Calling { tree: sha(1), base_sha: sha(2), method: MergeMethod::Squash },
    ];
    let merging = |phase| Merging {
        pull: PullNumber(1),
        head_sha: sha(2),
        phase,
        not_yet_since: Some(at(2)),
        called: Some(sha(3)),
    };
    let mut branches: Vec<Branch> = phases
        .into_iter()
        .zip(1..)
        .map(|(phase, number)| Branch {
            name: RefName::branch(&format!("b{number}")),
            tip: sha(number),
            pushed_at: at(3),
            merging: Some(merging(phase)),
            halted: Some("the landed tree differs".into()),
            rules: Some(BranchRules { required: vec![Context::from("other / check")], approvals: 2 }),
        })
        .collect();
    branches.push(Branch {
        name: RefName::from("refs/tags/v1"),
        tip: Sha::ZERO,
        pushed_at: at(0),
        merging: None,
        halted: None,
        rules: None,
    });
    branches
}

pub fn suite_key(digit: u8, subject: Subject) -> SuiteKey {
    SuiteKey { head_sha: sha(digit), event: "pull_request".into(), subject }
}

pub fn suites() -> Vec<Suite> {
    let subjects = [
        Subject::Pull(PullNumber(3), RefName::branch("main")),
        Subject::PullAction(PullNumber(3), "labeled".into(), at(0)),
        Subject::Ref(RefName::from("refs/tags/v1")),
        Subject::Deployment(DeploymentId(42)),
        Subject::Other("4711 created".into()),
        Subject::Other("o".repeat(600).into()),
    ];
    let planned = Planned {
        sha: sha(3),
        tree: sha(4),
        base_sha: Some(sha(5)),
        nothing: Some("no workflow is for this".into()),
        config_problem: Some(".greenlight.yml:3: unknown key".into()),
        config_findings: Some("3 | x\n  | ^\n".into()),
    };
    let phases = [
        SuitePhase::Reading { trouble: None },
        SuitePhase::Reading { trouble: Some("the mirror is being made".into()) },
        SuitePhase::Planned(planned.clone()),
        SuitePhase::Planned(Planned {
            base_sha: None,
            nothing: None,
            config_problem: None,
            config_findings: None,
            ..planned
        }),
        SuitePhase::Stopped { conclusion: Conclusion::Failure, reason: "conflicts with main".into() },
        SuitePhase::Stopped { conclusion: Conclusion::Lost, reason: "".into() },
    ];
    let trusts = [Trust::Asking, Trust::Trusted, Trust::Untrusted].into_iter().cycle();
    let parts = subjects.into_iter().zip(phases).zip(trusts).zip(1..);
    parts
        .map(|(((subject, phase), trust), number)| Suite {
            key: suite_key(9, subject),
            attempt: number,
            turns: number + 1,
            event: event(Some("opened")),
            git_ref: RefName::from("refs/pull/3/merge"),
            before: (number > 2).then_some(sha(1)),
            trust,
            author: (number > 1).then(|| user(3)),
            approval: (number > 3).then(|| Approval { attempt: 1, head_sha: sha(2), by: UserId(4) }),
            phase,
            runs: vec![RunNumber(1), RunNumber(2)],
            requested_at: at(0),
            decides: (number > 4).then(|| "deploy.yml".into()),
            given: (number > 4).then(|| ("shell".into(), "on: deployment\n".repeat(100).into())),
        })
        .collect()
}

pub const CONCLUSIONS: [Conclusion; 6] = [
    Conclusion::Success,
    Conclusion::Skipped,
    Conclusion::Failure,
    Conclusion::Cancelled,
    Conclusion::TimedOut,
    Conclusion::Lost,
];

pub fn lease(started_at: Option<Timestamp>) -> Lease {
    Lease {
        runner: "built-in".into(),
        boot: started_at.map(|_| "boot-1".into()),
        token: Token(5),
        length: Duration::from_millis(30_500),
        until: at(60),
        since: at(30),
        started_at,
    }
}

pub fn job(key: &str, state: JobState) -> Job {
    Job {
        key: JobKey::from(key),
        caller: None,
        job_id: "test".into(),
        call: None,
        turn: None,
        name: key.into(),
        context: Context::from(format!("greenlight / CI / {key}")),
        matrix: Value::Null,
        leg: (1, 2),
        expanded: true,
        needs: vec!["build".into()],
        labels: ["self-hosted".into(), "linux".into()].into(),
        timeout: Duration::from_secs(21_600),
        continue_on_error: false,
        fail_fast: true,
        max_parallel: None,
        state,
        attempt: 1,
        tried: 1,
        cancelled: None,
        outputs: vec![("image".into(), "app:1".into())],
        environment_url: None,
    }
}

fn concurrency() -> Concurrency {
    Concurrency { group: "main".into(), cancel_in_progress: true, queue: ConcurrencyQueue::Max }
}

fn values() -> Vec<Value> {
    vec![
        Value::Null,
        Value::from(true),
        Value::from(0.1),
        Value::from(-0.0),
        Value::from(f64::INFINITY),
        Value::from(f64::MIN_POSITIVE),
        Value::from("text"),
        Value::from("long ".repeat(300)),
        Value::array([Value::from(1.0), Value::Null]),
        Value::object([("number", Value::from("1")), ("Text", Value::from(2.0)), ("object", Value::array([]))]),
    ]
}

/// A run in the state that its jobs make of it.
pub fn run(number: u64, attempt: u32, jobs: Vec<Job>, state: RunState) -> Run {
    Run {
        number: RunNumber(number),
        suite: suite_key(9, Subject::Pull(PullNumber(3), RefName::branch("main"))),
        attempt,
        workflow: ".github/workflows/ci.yml".into(),
        name: "CI".into(),
        run_number: 17,
        source: "on: pull_request\njobs:\n".repeat(60).into(),
        called: vec![("./.github/workflows/called.yml".into(), "on: workflow_call\njobs:\n".repeat(60).into())],
        elsewhere: vec![
            ("acme/shared/.github/workflows/x.yml@v1".into(), Looked::At(sha(4))),
            ("acme/shared/.github/workflows/y.yml@v1".into(), Looked::Missing("it is not there".into())),
        ],
        sha: sha(8),
        jobs,
        state,
        reason: "it runs".into(),
        cancelled: None,
        concurrency: None,
        created_at: at(0),
        deployment: None,
        problem: None,
    }
}

pub fn runs() -> Vec<Run> {
    let mut jobs = vec![
        job("waiting", JobState::Waiting),
        job("queued", JobState::Queued { since: at(1) }),
        job("leased", JobState::Leased(lease(None))),
        job("running", JobState::Leased(lease(Some(at(2))))),
    ];
    for (conclusion, number) in CONCLUSIONS.into_iter().zip(1..) {
        let started_at = (number > 1).then(|| at(number));
        let state = JobState::Completed { conclusion, at: at(number), reason: "it ended".into(), started_at };
        jobs.push(job(&format!("over {number}"), state));
    }
    jobs.extend(values().into_iter().zip(0..).map(|(matrix, number)| Job {
        call: Some(Call { file: "./called.yml".into(), inputs: (!matrix.is_null()).then(|| matrix.clone()) }),
        caller: Some(JobKey::from("caller")),
        turn: Some(Turn { concurrency: concurrency(), since: at(9) }),
        matrix,
        max_parallel: Some(3),
        expanded: false,
        cancelled: Some("superseded".into()),
        environment_url: Some("https://staging.example.com/".into()),
        ..job(&format!("leg {number}"), JobState::Waiting)
    }));
    let mut runs = vec![Run {
        cancelled: Some("by mona".into()),
        concurrency: Some(concurrency()),
        deployment: Some(DeploymentId(42)),
        problem: Some("ci.yml:3:5: unknown key\n  |\n3 |   job:\n".into()),
        ..run(1, 1, jobs, RunState::Active)
    }];
    runs.extend(
        CONCLUSIONS
            .into_iter()
            .zip(2..)
            .map(|(conclusion, number)| run(number, 2, Vec::new(), RunState::Completed { conclusion, at: at(9) })),
    );
    runs
}

fn shown(state: ReportState, link: Option<Link>, form: ReportForm) -> ShownReport {
    ShownReport { state, description: "2 of 3 jobs".into(), link, summary: Some("# Summary".into()), form }
}

fn reports() -> Vec<Report> {
    let states = [
        ReportState::Pending,
        ReportState::Running,
        ReportState::Success,
        ReportState::Skipped,
        ReportState::Failure,
        ReportState::Cancelled,
        ReportState::Error,
    ];
    let links = [
        None,
        Some(Link::Run(RunNumber(1))),
        Some(Link::Job(RunNumber(1), "test (1, x)".into())),
        Some(Link::Environments),
    ];
    let parts = states.into_iter().zip(links.into_iter().cycle()).zip(1..);
    parts
        .map(|((state, link), number)| Report {
            sha: sha(number),
            context: Context::from("greenlight / CI / test (pull_request)"),
            wanted: shown(state, link.clone(), ReportForm::Status),
            rank: u64::from(number) << 32,
            accepted: (number > 2).then(|| shown(state, link, ReportForm::CheckRun)),
            check_run: (number > 2).then_some(77),
            writes: 3,
            compare_at: (number > 3).then(|| at(600)),
            given_up: (number > 4).then(|| "the limit".into()),
        })
        .collect()
}

fn effects() -> Vec<Effect> {
    let pull = PullNumber(3);
    let context = Context::from("greenlight");
    vec![
        Effect::PrepareMerge { pull, head_sha: sha(1), base_ref: RefName::branch("main") },
        Effect::ReadCommit { sha: sha(1), git_ref: Some(RefName::branch("main")), before: Some(sha(2)) },
        Effect::ReadCommit { sha: sha(1), git_ref: None, before: None },
        Effect::ReadPermission(user(3)),
        Effect::ReadPull(pull),
        Effect::Reconcile { known_open: vec![pull], since: at(0), pulls_since: Some(at(-2)) },
        Effect::Reconcile { known_open: Vec::new(), since: at(0), pulls_since: None },
        Effect::Show {
            sha: sha(1),
            context,
            report: shown(ReportState::Success, None, ReportForm::CheckRun),
            check_run: Some(3),
        },
        Effect::Comment { pull, mark: "note".into(), body: "waits".into(), id: Some(CommentId(1)) },
        Effect::Merge { pull, head_sha: sha(1), base_ref: RefName::branch("main"), method: MergeMethod::Merge },
        Effect::Merge { pull, head_sha: sha(1), base_ref: RefName::branch("main"), method: MergeMethod::Rebase },
        Effect::CreateDeployment {
            sha: sha(1),
            environment: EnvironmentName::from("production"),
            description: "#3".into(),
            production: true,
        },
        Effect::ShowDeployment {
            id: DeploymentId(1),
            shown: ShownDeployment {
                state: DeploymentState::Success,
                description: "live".into(),
                log: Some(Link::Environments),
                environment_url: None,
            },
        },
        Effect::Tell { room: "ops".into(), message: "deployed".into() },
    ]
}

fn items() -> Vec<Item> {
    let classes = [
        Class::Read,
        Class::AggregateEnd,
        Class::Deployment,
        Class::Merge,
        Class::AggregatePending,
        Class::JobEnd,
        Class::Pending,
        Class::Comment,
    ];
    let states = [ItemState::Ready { not_before: at(1) }, ItemState::InFlight { since: at(2) }];
    let parts = effects().into_iter().zip(classes.into_iter().cycle()).zip(states.into_iter().cycle()).zip(1..);
    parts
        .map(|(((effect, class), state), number)| Item {
            key: format!("effect/{number}").into(),
            lane: format!("{} {number}", effect.name()).into(),
            place: number,
            class,
            effect,
            tried: 2,
            confirm: number.is_multiple_of(2),
            state,
            after_success: (number > 3).then(|| (sha(1), Context::from("greenlight"))),
            trouble: (number > 4).then(|| "502 Bad Gateway".into()),
        })
        .collect()
}

/// Everything, with no key twice.
pub fn entities() -> Vec<Entity> {
    let mut all = vec![Entity::Meta(meta())];
    let permissions =
        [None, Some(Permission::None), Some(Permission::Read), Some(Permission::Write), Some(Permission::Admin)];
    all.extend(permissions.into_iter().zip(1..).map(|(permission, id)| {
        Entity::Person(Arc::new(Person {
            user: user(id),
            permission,
            read_at: at(0),
            asked_at: Some(Timestamp::from_millis(7)),
            trouble: (id > 2).then(|| "GitHub is away".into()),
        }))
    }));
    let verdicts = [Verdicts::Pending, Verdicts::Success, Verdicts::NotSuccess];
    all.extend(
        verdicts
            .into_iter()
            .zip(1..)
            .map(|(verdict, digit)| Entity::Verdict(sha(digit), Context::from("other"), verdict)),
    );
    all.extend(branches().into_iter().map(Arc::new).map(Entity::Branch));
    all.extend(pulls().into_iter().map(Arc::new).map(Entity::Pull));
    all.extend(suites().into_iter().map(Arc::new).map(Entity::Suite));
    all.extend(runs().into_iter().map(Arc::new).map(Entity::Run));
    all.extend(reports().into_iter().map(Arc::new).map(Entity::Report));
    all.push(Entity::Proof(Proof { tree: sha(1), tested_at: sha(2) }));
    all.extend(environments().into_iter().map(Arc::new).map(Entity::Environment));
    all.extend(wishes().into_iter().map(Arc::new).map(Entity::Wish));
    all.extend(deployments().into_iter().map(Arc::new).map(Entity::Deployment));
    all.extend(items().into_iter().map(Arc::new).map(Entity::Item));
    all
}

/// The other ways in which the first entity may stand.
pub fn metas() -> Vec<Entity> {
    let standings = [
        config_read(None),
        config_read(Some((".greenlight.yml", "merge:\n  when: green\n"))),
        config_read(Some((".greenlight.yml", "mergee: {}\n"))),
    ];
    let mut metas: Vec<Entity> = standings.into_iter().map(|config| Entity::Meta(Meta { config, ..meta() })).collect();
    metas.push(Entity::Meta(Meta {
        config: config_read(Some((".greenlight.yml", "mergee: {}\n"))),
        last_right: Some(Arc::new(last_right(".greenlight.yml", "merge:\n  when: green\n"))),
        ..meta()
    }));
    metas.push(Entity::Meta(Meta { boot: None, reconciled_at: None, pulls_seen: None, refs_known: false, ..meta() }));
    metas
}
