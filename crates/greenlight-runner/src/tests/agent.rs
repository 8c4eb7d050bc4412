//! Slots, leases and reports, against a server that forgets, refuses and cancels.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlight_core::effect::{JobOrder, JobReport, Reply as Answer};
use greenlight_core::fact::LeaseAsked;
use greenlight_core::id::{AttemptId, Token};
use greenlight_core::port::Reply;
use greenlight_core::run::Conclusion;

use super::{Place, order, workflow};
use crate::agent::{Answered, LEASE_LENGTH, Pool, PoolOptions, SILENCE_MAX, Server, Terms};
use crate::host::JobHost;
use crate::job::RunnerOptions;

#[derive(Default)]
struct Fake {
    orders: Mutex<VecDeque<JobOrder>>,
    asked: Mutex<Vec<LeaseAsked>>,
    reports: Mutex<Vec<(AttemptId, Token, JobReport)>>,
    answers: Mutex<VecDeque<Result<Answer, String>>>,
    /// How often nobody was there to hear a report; nothing where somebody is.
    silence: Mutex<Option<u32>>,
    terms: Option<Terms>,
    place: Arc<Place>,
}

impl Server for Fake {
    fn ask(&self, asked: LeaseAsked) -> Reply<'_, Result<Option<JobOrder>, String>> {
        self.asked.lock().unwrap().push(asked);
        let order = self.orders.lock().unwrap().pop_front();
        Box::pin(async move {
            match order {
                Some(order) => Ok(Some(order)),
                None => std::future::pending().await,
            }
        })
    }

    fn report<'a>(&'a self, attempt: &'a AttemptId, token: Token, report: JobReport) -> Answered<'a> {
        if let Some(unheard) = &mut *self.silence.lock().unwrap() {
            *unheard += 1;
            return Box::pin(async { Err("connection refused".to_owned()) });
        }
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Answer::Heard { cancelled: false }));
        if answer.is_ok() {
            self.reports.lock().unwrap().push((attempt.clone(), token, report));
        }
        Box::pin(async move { answer })
    }

    fn host(&self, _: &JobOrder) -> Arc<dyn JobHost> {
        self.place.clone()
    }

    fn terms(&self, _: &JobOrder) -> Terms {
        self.terms.unwrap_or(Terms::strict(LEASE_LENGTH))
    }
}

impl Fake {
    fn new(steps: &[&str], answers: impl IntoIterator<Item = Result<Answer, String>>) -> Arc<Self> {
        let orders = steps.iter().map(|steps| order(&workflow(steps))).collect();
        Arc::new(Self {
            orders: Mutex::new(orders),
            answers: Mutex::new(answers.into_iter().collect()),
            ..Self::default()
        })
    }

    fn with_terms(steps: &[&str], terms: Terms) -> Arc<Self> {
        let mut server = Self::new(steps, []);
        Arc::get_mut(&mut server).expect("nobody else has it yet").terms = Some(terms);
        server
    }

    fn unheard(&self) -> u32 {
        self.silence.lock().unwrap().unwrap_or_default()
    }

    fn ends(&self) -> Vec<Conclusion> {
        let reports = self.reports.lock().unwrap();
        let ends = reports.iter().filter_map(|(_, _, report)| match report {
            JobReport::Ended(end) => Some(end.conclusion),
            _ => None,
        });
        ends.collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: {:?}\n{}", self.reports.lock().unwrap(), self.place.whole());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn pool(folder: &Path, slots: usize) -> Arc<Pool> {
    let labels = Arc::from(vec![Arc::from("ubuntu-latest")]);
    let runner = RunnerOptions::new(folder, "built-in");
    Arc::new(Pool::new(PoolOptions { slots, labels, boot: Some("boot-1".into()), runner }).unwrap())
}

#[tokio::test]
async fn jobs_are_asked_for_done_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let server = Fake::new(&["- run: exit 0", "- run: exit 1", "- run: exit 0"], []);
    let pool = pool(folder.path(), 2);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("three ends", |server| server.ends().len() == 3).await;
    assert_eq!(server.ends().iter().filter(|end| **end == Conclusion::Success).count(), 2);
    server.until("all slots ask again", |server| server.asked.lock().unwrap().len() == 5).await;
    pool.close();
    serving.await.unwrap();
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[0].boot.as_deref(), Some("boot-1"));
    assert_ne!(asked[0].runner, asked[1].runner);
    assert!(pool.running().is_empty());
}

#[tokio::test]
async fn what_was_not_heard_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let deaf = (0..3).map(|_| Err("database is locked".to_owned()));
    let server = Fake::new(&["- run: exit 0"], deaf);
    let pool = pool(folder.path(), 1);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("the end is heard", |server| server.ends().len() == 1).await;
    pool.close();
    serving.await.unwrap();
    let reports = server.reports.lock().unwrap();
    assert!(matches!(reports[0].2, JobReport::Started) && matches!(reports[1].2, JobReport::Ended(_)), "{reports:?}");
    assert!(reports.iter().all(|(_, token, _)| *token == Token(3)));
}

