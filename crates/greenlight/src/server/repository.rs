//! One repository's loop: the only task that steps it. Facts come in through its mailbox, effects leave through hands.
//!
//! When a step cannot be stored, nothing of it has happened: the facts are kept, the effects under way are awaited (two of one
//! lane must not overlap), the state is loaded again, and the facts are taken in once more, which is harmless. The reason
//! stands on the pages until it works again.

mod mailbox;
mod pending;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use greenlight_core::effect::{Dispatch, Outcome};
use greenlight_core::fact::{Fact, RepositoryRef};
use greenlight_core::id::EffectKey;
use greenlight_core::port::StoreError;
use greenlight_core::repository::Settings;
use greenlight_core::step::{self, Cell};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::clock;
use super::outbox::Hands;
use super::pool;
use mailbox::Message;
pub use mailbox::{Handle, Unavailable};
use pending::Pending;

/// Longest sleep: a clock that was set back is noticed after this.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// First and longest wait before the state is loaded again after a failure.
const REOPEN_AFTER_MIN: Duration = Duration::from_millis(200);
const REOPEN_AFTER_MAX: Duration = Duration::from_secs(30);
/// Longest that one try of an effect may take: the hands have shorter bounds of their own.
const PERFORM_WITHIN: Duration = Duration::from_secs(600);
/// How long effects under way are awaited when the server ends.
const END_WITHIN: Duration = Duration::from_secs(8);

/// Starts a repository's loop.
pub fn start(shared: &Arc<Shared>, reference: RepositoryRef, settings: Settings, hands: Arc<Hands>) -> Handle {
    let (handle, mailbox) = mailbox::open(reference.clone());
    let mut task = Task {
        shared: shared.clone(),
        handle: handle.clone(),
        reference,
        settings,
        hands,
        mailbox,
        pending: Pending::default(),
        performs: JoinSet::new(),
    };
    task.pending.fact(Fact::Booted { boot: shared.boot.clone() });
    shared.tasks.spawn(async move { task.live().await });
    handle
}

struct Task {
    shared: Arc<Shared>,
    handle: Handle,
    reference: RepositoryRef,
    settings: Settings,
    hands: Arc<Hands>,
    mailbox: mpsc::UnboundedReceiver<Message>,
    pending: Pending,
    performs: JoinSet<(EffectKey, Outcome)>,
}

