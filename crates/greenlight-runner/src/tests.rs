//! Jobs with real steps in folders of their own, and a place that only remembers.

mod agent;
mod ending;
mod files;
mod javascript;
#[path = "../tests/order/mod.rs"]
mod order;
mod parallel;
mod steps;
mod using;
mod words;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlight_core::effect::{JobEnd, JobOrder};
use greenlight_core::id::Sha;
use greenlight_core::port::Reply;
use greenlight_core::run::Conclusion;
use greenlight_core::time::Timestamp;
use tokio::sync::watch;

use crate::action_store::{ActionOverride, ActionStore, ActionStoreOptions};
use crate::host::{Annotation, CheckedOut, CheckoutRequest, Given, JobHost, LogBlock, StepState, StepUpdate};
use crate::job::{RunnerOptions, run_job};
use crate::process::Patience;
use crate::source::ActionSource;
use crate::stop::Stop;
pub(crate) use order::order;

/// A place that remembers everything.
#[derive(Default)]
struct Place {
    blocks: Mutex<Vec<LogBlock>>,
    updates: Mutex<Vec<StepUpdate>>,
    annotations: Mutex<Vec<Annotation>>,
    summaries: Mutex<Vec<(u32, String)>>,
    checkouts: Mutex<Vec<CheckoutRequest>>,
    given: Mutex<Given>,
    actions: Mutex<Option<Arc<dyn ActionSource>>>,
    /// What the fake checkout brings beside its own files.
    files: Mutex<Vec<(String, String)>>,
    /// What was said and how steps went, one behind the other; where it is wanted so.
    story: Option<Mutex<Vec<String>>>,
}

impl Place {
    /// Returns the log of a step.
    fn log(&self, step: u32) -> String {
        let blocks = self.blocks.lock().unwrap();
        let texts = blocks.iter().filter(|block| block.step == step).map(|block| &block.text[..]);
        String::from_utf8_lossy(&texts.collect::<Vec<_>>().concat()).into_owned()
    }

    /// Returns what the script of a step said, without what the runner says around it.
    fn said(&self, step: u32) -> String {
        let log = self.log(step);
        log.split_once("##[endgroup]\n").map_or(log.clone(), |(_, said)| said.to_owned())
    }

    fn note(&self, word: String) {
        if let Some(story) = &self.story {
            story.lock().unwrap().push(word);
        }
    }

    fn whole(&self) -> String {
        let blocks = self.blocks.lock().unwrap();
        String::from_utf8_lossy(&blocks.iter().map(|block| &block.text[..]).collect::<Vec<_>>().concat()).into_owned()
    }

    /// Returns how the steps of the workflow ended.
    fn conclusions(&self) -> Vec<Conclusion> {
        let updates = self.updates.lock().unwrap();
        let ended = updates.iter().filter_map(|update| match update.state {
            StepState::Completed { conclusion, .. } => Some((update.index, conclusion)),
            StepState::Running { .. } => None,
        });
        let all: Vec<_> = ended.filter(|(index, _)| *index > 0).collect();
        all[..all.len().saturating_sub(1)].iter().map(|(_, conclusion)| *conclusion).collect()
    }
}

impl JobHost for Place {
    fn checkout<'a>(&'a self, request: &'a CheckoutRequest, dest: &'a Path) -> Reply<'a, Result<CheckedOut, String>> {
        Box::pin(async move {
            self.checkouts.lock().unwrap().push(request.clone());
            if request.name.as_deref() == Some("missing") {
                return Err("there is no branch or tag 'missing'".into());
            }
            std::fs::create_dir_all(dest.join(".github/actions/greet")).unwrap();
            std::fs::write(dest.join("README"), "hello\n").unwrap();
            write(&dest.join(".git/config"), "[core]\n");
            std::fs::write(dest.join(".github/actions/greet/action.yml"), using::GREET).unwrap();
            for (path, text) in self.files.lock().unwrap().iter() {
                write(&dest.join(path), text);
            }
            Ok(CheckedOut { sha: request.sha.unwrap_or(Sha::ZERO), git_ref: request.name.clone() })
        })
    }

    fn step<'a>(&'a self, update: StepUpdate) -> Reply<'a, ()> {
        Box::pin(async move {
            let state = if matches!(update.state, StepState::Running { .. }) { "begins" } else { "ends" };
            self.note(format!("{} {state}", update.name));
            self.updates.lock().unwrap().push(update);
        })
    }

    fn is_one_story(&self) -> bool {
        self.story.is_some()
    }

    fn log<'a>(&'a self, block: LogBlock) -> Reply<'a, ()> {
        Box::pin(async move {
            assert!(block.text.ends_with(b"\n"), "whole lines");
            if self.is_one_story() {
                // Whoever waits for nobody is passed meanwhile.
                tokio::task::yield_now().await;
                String::from_utf8_lossy(&block.text).lines().for_each(|line| self.note(line.to_owned()));
            }
            self.blocks.lock().unwrap().push(block);
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn given(&self) -> Given {
        self.given.lock().unwrap().clone()
    }

    fn actions(&self) -> Option<Arc<dyn ActionSource>> {
        self.actions.lock().unwrap().clone()
    }

    fn annotate<'a>(&'a self, annotation: Annotation) -> Reply<'a, ()> {
        Box::pin(async move { self.annotations.lock().unwrap().push(annotation) })
    }

    fn summarize<'a>(&'a self, step: u32, markdown: String) -> Reply<'a, ()> {
        Box::pin(async move { self.summaries.lock().unwrap().push((step, markdown)) })
    }
}

