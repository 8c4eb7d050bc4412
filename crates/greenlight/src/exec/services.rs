//! Artifacts, caches and identity for the actions of one run: the server's own services, on a listener that only this machine reaches.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use greenlight_core::effect::JobOrder;
use greenlight_core::id::AttemptId;
use greenlight_core::port::Reply;
use greenlight_runner::Given;
use greenlight_store::{Blobs, Database};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::server::clock;
use crate::services::{self, Grant, Jobs, Limits, Services};

/// The services of one run.
pub struct Local {
    services: Arc<Services>,
    url: Arc<str>,
    held: Arc<Held>,
    default_branch: Arc<str>,
    listener: AbortHandle,
}

/// The jobs that run now.
#[derive(Default)]
struct Held(Mutex<BTreeSet<AttemptId>>);

impl Jobs for Held {
    fn is_held<'a>(&'a self, attempt: &'a AttemptId) -> Reply<'a, bool> {
        Box::pin(async { self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(attempt) })
    }
}

impl Local {
    /// Opens the services. What they keep is in `folder`, and nothing of it outlives the run.
    pub async fn open(folder: &Path, default_branch: Arc<str>) -> anyhow::Result<Self> {
        let store = Database::open(folder).await.context("the services for actions have no store")?;
        let blobs = Blobs::open(&folder.join("blobs")).context("the services for actions have no room")?;
        let services = Services::open(&folder.join("keys"), store, blobs, Limits::default());
        let services = Arc::new(services.context("the services for actions have no keys")?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port can be had for the services")?;
        let url: Arc<str> = format!("http://{}", listener.local_addr()?).into();
        let held = Arc::new(Held::default());
        services.begin(held.clone(), url.clone());
        let place = Arc::new(services::Place::new_with(Some(services.clone())));
        let routes = services::routes(place);
        let listener = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::warn!("the services for actions ended: {error}");
            }
        });
        Ok(Self { services, url, held, default_branch, listener: listener.abort_handle() })
    }

    /// Adds what a job's actions get to ask with.
    pub fn add_to(&self, given: &mut Given, order: &JobOrder) {
        self.held.0.lock().unwrap_or_else(PoisonError::into_inner).insert(order.attempt.clone());
        let grant = Grant::of_order(order, &self.default_branch, self.url.clone(), clock::now());
        let variables = self.services.variables(&grant, clock::now());
        given.action_env.extend(variables.actions);
        given.step_env.extend(variables.steps);
    }

    /// A job is over: its tokens are nobody's any more.
    pub fn forget(&self, attempt: &AttemptId) {
        self.held.0.lock().unwrap_or_else(PoisonError::into_inner).remove(attempt);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
