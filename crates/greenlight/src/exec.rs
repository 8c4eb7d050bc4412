//! `greenlight exec`: a repository's workflows on this machine, without a server.
//!
//! Nothing here decides what runs. The working tree is read ([`tree`]), an event is made up for it ([`event`]), and the rules of
//! the core are stepped with a memory that forgets ([`memory`]) by one loop ([`driver`]), which answers every wish for files from
//! the working tree. The jobs are done by the same runner as a server's, each with a [`host`] that hands its steps and its log
//! to a [`view`]; their [`actions`] find the server's [`services`]. What a job may know and no file may hold is read by [`values`];
//! where a job may run is said by [`platform`], and which legs of matrices by [`matrix`].

mod copy;
mod clone;
pub mod tree;
pub mod values;
pub mod event;
pub mod platform;
pub mod matrix;
pub mod files;
pub mod actions;

pub mod folder;
pub mod view;
pub mod services;
pub mod host;
mod memory;
pub mod driver;

use std::path::PathBuf;
use std::sync::Arc;

use greenlight_core::event::CommitFiles;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::repository::Settings;
use greenlight_core::run::Conclusion;
use greenlight_core::time::Duration;
use greenlight_runner::{
    ActionSource, Given, Isolation, IsolationOptions, IsolationWanted, Pool, PoolOptions, Priority, RunnerOptions,
};

use crate::server::clock;
use driver::{Driver, Gate, Means};
use event::Happened;
use folder::Folder;
use host::Place;
use platform::Platforms;
use services::Local;
use tree::WorkingTree;
use view::{View, Word};

/// The arguments cannot be meant so: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// What is to be run, and how.
pub struct Order {
    /// The working tree.
    pub tree: Arc<WorkingTree>,
    /// The repository, as the jobs see it.
    pub repository: RepositoryRef,
    /// What happened.
    pub happened: Happened,
    /// The workflow files, and those that they call.
    pub files: CommitFiles,
    /// What the core is told of this machine.
    pub settings: Settings,
    /// Secrets, variables and settings.
    pub given: Given,
    /// Where jobs may run.
    pub platforms: Platforms,
    /// How many jobs run side by side.
    pub slots: usize,
    /// Where actions of other repositories come from.
    pub actions: Arc<dyn ActionSource>,
    /// Do actions run that may ask for artifacts, caches or an identity?
    pub has_actions: bool,
    /// How much isolation jobs have.
    pub isolation: IsolationWanted,
    /// Files and folders that no job may look into.
    pub hidden: Vec<PathBuf>,
    /// Folders below a home that jobs may read all the same.
    pub visible: Vec<PathBuf>,
    /// Where jobs have their folders.
    pub folder: Folder,
    /// Workflow files that cannot be read: without them nothing is a success.
    pub unreadable: Vec<Arc<str>>,
}

/// Says how all ended. Workflow files that cannot be read come at last once more, and make it a failure.
pub fn end(
    conclusion: Option<Conclusion>,
    unreadable: &[Arc<str>],
    length: Duration,
    view: &dyn View,
) -> Option<Conclusion> {
    for path in unreadable {
        view.tell(&Word::Notice(&format!("not run: {path} cannot be read, as said above")));
    }
    let own = if unreadable.is_empty() { None } else { Some(Conclusion::Failure) };
    let conclusion = conclusion.into_iter().chain(own).max_by_key(|conclusion| driver::gravity(*conclusion));
    view.tell(&Word::End { conclusion, length });
    conclusion
}

/// Runs what is ordered. Returns how it ended: nothing where nothing was to run.
pub async fn run(order: Order, view: Arc<dyn View>) -> anyhow::Result<Option<Conclusion>> {
    let work_dir = order.folder.work();
    let mut runner = RunnerOptions::new(&work_dir, "exec");
    let mut hidden = order.hidden;
    let services = match order.has_actions {
        false => None,
        true => {
            let folder = order.folder.join("services");
            let services = Local::open(&folder, order.repository.default_branch.clone()).await?;
            hidden.push(folder);
            Some(Arc::new(services))
        }
    };
    let isolation = IsolationOptions {
        wanted: order.isolation,
        program: None,
        work_dir,
        hidden,
        visible: order.visible,
        // Nobody else is served meanwhile, and whoever waits for it is a person.
        priority: Priority::Own,
    };
    runner.isolation = Arc::new(Isolation::find(isolation).await?);
    let options = PoolOptions { slots: order.slots, labels: Arc::from([]), boot: None, runner };
    let pool = Arc::new(Pool::new(options)?);
    let (place, closed) =
        Place::new(order.tree.clone(), order.happened.sha, order.given, order.actions, services, view.clone());
    let (gate, mailbox) = Gate::open(place, closed);
    let mut driver = Driver::new(Means {
        repository: order.repository,
        files: order.files,
        platforms: order.platforms,
        pool: pool.clone(),
        view: view.clone(),
        mailbox,
    });
    let began = clock::now();
    let serve = pool.serve(Arc::new(gate));
    let drive = async {
        let ended = driver.drive(order.settings, order.happened.facts).await;
        pool.close();
        ended
    };
    let ((), ended) = tokio::join!(serve, drive);
    let conclusion = ended?;
    // What the jobs left there is gone already.
    if let Err(error) = order.folder.remove() {
        view.tell(&Word::Notice(&format!("{error:#}")));
    }
    Ok(end(conclusion, &order.unreadable, clock::now().since(began), &*view))
}