/// Writes a file, and makes the folders that it is in.
fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Puts steps into a workflow.
fn workflow(steps: &str) -> String {
    let indented: String = steps.lines().map(|line| format!("      {line}\n")).collect();
    format!("on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n{indented}")
}

/// A job that ran.
struct Done {
    end: JobEnd,
    place: Arc<Place>,
}

/// A folder to work in, and what jobs in it can be told.
struct Bench {
    folder: tempfile::TempDir,
    /// The repositories of actions.
    repositories: tempfile::TempDir,
    place: Arc<Place>,
    stop: watch::Sender<Stop>,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            repositories: tempfile::tempdir().unwrap(),
            place: Arc::default(),
            stop: watch::channel(Stop::No).0,
        }
    }

    /// Adds files to what a checkout brings.
    fn with_files(self, files: &[(&str, &str)]) -> Self {
        let own = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        self.place.files.lock().unwrap().extend(own);
        self
    }

    /// Adds files of repositories, each as OWNER/REPO/PATH: any ref of theirs has them.
    fn with_repositories(self, files: &[(&str, &str)]) -> Self {
        let mut overrides = Vec::new();
        for (path, text) in files {
            let name: Vec<&str> = path.splitn(3, '/').take(2).collect();
            let folder = self.repositories.path().join(name.join("/"));
            write(&self.repositories.path().join(path), text);
            overrides.push(ActionOverride { repository: name.join("/").into(), git_ref: None, folder });
        }
        let options = ActionStoreOptions {
            folder: self.repositories.path().join("_store"),
            overrides,
            ..ActionStoreOptions::default()
        };
        *self.place.actions.lock().unwrap() = Some(Arc::new(ActionStore::open(options, None).unwrap()));
        self
    }

    /// Runs a job of these steps.
    async fn steps(&self, steps: &str) -> Done {
        self.run(order(&workflow(steps))).await
    }

    fn options(&self) -> RunnerOptions {
        let mut options = RunnerOptions::new(self.folder.path(), "bench");
        options.patience = Patience {
            interrupted: Duration::from_millis(300),
            terminated: Duration::from_millis(300),
            cancelled: Duration::from_secs(20),
        };
        options
    }

    async fn run(&self, order: JobOrder) -> Done {
        let ended = run_job(order, self.place.clone(), self.stop.subscribe(), &self.options()).await;
        ended.cleanup.finish().await;
        assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 0, "nothing is left of a job");
        Done { end: ended.end, place: self.place.clone() }
    }

    /// Waits until a step said this.
    async fn heard(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.place.whole().lines().any(|line| line == text) {
            assert!(Instant::now() < deadline, "'{text}' was never said:\n{}", self.place.whole());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Is there a Node? Where there is none the test says that it was skipped; with `CI=true` that is a failure.
fn has_node(test: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let has_node = crate::shell::find("node", &path).is_some();
    if !has_node {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{test} needs node on the PATH");
        eprintln!("skipped: {test} needs node on the PATH");
    }
    has_node
}

/// Runs a job of these steps.
async fn run_steps(steps: &str) -> Done {
    Bench::new().run(order(&workflow(steps))).await
}

#[track_caller]
fn succeeded(done: &Done) {
    assert_eq!(done.end.conclusion, Conclusion::Success, "{}\n{}", done.end.reason, done.place.whole());
}
