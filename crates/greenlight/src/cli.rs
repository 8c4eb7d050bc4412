//! The verbs: what they take, and which code they end with.

mod client;
mod dev;
mod emulate;
mod env;
mod exec;
mod expr;
mod glob;
mod input;
mod parent;
mod run;
mod runner;
mod serve;
mod settings;
mod workflow;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::exec::WrongUsage;

/// What the exit codes mean; every verb's help ends with it.
const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed or refused · 2 wrong usage · 3 the server cannot be reached · 4 there is no such thing";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "greenlight", version, about = "Self-hosted CI and delivery for GitHub in one program.", after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play the whole loop on this machine: an emulated GitHub, a server, a sample repository.
    #[command(after_help = example("greenlight demo --once --fast"))]
    Demo(crate::demo::Args),
    /// Run the server, with a runner built in.
    #[command(after_help = example("greenlight serve --config greenlight.toml"))]
    Serve(serve::Serve),
    /// Run the emulated GitHub alone, for anybody's tests.
    #[command(after_help = example("greenlight emulate --listen 127.0.0.1:8080 --data emulated --profile ghes"))]
    Emulate(emulate::Emulate),
    /// Run the workflows of this folder here, without a server.
    #[command(after_help = example("greenlight exec pull_request -j test -s TOKEN --matrix os:ubuntu-latest"))]
    Exec(Box<exec::Exec>),
    /// Say what is wrong with workflows, what they mean, and what an event would start, without running anything.
    #[command(subcommand, after_help = example("greenlight workflow check"))]
    Workflow(workflow::Verb),
    /// Evaluate an expression.
    #[command(after_help = example("greenlight expr --contexts contexts.json \"startsWith(github.ref, 'refs/tags/')\""))]
    Expr(expr::Expr),
    /// Try the patterns of branch, tag and path filters. Ends with 1 where a name does not pass.
    #[command(after_help = example("greenlight glob --kind path --pattern 'src/**' --pattern '!**/*.md' src/main.rs README.md"))]
    Glob(glob::Glob),
    /// Show or check the settings.
    #[command(subcommand, after_help = example("greenlight config show --origin"))]
    Config(settings::Verb),
    /// List, watch and steer runs.
    #[command(subcommand, after_help = example("greenlight run watch 12"))]
    Run(run::Verb),
    /// Run jobs of a server on this machine, and say which machines may.
    #[command(subcommand, after_help = example("greenlight runner start --server https://ci.example.org --token-file token --data runner"))]
    Runner(runner::Verb),
    /// Try a running server from outside.
    #[command(subcommand, after_help = example("greenlight dev job-env --json"))]
    Dev(dev::Verb),
    /// List and unlock environments.
    #[command(subcommand, after_help = example("greenlight env unlock production"))]
    Env(env::Verb),
}

/// Where the settings are.
#[derive(Debug, Args)]
pub struct Settings {
    /// The settings file [default: greenlight.toml, where it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Done = 0,
    /// What was asked about failed, or what was asked for was refused.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// There is no such thing.
    Missing = 4,
}

/// Does what the arguments ask for.
pub fn start(cli: Cli) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system gives threads to a program that starts");
    let exit = match runtime.block_on(perform(cli.verb)) {
        Ok(exit) => exit,
        // Whoever reads us has read enough.
        Err(error) if is_unread(&error) => Exit::Done,
        Err(error) => {
            // Where nobody reads that either, the exit code says it.
            let _ = writeln!(std::io::stderr(), "greenlight: {error:#}");
            exit_of(&error)
        }
    };
    // What still runs has been told to end; nothing may hold the program up.
    runtime.shutdown_background();
    ExitCode::from(exit as u8)
}

impl Cli {
    /// Does it serve others, so that it goes on when nobody reads what it logs?
    pub fn outlives_its_reader(&self) -> bool {
        matches!(self.verb, Verb::Serve(_) | Verb::Emulate(_) | Verb::Demo(_) | Verb::Runner(_))
    }
}

/// Could what we found not be written, since the reader is gone?
fn is_unread(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Returns the code that an error ends with.
fn exit_of(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<WrongUsage>().is_some() {
        return Exit::Usage;
    }
    match (error.downcast_ref::<client::ClientError>(), error.downcast_ref::<input::InputError>()) {
        (Some(error), _) => error.exit(),
        (None, Some(error)) if error.is_missing() => Exit::Missing,
        _ => Exit::Failed,
    }
}

async fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Demo(args) => crate::demo::run(args).await,
        Verb::Serve(args) => serve::serve(args).await,
        Verb::Emulate(args) => emulate::emulate(args).await,
        Verb::Exec(args) => exec::exec(*args).await,
        Verb::Workflow(verb) => workflow::perform(&verb),
        Verb::Expr(verb) => expr::perform(&verb),
        Verb::Glob(verb) => glob::perform(&verb),
        Verb::Config(verb) => settings::perform(verb),
        Verb::Run(verb) => run::perform(verb).await,
        Verb::Env(verb) => env::perform(verb).await,
        Verb::Dev(verb) => dev::perform(verb).await,
        Verb::Runner(verb) => runner::perform(verb).await,
    }
}

fn example(line: &str) -> String {
    format!("Example:\n  {line}\n\n{EXIT_CODES}")
}

/// Returns the environment variables that are text.
fn environment() -> crate::config::Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        use clap::CommandFactory as _;
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example:") && help.contains("Exit codes:"), "`{}` lacks them", verb.get_name());
        }
    }
}
