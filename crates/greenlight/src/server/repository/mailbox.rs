//! How everybody else speaks with a repository's loop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use greenlight_core::config::ConfigStanding;
use greenlight_core::effect::Reply;
use greenlight_core::fact::{Click, Fact, RepositoryRef, Wish};
use greenlight_core::port::Disposition;
use greenlight_core::step::Cell;
use tokio::sync::{Notify, mpsc, oneshot};

/// Messages that wait in one mailbox before deliveries have to wait in the store.
const DELIVERIES_MAX: usize = 512;
/// How often a full mailbox is looked at though nobody said that there is room.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long an answer is awaited.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Something for the loop.
pub(super) enum Message {
    /// A delivery's facts.
    Delivered {
        /// The facts.
        facts: Vec<Fact>,
        /// The delivery's place.
        place: u64,
        /// What became of it.
        disposition: Disposition,
    },
    /// A fact that asks for something.
    Ask {
        /// The fact.
        fact: Box<Fact>,
        /// Where the answer goes, after the commit.
        answer: oneshot::Sender<Reply>,
    },
    /// A fact that asks for nothing.
    Tell(Box<Fact>),
    /// A look at the state as it is.
    Look(Box<dyn FnOnce(&Cell) + Send>),
}

/// The loop did not answer: its state cannot be loaded or stored at the moment, or the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the repository's state cannot be read or written at the moment; `/readyz` says why")]
pub struct Unavailable;

/// A repository's mailbox.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    reference: Mutex<RepositoryRef>,
    config_problem: Mutex<Option<Arc<str>>>,
    sender: mpsc::UnboundedSender<Message>,
    waiting: AtomicUsize,
    overflowed: AtomicBool,
    stands_still: AtomicBool,
    took: Notify,
}

/// Returns a mailbox and its slot.
pub(super) fn open(reference: RepositoryRef) -> (Handle, mpsc::UnboundedReceiver<Message>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let inner = Inner {
        reference: Mutex::new(reference),
        config_problem: Mutex::new(None),
        sender,
        waiting: AtomicUsize::new(0),
        overflowed: AtomicBool::new(false),
        stands_still: AtomicBool::new(false),
        took: Notify::new(),
    };
    (Handle { inner: Arc::new(inner) }, receiver)
}

impl Handle {
    /// Returns the repository as it is called at the moment.
    pub fn reference(&self) -> RepositoryRef {
        self.inner.reference.lock().expect("nobody panics while holding a name").clone()
    }

    /// Returns what is wrong with the `.greenlight.yml` of the default branch, where something is.
    pub fn config_problem(&self) -> Option<Arc<str>> {
        self.inner.config_problem.lock().expect("nobody panics while holding a sentence").clone()
    }

    /// Hands over a delivery, when there is room. Where the repository stands still it stays in the store, and is looked for
    /// again when it goes on: one repository must not keep all others waiting.
    pub async fn deliver(&self, facts: Vec<Fact>, place: u64, disposition: Disposition) {
        let inner = &self.inner;
        while inner.waiting.load(Ordering::Acquire) >= DELIVERIES_MAX && !inner.stands_still.load(Ordering::Acquire) {
            // Woken or not, what counts is what is seen then.
            let _ = tokio::time::timeout(LOOK_AGAIN, inner.took.notified()).await;
        }
        let is_full = inner.waiting.load(Ordering::Acquire) >= DELIVERIES_MAX;
        // One that had to stay makes all later ones stay, so that their order is kept.
        if is_full || inner.overflowed.load(Ordering::Acquire) {
            inner.overflowed.store(true, Ordering::Release);
        } else {
            self.send(Message::Delivered { facts, place, disposition });
        }
    }

    /// Submits a fact that asks for something, and returns the answer after it was stored, however long that takes.
    pub async fn ask(&self, fact: Fact) -> Result<Reply, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Ask { fact: Box::new(fact), answer });
        answered.await.map_err(|_| Unavailable)
    }

    /// Submits a fact that asks for nothing.
    pub fn tell(&self, fact: Fact) {
        self.send(Message::Tell(Box::new(fact)));
    }

    /// Submits a wish; returns the sentence that grants it, or the one that denies it.
    pub async fn wish(&self, by: &str, wish: Wish) -> Result<Result<Arc<str>, Arc<str>>, Unavailable> {
        let asked = self.ask(Fact::Click(Click { by: by.into(), wish }));
        match tokio::time::timeout(ANSWER_WITHIN, asked).await.map_err(|_| Unavailable)?? {
            Reply::Granted(sentence) => Ok(Ok(sentence)),
            Reply::Denied(sentence) => Ok(Err(sentence)),
            _ => Ok(Err("this was answered with something else; that is a mistake of Greenlight's".into())),
        }
    }

    /// Looks at the state as it is.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Cell) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let look = Box::new(move |cell: &Cell| {
            // Whoever asked may have gone.
            let _ = answer.send(look(cell));
        });
        self.send(Message::Look(look));
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(seen)) => Ok(seen),
            _ => Err(Unavailable),
        }
    }

    pub(super) fn took(&self) {
        if self.inner.waiting.fetch_sub(1, Ordering::AcqRel) == DELIVERIES_MAX {
            self.inner.took.notify_one();
        }
    }

    pub(super) fn stands_still(&self, stands_still: bool) {
        self.inner.stands_still.store(stands_still, Ordering::Release);
    }

    pub(super) fn take_overflow(&self) -> bool {
        self.inner.overflowed.swap(false, Ordering::AcqRel)
    }

    pub(super) fn renamed(&self, reference: &RepositoryRef) {
        let mut known = self.inner.reference.lock().expect("nobody panics while holding a name");
        if *known != *reference {
            *known = reference.clone();
        }
    }

    pub(super) fn configured(&self, standing: &ConfigStanding) {
        let problem = match standing {
            ConfigStanding::Read { config: Err(problem), .. } => Some(problem.clone()),
            ConfigStanding::Read { config: Ok(_), .. } | ConfigStanding::Unknown => None,
        };
        *self.inner.config_problem.lock().expect("nobody panics while holding a sentence") = problem;
    }

    fn send(&self, message: Message) {
        self.inner.waiting.fetch_add(1, Ordering::AcqRel);
        // A loop that has ended answers nobody; whoever waits hears that by its dropped sender.
        let _ = self.inner.sender.send(message);
    }
}