#[tokio::test]
async fn an_answer_cancels_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let server = Fake::new(&["- run: sleep 7780"], [Ok(Answer::Heard { cancelled: true })]);
    let pool = pool(folder.path(), 1);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("the end is heard", |server| server.ends() == [Conclusion::Cancelled]).await;
    pool.close();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_push_cancels_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let server = Fake::new(&["- run: |\n    echo ready\n    sleep 7781"], []);
    let pool = pool(folder.path(), 1);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("the job runs", |server| server.place.whole().contains("\nready\n")).await;
    pool.cancel(&order("").attempt, "superseded by b2");
    server.until("the end is heard", |server| server.ends() == [Conclusion::Cancelled]).await;
    pool.close();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_job_that_is_not_ours_any_more_is_not_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let server = Fake::new(&["- run: sleep 7782"], [Ok(Answer::NotYours)]);
    let pool = pool(folder.path(), 1);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("the slot asks again", |server| server.asked.lock().unwrap().len() == 2).await;
    assert_eq!(server.ends(), []);
    pool.close();
    serving.await.unwrap();
}

/// A lease so short that a heartbeat comes every ten milliseconds.
const SHORT: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_job_outlives_its_lease_while_the_server_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let step =
        format!("- run: |\n    echo ready\n    until test -e {}; do sleep 0.01; done\n    echo done", go.display());
    let server = Fake::with_terms(&[&step], Terms { lease: SHORT, silence_max: SILENCE_MAX });
    let pool = pool(folder.path(), 1);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("the job runs", |server| server.place.whole().contains("\nready\n")).await;
    let away_since = Instant::now();
    *server.silence.lock().unwrap() = Some(0);
    server.until("its lease is over", |server| server.unheard() > 12 && away_since.elapsed() > SHORT * 2).await;
    // It ends while nobody hears of it, too.
    std::fs::write(&go, "").unwrap();
    server.until("the job is over", |server| server.place.whole().contains("\ndone\n")).await;
    let unheard = server.unheard();
    server.until("its end was told in vain", |server| server.unheard() > unheard + 3).await;
    *server.silence.lock().unwrap() = None;
    server.until("the end is heard", |server| server.ends() == [Conclusion::Success]).await;
    pool.close();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_job_that_nobody_may_run_beside_ends_with_its_lease() {
    let folder = tempfile::tempdir().unwrap();
    let server = Fake::with_terms(&["- run: |\n    echo ready\n    sleep 7783"], Terms::strict(SHORT * 5));
    let pool = pool(folder.path(), 1);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("the job runs", |server| server.place.whole().contains("\nready\n")).await;
    *server.silence.lock().unwrap() = Some(0);
    server.until("the slot asks again", |server| server.asked.lock().unwrap().len() == 2).await;
    assert_eq!(server.ends(), []);
    pool.close();
    serving.await.unwrap();
}

#[test]
fn only_what_may_run_twice_goes_on_unheard() {
    let mut order = order(&workflow(""));
    assert_eq!(Terms::patient(SHORT, &order).silence_max, SILENCE_MAX);
    order.env.push(("DEPLOYMENT_ID".into(), "7".into()));
    assert_eq!(Terms::patient(SHORT, &order), Terms::strict(SHORT));
}

#[tokio::test]
async fn a_pool_that_closes_does_not_wait_for_a_server_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let server = Fake::with_terms(&["- run: echo ready"], Terms { lease: SHORT, silence_max: SILENCE_MAX });
    *server.silence.lock().unwrap() = Some(0);
    let pool = pool(folder.path(), 1);
    let serving = tokio::spawn({
        let (pool, server) = (pool.clone(), server.clone());
        async move { pool.serve(server).await }
    });
    server.until("the job ran", |server| server.place.whole().contains("\nready\n") && server.unheard() > 5).await;
    pool.close();
    tokio::time::timeout(Duration::from_secs(20), serving).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn one_job_is_done_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let server = Fake::new(&["- run: exit 3", "- run: exit 0"], []);
    let done = pool(folder.path(), 1).serve_one(server.clone()).await.unwrap();
    assert_eq!((done.end.conclusion, done.is_told), (Conclusion::Failure, true), "{done:?}");
    assert_eq!(server.ends(), [Conclusion::Failure]);
    assert_eq!(server.orders.lock().unwrap().len(), 1, "the other job is left to others");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is gone");
    let pool = pool(folder.path(), 1);
    pool.close();
    assert_eq!(pool.serve_one(Fake::new(&[], [])).await, None);
}
