//! The line to the server: asks for jobs, tells how they go, sends what they say from their spools.
//!
//! Nothing here gives up while the lease may still be ours: a server that is started again finds its runners where they were. What a
//! job said is sent in order, from the spool, and only when the server has taken all of it is it told of the end (I29, I30).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use greenlight_core::effect::{JobOrder, JobReport, Reply as Answer};
use greenlight_core::fact::LeaseAsked;
use greenlight_core::id::{AttemptId, Token};
use greenlight_core::port::Reply;
use greenlight_runner::agent::LEASE_LENGTH;
use greenlight_runner::wire::message::{About, Checkout, EndShape, Heard, News, Refused, Report, ReportShape, ToStop};
use greenlight_runner::wire::order::Asked;
use greenlight_runner::wire::spool::{self, Entry, Left, read_batch};
use greenlight_runner::wire::{PROTOCOL, PROTOCOL_HEADER};
use greenlight_runner::{ActionPin, ActionSource, Answered, CheckedOut, CheckoutRequest, JobHost, Pool, Server, Terms};
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};

use super::clone;
use super::host::RemoteHost;
use super::key::{self, Key};
use super::spooled::Spooled;
use crate::server::clock;

/// How long the server may take to answer: it keeps a question for a while.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);
/// How often the lease of a job is renewed that an earlier life left, while its spool is sent.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long a clone may take to arrive.
const CLONE_WITHIN: Duration = Duration::from_secs(900);
/// How long it is waited before something is sent again: twice as long each time, up to the second.
const SEND_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long it is waited before the news are asked for again where nobody answered, or a job was told to stop.
const NEWS_AGAIN: Duration = Duration::from_secs(2);
/// How long a job whose lease was lost is waited for to say its last word.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(60);
/// The shortest lease that a server may give: a heartbeat needs its time.
const LEASE_LENGTH_MIN: Duration = Duration::from_millis(500);
/// The most that an answer may have: an order with its payload.
const ANSWER_SIZE_MAX: usize = 64 << 20;

/// Why something could not be said.
enum Silence {
    /// Nobody answered, or not now: say it again.
    Later(String),
    /// The job is not ours (any more).
    NotOurs,
    /// Lines are missing: begin again.
    Again,
    /// It will never be heard.
    Never(String),
    /// The server knows no runner with our key (any more).
    Unknown(String),
}

impl std::fmt::Display for Silence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Later(why) | Self::Never(why) | Self::Unknown(why) => formatter.write_str(why),
            Self::NotOurs => formatter.write_str("the job is not ours any more"),
            Self::Again => formatter.write_str("the server misses lines"),
        }
    }
}

/// The line.
pub struct Link {
    http: reqwest::Client,
    server: String,
    key: String,
    spools: PathBuf,
    number: AtomicU64,
    jobs: Mutex<HashMap<AttemptId, Arc<Spooled>>>,
    changed: Notify,
    actions: Option<Arc<dyn ActionSource>>,
    is_unknown: watch::Sender<bool>,
}

impl Link {
    /// Returns the line of a registered runner.
    pub fn new(key: &Key, spools: PathBuf, actions: Option<Arc<dyn ActionSource>>) -> anyhow::Result<Self> {
        Ok(Self {
            http: key::client(&key.server)?,
            server: key.server.clone(),
            key: key.key.clone(),
            spools,
            // A name is not used again, though the process may have the number of an earlier one.
            number: AtomicU64::new(clock::now().as_millis().unsigned_abs()),
            jobs: Mutex::default(),
            changed: Notify::new(),
            actions,
            is_unknown: watch::Sender::new(false),
        })
    }

    /// Waits until the server says that our key is no runner's any more.
    pub async fn unknown(&self) {
        // It cannot be dropped while it is borrowed.
        let _ = self.is_unknown.subscribe().wait_for(|is_unknown| *is_unknown).await;
    }

    /// Did the server say that our key is no runner's any more?
    pub fn is_unknown(&self) -> bool {
        *self.is_unknown.borrow()
    }

    /// Returns where the files of actions come from.
    pub fn actions(&self) -> Option<Arc<dyn ActionSource>> {
        self.actions.clone()
    }

