//! Being told to stop.

use std::sync::Arc;

use tokio::sync::watch;

/// What a job is told about going on. It only ever gets worse.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// Stop in good order: the running step is asked to end, and steps with `if: always()` or `if: cancelled()` still run.
    Cancelled(Arc<str>),
    /// Stop at once: the lease is over, or the server goes down. Nothing runs any more.
    Lost(Arc<str>),
}

impl Stop {
    /// Is this worse than `other`?
    fn is_worse(&self, other: &Self) -> bool {
        let rank = |stop: &Self| match stop {
            Self::No => 0,
            Self::Cancelled(_) => 1,
            Self::Lost(_) => 2,
        };
        rank(self) > rank(other)
    }

    /// Returns the reason as a clause.
    pub fn reason(&self) -> Option<&Arc<str>> {
        match self {
            Self::No => None,
            Self::Cancelled(reason) | Self::Lost(reason) => Some(reason),
        }
    }
}

/// Tells a job to stop. The first reason counts, unless the later one is worse.
pub fn tell(sender: &watch::Sender<Stop>, stop: Stop) {
    sender.send_if_modified(|known| {
        let is_worse = stop.is_worse(known);
        if is_worse {
            *known = stop;
        }
        is_worse
    });
}

/// Returns when there is something worse than `known`; never where nobody can tell any more.
pub(crate) async fn worse_than(receiver: &mut watch::Receiver<Stop>, known: &Stop) -> Stop {
    let told = receiver.wait_for(|stop| stop.is_worse(known)).await.map(|stop| stop.clone());
    match told {
        Ok(stop) => stop,
        Err(_) => std::future::pending().await,
    }
}
