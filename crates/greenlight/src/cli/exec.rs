//! `greenlight exec`: run the workflows here. Takes the flags that users of act know.

mod listing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::RepoId;
use greenlight_core::repository::{Selection, Settings};
use greenlight_core::run::Conclusion;
use greenlight_runner::{Given, IsolationWanted};
use greenlight_workflow::event::event_names;

use greenlight_workflow::{Contexts, Trigger, Value, dispatch_inputs, nearest};

use super::Exit;
use crate::exec::actions;
use crate::exec::event::{self, Asked, DISPATCH, Happened};
use crate::exec::files::{self, File, Sources};
use crate::exec::folder::{self, Folder};
use crate::exec::matrix;
use crate::exec::platform::Platforms;
use crate::exec::tree::WorkingTree;
use crate::exec::values::{self, Values};
use crate::exec::view::{Header, Json, Live, Plain, View, Word};
use crate::exec::{Order, WrongUsage, end, run};

/// Where secrets are looked for.
const SECRETS: &str = ".secrets";
/// GitHub's ids begin with 1.
const REPOSITORY: RepoId = RepoId(1);

#[derive(Debug, Args)]
pub struct Exec {
    /// The event that is played.
    #[arg(default_value = "push")]
    event: String,
    /// A workflow file, or a folder of them [default: .greenlight/workflows or .github/workflows].
    #[arg(long, short = 'W', value_name = "PATH")]
    workflows: Option<PathBuf>,
    /// Run this folder's workflows.
    #[arg(long, short = 'C', value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// A file with the event's payload, or a part of it.
    #[arg(long, short = 'e', value_name = "FILE")]
    eventpath: Option<PathBuf>,
    /// The event's payload as JSON, or a part of it.
    #[arg(long, value_name = "JSON", conflicts_with = "eventpath")]
    payload: Option<String>,
    /// Where jobs of a label run: LABEL=IMAGE, or LABEL=host.
    #[arg(long, short = 'P', value_name = "LABEL=WHERE")]
    platform: Vec<String>,
    /// Run this job, and those that it needs.
    #[arg(long, short = 'j', value_name = "JOB")]
    job: Vec<String>,
    /// Of a matrix, run the legs with this value only.
    #[arg(long, value_name = "KEY:VALUE")]
    matrix: Vec<String>,
    /// A secret; without a value it is read from the environment, or asked for.
    #[arg(long, short = 's', value_name = "NAME[=VALUE]")]
    secret: Vec<String>,
    /// A file of secrets [default: .secrets, where it is there].
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A variable of the repository (`vars.NAME`).
    #[arg(long, value_name = "NAME[=VALUE]")]
    var: Vec<String>,
    /// A file of variables [default: .vars, where it is there].
    #[arg(long, value_name = "FILE")]
    var_file: Option<PathBuf>,
    /// An input of workflow_dispatch.
    #[arg(long, value_name = "NAME=VALUE")]
    input: Vec<String>,
    /// A file of inputs [default: .input, where it is there].
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    /// A variable of all steps' environment; the workflow's own go before it.
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// A file of such variables [default: .env, where it is there].
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Where another repository's workflows and actions lie.
    #[arg(long, value_name = "OWNER/REPO[@REF]=DIR")]
    action_source: Vec<String>,
    /// Ask nobody for actions: use those that are here.
    #[arg(long)]
    action_offline_mode: bool,
    /// The address that the repositories of actions stand below.
    #[arg(long, value_name = "URL", default_value = "https://github.com")]
    actions_url: String,
    /// How much isolation jobs have: auto, none, required.
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = isolation)]
    isolation: IsolationWanted,
    /// A folder below a home that jobs may read all the same [default: what PATH leads to].
    #[arg(long, value_name = "DIR")]
    visible: Vec<PathBuf>,
    /// Who plays the event [default: the name that git commits with].
    #[arg(long, short = 'a', value_name = "LOGIN")]
    actor: Option<String>,
    /// The repository's name [default: from git's remote].
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// The repository's default branch [default: from git's remote, else main].
    #[arg(long, visible_alias = "defaultbranch", value_name = "NAME")]
    default_branch: Option<String>,
    /// How many jobs run side by side [default: as many as there are processors].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrent_jobs: Option<u16>,
    /// List the jobs, and run nothing.
    #[arg(long, short = 'l')]
    list: bool,
    /// Draw which job waits for which, and run nothing.
    #[arg(long, short = 'g')]
    graph: bool,
    /// Show the steps that would be run, and run nothing.
    #[arg(long, short = 'n', visible_alias = "dry-run")]
    dryrun: bool,
    /// Leave the logs out.
    #[arg(long, short = 'q')]
    quiet: bool,
    /// Write JSON, an object a line.
    #[arg(long)]
    json: bool,
}