impl Task {
    async fn live(&mut self) {
        let mut wait = REOPEN_AFTER_MIN;
        loop {
            let began = clock::now();
            let lived = std::panic::AssertUnwindSafe(self.step_until_stopped()).catch_unwind().await;
            let why = match lived {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "Greenlight itself failed on it; the log says where".to_owned(),
            };
            if clock::now().since(began) > REOPEN_AFTER_MAX {
                wait = REOPEN_AFTER_MIN;
            }
            self.shared.standing.wait(&self.reference.full_name, why);
            // What could not be stored was not heard, and the runners' leases do not count meanwhile.
            self.pending.fact(Fact::Booted { boot: self.shared.boot.clone() });
            self.handle.stands_still(true);
            self.pending.drop_questions();
            self.await_performs().await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop().cancelled() => break,
            }
            wait = (wait * 2).min(REOPEN_AFTER_MAX);
        }
    }

    /// Loads the state and steps it until the server ends, or until the store fails.
    async fn step_until_stopped(&mut self) -> Result<(), StoreError> {
        let store = self.shared.store.clone();
        let labels = Some(self.shared.fleet.with_labels(&self.shared.config.runner.labels));
        let settings = Settings { labels, ..self.settings.clone() };
        let mut cell = step::open(&*store, self.reference.clone(), settings, clock::now()).await?;
        let (mut is_first, mut looked_at) = (true, clock::now());
        loop {
            let now = clock::now();
            let is_set_back = now < std::mem::replace(&mut looked_at, now);
            if is_first
                || is_set_back
                || !self.pending.is_empty()
                || cell.wake_at().is_some_and(|at| at <= clock::now())
            {
                self.step(&mut cell).await?;
                is_first = false;
            }
            if self.stop().is_cancelled() {
                return self.end(&mut cell).await;
            }
            self.dispatch(&mut cell);
            self.wait(&cell).await;
        }
    }

    async fn step(&mut self, cell: &mut Cell) -> Result<(), StoreError> {
        self.shared.door.pressure.give_way().await;
        self.take_question_along();
        let stepped = step::step(&*self.shared.store, cell, self.pending.input(), clock::now()).await?;
        // Whoever is answered finds the board as it is now.
        self.shared.board.put(self.reference.id, cell.queued());
        self.pending.answer(stepped.replies);
        pool::cancel(&self.shared.pool, cell);
        self.shared.standing.clear(&self.reference.full_name);
        self.handle.stands_still(false);
        self.reference = cell.repository().meta().repository.clone();
        self.handle.renamed(&self.reference);
        self.handle.configured(&cell.repository().meta().config);
        self.shared.feed.tell(self.reference.full_name.clone());
        if self.mailbox.is_empty() && self.handle.take_overflow() {
            self.shared.rescan.notify_one();
        }
        Ok(())
    }

    /// Takes a free slot's question along where the step may make a job: the job is handed out with the same commit.
    fn take_question_along(&mut self) {
        if self.pending.may_make_jobs()
            && self.shared.starts_jobs()
            && let Some((asked, answer)) = self.shared.board.take_question()
        {
            self.pending.ask(Fact::LeaseAsked(asked), answer);
        }
    }

    /// Hands out what may be done now.
    fn dispatch(&mut self, cell: &mut Cell) {
        let now = clock::now();
        let dispatches = self.hands.with_budget(&self.reference, |budget| step::dispatch(cell, budget, now));
        for dispatch in dispatches {
            let (hands, reference) = (self.hands.clone(), self.reference.clone());
            self.performs.spawn(async move {
                let outcome = perform(&hands, &reference, &dispatch).await;
                (dispatch.key, outcome)
            });
        }
    }

    /// Waits until there is something to do, and takes in all that is there by then.
    async fn wait(&mut self, cell: &Cell) {
        let sleep = cell.wake_at().map_or(SLEEP_MAX, |at| at.since(clock::now()).min(SLEEP_MAX));
        let stop = self.stop().clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(done) = self.performs.join_next() => self.pending.outcome(done),
            Some(message) = self.mailbox.recv() => self.take(cell, message),
            () = tokio::time::sleep(sleep) => {}
        }
        while let Some(done) = self.performs.try_join_next() {
            self.pending.outcome(done);
        }
        while self.pending.has_room() {
            match self.mailbox.try_recv() {
                Ok(message) => self.take(cell, message),
                Err(_) => break,
            }
        }
    }

    fn take(&mut self, cell: &Cell, message: Message) {
        self.handle.took();
        match message {
            Message::Delivered { facts, place, disposition } => self.pending.delivery(facts, place, disposition),
            Message::Ask { fact, answer } => self.pending.ask(*fact, answer),
            Message::Tell(fact) => self.pending.fact(*fact),
            Message::Look(look) => look(cell),
        }
    }

    /// The server ends: what is under way is given a moment, and its outcome is written down.
    async fn end(&mut self, cell: &mut Cell) -> Result<(), StoreError> {
        let _ = tokio::time::timeout(END_WITHIN, self.await_performs()).await;
        match self.pending.is_empty() {
            true => Ok(()),
            false => self.step(cell).await,
        }
    }

    async fn await_performs(&mut self) {
        while let Some(done) = self.performs.join_next().await {
            self.pending.outcome(done);
        }
    }

    fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }
}

/// Carries out one try. Whatever happens in there, an outcome comes back.
async fn perform(hands: &Hands, reference: &RepositoryRef, dispatch: &Dispatch) -> Outcome {
    let perform = std::panic::AssertUnwindSafe(hands.perform(reference, dispatch)).catch_unwind();
    let outcome = match tokio::time::timeout(PERFORM_WITHIN, perform).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Outcome::Unknown { reason: "Greenlight itself failed on the way; see the log".into() },
        Err(_) => Outcome::Unknown { reason: format!("no answer came within {} s", PERFORM_WITHIN.as_secs()).into() },
    };
    let (key, name) = (&dispatch.key, dispatch.effect.name());
    match &outcome {
        Outcome::Done(_) => tracing::debug!(effect.key = %key, "{name} done"),
        Outcome::Refused(refusal) => tracing::info!(effect.key = %key, "{name} refused: {}", refusal.reason()),
        Outcome::Later { reason, .. } => tracing::info!(effect.key = %key, "{name} later: {reason}"),
        Outcome::Unknown { reason } => tracing::info!(effect.key = %key, "{name} unknown: {reason}"),
    }
    outcome
}
