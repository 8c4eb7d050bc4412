//! `greenlight emulate`: the emulated GitHub alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use greenlight_emulator::{Emulator, Options, Seed};
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, parent};

/// Most that a seed file may hold.
const SEED_SIZE_MAX: u64 = 16 << 20;

#[derive(Debug, Args)]
pub struct Emulate {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The folder of its repositories.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// A file with users, tokens and repositories to begin with.
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Whose limits and URLs it has.
    #[arg(long, value_enum, default_value_t = Profile::GithubCom)]
    pub profile: Profile,
    /// How late reads show a write, in milliseconds at most.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub lag: u64,
    /// End when the standard input is closed, which it is when whoever started us is gone.
    #[arg(long, hide = true)]
    pub end_with_input: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Profile {
    #[value(name = "github.com")]
    GithubCom,
    Ghes,
}

/// Runs the emulated GitHub until SIGTERM or SIGINT.
pub async fn emulate(args: Emulate) -> anyhow::Result<Exit> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut options = match args.profile {
        Profile::GithubCom => Options::new(&args.data),
        Profile::Ghes => Options::ghes(&args.data),
    };
    options.listen = args.listen;
    options.lag = Duration::from_millis(args.lag);
    options.seed = args.seed.as_deref().map(read_seed).transpose()?;
    let mut running = Emulator::start(options).await?;
    println!("the emulated GitHub is at {} (API: {})", running.base_url(), running.api_url());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = parent::gone(args.end_with_input) => {}
        ended = running.wait() => ended.context("the emulated GitHub's listener ended")?,
    }
    running.shutdown().await;
    Ok(Exit::Done)
}

fn read_seed(path: &Path) -> anyhow::Result<Seed> {
    let named = || format!("the seed file {}", path.display());
    let size = std::fs::metadata(path).with_context(named)?.len();
    anyhow::ensure!(size <= SEED_SIZE_MAX, "{} is larger than {SEED_SIZE_MAX} bytes", named());
    let text = std::fs::read_to_string(path).with_context(named)?;
    serde_json::from_str(&text).with_context(named)
}
