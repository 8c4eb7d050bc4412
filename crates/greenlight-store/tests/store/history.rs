//! What pages read.

use greenlight_core::deployment::WishState;
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::id::{AttemptId, DeploymentId, EnvironmentName, JobKey, PullNumber, RepoId, RunNumber};
use greenlight_core::port::{Audit, Commit, Disposition, Store};
use greenlight_core::run::{Conclusion, Job, JobState, RunState};
use greenlight_store::{DeliveryState, RunQuery, StepRecord, StepState};

use crate::{commit, database, delivery, made};

#[tokio::test]
async fn a_run_is_shown_with_its_attempts_jobs_and_steps() {
    let (_directory, database) = database().await;
    let repo = made::repository().id;
    let queued = made::job("test", JobState::Queued { since: made::at(1) });
    database
        .commit(&commit(
            0,
            vec![Entity::Meta(made::meta()), Entity::Run(made::run(1, 1, vec![queued], RunState::Active).into())],
        ))
        .await
        .unwrap();
    let running = made::job("test", JobState::Leased(made::lease(Some(made::at(2)))));
    database
        .commit(&commit(1, vec![Entity::Run(made::run(1, 1, vec![running], RunState::Active).into())]))
        .await
        .unwrap();
    let attempt = AttemptId { repo, run: RunNumber(1), run_attempt: 1, job: JobKey::from("test"), tried: 1 };
    let step = |index, state| StepRecord { index, name: format!("step {index}").into(), state };
    let running = StepState::Running { started_at: made::at(2) };
    database.record_steps(&attempt, &[step(0, running), step(1, StepState::Waiting)]).await.unwrap();
    let over = StepState::Completed {
        outcome: Conclusion::Failure,
        conclusion: Conclusion::Success,
        started_at: None,
        at: made::at(3),
    };
    database.record_steps(&attempt, &[step(0, over)]).await.unwrap();

    // The runner is lost: the job is tried again, and its first try is shown as lost.
    let again = Job { tried: 2, ..made::job("test", JobState::Queued { since: made::at(5) }) };
    database
        .commit(&commit(2, vec![Entity::Run(made::run(1, 1, vec![again], RunState::Active).into())]))
        .await
        .unwrap();
    let state = JobState::Completed {
        conclusion: Conclusion::Success,
        at: made::at(9),
        reason: "all steps succeeded".into(),
        started_at: Some(made::at(6)),
    };
    let over = Job { tried: 2, ..made::job("test", state) };
    let ended = RunState::Completed { conclusion: Conclusion::Success, at: made::at(9) };
    database.commit(&commit(3, vec![Entity::Run(made::run(1, 1, vec![over], ended).into())])).await.unwrap();
    // And run again by a person; then its entity goes, and its history stays.
    let rerun = made::run(1, 2, vec![made::job("test", JobState::Waiting)], RunState::Active);
    database.commit(&commit(4, vec![Entity::Run(rerun.into())])).await.unwrap();
    let mut step = commit(5, Vec::new());
    step.changes = vec![(EntityKey::Run(RunNumber(1)), None)];
    database.commit(&step).await.unwrap();

    let history = database.history();
    let detail = history.run(repo, RunNumber(1)).await.unwrap().unwrap();
    let attempts: Vec<_> = detail.attempts.iter().map(|(run, _)| (run.attempt, run.conclusion)).collect();
    assert_eq!(attempts, [(2, None), (1, Some(Conclusion::Success))]);
    let (run, jobs) = &detail.attempts[1];
    assert_eq!((run.subject.as_str(), run.pull, run.completed_at), ("#3", Some(PullNumber(3)), Some(made::at(9))));
    assert_eq!(run.repository.as_deref(), Some("octocat/Spoon-Knife"));
    let [first, second] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((first.conclusion, first.runner.as_deref()), (Some(Conclusion::Lost), Some("built-in")));
    assert_eq!(
        (first.queued_at, first.started_at, first.completed_at),
        (Some(made::at(1)), Some(made::at(2)), Some(made::at(5)))
    );
    assert_eq!(
        (second.conclusion, second.queued_at, second.started_at),
        (Some(Conclusion::Success), Some(made::at(5)), Some(made::at(6)))
    );
    assert_eq!(first.attempt, attempt);
    let [one, two] = first.steps.as_slice() else { panic!("{:?}", first.steps) };
    assert_eq!(
        (one.outcome, one.conclusion, one.started_at, one.completed_at),
        (Some(Conclusion::Failure), Some(Conclusion::Success), Some(made::at(2)), Some(made::at(3)))
    );
    assert_eq!((two.state.as_str(), two.conclusion), ("waiting", None));
    assert!(second.steps.is_empty());

    let listed = history.runs(&RunQuery { repo: Some(repo), limit: 10, ..RunQuery::default() }).await.unwrap();
    assert_eq!(listed.iter().map(|run| (run.number, run.attempt)).collect::<Vec<_>>(), [(RunNumber(1), 2)]);
    assert_eq!(history.counters().await.unwrap().runs_active, 1);
    assert_eq!(history.run(repo, RunNumber(2)).await.unwrap(), None);
}

