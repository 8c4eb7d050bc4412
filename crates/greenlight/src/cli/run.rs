//! `greenlight run`: the words of gh, about our own runs.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Subcommand;
use greenlight_core::time::spoken;

use super::Exit;
use super::client::{Client, ClientError, Server};
use crate::api::{segment, shape};
use crate::terminal::{self, Tamer};

/// How often a watched run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List runs, the newest first.
    List {
        /// How many.
        #[arg(long, short = 'L', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
        #[command(flatten)]
        server: Server,
    },
    /// Show one run with its jobs, and why it stands as it does.
    View {
        /// The run's number.
        number: u64,
        #[command(flatten)]
        server: Server,
    },
    /// Follow a run to its end; ends with 1 if it is not green.
    Watch {
        /// The run's number.
        number: u64,
        #[command(flatten)]
        server: Server,
    },
    /// Print the logs of a run.
    Logs {
        /// The run's number.
        number: u64,
        /// One job only.
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        /// Stay until the job is over.
        #[arg(long, short)]
        follow: bool,
        /// Begin with this line.
        #[arg(long, value_name = "LINE", default_value_t = 1)]
        from: u64,
        #[command(flatten)]
        server: Server,
    },
    /// Run it again, with the same files, inputs and commit: all its jobs, or some and what needs them.
    Rerun {
        /// The run's number.
        number: u64,
        /// Only the jobs that did not succeed.
        #[arg(long, conflicts_with = "job")]
        failed: bool,
        /// Only this job.
        #[arg(long, short, value_name = "JOB")]
        job: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Stop it.
    Cancel {
        /// The run's number.
        number: u64,
        #[command(flatten)]
        server: Server,
    },
    /// Let a run from a fork start: exactly this one at its present head.
    Approve {
        /// The run's number.
        number: u64,
        #[command(flatten)]
        server: Server,
    },
}

pub async fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::List { limit, server } => list(limit, server).await,
        Verb::View { number, server } => view(number, server).await,
        Verb::Watch { number, server } => watch(number, server).await,
        Verb::Logs { number, job, follow, from, server } => logs(number, job, follow, from, server).await,
        Verb::Rerun { number, failed: true, server, .. } => wish(number, "rerun-failed-jobs", server).await,
        Verb::Rerun { number, job: Some(job), server, .. } => rerun_job(number, &job, server).await,
        Verb::Rerun { number, server, .. } => wish(number, "rerun", server).await,
        Verb::Cancel { number, server } => wish(number, "cancel", server).await,
        Verb::Approve { number, server } => wish(number, "approve", server).await,
    }
}

async fn list(limit: u16, server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let found: shape::Runs = match client.repository_named() {
        Some(repo) => client.get(&format!("/api/v1/repos/{repo}/runs?limit={limit}")).await?,
        None => client.get(&format!("/api/v1/runs?limit={limit}")).await?,
    };
    if server.json {
        println!("{}", serde_json::to_string(&found)?);
        return Ok(Exit::Done);
    }
    for line in table(&found.runs) {
        say(&line);
    }
    Ok(Exit::Done)
}

