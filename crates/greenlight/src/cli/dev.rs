//! `greenlight dev`: what those need who try a running server from outside.

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, Server};
use crate::api::{segment, shape};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a job that is no run's, and print the variables that its actions would have. Some of them are secrets.
    #[command(
        after_help = "Examples:\n  greenlight dev job-env --json\n  greenlight dev job-env --ref refs/pull/3/merge --base main --untrusted\n\n\
                            The job belongs to no repository of GitHub's, and its tokens end after six hours or with the server."
    )]
    JobEnv(JobEnv),
}

/// What the job is to be.
#[derive(Debug, Args)]
pub struct JobEnv {
    /// The ref that it runs on: what it caches belongs to it [default: refs/heads/main].
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// The base branch of its pull request, whose caches it reads.
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,
    /// The number of its run: jobs of one run see each other's artifacts [default: a new one].
    #[arg(long, value_name = "NUMBER")]
    run: Option<u64>,
    /// It is not trusted: it has no identity, and nothing trusted reads its caches.
    #[arg(long)]
    untrusted: bool,
    #[command(flatten)]
    server: Server,
}

pub async fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::JobEnv(wanted) => job_env(wanted).await,
    }
}

async fn job_env(wanted: JobEnv) -> anyhow::Result<Exit> {
    let client = Client::new(&wanted.server)?;
    let mut path = format!("/api/v1/dev/job-env?untrusted={}", wanted.untrusted);
    for (name, value) in [("ref", &wanted.git_ref), ("base", &wanted.base)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    if let Some(run) = wanted.run {
        path.push_str(&format!("&run={run}"));
    }
    let made: shape::Variables = client.make(&path).await?;
    if wanted.server.json {
        println!("{}", serde_json::to_string_pretty(&made.variables)?);
    } else {
        for (name, value) in &made.variables {
            println!("{name}={value}");
        }
    }
    Ok(Exit::Done)
}
