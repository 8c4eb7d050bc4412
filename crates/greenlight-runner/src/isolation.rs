//! What keeps jobs apart from the server, from the machine and from each other, as far as this machine has it.
//!
//! [`Isolation::find`] looks once, at start, by really making a sandbox; what it found and what is missing is told in each job's
//! header. In falling order: `bwrap` (namespaces with a view of the files of its own), `unshare` (namespaces alone), neither. Landlock
//! and control groups come on top where the kernel gives them. Where we are root, each job has a user of its own as well.

mod cgroup;
mod spare;
mod user;
mod view;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::sandbox::layer::Layer;
use crate::sandbox::{INIT, Plan, Sandbox, init, wall};
use crate::spawner::Priority;
use crate::workspace::Workspace;
use cgroup::Groups;
pub(crate) use cgroup::JobGroup;
use spare::Spares;
pub(crate) use user::User;

/// How much isolation is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IsolationWanted {
    /// As much as the machine has.
    #[default]
    Auto,
    /// Folders and process groups of their own, no more.
    None,
    /// All of it, or no job runs.
    Required,
}

impl IsolationWanted {
    /// Reads a setting.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// What an isolation is made from.
#[derive(Clone, Debug)]
pub struct IsolationOptions {
    /// How much is asked for.
    pub wanted: IsolationWanted,
    /// The program whose `main` calls [`crate::sandbox::init::run_if_asked`] first; this one where nothing is said.
    pub program: Option<PathBuf>,
    /// The folder below which jobs have theirs.
    pub work_dir: PathBuf,
    /// Files and folders that no job may look into: the server's data, the mirrors, the settings and files with secrets.
    pub hidden: Vec<PathBuf>,
    /// Folders below a hidden one (or a home folder) that jobs may read all the same.
    pub visible: Vec<PathBuf>,
    /// At which priority jobs run.
    pub priority: Priority,
}

/// Isolation was required, and the machine does not have it.
#[derive(Debug, thiserror::Error)]
#[error(
    "isolation of jobs is required, and this machine lacks {missing}; install bubblewrap, allow user namespaces, or set runner.isolation = \"auto\""
)]
pub struct IsolationError {
    missing: String,
}

/// The devices that every program may write to.
const DEVICES: [&str; 7] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts"];

/// How much sooner a job's first step starts than the next job's sandbox is made, so that they do not want the same core.
const HEAD_START: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Walls {
    /// `bwrap`, at this path.
    Bubble(PathBuf, LaidBy),
    /// `unshare`, at this path.
    Namespaces(PathBuf),
    /// Landlock alone.
    Landlock,
    /// None.
    Nothing,
}

/// Who lays over the machine's files what a job is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaidBy {
    /// The first process, which has root's rights until it becomes the job's user.
    FirstProcess,
    /// `bwrap`.
    Bubble,
}

/// What this machine isolates jobs with.
#[derive(Clone, Debug)]
pub struct Isolation {
    options: Option<IsolationOptions>,
    priority: Priority,
    walls: Walls,
    groups: Groups,
    /// What there is, in words.
    has: Vec<String>,
    /// What there is not, in words, with the reason.
    lacks: Vec<String>,
    /// The sandbox that waits for its job, where one is kept.
    spares: Option<Arc<Spares<Arc<Sandbox>>>>,
}

impl Isolation {
    /// Returns no isolation: what a test or a person asked for.
    pub fn none() -> Self {
        Self {
            options: None,
            priority: Priority::default(),
            walls: Walls::Nothing,
            groups: Groups::default(),
            has: Vec::new(),
            lacks: vec!["everything else was not asked for".into()],
            spares: None,
        }
    }

    /// Finds out what the machine has, by trying it.
    pub async fn find(mut options: IsolationOptions) -> Result<Self, IsolationError> {
        if options.wanted == IsolationWanted::None {
            return Ok(Self { priority: options.priority, ..Self::none() });
        }
        options.program = options.program.or_else(init::this_program);
        let is_required = options.wanted == IsolationWanted::Required;
        let mut found = Self {
            priority: options.priority,
            options: Some(options),
            walls: Walls::Nothing,
            groups: Groups::find(),
            has: Vec::new(),
            lacks: Vec::new(),
            spares: None,
        };
        let wall = if found.program().is_some() {
            found.try_walls().await
        } else {
            found.lacks.push("a sandbox (this program was not started as one that can be inside it)".into());
            String::new()
        };
        found.describe(&wall);
        let lacks_a_wall = !matches!(found.walls, Walls::Bubble(..)) || wall.is_empty();
        if is_required && lacks_a_wall {
            return Err(IsolationError { missing: found.lacks.join("; ") });
        }
        Ok(found)
    }