/// What the arguments come to before a file of a workflow is looked at.
struct Prepared {
    tree: Arc<WorkingTree>,
    repository: RepositoryRef,
    happened: Happened,
    /// What the event does not tell.
    missing: Option<String>,
    sources: Sources,
    platforms: Platforms,
    matrix: matrix::Wanted,
}

/// Says all but the logs.
struct WithoutLogs(Json);

impl View for WithoutLogs {
    fn tell(&self, word: &Word<'_>) {
        if !matches!(word, Word::Log { .. }) {
            self.0.tell(word);
        }
    }
}

pub async fn exec(args: Exec) -> anyhow::Result<Exit> {
    let secrets = args.secret_file.clone().unwrap_or_else(|| args.directory.join(SECRETS));
    let tree = Arc::new(WorkingTree::open(&args.directory, &secrets)?);
    let read = files::read(&tree.root, args.workflows.as_deref())?;
    let prepared = prepare(&args, tree, &read)?;
    if args.list || args.graph || args.dryrun {
        return listing::show(&args, &read, &prepared.happened);
    }
    let given = given(&args, &prepared.tree.root)?;
    let view: Arc<dyn View> = match args.json {
        true if args.quiet => Arc::new(WithoutLogs(Json::new())),
        true => Arc::new(Json::new()),
        false if Live::is_possible() => Live::new(args.quiet),
        false => Arc::new(Plain::new(args.quiet)),
    };
    let secrets = given.secrets.iter().map(|(name, value)| (&**name, &**value));
    values::short_secrets(secrets).iter().for_each(|warning| view.tell(&Word::Notice(warning)));
    let unreadable = tell_findings(&read, &*view);
    let chosen = with_jobs(&args.job, choose(&read, &prepared.happened, &*view))?;
    if chosen.is_empty() {
        return Ok(exit(end(None, &unreadable, std::time::Duration::ZERO, &*view)));
    }
    let (chosen, others) = files::with_inputs(chosen, &prepared.happened);
    check_inputs(&chosen, &prepared.happened)?;
    others.iter().for_each(|told| view.tell(&Word::Notice(told)));
    if let Some(missing) = &prepared.missing {
        view.tell(&Word::Notice(missing));
    }
    let header = header(&prepared, &chosen);
    let below = std::env::temp_dir();
    folder::sweep(&below).await;
    let folder = Folder::make(&below).with_context(|| format!("no folder can be made in {}", below.display()))?;
    let order = Order { unreadable, ..order(&args, prepared, given, &chosen, folder)? };
    view.tell(&Word::Begin(&header));
    Ok(exit(run(order, view).await?))
}

fn exit(conclusion: Option<Conclusion>) -> Exit {
    if conclusion.is_none_or(Conclusion::is_green) { Exit::Done } else { Exit::Failed }
}