    /// Tells jobs to stop that the server wants stopped, as soon as it says so.
    pub async fn hear_news(self: Arc<Self>, pool: Arc<Pool>) {
        let mut told: Vec<AttemptId> = Vec::new();
        loop {
            let running: Vec<About> = {
                let jobs = self.jobs();
                told.retain(|attempt| jobs.contains_key(attempt));
                jobs.iter().filter(|(attempt, _)| !told.contains(attempt)).map(|(_, job)| job.about.clone()).collect()
            };
            if running.is_empty() {
                self.changed.notified().await;
                continue;
            }
            let question = News { running };
            let heard = tokio::select! {
                heard = self.post::<_, ToStop>("news", &question) => heard,
                () = self.changed.notified() => continue,
            };
            match heard {
                Ok(to_stop) => {
                    for (attempt, reason) in to_stop.cancelled {
                        let attempt = AttemptId::from(attempt);
                        pool.cancel(&attempt, reason);
                        told.push(attempt);
                    }
                }
                Err(_) => tokio::time::sleep(NEWS_AGAIN).await,
            }
        }
    }

    /// Asks the server for the repository's files.
    pub async fn check_out(&self, about: &About, request: &CheckoutRequest, dest: &Path) -> Result<CheckedOut, String> {
        let why = |error: std::io::Error| format!("{} cannot be used: {error}", dest.display());
        clone::make_room(dest, request.clean).await.map_err(why)?;
        let message = Checkout::new(about.clone(), request);
        let body = serde_json::to_vec(&message).map_err(|error| error.to_string())?;
        let answer = self.send("checkout", body, CLONE_WITHIN).await.map_err(|silence| silence.to_string())?;
        clone::receive(answer, dest).await
    }

    async fn find(self: &Arc<Self>) -> Result<Option<JobOrder>, String> {
        let asked: Asked = match self.post("ask", &serde_json::json!({})).await {
            Ok(asked) => asked,
            // Nothing comes of asking again; whoever waits for this closes the pool.
            Err(Silence::Unknown(_)) => return std::future::pending().await,
            Err(silence) => return Err(format!("{}: {silence}", self.server)),
        };
        let Some(job) = asked.job else { return Ok(None) };
        let (order, given) = job.into_order()?;
        let lease = asked.lease_ms.map_or(LEASE_LENGTH, Duration::from_millis).max(LEASE_LENGTH_MIN);
        let terms = Terms::patient(lease, &order);
        // A pin that cannot be read is not passed over: the action would be another one than the server allows.
        let pins: Option<Arc<[_]>> = asked.pins.iter().map(|pin| ActionPin::parse(pin)).collect();
        let pins = pins.ok_or("the server's pins of actions cannot be read: bring both programs to one version")?;
        let path = spool::path_in(&self.spools, self.number.fetch_add(1, Ordering::Relaxed));
        let about = About::new(&order.attempt, order.token);
        match Spooled::begin(path, about, given, terms, pins) {
            Ok(spooled) => {
                let spooled = Arc::new(spooled);
                self.jobs().insert(order.attempt.clone(), spooled.clone());
                self.changed.notify_one();
                tokio::spawn(self.clone().send_spool(order.attempt.clone(), spooled));
                tracing::info!(job.attempt = %order.attempt, "runs {} of {}", order.job_name, order.repository);
                Ok(Some(order))
            }
            Err(error) => {
                // A job that nobody can hear is given back at once.
                let about = About::new(&order.attempt, order.token);
                let _ = self.tell_report(&about, ReportShape::Lost).await;
                Err(format!("{} cannot be written to: {error}", self.spools.display()))
            }
        }
    }

    async fn tell_of(&self, attempt: &AttemptId, token: Token, report: JobReport) -> Result<Answer, String> {
        let about = About::new(attempt, token);
        let spooled = self.jobs().get(attempt).cloned();
        if let (JobReport::Ended(end), Some(spooled)) = (&report, &spooled)
            && !self.say_all(spooled, end.into()).await
        {
            self.forget(attempt, spooled);
            return Ok(Answer::NotYours);
        }
        let heard = match self.tell_report(&about, ReportShape::from(&report)).await {
            Ok(heard) => heard,
            Err(Silence::NotOurs | Silence::Unknown(_)) => Heard { is_yours: false, cancelled: false },
            Err(silence) => return Err(format!("{}: {silence}", self.server)),
        };
        if let (JobReport::Ended(_), Some(spooled)) = (&report, &spooled) {
            self.forget(attempt, spooled);
        }
        Ok(match heard.is_yours {
            true => Answer::Heard { cancelled: heard.cancelled },
            false => Answer::NotYours,
        })
    }