#[tokio::test]
async fn runs_are_listed_page_by_page() {
    let (_directory, database) = database().await;
    for repo in 1..=2 {
        let runs =
            (1..=30).map(|number| Entity::Run(made::run(number, 1, Vec::new(), RunState::Active).into())).collect();
        database.commit(&Commit { repo: RepoId(repo), ..commit(0, runs) }).await.unwrap();
    }
    let history = database.history();
    let mut query = RunQuery { repo: Some(RepoId(1)), limit: 12, ..RunQuery::default() };
    let mut numbers = Vec::new();
    loop {
        let page = history.runs(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some(last.seq);
        numbers.extend(page.iter().map(|run| run.number.0));
    }
    assert_eq!(numbers, (1..=30).rev().collect::<Vec<_>>());
    let all = history.runs(&RunQuery { limit: 500, ..RunQuery::default() }).await.unwrap();
    assert_eq!(all.len(), 60);
    let by_sha = RunQuery { head_sha: Some(made::sha(9)), limit: 100, ..RunQuery::default() };
    assert_eq!(history.runs(&by_sha).await.unwrap().len(), 60);
    let one = RunQuery { repo: Some(RepoId(2)), ..by_sha.clone() };
    assert_eq!(history.runs(&one).await.unwrap().len(), 30);
    let none = RunQuery { head_sha: Some(made::sha(1)), ..by_sha };
    assert!(history.runs(&none).await.unwrap().is_empty());
    assert_eq!(history.pull_runs(RepoId(1), PullNumber(3), 5).await.unwrap().len(), 5);
}

#[tokio::test]
async fn everything_that_state_can_be_is_accepted_by_the_tables() {
    let (_directory, database) = database().await;
    database.commit(&commit(0, made::entities())).await.unwrap();
    let history = database.history();
    let repo = made::repository().id;
    for run in made::runs() {
        let detail = history.run(repo, run.number).await.unwrap().unwrap();
        assert_eq!(detail.attempts[0].0.conclusion, run.conclusion());
        assert_eq!(detail.attempts[0].0.problem.as_deref(), run.problem.as_deref());
        assert_eq!(detail.attempts[0].1.len(), run.jobs.len());
    }
    let environments = history.environments(repo, 50).await.unwrap();
    let staging = environments.iter().find(|row| row.name == EnvironmentName::from("staging")).unwrap();
    assert_eq!(staging.lock, Some((DeploymentId(1), made::at(3))));
    assert_eq!(staging.deployments.len(), made::deployments().len());
    assert_eq!(staging.deployments[0].id, DeploymentId(7));
    assert_eq!(
        staging.wishes.iter().map(|wish| wish.state.as_str()).collect::<Vec<_>>(),
        ["waiting", "creating", "created"]
    );
    let production = environments.iter().find(|row| row.name == EnvironmentName::from("production")).unwrap();
    assert_eq!(production.live, Some((DeploymentId(2), made::sha(4))));
    assert_eq!(production.lock_kept.as_deref(), Some("outcome unknown"));

    let mut step = commit(1, vec![Entity::Wish(made::wish("staging", 2, WishState::Created(DeploymentId(3))).into())]);
    step.changes.push((EntityKey::Wish("staging".into(), made::sha(1)), None));
    step.changes.push((EntityKey::Environment("review/a b".into()), None));
    database.commit(&step).await.unwrap();
    let environments = history.environments(repo, 1).await.unwrap();
    assert_eq!(environments.len(), 2);
    let staging = environments.iter().find(|row| row.name == EnvironmentName::from("staging")).unwrap();
    assert_eq!(
        staging.wishes.iter().map(|wish| wish.deployment).collect::<Vec<_>>(),
        [Some(DeploymentId(3)), Some(DeploymentId(1))]
    );
    assert_eq!(staging.deployments.len(), 1);
}

#[tokio::test]
async fn deliveries_are_listed_with_what_became_of_them() {
    let (_directory, database) = database().await;
    for id in ["a", "b", "c", "d"] {
        database.receive(&delivery(id, format!("{{\"id\":\"{id}\"}}").as_bytes())).await.unwrap();
    }
    database.receive(&delivery("a", b"another")).await.unwrap();
    let places: Vec<u64> = database.waiting(0, 10).await.unwrap().iter().map(|waiting| waiting.place).collect();
    database.dispose(places[1], Disposition::Ignored { reason: "no use".into() }).await.unwrap();
    database.dispose(places[2], Disposition::Unreadable { reason: "no JSON".into() }).await.unwrap();
    let mut step = commit(0, vec![Entity::Meta(made::meta())]);
    step.deliveries = vec![(places[0], Disposition::Applied)];
    step.audit = vec![
        Audit { about: "run 1".into(), text: "it began".into() },
        Audit { about: "#3".into(), text: "it was seen".into() },
        Audit { about: "run 1".into(), text: "it ended".into() },
    ];
    database.commit(&step).await.unwrap();

    let history = database.history();
    let rows = history.deliveries(None, 10).await.unwrap();
    let states: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.state, row.reason.as_deref())).collect();
    assert_eq!(
        states,
        [
            ("d", DeliveryState::New, None),
            ("c", DeliveryState::Unreadable, Some("no JSON")),
            ("b", DeliveryState::Ignored, Some("no use")),
            ("a", DeliveryState::Applied, None),
        ]
    );
    assert_eq!(rows[3].repo, Some(made::repository().id));
    let older = history.deliveries(Some(rows[1].place), 1).await.unwrap();
    assert_eq!(older, rows[2..3]);
    let one = history.delivery("c").await.unwrap().unwrap();
    assert_eq!(
        (one.body.as_slice(), one.row.size, one.row.hook.as_deref()),
        (&b"{\"id\":\"c\"}"[..], 10, Some("4711"))
    );
    assert_eq!(history.delivery("nobody").await.unwrap(), None);
    let quarantined = history.quarantined(10).await.unwrap();
    assert_eq!(
        quarantined.iter().map(|row| (row.id.as_str(), row.state)).collect::<Vec<_>>(),
        [("a", DeliveryState::Quarantined)]
    );

    let counters = history.counters().await.unwrap();
    assert_eq!((counters.deliveries_waiting, counters.oldest_waiting, counters.quarantined), (1, Some(made::at(0)), 1));
    assert_eq!(counters.oldest_waiting_age(made::at(60)), Some(std::time::Duration::from_secs(60)));
    let lines = history.audit(made::repository().id, Some("run 1"), 10).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["it ended", "it began"]);
    assert_eq!(history.audit(made::repository().id, None, 10).await.unwrap().len(), 3);
}
