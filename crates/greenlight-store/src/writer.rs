//! The one writer: whatever has gathered is committed as one group, and everybody is answered after the sync.
//!
//! Deliveries come first and by themselves, in one statement that commits itself: GitHub waits for them and does not ask
//! twice. Then the steps of all repositories, and whatever else is to be written, in one transaction. A step whose version
//! does not match writes nothing and leaves the others alone. When a transaction fails because of one of its members, they
//! are tried one by one, so that nobody fails because of another.
//!
//! The disk may be full and the database may be locked: then everybody in the group is told so, and the next group tries
//! again. Nothing is to be restarted.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use greenlight_core::port::{StoreError, Stored};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::annotation::{self, Remark};
use crate::checkpoint::WalMeter;
use crate::commit::{CommitRows, Committed, Committer};
use crate::delivery::{Intake, PackedDelivery, Settled};
use crate::dialect::{
    ROWS_MAX, Tuning, Use, connect, connect_options, is_constraint, keeps_connection, rows_at_once, store_error,
};
use crate::object::{self, ObjectWrite};
use crate::runner::{self, RunnerWrite};
use crate::step::{StepRows, Stepper};
use crate::sweep::{SweepRows, sweep_rows};

/// How many deliveries may wait to be written; the next one is told to come again.
const DELIVERIES_WAITING_MAX: usize = 4096;

/// How many other writes may wait; their senders wait with them.
const WRITES_WAITING_MAX: usize = 256;

/// How many of them go into one transaction, so that a commit stays short.
const WRITES_AT_ONCE_MAX: usize = 64;

/// How many bytes of deliveries may wait.
const BYTES_WAITING_MAX: usize = 256 << 20;

/// How many bytes of deliveries go into one group, so that a commit stays short.
const BYTES_AT_ONCE_MAX: usize = 8 << 20;

/// Something to be written in the common transaction.
pub enum Write {
    /// A step of a repository.
    Commit(CommitRows),
    /// What became of a delivery.
    Settle(Settled),
    /// Steps of a job attempt.
    Steps(StepRows),
    /// What a job said beside its log.
    Remark(Box<Remark>),
    /// An artifact or a cache.
    Object(ObjectWrite),
    /// A runner on another machine, or a token for one.
    Runner(RunnerWrite),
    /// What is too old.
    Sweep(SweepRows),
    /// Nothing but a sign that it can be written: milliseconds since 1970.
    Probe(i64),
}

/// What became of a [`Write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Written.
    Yes,
    /// The step's version did not match.
    Conflict,
    /// So many rows were swept away.
    Swept(u64),
    /// A new row's number, or how many rows changed.
    Number(i64),
}

struct Delivery {
    packed: PackedDelivery,
    answer: oneshot::Sender<Result<Stored, StoreError>>,
}

struct Order {
    write: Write,
    answer: oneshot::Sender<Result<Written, StoreError>>,
}

/// The way to the writer.
pub struct Desk {
    deliveries: mpsc::Sender<Delivery>,
    writes: mpsc::Sender<Order>,
    bytes: Arc<AtomicUsize>,
    closing: watch::Sender<bool>,
}

