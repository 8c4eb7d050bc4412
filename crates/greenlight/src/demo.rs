//! `greenlight demo`: the whole loop on this machine, narrated from what the emulated GitHub recorded.

use crate::cli::Exit;

/// What `greenlight demo` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End after the story: exit code 0 if every step came, 1 if one did not.
    #[arg(long)]
    pub once: bool,
    /// Leave out the pauses that are there for reading along.
    #[arg(long)]
    pub fast: bool,
    /// Print one event a line, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Keep everything in this folder instead of a temporary one.
    #[arg(long, hide = true, value_name = "DIR")]
    pub dir: Option<std::path::PathBuf>,
    /// The first of three ports: the emulated GitHub, webhooks, pages. 0 takes free ones.
    #[arg(long, hide = true, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
}

/// Plays the story.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    anyhow::bail!("the demo's story is not part of this build (asked for: {args:?})")
}
