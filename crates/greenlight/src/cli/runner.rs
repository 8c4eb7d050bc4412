//! `greenlight runner`: jobs of a server on this machine, and which machines may.

mod clone;
mod host;
mod key;
mod link;
mod spooled;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use greenlight_git::{Anonymous, Transport};
use greenlight_runner::wire::spool;
use greenlight_runner::{
    ActionStoreOptions, Done, Isolation, IsolationOptions, IsolationWanted, Pool, PoolOptions, Priority, RunnerOptions,
};
use tokio::signal::unix::{SignalKind, signal};

use super::client::{Client, Server};
use super::{Exit, parent, serve};
use crate::actions::{self, ActionsOptions};
use crate::api::{segment, shape};
use link::{Agent, Link};

/// Most jobs that one runner takes at once.
const SLOTS_MAX: u16 = 256;
/// How long what is left to say is given when the runner ends; the next start says the rest.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take jobs of a server and run them here, until told to end.
    #[command(
        after_help = "Examples:\n  greenlight runner start --server https://ci.example.org --token-file token --data /var/lib/greenlight-runner\n  \
                            greenlight runner start --data /var/lib/greenlight-runner\n\n\
                            The first start registers with a token of `greenlight runner token`; from then on the key in the data folder is used,\n\
                            until the runner is removed: then a new token registers it anew."
    )]
    Start(Start),
    /// On the server: make a token with which one runner registers within 15 minutes.
    #[command(after_help = "Example:\n  greenlight runner token --label linux --label gpu > token")]
    Token(Token),
    /// On the server: list the runners on other machines.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// On the server: take a runner away. Its key opens nothing any more.
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

/// How the runner is to be.
#[derive(Debug, Args)]
pub struct Start {
    /// The address of the server's public listener; not needed where the runner has registered.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The file with the token; not needed where the runner has registered.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How the runner wants to be called [default: this machine's name].
    #[arg(long)]
    name: Option<String>,
    /// The runner's folder: its key, its jobs, what it has not told yet.
    #[arg(long, value_name = "DIR", default_value = "runner")]
    data: PathBuf,
    /// How many jobs run side by side [default: one for each processor].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(SLOTS_MAX)))]
    slots: Option<u16>,
    /// Run one job, say how it ended, and end.
    #[arg(long, conflicts_with = "slots")]
    once: bool,
    /// How jobs are kept apart from this machine and from each other.
    #[arg(long, value_enum, default_value_t = Apart::Auto)]
    isolation: Apart,
    /// Where the repositories of actions are.
    #[arg(long, value_name = "URL", default_value = "https://github.com")]
    actions_url: String,
    /// What is logged: error, warn, info, debug, trace.
    #[arg(long, default_value = "info")]
    log: String,
    /// End when the standard input is closed, which it is when whoever started us is gone.
    #[arg(long, hide = true)]
    end_with_input: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Apart {
    /// As far as this machine can.
    Auto,
    /// Whole, or the runner does not start.
    Required,
    /// Not at all.
    None,
}

/// What the new runner is to be.
#[derive(Debug, Args)]
pub struct Token {
    /// What jobs may ask of it with `runs-on` [default: self-hosted, linux].
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    #[command(flatten)]
    server: Server,
}

pub async fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Start(args) => start(args).await,
        Verb::Token(args) => token(args).await,
        Verb::List { server } => list(server).await,
        Verb::Remove { name, server } => remove(&name, server).await,
    }
}

async fn token(args: Token) -> anyhow::Result<Exit> {
    let client = Client::new(&args.server)?;
    let made: shape::RunnerToken =
        client.make(&format!("/api/v1/runners/token?labels={}", segment(&args.labels.join(",")))).await?;
    if args.server.json {
        println!("{}", serde_json::to_string(&made)?);
    } else {
        println!("{}", made.token);
        eprintln!("It makes one runner ({}), until {}.", made.labels.join(", "), made.expires_at);
    }
    Ok(Exit::Done)
}

async fn list(server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let known: shape::Runners = client.get("/api/v1/runners").await?;
    if server.json {
        println!("{}", serde_json::to_string(&known)?);
        return Ok(Exit::Done);
    }
    for runner in &known.runners {
        println!("{}  {}  heard of at {}", runner.name, runner.labels.join(", "), runner.seen_at);
    }
    Ok(Exit::Done)
}

async fn remove(name: &str, server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let answer = client.post(&format!("/api/v1/runners/{}/remove", segment(name))).await?;
    if server.json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        println!("{}", answer.message);
    }
    Ok(Exit::Done)
}