/// Writes runs as aligned lines; why they stand as they do goes last, since it is as long as it is.
fn table(runs: &[shape::RunLine]) -> Vec<String> {
    let rows: Vec<[String; 7]> = runs
        .iter()
        .map(|run| {
            [
                format!("{} #{}", run.repository, run.number),
                run.state.clone(),
                run.name.clone(),
                run.about(),
                run.head_sha.chars().take(7).collect(),
                run.created_at.clone(),
                run.reason.clone(),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let aligned = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.collect::<String>() + &row[6]
    };
    rows.iter().map(aligned).collect()
}

async fn read(client: &Client, number: u64) -> anyhow::Result<(String, shape::Run)> {
    let repo = client.repository().await?;
    let path = format!("/api/v1/repos/{repo}/runs/{number}");
    let run = client.get(&path).await?;
    Ok((path, run))
}

async fn view(number: u64, server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let (path, run) = read(&client, number).await?;
    if server.json {
        println!("{}", serde_json::to_string(&run)?);
        return Ok(Exit::Done);
    }
    say(&format!("{} #{} attempt {}: {} — {}", run.repository, run.number, run.attempt, run.state, run.reason));
    say(&format!("{} on {} at {}", run.name, run.event, run.head_sha));
    if let Some(problem) = &run.problem {
        say(&format!("\n{problem}"));
    }
    for job in &run.jobs {
        let kept = if job.attempt == run.attempt { "" } else { &format!(" (kept from attempt {})", job.attempt) };
        say(&format!("  {}  {}  {}{kept}", job.state, job.name, job.reason));
        for step in &job.steps {
            let length = length(step).map_or_else(String::new, |length| format!(" in {length}"));
            say(&format!("    {}. {}  {}{length}", step.number, step.name, step.told()));
        }
        for annotation in &job.annotations {
            say(&format!("    {}", annotation.told("        ")));
        }
    }
    for job in run.jobs.iter().filter(|job| !job.summaries.is_empty()) {
        say(&format!("\nSummary of {}\n", job.name));
        print_stream(&client, &format!("{path}/jobs/{}/summary", segment(&job.key))).await?;
    }
    Ok(Exit::Done)
}

/// Returns how long a step took, where it is over.
fn length(step: &shape::Step) -> Option<String> {
    let instant = |text: &Option<String>| text.as_deref()?.parse::<jiff::Timestamp>().ok();
    let length = instant(&step.ended_at)?.duration_since(instant(&step.started_at)?);
    Some(spoken(length.unsigned_abs()).to_string())
}

/// Writes a line of what others say: where it comes to a terminal, that obeys nothing of it.
fn say(line: &str) {
    println!("{}", terminal::shown(line));
}

async fn print_stream(client: &Client, address: &str) -> anyhow::Result<()> {
    let mut response = client.stream(address).await?;
    let mut tamer = std::io::stdout().is_terminal().then(Tamer::default);
    while let Some(part) = response.chunk().await? {
        match &mut tamer {
            Some(tamer) => write(tamer.take(&part).as_bytes())?,
            None => write(&part)?,
        }
    }
    tamer.map_or(Ok(()), |tamer| write(tamer.end().as_bytes()))
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

async fn watch(number: u64, server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let mut told = std::collections::BTreeMap::new();
    loop {
        let (_, run) = read(&client, number).await?;
        for job in &run.jobs {
            let line = format!("{}  {}  {}", job.state, job.name, job.reason);
            if told.insert(job.key.clone(), line.clone()).as_ref() != Some(&line) && !server.json {
                say(&line);
            }
        }
        if let Some(conclusion) = &run.conclusion {
            if server.json {
                println!("{}", serde_json::to_string(&run)?);
            } else {
                say(&format!("#{} {conclusion}: {}", run.number, run.reason));
            }
            let is_green = matches!(conclusion.as_str(), "success" | "skipped");
            return Ok(if is_green { Exit::Done } else { Exit::Failed });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn logs(number: u64, job: Option<String>, follow: bool, from: u64, server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let (path, run) = read(&client, number).await?;
    let keys: Vec<String> = match job {
        Some(key) => vec![key],
        None => run.jobs.iter().map(|job| job.key.clone()).collect(),
    };
    for key in keys {
        let address = format!("{path}/jobs/{}/logs?from={from}&follow={follow}", segment(&key));
        print_stream(&client, &address).await?;
    }
    Ok(Exit::Done)
}

async fn rerun_job(number: u64, job: &str, server: Server) -> anyhow::Result<Exit> {
    let (_, run) = read(&Client::new(&server)?, number).await?;
    if !run.jobs.iter().any(|known| known.key == job) {
        let message = format!("run {number} of {} has no job `{job}`", run.repository);
        return Err(ClientError::Refused { status: 404, message }.into());
    }
    wish(number, &format!("jobs/{}/rerun", segment(job)), server).await
}

async fn wish(number: u64, what: &str, server: Server) -> anyhow::Result<Exit> {
    let client = Client::new(&server)?;
    let repo = client.repository().await?;
    let answer = client.post(&format!("/api/v1/repos/{repo}/runs/{number}/{what}")).await?;
    if server.json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        println!("{}", answer.message);
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_over_has_a_length() {
        let step = |ended_at: Option<&str>| shape::Step {
            number: 1,
            name: "x".into(),
            state: "success".into(),
            outcome: None,
            started_at: Some("2026-01-02T03:04:05Z".into()),
            ended_at: ended_at.map(str::to_owned),
            line: None,
        };
        assert_eq!(length(&step(Some("2026-01-02T03:04:09Z"))).as_deref(), Some("4 s"));
        assert_eq!(length(&step(None)), None);
    }

    #[test]
    fn a_message_of_several_lines_stays_together() {
        let annotation = shape::Annotation {
            step: 1,
            level: "error".into(),
            message: "boom\nand more\n".into(),
            title: Some("Oh".into()),
            file: Some("a.c".into()),
            line: Some(7),
            end_line: None,
            column: Some(3),
            end_column: None,
        };
        assert_eq!(annotation.told("  "), "a.c:7:3: error: Oh: boom\n  and more");
    }

    #[test]
    fn runs_are_listed_in_columns_with_time_and_branch() {
        let run = |number: u64, subject: &str, name: &str| shape::RunLine {
            repository: "a/b".into(),
            number,
            attempt: 1,
            name: name.into(),
            workflow: String::new(),
            event: "push".into(),
            subject: subject.into(),
            pull: None,
            head_sha: "0123456789".into(),
            state: "success".into(),
            conclusion: None,
            reason: "1 job succeeded".into(),
            created_at: "2026-01-02T03:04:05Z".into(),
            ended_at: None,
        };
        let lines = table(&[run(10, "main", "CI"), run(9, "topic/é", "Nightly")]);
        assert_eq!(
            lines,
            [
                "a/b #10  success  CI       push · main     0123456  2026-01-02T03:04:05Z  1 job succeeded",
                "a/b #9   success  Nightly  push · topic/é  0123456  2026-01-02T03:04:05Z  1 job succeeded",
            ]
        );
        assert!(table(&[]).is_empty());
    }
}