fn prepare(args: &Exec, tree: Arc<WorkingTree>, read: &[File]) -> anyhow::Result<Prepared> {
    let events: Vec<&str> = event_names().collect();
    if !events.contains(&args.event.as_str()) {
        let meant = nearest(&args.event, &events).map(|event| format!("; did you mean {event}?")).unwrap_or_default();
        return Err(WrongUsage(format!("{} is no event that starts workflows{meant}", args.event)).into());
    }
    let git = tree.git.as_ref();
    let full_name = args.repository.clone().or_else(|| git.and_then(|git| git.remote.clone()));
    let folder = tree.root.file_name().map_or_else(|| "repository".into(), |name| name.to_string_lossy().into_owned());
    let full_name = full_name.unwrap_or_else(|| format!("local/{folder}"));
    if full_name.split('/').count() != 2 || full_name.split('/').any(str::is_empty) {
        return Err(WrongUsage(format!("--repository {full_name}: it should be OWNER/NAME")).into());
    }
    let default_branch = args.default_branch.clone().or_else(|| git.and_then(|git| git.default_branch.clone()));
    let repository = RepositoryRef {
        id: REPOSITORY,
        full_name: full_name.into(),
        default_branch: default_branch.unwrap_or_else(|| "main".into()).into(),
    };
    let payload = match (&args.payload, &args.eventpath) {
        (Some(text), _) => Some(serde_json::from_str(text).with_context(|| WrongUsage("--payload is no JSON".into()))?),
        (None, Some(path)) => {
            let wrong = |why: &str| WrongUsage(format!("--eventpath {}: {why}", path.display()));
            let text = std::fs::read_to_string(path).with_context(|| wrong("it cannot be read"))?;
            Some(serde_json::from_str(&text).with_context(|| wrong("it is no JSON"))?)
        }
        (None, None) => None,
    };
    let actor = args.actor.clone().or_else(|| git.and_then(|git| git.user.clone()));
    if let (Some(input), true) = (args.input.first(), ![DISPATCH, "workflow_call"].contains(&args.event.as_str())) {
        return Err(WrongUsage(format!("--input {input}: {} has no inputs, {DISPATCH} has", args.event)).into());
    }
    let mut inputs = of_file(&tree.root, args.input_file.as_deref(), ".input")?;
    values::add_given(&mut inputs, "--input", &args.input)?;
    if args.event == DISPATCH {
        let more = payload.as_ref().and_then(|payload: &serde_json::Value| payload.get("inputs")?.as_object());
        let more = more.into_iter().flat_map(|inputs| inputs.keys());
        let chosen = files::choices(read, inputs.iter().map(|(name, _)| name).chain(more).map(String::as_str));
        inputs.extend(chosen);
    }
    let (actor, crons) = (actor.unwrap_or_else(|| "local".into()), files::crons(read));
    let asked = Asked { name: args.event.clone(), payload, actor, inputs, crons };
    let happened = event::happened(&asked, &tree, &repository)?;
    let sources = Sources::parse(&args.action_source)?;
    let (platforms, matrix) = (Platforms::parse(&args.platform)?, matrix::parse(&args.matrix)?);
    let missing = event::missing(&asked);
    Ok(Prepared { tree, repository, happened, missing, sources, platforms, matrix })
}

/// Reads a file of values: the one that was named, else the usual one of the folder.
fn of_file(root: &Path, named: Option<&Path>, usual: &str) -> anyhow::Result<Values> {
    match named {
        Some(path) => values::from_file(path, true),
        None => values::from_file(&root.join(usual), false),
    }
}

/// Says what is wrong with the files. Returns which cannot be read.
fn tell_findings(read: &[File], view: &dyn View) -> Vec<Arc<str>> {
    for file in read {
        for warning in &file.warnings {
            view.tell(&Word::Notice(&format!("warning: {warning}")));
        }
        if let Err(rendered) = &file.workflow {
            view.tell(&Word::Notice(rendered));
        }
    }
    read.iter().filter(|file| file.workflow.is_err()).map(|file| file.path.clone()).collect()
}

/// Returns the files that the event starts; says why not, where it starts none.
fn choose<'a>(read: &'a [File], happened: &Happened, view: &dyn View) -> Vec<&'a File> {
    let mut chosen = Vec::new();
    let mut reasons = Vec::new();
    for file in read {
        let Ok(workflow) = &file.workflow else { continue };
        match files::trigger(workflow, happened) {
            Trigger::Yes => chosen.push(file),
            Trigger::No { reason } => reasons.push(format!("{}: {reason}", file.path)),
        }
    }
    if chosen.is_empty() {
        for reason in reasons {
            view.tell(&Word::Notice(&format!("not run: {reason}")));
        }
    }
    chosen
}

/// Returns the files that have one of the jobs that are asked for.
fn with_jobs<'a>(wanted: &[String], chosen: Vec<&'a File>) -> anyhow::Result<Vec<&'a File>> {
    if wanted.is_empty() || chosen.is_empty() {
        return Ok(chosen);
    }
    let has = |file: &File, id: &str| file.workflow.as_ref().is_ok_and(|workflow| workflow.job(id).is_some());
    if let Some(id) = wanted.iter().find(|id| !chosen.iter().any(|file| has(file, id))) {
        let known = chosen.iter().filter_map(|file| file.workflow.as_ref().ok());
        let known: Vec<&str> = known.flat_map(|workflow| workflow.jobs.iter().map(|job| &*job.id)).collect();
        let why = format!("-j {id}: no workflow of this event has such a job; there are {}", known.join(", "));
        return Err(WrongUsage(why).into());
    }
    Ok(chosen.into_iter().filter(|file| wanted.iter().any(|id| has(file, id))).collect())
}

