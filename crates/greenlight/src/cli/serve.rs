//! `greenlight serve`: the server, until it is told to end.

use std::pin::pin;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Exit, Settings, environment, parent};
use crate::config::Config;
use crate::server::{self, ending::DEPLOYMENTS_WITHIN};

/// What `greenlight serve` takes.
#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    settings: Settings,
    /// End when the standard input is closed, which it is when whoever started us is gone.
    #[arg(long, hide = true)]
    end_with_input: bool,
}

/// Runs the server until SIGTERM or SIGINT. A deployment that runs may end first, unless there is a second one; the next ends it at once.
pub async fn serve(args: Serve) -> anyhow::Result<Exit> {
    let config = Config::load(args.settings.config.as_deref(), &environment())?;
    start_log(&config.log);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = server::start(config).await?;
    let mut gone = pin!(parent::gone(args.end_with_input));
    let is_asked = tokio::select! {
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
        () = &mut gone => false,
    };
    tracing::info!("ending");
    if is_asked {
        tokio::select! {
            () = running.finish_deployments(DEPLOYMENTS_WITHIN) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = &mut gone => {}
        }
    }
    tokio::select! {
        () = running.stop() => Ok(Exit::Done),
        _ = terminate.recv() => Ok(Exit::Failed),
        _ = interrupt.recv() => Ok(Exit::Failed),
    }
}

/// Begins to log to the standard error.
pub fn start_log(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let is_plain = std::env::var_os("NO_COLOR").is_some() || !std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(!is_plain).with_writer(std::io::stderr).init();
}
