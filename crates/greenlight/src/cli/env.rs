//! `greenlight env`: environments and their locks.

use clap::Subcommand;

use super::Exit;
use super::client::{Client, Server};
use crate::api::{segment, shape};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the environments: what is live, who holds them, what waits and why.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Free an environment whose lock was kept for a person.
    Unlock {
        /// The environment.
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

pub async fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::List { server } => list(server).await,
        Verb::Unlock { name, server } => unlock(&name, server).await,
    }
}

async fn list(server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let repo = client.repository().await?;
    let found: shape::Environments = client.get(&format!("/api/v1/repos/{repo}/environments")).await?;
    if server.json {
        println!("{}", serde_json::to_string(&found)?);
        return Ok(Exit::Done);
    }
    if let Some(problem) = &found.config_problem {
        println!("nothing is deployed: {problem}");
    } else if found.environments.is_empty() && found.wishes.is_empty() {
        println!("{} has no environment yet: .greenlight.yml in its default branch names them", found.repository);
    }
    for environment in &found.environments {
        println!("{}  {}", environment.name, environment.sentence);
        for deployment in &environment.deployments {
            println!("  #{}  {}  {}", deployment.id, deployment.state, deployment.sentence);
        }
    }
    for wish in &found.wishes {
        println!("{}  {}  {}", wish.environment, &wish.sha[..7.min(wish.sha.len())], wish.sentence);
    }
    Ok(Exit::Done)
}

async fn unlock(name: &str, server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let repo = client.repository().await?;
    let answer = client.post(&format!("/api/v1/repos/{repo}/environments/{}/unlock", segment(name))).await?;
    if server.json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        println!("{}", answer.message);
    }
    Ok(Exit::Done)
}