    /// Waits until the server has taken all that a job said. The lease is kept meanwhile. False where it wants none of it.
    async fn say_all(&self, spooled: &Spooled, end: EndShape) -> bool {
        if !spooled.progress().is_ending {
            spooled.change(|progress| progress.is_ending = true);
            let closed = spooled.until(|progress| progress.closed || progress.refused);
            // The last updates of steps come right behind the end.
            let _ = tokio::time::timeout(LAST_WORD_WITHIN, closed).await;
            if let Err(error) = spooled.write(&Entry::End(end)) {
                tracing::warn!("the end of a job is not written down: {error}");
            }
        }
        loop {
            let settled = spooled.until(|progress| progress.refused || progress.sent >= progress.written);
            if tokio::time::timeout(spooled.terms.heartbeat(), settled).await.is_ok() {
                return !spooled.progress().refused;
            }
            if let Err(Silence::NotOurs | Silence::Unknown(_)) | Ok(Heard { is_yours: false, .. }) =
                self.tell_report(&spooled.about, ReportShape::Alive).await
            {
                return false;
            }
        }
    }

    /// Sends a job's spool as it grows. Where the agent does not tell the end, since the lease was lost, the job is given back here.
    async fn send_spool(self: Arc<Self>, attempt: AttemptId, spooled: Arc<Spooled>) {
        let mut offset = 0;
        while !spooled.progress().is_settled() {
            if spooled.progress().written == offset {
                spooled.until(|progress| progress.is_settled() || progress.written > offset).await;
                continue;
            }
            match self.send_from(&spooled.path, &spooled.about, offset).await {
                Ok(Some(sent)) => {
                    offset = sent;
                    spooled.change(|progress| progress.sent = offset);
                }
                Ok(None) => offset = 0,
                Err(why) => {
                    tracing::info!(job.attempt = %attempt, "nothing more is told: {why}");
                    spooled.change(|progress| progress.refused = true);
                }
            }
            if spooled.progress().is_settled() && !spooled.progress().refused {
                // The agent adds the end; where it does not, nobody holds the job any more.
                let ending = spooled.until(|progress| progress.is_ending);
                if tokio::time::timeout(LAST_WORD_WITHIN, ending).await.is_err() {
                    let _ = self.tell_report(&spooled.about, ReportShape::Lost).await;
                    self.forget(&attempt, &spooled);
                    return;
                }
                spooled.until(|progress| progress.refused || progress.written > offset).await;
            }
        }
        spooled.until(|progress| progress.closed).await;
        if spooled.progress().refused {
            self.forget(&attempt, &spooled);
        }
    }

    /// Sends one batch, until it was taken. Returns how far the spool is sent then; nothing where it is to be sent anew. An error
    /// means that the server wants none of it.
    async fn send_from(&self, path: &Path, about: &About, offset: u64) -> Result<Option<u64>, String> {
        let mut wait = SEND_AGAIN.0;
        loop {
            let file = path.to_owned();
            let read = tokio::task::spawn_blocking(move || read_batch(&file, offset)).await;
            let batch = match read.map_err(std::io::Error::other) {
                Ok(Ok(batch)) => batch,
                Ok(Err(error)) | Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
            };
            if batch.is_empty() {
                return Ok(Some(offset));
            }
            let length = batch.len() as u64;
            match self.tell_batch(about, &batch).await {
                Ok(()) => return Ok(Some(offset + length)),
                Err(silence @ (Silence::NotOurs | Silence::Unknown(_))) => return Err(silence.to_string()),
                Err(Silence::Again) if offset > 0 => return Ok(None),
                Err(silence) => {
                    tracing::debug!("lines wait to be sent: {silence}");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(SEND_AGAIN.1);
                }
            }
        }
    }

    /// Says what an earlier life left unsaid, and gives back the job that it could not end.
    pub async fn settle(self: Arc<Self>, left: Left) {
        let (mut offset, mut renewed_at) = (0, Instant::now());
        loop {
            // A long spool takes longer than its lease, which nobody else renews.
            if renewed_at.elapsed() > RENEW_EVERY {
                renewed_at = Instant::now();
                if left.end.is_some() {
                    let _ = self.tell_report(&left.about, ReportShape::Alive).await;
                }
            }
            match self.send_from(&left.path, &left.about, offset).await {
                Ok(Some(sent)) if sent == offset => break,
                Ok(sent) => offset = sent.unwrap_or(0),
                Err(_) => return remove(&left.path),
            }
        }
        let mut wait = SEND_AGAIN.0;
        loop {
            let report = left.end.clone().map_or(ReportShape::Lost, ReportShape::Ended);
            match self.tell_report(&left.about, report).await {
                Err(Silence::Later(why)) => {
                    tracing::debug!("an end waits to be told: {why}");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(SEND_AGAIN.1);
                }
                Ok(_) | Err(_) => return remove(&left.path),
            }
        }
    }