    /// Tries one kind of walls after the other. Returns what Landlock gave.
    async fn try_walls(&mut self) -> String {
        let bubble = find_program("bwrap");
        // A profile for `bwrap` may take root's rights from what it starts.
        let laid_by = [User::for_job(0).map(|_| LaidBy::FirstProcess), Some(LaidBy::Bubble)].into_iter().flatten();
        let bubbles: Vec<Walls> = laid_by.filter_map(|laid_by| Some(Walls::Bubble(bubble.clone()?, laid_by))).collect();
        let namespaces = find_program("unshare").map(Walls::Namespaces);
        if bubble.is_none() {
            self.lacks.push("a view of the files of its own (bwrap is not installed: install bubblewrap)".into());
        }
        for walls in bubbles.into_iter().chain(namespaces).chain([Walls::Landlock]) {
            match self.try_one(&walls).await {
                Ok(wall) if walls == Walls::Landlock && wall.is_empty() => {}
                Ok(wall) => {
                    self.walls = walls;
                    return wall;
                }
                Err(error) if matches!(walls, Walls::Bubble(_, LaidBy::FirstProcess)) => {
                    tracing::debug!("bwrap is told of everything, for what it starts cannot see to it: {error}");
                }
                Err(error) => self.lacks.push(match &walls {
                    Walls::Bubble(..) => format!("a view of the files of its own (bwrap: {error})"),
                    Walls::Namespaces(_) => format!("namespaces (unshare: {error})"),
                    Walls::Landlock | Walls::Nothing => format!("a sandbox ({error})"),
                }),
            }
        }
        String::new()
    }

    async fn try_one(&self, walls: &Walls) -> std::io::Result<String> {
        let no_options = || std::io::Error::other("there is no isolation to be tried");
        let work_dir = self.options.as_ref().ok_or_else(no_options)?.work_dir.clone();
        let workspace = Workspace::create(&work_dir, "try")?;
        let tried = async {
            let sandbox = Sandbox::start(self.plan(walls, &workspace, None)?).await?;
            let _ = sandbox.end().await;
            Ok(sandbox.wall.clone())
        };
        let tried = tried.await;
        // What cannot be removed now is swept at the next start.
        let _ = std::fs::remove_dir_all(&workspace.root);
        tried
    }

    fn describe(&mut self, wall: &str) {
        let namespaces = "user, PID, mount, IPC and UTS namespaces";
        match self.walls {
            Walls::Bubble(..) => self.has.push(format!("bubblewrap ({namespaces})")),
            Walls::Namespaces(_) => self.has.push(namespaces.into()),
            Walls::Landlock | Walls::Nothing => {}
        }
        if wall.is_empty() {
            self.lacks.push("Landlock (the kernel does not have it, or it is switched off)".into());
        } else {
            self.has.push(wall.to_owned());
        }
        match User::for_job(0) {
            Some(_) if matches!(self.walls, Walls::Bubble(..)) => self.has.push("a user of its own".into()),
            _ => self.lacks.push("a user of its own (that takes a runner started by root, and bubblewrap)".into()),
        }
        match self.groups.told() {
            Some(told) => self.has.push(told),
            None => self.lacks.push("a control group (none can be made: delegate one to the runner)".into()),
        }
        self.lacks.push("a network of its own".into());
    }

    /// Returns in a sentence or two what jobs are isolated with, and what is missing.
    pub fn told(&self) -> String {
        let has: String = self.has.iter().map(|has| format!(", {has}")).collect();
        let lacks = if self.lacks.is_empty() { String::new() } else { format!(" Missing: {}.", self.lacks.join("; ")) };
        format!("Isolation: folders and a process group of its own{has}.{lacks}")
    }

    /// Returns what a demand for isolation lacks here, where it lacks something.
    pub fn lack(&self) -> Option<String> {
        let is_whole =
            matches!(self.walls, Walls::Bubble(..)) && self.has.iter().any(|has| has.starts_with("Landlock"));
        (!is_whole).then(|| self.lacks.join("; "))
    }

    /// Makes the sandbox of a job; nothing where there are no walls.
    pub(crate) async fn enter(&self, workspace: &Workspace) -> std::io::Result<Option<Arc<Sandbox>>> {
        if self.walls == Walls::Nothing {
            return Ok(None);
        }
        let number = workspace.number();
        let group = self.groups.make(&format!("{}-{number}", std::process::id())).map(Arc::new);
        let plan = self.plan(&self.walls, workspace, group)?;
        Ok(Some(Arc::new(Sandbox::start(plan).await?)))
    }

    /// Keeps a sandbox at hand for the next job of the repository that had the last one: making one takes longer than all else
    /// that a job waits for. [`Isolation::close`] ends the last one; what a runner leaves that was killed is swept at the next start.
    #[must_use]
    pub fn keeping_a_spare(mut self) -> Self {
        self.spares = (self.walls != Walls::Nothing).then(Arc::default);
        self
    }

