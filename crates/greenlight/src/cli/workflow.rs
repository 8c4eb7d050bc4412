//! `greenlight workflow`: what a workflow file says, without running it.

mod check;
mod dump;
mod list;
mod plan;
mod report;
mod shellcheck;
mod source;

use clap::Subcommand;

use super::Exit;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what is wrong with workflows and actions.
    #[command(after_help = super::example("greenlight workflow check .github/workflows/ci.yml --format github"))]
    Check(check::Check),
    /// Print a workflow as it was understood.
    #[command(after_help = super::example("greenlight workflow dump .github/workflows/ci.yml --json"))]
    Dump(dump::Dump),
    /// Say whether an event starts a workflow and which jobs that means, or why not.
    #[command(after_help = super::example(
        "greenlight workflow plan .github/workflows/ci.yml --event push --payload push.json --changed-files files.txt"
    ))]
    Plan(plan::Plan),
    /// List the workflows of the repository.
    #[command(after_help = super::example("greenlight workflow list --json"))]
    List(list::List),
}

pub fn perform(verb: &Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Check(verb) => check::perform(verb),
        Verb::Dump(verb) => dump::perform(verb),
        Verb::Plan(verb) => plan::perform(verb),
        Verb::List(verb) => list::perform(verb),
    }
}