    fn forget(&self, attempt: &AttemptId, spooled: &Spooled) {
        self.jobs().remove(attempt);
        remove(&spooled.path);
        self.changed.notify_one();
    }

    async fn tell_report(&self, about: &About, report: ReportShape) -> Result<Heard, Silence> {
        self.post("report", &Report { about: about.clone(), report }).await
    }

    async fn tell_batch(&self, about: &About, batch: &[u8]) -> Result<(), Silence> {
        let head = serde_json::to_vec(about).map_err(|error| Silence::Never(error.to_string()))?;
        let mut body = Vec::with_capacity(4 + head.len() + batch.len());
        body.extend_from_slice(&(head.len() as u32).to_be_bytes());
        body.extend_from_slice(&head);
        body.extend_from_slice(batch);
        self.send("tell", body, ANSWER_WITHIN).await.map(drop)
    }

    async fn post<T: Serialize, A: DeserializeOwned>(&self, what: &str, message: &T) -> Result<A, Silence> {
        let body = serde_json::to_vec(message).map_err(|error| Silence::Never(error.to_string()))?;
        let answer = self.send(what, body, ANSWER_WITHIN).await?;
        let broken = |why: &dyn std::fmt::Display| Silence::Later(format!("its answer cannot be read: {why}"));
        if answer.content_length().is_some_and(|length| length > ANSWER_SIZE_MAX as u64) {
            return Err(broken(&"it is too large"));
        }
        let text = answer.bytes().await.map_err(|error| broken(&error))?;
        serde_json::from_slice(&text).map_err(|error| broken(&error))
    }

    async fn send(&self, what: &str, body: Vec<u8>, within: Duration) -> Result<reqwest::Response, Silence> {
        let request = self
            .http
            .post(format!("{}/api/runner/v1/{what}", self.server))
            .timeout(within)
            .header(PROTOCOL_HEADER, PROTOCOL)
            .bearer_auth(&self.key)
            .body(body);
        let answer = request.send().await.map_err(|error| Silence::Later(reason(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.bytes().await.unwrap_or_default();
        let refused = serde_json::from_slice::<Refused>(&text).ok();
        // What stands between us and the server may answer so as well, but not in its form.
        let is_unknown = status == StatusCode::UNAUTHORIZED && refused.is_some();
        let message = refused.map_or_else(|| status.to_string(), |it| it.message);
        Err(match status {
            _ if is_unknown => {
                self.is_unknown.send_replace(true);
                Silence::Unknown(message)
            }
            StatusCode::CONFLICT => Silence::NotOurs,
            StatusCode::RANGE_NOT_SATISFIABLE => Silence::Again,
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Silence::Never(message),
            _ => Silence::Later(message),
        })
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<AttemptId, Arc<Spooled>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the innermost reason: the outer ones repeat the address.
fn reason(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        reason = deeper.to_string();
        cause = deeper.source();
    }
    reason
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("{} cannot be removed: {error}", path.display());
    }
}

/// The agent speaks with the server through this.
pub struct Agent(pub Arc<Link>);

impl Agent {
    fn spooled(&self, order: &JobOrder) -> Arc<Spooled> {
        self.0.jobs().get(&order.attempt).cloned().expect("the order came with its spool")
    }
}

impl Server for Agent {
    fn ask(&self, _: LeaseAsked) -> Reply<'_, Result<Option<JobOrder>, String>> {
        // Who asks, with which labels and for how long, is the server's to know.
        Box::pin(self.0.find())
    }

    fn report<'a>(&'a self, attempt: &'a AttemptId, token: Token, report: JobReport) -> Answered<'a> {
        Box::pin(self.0.tell_of(attempt, token, report))
    }

    fn host(&self, order: &JobOrder) -> Arc<dyn JobHost> {
        Arc::new(RemoteHost::new(self.0.clone(), self.spooled(order)))
    }

    fn terms(&self, order: &JobOrder) -> Terms {
        self.spooled(order).terms
    }
}