    /// Takes the folders and the sandbox that were made ahead for a job of this repository.
    pub(crate) async fn take_spare(&self, work_dir: &Path, repository: &str) -> Option<(Workspace, Arc<Sandbox>)> {
        self.spares.as_ref()?.take(work_dir, repository).await
    }

    /// Makes the next one ahead, beside the job that begins now.
    pub(crate) fn make_spare(self: &Arc<Self>, work_dir: &Path, repository: &str) {
        if let Some(spares) = self.spares.clone() {
            let (isolation, work_dir, repository) = (self.clone(), work_dir.to_owned(), repository.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(HEAD_START).await;
                spares.make(&work_dir, &repository, async |workspace| isolation.enter(workspace).await).await;
            });
        }
    }

    /// Ends the sandbox that was made ahead: no job comes any more.
    pub async fn close(&self) {
        if let Some(spares) = &self.spares {
            spares.close().await;
        }
    }

    /// Returns at which priority jobs run.
    pub(crate) fn priority(&self) -> Priority {
        self.priority
    }

    fn program(&self) -> Option<&Path> {
        self.options.as_ref()?.program.as_deref()
    }

    fn plan(&self, walls: &Walls, workspace: &Workspace, group: Option<Arc<JobGroup>>) -> std::io::Result<Plan> {
        let no_options = || std::io::Error::other("there is no isolation to be planned");
        let options = self.options.as_ref().ok_or_else(no_options)?;
        let own_program = self.program().ok_or_else(no_options)?;
        let own = workspace.folders();
        std::fs::create_dir_all(&workspace.tools)?;
        std::fs::create_dir_all(&workspace.actions)?;
        let mut hidden = options.hidden.clone();
        hidden.extend(workspace.root.parent().map(Path::to_path_buf));
        let mut command: Vec<OsString> = Vec::new();
        let mut writable = own.to_vec();
        writable.push("/proc".into());
        let mut readable = Vec::new();
        let (mut user, mut inner_id) = (None, None);
        let mut layers = Vec::new();
        match walls {
            Walls::Bubble(program, laid_by) => {
                user = User::for_job(workspace.number());
                inner_id = user.filter(|_| view::anybody_may_make_namespaces()).map(|_| view::INNER_ID);
                std::fs::create_dir(workspace.shared_temp())?;
                command.push(program.into());
                let view = view::bubble(workspace, (user, inner_id), &hidden, &options.visible)?;
                command.extend(view.words);
                let mut first = own_program.to_owned();
                match laid_by {
                    LaidBy::FirstProcess => layers = view.layers,
                    LaidBy::Bubble => {
                        let (shown, place) = view::own_program(own_program);
                        command.extend(view.layers.iter().chain([&shown]).flat_map(Layer::words));
                        first = place;
                    }
                }
                command.extend(["--".into(), first.into()]);
                writable.extend(["/dev", "/tmp", "/var/tmp", "/run"].map(PathBuf::from));
            }
            Walls::Namespaces(program) => {
                command.push(program.into());
                std::fs::create_dir(workspace.shared_temp())?;
                command.extend(view::NAMESPACES.iter().map(OsString::from));
                command.extend(["--", "sh", "-c", view::SETTLE].map(OsString::from));
                command.extend([workspace.shared_temp(), workspace.root.clone()].map(OsString::from));
                readable = readable_outside(&hidden, options);
                writable.extend(["/dev", "/tmp", "/var/tmp"].map(PathBuf::from));
                command.push(own_program.into());
            }
            Walls::Landlock | Walls::Nothing => {
                // Not all of /dev: memory that files can be left in lies there.
                writable.extend(DEVICES.map(PathBuf::from));
                readable = readable_outside(&hidden, options);
                command.push(own_program.into());
            }
        }
        command.push(INIT.into());
        user.map_or(Ok(()), |user| user.give(&workspace.root))?;
        let has_pid_namespace = matches!(walls, Walls::Bubble(..) | Walls::Namespaces(_));
        Ok(Plan {
            command,
            priority: self.priority,
            layers,
            user,
            inner_id,
            has_pid_namespace,
            writable,
            readable,
            group,
        })
    }
}

/// Without a view of its own, what a job may read is all but what is hidden.
fn readable_outside(hidden: &[PathBuf], options: &IsolationOptions) -> Vec<PathBuf> {
    let hidden: Vec<PathBuf> =
        hidden.iter().chain(&view::homes()).filter_map(|path| path.canonicalize().ok()).collect();
    let mut readable = wall::all_but(&hidden);
    readable.extend(options.visible.iter().cloned());
    readable.extend(options.program.clone());
    readable
}

fn find_program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}