async fn start(args: Start) -> anyhow::Result<Exit> {
    serve::start_log(&args.log);
    let data = std::path::absolute(&args.data).context("the runner's folder cannot be used")?;
    let spools = data.join("spool");
    std::fs::create_dir_all(&spools).with_context(|| format!("{} cannot be used", spools.display()))?;
    let lock = std::fs::File::create(data.join("lock"))?;
    if lock.try_lock().is_err() {
        anyhow::bail!("another runner uses {}: end it, or name another folder with --data", data.display());
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let key =
        key::kept_or_made(&data, args.server.as_deref(), args.token_file.as_deref(), args.name.as_deref()).await?;
    let pool = Arc::new(pool(&args, &data, &key).await?);
    let store = actions_store(&args, &data)?;
    let link = Arc::new(Link::new(&key, spools.clone(), Some(Arc::new(store)))?);
    for left in spool::left_in(&spools)? {
        tokio::spawn(link.clone().settle(left));
    }
    tracing::info!("the runner {} takes jobs of {} ({})", key.runner, key.server, key.labels.join(", "));
    let news = tokio::spawn(link.clone().hear_news(pool.clone()));
    let closing = pool.clone();
    let close = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent::gone(args.end_with_input) => {}
            () = link.unknown() => {}
        }
        tracing::info!("ending");
        closing.close();
        std::future::pending::<std::convert::Infallible>().await
    };
    let agent = Arc::new(Agent(link.clone()));
    let serve = async {
        match args.once {
            true => pool.serve_one(agent).await,
            false => {
                pool.serve(agent).await;
                None
            }
        }
    };
    let done = tokio::select! {
        done = serve => done,
        never = close => match never {},
    };
    news.abort();
    say_the_rest(&link, &spools).await;
    if link.is_unknown() {
        anyhow::bail!(
            "{} does not know the runner {} any more, which was removed there: make a token with `greenlight runner token` on the \
             server, and start again with --token-file",
            key.server,
            key.runner
        );
    }
    match (args.once, done) {
        (true, Some(done)) => say(&done),
        (true, None) => anyhow::bail!("it was told to end before it had a job"),
        (false, _) => {}
    }
    Ok(Exit::Done)
}

/// Says what is left to say, for a while.
async fn say_the_rest(link: &Arc<Link>, spools: &Path) {
    let last_words = async {
        for left in spool::left_in(spools).unwrap_or_default() {
            link.clone().settle(left).await;
        }
    };
    if tokio::time::timeout(LAST_WORDS_WITHIN, last_words).await.is_err() {
        tracing::warn!("not everything could be told; the next start tells the rest");
    }
}

/// Says how the one job ended.
fn say(done: &Done) {
    let told = if done.is_told { "" } else { " (the server has not heard of it)" };
    println!("{} of {}: {}: {}{told}", done.job, done.repository, done.end.conclusion.as_str(), done.end.reason);
}

async fn pool(args: &Start, data: &Path, key: &key::Key) -> anyhow::Result<Pool> {
    let work_dir = data.join("work");
    let mut runner = RunnerOptions::new(&work_dir, key.runner.as_str());
    let wanted = match args.isolation {
        Apart::Auto => IsolationWanted::Auto,
        Apart::Required => IsolationWanted::Required,
        Apart::None => IsolationWanted::None,
    };
    let isolation = IsolationOptions {
        wanted,
        program: None,
        work_dir,
        hidden: vec![data.to_owned()],
        visible: Vec::new(),
        priority: Priority::Lowest,
    };
    let isolation = Isolation::find(isolation).await?;
    // One job alone has no next one.
    runner.isolation = Arc::new(if args.once { isolation } else { isolation.keeping_a_spare() });
    tracing::info!("{}", runner.isolation.told());
    let of_machine = || std::thread::available_parallelism().map_or(1, usize::from);
    let slots = if args.once { 1 } else { args.slots.map_or_else(of_machine, usize::from) };
    let labels = key.labels.iter().map(|label| Arc::from(label.as_str())).collect();
    Ok(Pool::new(PoolOptions { slots, labels, boot: None, runner })?)
}

fn actions_store(args: &Start, data: &Path) -> anyhow::Result<greenlight_runner::ActionStore> {
    let options = ActionsOptions {
        folder: data.join("actions"),
        url: args.actions_url.trim_end_matches('/').to_owned(),
        credentials: Arc::new(Anonymous),
        transport: Transport::Http,
    };
    actions::open(options, ActionStoreOptions::default()).context("the store of actions cannot be opened")
}
