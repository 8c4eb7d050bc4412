//! Says of a repository that hosted Actions would run the same workflows as well: once in the log, and on the pages for as long
//! as it is so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlight_core::id::RepoId;
use greenlight_store::RunQuery;

use super::Shared;
use super::repository::Handle;

/// How often new repositories are looked for: among those that are known here, which costs nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a repository is looked at again.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// How many of its latest runs say which folder its workflows are in.
const RUNS_LOOKED_AT: usize = 20;
/// The folder that hosted Actions read.
const HOSTED_FOLDER: &str = ".github/workflows/";

/// The repositories of which it is so.
#[derive(Default)]
pub struct Hosted {
    warnings: Mutex<BTreeMap<RepoId, Arc<str>>>,
}

impl Hosted {
    /// Returns what is to be said of a repository.
    pub fn warning(&self, repo: RepoId) -> Option<Arc<str>> {
        self.warnings.lock().expect("nobody panics while holding the warnings").get(&repo).cloned()
    }

    /// Takes in how it is now. Returns whether something is to be said that was not said before.
    fn set(&self, repo: RepoId, warning: Option<Arc<str>>) -> bool {
        let mut warnings = self.warnings.lock().expect("nobody panics while holding the warnings");
        match warning {
            Some(warning) => warnings.insert(repo, warning).is_none(),
            None => {
                warnings.remove(&repo);
                false
            }
        }
    }
}

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let mut looked: BTreeMap<RepoId, Instant> = BTreeMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
        for handle in shared.directory.all() {
            let repo = handle.reference().id;
            let is_first = !looked.contains_key(&repo);
            if looked.get(&repo).is_none_or(|at| at.elapsed() >= AGAIN_AFTER) {
                looked.insert(repo, Instant::now());
                look(&shared, &handle, is_first).await;
            }
        }
    }
}

async fn look(shared: &Shared, handle: &Handle, is_first: bool) {
    let reference = handle.reference();
    let name = &reference.full_name;
    let are_on = match shared.github.client().hosted_actions(name).await {
        Ok(Some(are_on)) => are_on,
        Ok(None) if is_first => {
            return tracing::info!("{name}: whether hosted Actions are on could not be read, which takes admin rights");
        }
        Ok(None) => return,
        Err(error) => return tracing::debug!("{name}: whether hosted Actions are on could not be read: {error}"),
    };
    let query = RunQuery { repo: Some(reference.id), limit: RUNS_LOOKED_AT, ..RunQuery::default() };
    let runs = shared.store.history().runs(&query).await.unwrap_or_default();
    let workflows: Vec<&str> = runs.iter().map(|run| &*run.workflow).collect();
    let warning = warning(are_on, &workflows);
    if shared.hosted.set(reference.id, warning.clone())
        && let Some(warning) = warning
    {
        tracing::warn!("{name}: {warning}");
        shared.feed.tell(name.clone());
    }
}

/// Returns what is to be said of a repository whose latest runs were of these files: nothing where they lie where hosted Actions do not look.
fn warning(are_on: bool, workflows: &[&str]) -> Option<Arc<str>> {
    let are_hosted = workflows.is_empty() || workflows.iter().any(|path| path.starts_with(HOSTED_FOLDER));
    (are_on && are_hosted).then(|| {
        "hosted Actions are on, so GitHub runs the workflows in .github/workflows as well. \
         Switch them off in the repository's settings, or move the files to .greenlight/workflows"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_and_ends() {
        let hosted = Hosted::default();
        let repo = RepoId(7);
        assert!(hosted.set(repo, warning(true, &[])), "nothing ran yet");
        assert!(!hosted.set(repo, warning(true, &[".github/workflows/ci.yml", "script/cibuild"])), "it was said");
        assert!(hosted.warning(repo).unwrap().contains(".greenlight/workflows"));
        for ended in [warning(false, &[".github/workflows/ci.yml"]), warning(true, &[".greenlight/workflows/ci.yml"])] {
            assert!(!hosted.set(repo, ended));
            assert_eq!(hosted.warning(repo), None);
            assert!(hosted.set(repo, warning(true, &[])));
        }
    }
}
