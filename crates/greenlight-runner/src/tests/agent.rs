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
use crate::agent::{Pool, PoolOptions, Server};
use crate::host::JobHost;
use crate::job::RunnerOptions;

#[derive(Default)]
struct Fake {
    orders: Mutex<VecDeque<JobOrder>>,
    asked: Mutex<Vec<LeaseAsked>>,
    reports: Mutex<Vec<(AttemptId, Token, JobReport)>>,
    answers: Mutex<VecDeque<Result<Answer, String>>>,
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

    fn report<'a>(
        &'a self,
        attempt: &'a AttemptId,
        token: Token,
        report: JobReport,
    ) -> Reply<'a, Result<Answer, String>> {
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Answer::Heard { cancelled: false }));
        if answer.is_ok() {
            self.reports.lock().unwrap().push((attempt.clone(), token, report));
        }
        Box::pin(async move { answer })
    }

    fn host(&self, _: &JobOrder) -> Arc<dyn JobHost> {
        self.place.clone()
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
