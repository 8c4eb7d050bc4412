//! A sandbox that is made before its job is there.
//!
//! Namespaces, a user and control groups take tens of milliseconds, more than the rest of a job's beginning. They do not depend on the
//! job, only on its folders, and those only on the repository's name: so the next ones are made while a job runs.
//!
//! Whoever makes one holds the place meanwhile. A job that comes by then makes its own: waiting would take as long. At the end the place
//! is closed, behind whoever still makes one, so that nothing is left of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::file_command::{FIRST_STEP, StepFiles};
use crate::sandbox::Sandbox;
use crate::workspace::Workspace;

/// What is made ahead.
pub(super) trait Made {
    /// Does it still stand?
    async fn stands(&self) -> bool;

    /// Ends it.
    async fn end(&self);
}

impl Made for Arc<Sandbox> {
    async fn stands(&self) -> bool {
        Sandbox::stands(self).await
    }

    async fn end(&self) {
        // Nothing was ever started in it.
        let _ = Sandbox::end(self).await;
    }
}

/// The one that waits, if any. Whoever makes it holds the lock.
#[derive(Debug)]
pub(super) struct Spares<S>(Mutex<Slot<S>>);

#[derive(Debug)]
enum Slot<S> {
    Empty,
    Waiting(Box<Spare<S>>),
    /// None is made any more.
    Closed,
}

#[derive(Debug)]
struct Spare<S> {
    work_dir: PathBuf,
    workspace: Workspace,
    sandbox: S,
}

impl<S> Default for Spares<S> {
    fn default() -> Self {
        Self(Mutex::new(Slot::Empty))
    }
}

impl<S: Made> Spares<S> {
    /// Takes it, where it fits and stands. One that is still being made is not waited for.
    pub(super) async fn take(&self, work_dir: &Path, repository: &str) -> Option<(Workspace, S)> {
        let mut slot = self.0.try_lock().ok()?;
        if !matches!(&*slot, Slot::Waiting(spare) if spare.is_for(work_dir, repository)) {
            return None;
        }
        let Slot::Waiting(spare) = std::mem::replace(&mut *slot, Slot::Empty) else { return None };
        if spare.sandbox.stands().await {
            return Some((spare.workspace, spare.sandbox));
        }
        spare.remove().await;
        None
    }

    /// Makes one where there is none for this repository. `enter` gives the sandbox of a workspace; nothing where there are no walls.
    pub(super) async fn make(
        &self,
        work_dir: &Path,
        repository: &str,
        enter: impl AsyncFnOnce(&Workspace) -> std::io::Result<Option<S>>,
    ) {
        // Somebody else makes one already.
        let Ok(mut slot) = self.0.try_lock() else { return };
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Waiting(spare) if !spare.is_for(work_dir, repository) => spare.remove().await,
            Slot::Empty => {}
            kept => {
                *slot = kept;
                return;
            }
        }
        match made(work_dir, repository, enter).await {
            Ok(Some(spare)) => *slot = Slot::Waiting(Box::new(spare)),
            Ok(None) => {}
            // The next job makes its own, and says what is wrong.
            Err(error) => tracing::debug!("a sandbox for the next job cannot be made: {error}"),
        }
    }

    /// Ends the one that waits, or is being made, and lets none be made any more.
    pub(super) async fn close(&self) {
        let mut slot = self.0.lock().await;
        if let Slot::Waiting(spare) = std::mem::replace(&mut *slot, Slot::Closed) {
            spare.remove().await;
        }
    }
}

async fn made<S>(
    work_dir: &Path,
    repository: &str,
    enter: impl AsyncFnOnce(&Workspace) -> std::io::Result<Option<S>>,
) -> std::io::Result<Option<Spare<S>>> {
    let mut workspace = Workspace::create(work_dir, repository)?;
    StepFiles::create(&workspace.commands, FIRST_STEP)?;
    workspace.has_first_files = true;
    match enter(&workspace).await {
        Ok(Some(sandbox)) => Ok(Some(Spare { work_dir: work_dir.to_owned(), workspace, sandbox })),
        Ok(None) => std::fs::remove_dir_all(&workspace.root).map(|()| None),
        Err(error) => std::fs::remove_dir_all(&workspace.root).and(Err(error)),
    }
}

impl<S: Made> Spare<S> {
    fn is_for(&self, work_dir: &Path, repository: &str) -> bool {
        self.work_dir == work_dir && self.workspace.is_for(repository)
    }