impl Desk {
    /// Has a delivery written; refused at once when too many wait.
    pub async fn receive(&self, packed: PackedDelivery) -> Result<Stored, StoreError> {
        let weight = packed.weight();
        if self.bytes.fetch_add(weight, Ordering::Relaxed) + weight > BYTES_WAITING_MAX {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return Err(StoreError::Unavailable("too many bytes of deliveries wait to be written".to_owned()));
        }
        let (answer, answered) = oneshot::channel();
        if let Err(error) = self.deliveries.try_send(Delivery { packed, answer }) {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return Err(match error {
                mpsc::error::TrySendError::Full(_) => {
                    StoreError::Unavailable("too many deliveries wait to be written".to_owned())
                }
                mpsc::error::TrySendError::Closed(_) => stopped(),
            });
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Has something else written; waits its turn.
    pub async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writes.send(Order { write, answer }).await.map_err(|_| stopped())?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Takes nothing more; what waits is written, and then the writer ends.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Returns how many deliveries wait to be written. Whoever can, yields while there are some.
    pub fn deliveries_waiting(&self) -> usize {
        self.deliveries.max_capacity() - self.deliveries.capacity()
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store was closed".to_owned())
}

/// The writer's own end.
pub struct Writer {
    file: PathBuf,
    tuning: Tuning,
    connection: Option<SqliteConnection>,
    intake: Intake,
    committer: Committer,
    stepper: Stepper,
    meter: Arc<WalMeter>,
    deliveries: mpsc::Receiver<Delivery>,
    writes: mpsc::Receiver<Order>,
    bytes: Arc<AtomicUsize>,
    /// Deliveries that were taken off the queue and did not fit into the last group.
    left: VecDeque<Delivery>,
    closing: watch::Receiver<bool>,
}

impl Writer {
    /// Makes the writer and the way to it.
    pub async fn open(
        file: PathBuf,
        tuning: Tuning,
        mut connection: SqliteConnection,
        meter: Arc<WalMeter>,
    ) -> sqlx::Result<(Self, Desk)> {
        let (deliveries_in, deliveries) = mpsc::channel(DELIVERIES_WAITING_MAX);
        let (writes_in, writes) = mpsc::channel(WRITES_WAITING_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let (closing, closed) = watch::channel(false);
        let intake = Intake::open(&mut connection).await?;
        let writer = Self {
            file,
            tuning,
            connection: Some(connection),
            intake,
            committer: Committer::new(),
            stepper: Stepper::new(),
            meter,
            deliveries,
            writes,
            bytes: bytes.clone(),
            left: VecDeque::new(),
            closing: closed,
        };
        Ok((writer, Desk { deliveries: deliveries_in, writes: writes_in, bytes, closing }))
    }

    /// Writes until nobody can ask any more.
    pub async fn run(mut self) {
        while let Some((deliveries, orders)) = self.gather().await {
            let gate = self.meter.clone();
            let _gate = gate.enter().await;
            if !deliveries.is_empty() {
                self.write_deliveries(deliveries).await;
            }
            if !orders.is_empty() {
                self.write_orders(orders).await;
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = %error, "the database was not closed cleanly; the next start repairs that");
        }
    }

    /// Waits for something to write, and takes whatever has gathered.
    async fn gather(&mut self) -> Option<(Vec<Delivery>, Vec<Order>)> {
        let mut orders = Vec::new();
        if self.left.is_empty() {
            tokio::select! {
                biased;
                Some(delivery) = self.deliveries.recv() => self.left.push_back(delivery),
                Some(order) = self.writes.recv() => orders.push(order),
                Ok(()) = self.closing.changed(), if !self.writes.is_closed() => {
                    // Whatever is in the queues is still received, and nothing is added.
                    self.deliveries.close();
                    self.writes.close();
                }
                else => return None,
            }
        }
        while self.left.len() < ROWS_MAX
            && let Ok(delivery) = self.deliveries.try_recv()
        {
            self.left.push_back(delivery);
        }
        while orders.len() < WRITES_AT_ONCE_MAX
            && let Ok(order) = self.writes.try_recv()
        {
            orders.push(order);
        }
        Some((self.take_group(), orders))
    }

    fn take_group(&mut self) -> Vec<Delivery> {
        let mut bytes = 0;
        let fits = self
            .left
            .iter()
            .take(ROWS_MAX)
            .take_while(|delivery| {
                bytes += delivery.packed.weight();
                bytes <= BYTES_AT_ONCE_MAX
            })
            .count();
        let count = rows_at_once(fits.max(1).min(self.left.len()));
        self.left.drain(..count).collect()
    }

    async fn write_deliveries(&mut self, group: Vec<Delivery>) {
        let (packed, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|delivery| (delivery.packed, delivery.answer)).unzip();
        let weight = packed.iter().map(PackedDelivery::weight).sum();
        let result = self.try_deliveries(&packed).await;
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
        match result {
            Ok(stored) => {
                self.meter.wrote(weight);
                for (answer, stored) in answers.into_iter().zip(stored) {
                    let _ = answer.send(Ok(stored));
                }
            }
            Err(error) => {
                let error = self.failed("writing deliveries", &error).await;
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    async fn try_deliveries(&mut self, group: &[PackedDelivery]) -> sqlx::Result<Vec<Stored>> {
        let connection = connected(&mut self.connection, &self.file, self.tuning).await?;
        self.intake.write(connection, group).await
    }

    async fn write_orders(&mut self, mut orders: Vec<Order>) {
        // Whoever does not wait any more gets nothing written: a step that was given up must not appear after its repository
        // was loaded again. (Written after all, it would be a conflict for the next step, which is safe and slow.)
        orders.retain(|order| !order.answer.is_closed());
        let result = self.try_orders(&orders).await;
        match result {
            Ok(written) => answer_orders(orders, written),
            Err(error) if orders.len() > 1 && is_constraint(&error) => {
                let _ = self.failed("writing a group", &error).await;
                for order in orders {
                    self.write_alone(order).await;
                }
            }
            Err(error) => {
                let error = self.failed("writing", &error).await;
                for order in orders {
                    let _ = order.answer.send(Err(error.clone()));
                }
            }
        }
    }

    async fn write_alone(&mut self, order: Order) {
        let orders = [order];
        let result = self.try_orders(&orders).await;
        let [order] = orders;
        let answer = match result {
            Ok(written) => Ok(written[0]),
            Err(error) => Err(self.failed("writing", &error).await),
        };
        let _ = order.answer.send(answer);
    }

    /// Writes all of them in one transaction, or none.
    async fn try_orders(&mut self, orders: &[Order]) -> sqlx::Result<Vec<Written>> {
        let connection = connected(&mut self.connection, &self.file, self.tuning).await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let mut written = Vec::with_capacity(orders.len());
        let mut weight = 0;
        let mut settled = Vec::new();
        for order in orders {
            written.push(match &order.write {
                Write::Commit(rows) => {
                    weight += rows.weight();
                    match self.committer.write(connection, rows).await? {
                        Committed::Yes => Written::Yes,
                        Committed::Conflict => Written::Conflict,
                    }
                }
                Write::Settle(one) => {
                    weight += 4096;
                    settled.push(one);
                    Written::Yes
                }
                Write::Steps(rows) => {
                    weight += 1024;
                    self.stepper.write(connection, rows).await.map(|()| Written::Yes)?
                }
                Write::Remark(remark) => {
                    weight += remark.weight();
                    annotation::write(connection, remark).await.map(|()| Written::Yes)?
                }
                Write::Object(object) => {
                    weight += 1024;
                    object::write(connection, object).await.map(Written::Number)?
                }
                Write::Runner(runner) => {
                    weight += 1024;
                    runner::write(connection, runner).await.map(Written::Number)?
                }
                Write::Probe(at) => {
                    weight += 4096;
                    sqlx::query("INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT DO UPDATE SET at = excluded.at")
                        .bind(*at)
                        .execute(&mut *connection)
                        .await?;
                    Written::Yes
                }
                Write::Sweep(rows) => {
                    self.committer.forget();
                    let swept = sweep_rows(connection, rows).await?;
                    weight += usize::try_from(swept).unwrap_or(usize::MAX).saturating_mul(4096);
                    Written::Swept(swept)
                }
            });
        }
        self.committer.settle(connection, &settled).await?;
        sqlx::query("COMMIT").execute(&mut *connection).await?;
        self.committer.keep();
        self.meter.wrote(weight);
        Ok(written)
    }

    /// Brings the connection back to where it can be used again, and says what the error means.
    async fn failed(&mut self, doing: &str, error: &sqlx::Error) -> StoreError {
        self.committer.forget();
        let rolled_back = match self.connection.as_mut() {
            // Without an open transaction this is an error of its own, and no harm.
            Some(connection) => sqlx::query("ROLLBACK").execute(connection).await.is_ok(),
            None => false,
        };
        if !keeps_connection(error)
            && let Some(connection) = self.connection.take()
        {
            // Dropping it ends its thread; the next group connects afresh.
            drop(connection);
        }
        tracing::warn!(error = %error, rolled_back, "{doing} failed");
        store_error(doing, error)
    }
}

async fn connected<'a>(
    slot: &'a mut Option<SqliteConnection>,
    file: &std::path::Path,
    tuning: Tuning,
) -> sqlx::Result<&'a mut SqliteConnection> {
    if slot.is_none() {
        *slot = Some(connect(connect_options(file, tuning, Use::Write).create_if_missing(false)).await?);
    }
    Ok(slot.as_mut().expect("it was filled just now"))
}

fn answer_orders(orders: Vec<Order>, written: Vec<Written>) {
    for (order, written) in orders.into_iter().zip(written) {
        // Whoever does not wait any more finds it written when it loads again.
        let _ = order.answer.send(Ok(written));
    }
}
