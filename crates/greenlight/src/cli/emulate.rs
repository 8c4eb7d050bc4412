//! `greenlight emulate`: the emulated GitHub alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Exit;

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
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Profile {
    #[value(name = "github.com")]
    GithubCom,
    Ghes,
}

pub async fn emulate(args: Emulate) -> anyhow::Result<Exit> {
    anyhow::bail!("not wired yet: {args:?}")
}