/// Holds the inputs against those that the workflows of the event have.
fn check_inputs(chosen: &[&File], happened: &Happened) -> anyhow::Result<()> {
    if &*happened.name != DISPATCH {
        return Ok(());
    }
    let given = happened.inputs();
    for (file, workflow) in chosen.iter().filter_map(|file| Some((file, file.workflow.as_ref().ok()?))) {
        let checked = dispatch_inputs(workflow.on.event(DISPATCH), &given, &Contexts::new());
        checked.map_err(|problem| WrongUsage(format!("the inputs of {}: {}", file.path, problem.message)))?;
    }
    Ok(())
}

fn header(prepared: &Prepared, chosen: &[&File]) -> Header {
    let git = prepared.tree.git.as_ref();
    let title = |file: &&File| file.workflow.as_ref().map_or_else(|_| file.path.to_string(), |w| w.title().to_owned());
    Header {
        event: prepared.happened.name.clone(),
        git_ref: prepared.happened.git_ref.clone(),
        repository: prepared.repository.full_name.clone(),
        sha: git.map(|git| git.head),
        is_repository: prepared.tree.is_repository(),
        is_dirty: git.is_some_and(|git| git.is_dirty),
        workflows: chosen.iter().map(title).collect(),
    }
}

fn order(args: &Exec, prepared: Prepared, given: Given, chosen: &[&File], folder: Folder) -> anyhow::Result<Order> {
    let Prepared { tree, repository, happened, missing: _, sources, platforms, matrix } = prepared;
    let files = files::as_commit(&tree.root, &sources, chosen, happened.sha);
    matrix::check(&matrix, &files)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let token = given.secrets.iter().find(|(name, _)| &**name == "GITHUB_TOKEN").map(|(_, token)| token.to_string());
    let actions = actions::open(&actions::Wanted {
        sources: &sources,
        own: (&repository.full_name, happened.sha.to_string()),
        root: &tree.root,
        offline: args.action_offline_mode,
        url: &args.actions_url,
        token,
    })?;
    Ok(Order {
        has_actions: files::has_actions(&files),
        files,
        settings: settings(args, matrix, &given),
        actions,
        given,
        platforms,
        slots: args.concurrent_jobs.map_or(processors, usize::from),
        isolation: args.isolation,
        hidden: vec![tree.secrets().to_owned()],
        visible: visible(args),
        folder,
        unreadable: Vec::new(),
        tree,
        repository,
        happened,
    })
}

fn isolation(text: &str) -> Result<IsolationWanted, String> {
    IsolationWanted::parse(text).ok_or_else(|| format!("'{text}' is not auto, none or required"))
}

/// Returns what jobs may read below a home: what was named, or else the folders there that PATH leads into.
fn visible(args: &Exec) -> Vec<PathBuf> {
    if !args.visible.is_empty() {
        return args.visible.clone();
    }
    let (Some(home), Some(path)) = (std::env::var_os("HOME"), std::env::var_os("PATH")) else { return Vec::new() };
    let below = |folder: PathBuf| {
        let first = folder.strip_prefix(&home).ok()?.components().next()?;
        Some(Path::new(&home).join(first))
    };
    std::env::split_paths(&path).filter_map(below).collect()
}

/// Returns what the core is told: which jobs are asked for, and the variables.
fn settings(args: &Exec, matrix: matrix::Wanted, given: &Given) -> Settings {
    let jobs = args.job.iter().map(|job| job.as_str().into()).collect();
    let vars = given.vars.as_object().into_iter().flat_map(|vars| vars.iter());
    let vars = vars.map(|(name, value)| (name.into(), value.coerce_string())).collect();
    Settings { selection: Selection { jobs, matrix }, vars, ..Settings::default() }
}

fn given(args: &Exec, root: &Path) -> anyhow::Result<Given> {
    let mut secrets = Values::new();
    for (name, value) in of_file(root, args.secret_file.as_deref(), SECRETS)? {
        values::put(&mut secrets, &name.to_uppercase(), value);
    }
    values::add_secrets(&mut secrets, &args.secret)?;
    let mut vars = of_file(root, args.var_file.as_deref(), ".vars")?;
    values::add_given(&mut vars, "--var", &args.var)?;
    let mut env = of_file(root, args.env_file.as_deref(), ".env")?;
    values::add_given(&mut env, "--env", &args.env)?;
    let named = |values: Values| values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    Ok(Given {
        secrets: named(secrets),
        vars: Value::object(vars.into_iter().map(|(name, value)| (name.to_uppercase(), Value::string(value)))),
        env: named(env),
        ..Given::default()
    })
}