    async fn remove(self) {
        self.sandbox.end().await;
        if let Err(error) = std::fs::remove_dir_all(&self.workspace.root) {
            tracing::debug!("the folder of a sandbox that nobody used cannot be removed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    /// A sandbox that only remembers what became of it.
    #[derive(Debug, Default)]
    struct Fake {
        fell: AtomicBool,
        ends: AtomicU32,
    }

    impl Made for Arc<Fake> {
        async fn stands(&self) -> bool {
            !self.fell.load(Ordering::Relaxed)
        }

        async fn end(&self) {
            self.ends.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A place for spares, and a folder for jobs.
    struct Bench {
        spares: Spares<Arc<Fake>>,
        work: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            Self { spares: Spares::default(), work: tempfile::tempdir().unwrap() }
        }

        /// Makes one, at once.
        async fn make(&self, repository: &str) -> Arc<Fake> {
            let fake = Arc::new(Fake::default());
            let given = fake.clone();
            self.spares.make(self.work.path(), repository, async |_| Ok(Some(given))).await;
            fake
        }

        /// Makes one that stands when the word is given. Returns it, the word, and the making.
        fn make_slowly(&self, repository: &str) -> (Arc<Fake>, oneshot::Sender<()>, impl Future<Output = ()>) {
            let (go, stands) = oneshot::channel::<()>();
            let fake = Arc::new(Fake::default());
            let given = fake.clone();
            let making = self.spares.make(self.work.path(), repository, async |_| {
                stands.await.unwrap();
                Ok(Some(given))
            });
            (fake, go, making)
        }

        async fn take(&self, repository: &str) -> Option<Arc<Fake>> {
            self.spares.take(self.work.path(), repository).await.map(|(_, sandbox)| sandbox)
        }

        fn folders(&self) -> usize {
            std::fs::read_dir(self.work.path()).unwrap().count()
        }
    }

    #[tokio::test]
    async fn the_one_that_waits_is_taken_once() {
        let bench = Bench::new();
        let made = bench.make("octo/app").await;
        let (workspace, taken) = bench.spares.take(bench.work.path(), "octo/app").await.unwrap();
        assert!(Arc::ptr_eq(&made, &taken) && workspace.workspace.is_dir());
        assert!(bench.take("octo/app").await.is_none(), "two jobs never have one sandbox");
        assert_eq!(made.ends.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn one_that_is_still_being_made_is_not_waited_for_and_not_made_twice() {
        let bench = Bench::new();
        let (fake, go, making) = bench.make_slowly("octo/app");
        let beside = async {
            assert!(bench.take("octo/app").await.is_none(), "a job makes its own meanwhile");
            // Were a second one made, this would be it.
            assert!(!Arc::ptr_eq(&bench.make("octo/app").await, &fake));
            assert_eq!(bench.folders(), 1);
            go.send(()).unwrap();
        };
        // The first is polled first, and holds the place before the other looks.
        tokio::join!(biased; making, beside);
        assert!(Arc::ptr_eq(&bench.take("octo/app").await.unwrap(), &fake));
    }

    #[tokio::test]
    async fn one_for_something_else_is_left_and_gives_way_to_the_next() {
        let bench = Bench::new();
        let first = bench.make("octo/app").await;
        assert!(bench.take("octo/other").await.is_none());
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(bench.spares.take(elsewhere.path(), "octo/app").await.is_none());
        // Nobody took it: it is still there.
        let again = bench.make("octo/app").await;
        assert_eq!((bench.folders(), first.ends.load(Ordering::Relaxed)), (1, 0));
        assert!(!Arc::ptr_eq(&first, &again));
        let other = bench.make("octo/other").await;
        assert_eq!((bench.folders(), first.ends.load(Ordering::Relaxed)), (1, 1), "it is ended, its folder gone");
        assert!(bench.take("octo/app").await.is_none());
        assert!(Arc::ptr_eq(&bench.take("octo/other").await.unwrap(), &other));
    }

    #[tokio::test]
    async fn one_that_fell_meanwhile_is_given_to_nobody() {
        let bench = Bench::new();
        let fallen = bench.make("octo/app").await;
        fallen.fell.store(true, Ordering::Relaxed);
        assert!(bench.take("octo/app").await.is_none());
        assert_eq!((bench.folders(), fallen.ends.load(Ordering::Relaxed)), (0, 1));
        let next = bench.make("octo/app").await;
        assert!(Arc::ptr_eq(&bench.take("octo/app").await.unwrap(), &next));
    }

    #[tokio::test]
    async fn what_cannot_be_made_leaves_nothing() {
        let bench = Bench::new();
        bench.spares.make(bench.work.path(), "octo/app", async |_| Err(std::io::Error::other("no namespaces"))).await;
        bench.spares.make(bench.work.path(), "octo/app", async |_| Ok(None)).await;
        assert_eq!(bench.folders(), 0);
        assert!(bench.take("octo/app").await.is_none());
    }

    #[tokio::test]
    async fn at_the_end_it_is_thrown_away_and_none_follows() {
        let bench = Bench::new();
        let waiting = bench.make("octo/app").await;
        bench.spares.close().await;
        assert_eq!((bench.folders(), waiting.ends.load(Ordering::Relaxed)), (0, 1));
        bench.make("octo/app").await;
        assert_eq!(bench.folders(), 0, "none is made any more");
        assert!(bench.take("octo/app").await.is_none());
    }

    #[tokio::test]
    async fn one_that_is_being_made_at_the_end_is_waited_for_and_thrown_away() {
        let bench = Bench::new();
        let (fake, go, making) = bench.make_slowly("octo/app");
        let end = async {
            let mut closing = std::pin::pin!(bench.spares.close());
            tokio::select! {
                biased;
                () = &mut closing => panic!("it did not wait for the one that is being made"),
                () = std::future::ready(()) => {}
            }
            go.send(()).unwrap();
            closing.await;
        };
        tokio::join!(biased; making, end);
        assert_eq!((bench.folders(), fake.ends.load(Ordering::Relaxed)), (0, 1));
    }
}
