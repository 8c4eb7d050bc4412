//! `greenlight demo`: the whole loop on this machine, narrated from what the emulated GitHub recorded.
//!
//! [`stage`] makes a folder with secrets, a seed and settings; [`processes`] starts `greenlight emulate` and `greenlight serve` on
//! them. [`story`] lets people push and open pull requests with real git and HTTP. [`watcher`] reads the emulator's feed
//! ([`recorded`]), has each entry told ([`narration`]) and folds it into a [`record`], which the steps of the story wait for.
//! In the end [`judge`] reads the emulator's state over its API and says whether it is as it should be.
//!
//! With `--json` every line is an object with `kind` (note, push, pull, webhook, status, log, merge, deploy, room, refused or
//! step), `at` (milliseconds since 1970), `elapsed_ms`, `seq` (its place in the emulator's feed, or null), `text`, and the
//! fields of its kind; a step has `step` and `came`. The last line with `--once` is
//! `{"judge": {"ok", "missed", "restarts", "elapsed_ms", "steps", "findings"}}`.

mod desk;
mod emulated;
mod judge;
mod narration;
mod processes;
mod project;
mod record;
mod recorded;
mod stage;
mod story;
mod watcher;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cli::Exit;
use crate::exec::folder;
use emulated::GitHub;
use judge::{Expected, FinalState, Manner, Verdict};
use narration::{Narrator, Style, Tone};
use processes::{Killed, Process, State};
use record::Record;
use stage::{Serving, Stage};
use story::Story;
use watcher::{Missed, Pace, Watcher};

/// What `greenlight demo` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End after the story: exit code 0 if every step came, 1 if one did not.
    #[arg(long)]
    pub once: bool,
    /// Leave out the pauses that are there for reading along.
    #[arg(long)]
    pub fast: bool,
    /// Print one event a line, as JSON: kind, at, elapsed_ms, seq, text, and more by kind.
    #[arg(long)]
    pub json: bool,
    /// Keep everything in this folder instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The first of three ports: the emulated GitHub, webhooks, pages. 0 takes free ones.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Start the server again when somebody kills it, and judge accordingly. Its process id is in serve.pid.
    #[arg(long, hide = true)]
    pub restart_killed: bool,
    /// Start the server through this program, with its arguments.
    #[arg(long, hide = true, value_name = "COMMAND")]
    pub serve_through: Option<String>,
}

/// How long a process may take until it answers.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// How often it is asked.
const UP_EVERY: Duration = Duration::from_millis(20);
/// How often the final state is read until it is as it should be.
const JUDGE_EVERY: Duration = Duration::from_millis(200);

/// Plays the story.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    if args.dir.is_none() {
        folder::sweep_of(folder::Kind::Demo, &std::env::temp_dir()).await;
    }
    let stage = Stage::set(args.dir.as_deref(), args.port)?;
    let emulator = Process::start(stage.emulator(args.fast)?)?;
    let killed = if args.restart_killed { Killed::Restart } else { Killed::End };
    let server =
        match stage.serving(&Serving { through: args.serve_through.as_deref(), killed }).and_then(Process::start) {
            Ok(server) => server,
            Err(error) => {
                emulator.end().await;
                return Err(error);
            }
        };
    let mut played = None;
    let outcome = tokio::select! {
        outcome = perform(&args, &stage, &emulator, &server, &mut played) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    server.end().await;
    emulator.end().await;
    match (&outcome, played) {
        (Ok(()), Some(Exit::Done) | None) => stage.strike(),
        _ => {
            eprintln!("greenlight: the logs and everything else are in {}", stage.dir.display());
            stage.leave();
        }
    }
    outcome.map(|()| played.unwrap_or(Exit::Failed))
}

/// Plays and judges; without `--once` it goes on telling until it is dropped. How it went is in `played` as soon as that is known.
async fn perform(
    args: &Args,
    stage: &Stage,
    emulator: &Process,
    server: &Process,
    played: &mut Option<Exit>,
) -> anyhow::Result<()> {
    let manner = if args.restart_killed { Manner::Killed } else { Manner::Undisturbed };
    let began_at = watcher::now();
    let github = GitHub::new(&stage.github(), &stage.api())?;
    up(&github, &format!("{}/_emulator/faults", stage.github()), emulator).await?;
    // Whoever moves to Greenlight switches hosted Actions off; left on, the pages would warn of them.
    let hosted = format!("/repos/{}/actions/permissions", project::FULL_NAME);
    github.put(&stage.owner.token, &hosted, &json!({"enabled": false})).await?;
    up(&github, &format!("{}/livez", stage.server()), server).await?;
    up(&github, &format!("{}/readyz", stage.pages()), server).await?;
    let mut watcher = Watcher {
        github,
        token: stage.owner.token.clone(),
        narrator: Narrator::new(Style::of_output(args.json), began_at),
        record: Record::default(),
        pace: pace(args, manner),
        processes: [emulator, server],
        steps: Vec::new(),
        seen: 0,
    };
    let fields = json!({"github": stage.github(), "api": stage.api(), "pages": stage.pages(), "dir": stage.dir});
    let text = format!("an emulated GitHub is at {}, greenlight's pages are at {}", stage.github(), stage.pages());
    watcher.note(&text, Tone::Plain, fields);
    let story = Story::new(stage, manner).play(&mut watcher).await;
    *played = Some(finish(&mut watcher, story, server, began_at).await);
    if !args.once {
        invite(&watcher.narrator, stage);
        keep_telling(watcher).await;
    }
    Ok(())
}

fn pace(args: &Args, manner: Manner) -> Pace {
    let milliseconds = |fast: u64, slow: u64| Duration::from_millis(if args.fast { fast } else { slow });
    // A killed server comes up, reads GitHub's state anew, and lets what it does not know of run out.
    let step_within = Duration::from_secs(if manner == Manner::Killed { 180 } else { 60 });
    Pace { line: milliseconds(0, 120), part: milliseconds(0, 1500), step_within }
}

/// Waits until something answers.
async fn up(github: &GitHub, url: &str, process: &Process) -> anyhow::Result<()> {
    let deadline = Instant::now() + UP_WITHIN;
    while !github.answers(url).await {
        if let State::Down { why } = process.state() {
            bail!("{why}");
        }
        if Instant::now() >= deadline {
            bail!("nothing answers at {url} after {} s", UP_WITHIN.as_secs());
        }
        tokio::time::sleep(UP_EVERY).await;
    }
    Ok(())
}

/// Judges, and tells how it went.
async fn finish(watcher: &mut Watcher<'_>, played: Result<Expected, Missed>, server: &Process, began_at: i64) -> Exit {
    let manner = if server.restarts() > 0 { Manner::Killed } else { Manner::Undisturbed };
    let (verdict, missed) = match played {
        Ok(expected) => (settled(watcher, &expected, manner).await, None),
        Err(missed) => (Verdict::default(), Some(missed)),
    };
    let is_ok = missed.is_none() && verdict.is_ok();
    let elapsed = watcher::now() - began_at;
    watcher.narrator.say("");
    match &missed {
        None if is_ok => {
            let text = format!(
                "every step came, and GitHub's final state is as it should be ({} checks)",
                verdict.findings.len()
            );
            watcher.note(&text, Tone::Good, json!({}));
        }
        Some(missed) => {
            watcher.note(&format!("this step did not come: {missed}"), Tone::Bad, json!({"step": missed.step}))
        }
        None => {
            for wrong in verdict.wrong() {
                watcher.note(&format!("GitHub's final state is not as it should be: {wrong}"), Tone::Bad, json!({}));
            }
        }
    }
    watcher.narrator.report(&json!({"judge": {
        "ok": is_ok,
        "missed": missed.as_ref().map(ToString::to_string),
        "restarts": server.restarts(),
        "elapsed_ms": elapsed,
        "steps": watcher.steps,
        "findings": verdict.as_json(),
    }}));
    if is_ok { Exit::Done } else { Exit::Failed }
}

/// Judges until all is as it should be and nothing more is written, or time is up.
async fn settled(watcher: &mut Watcher<'_>, expected: &Expected, manner: Manner) -> Verdict {
    let deadline = Instant::now() + watcher.pace.step_within;
    let mut unfinished = Verdict::default();
    loop {
        if let Err(why) = watcher.look(Duration::ZERO).await {
            unfinished.add("everything runs until the end", Err(why));
            return unfinished;
        }
        let before = FinalState::read(&watcher.github, &watcher.token, expected).await;
        tokio::time::sleep(JUDGE_EVERY).await;
        let after = FinalState::read(&watcher.github, &watcher.token, expected).await;
        let verdict = match (before, after) {
            (Ok(before), Ok(after)) if before == after => judge::judge(expected, &after, manner),
            (Ok(_), Ok(_)) => {
                let mut moving = Verdict::default();
                moving.add("it comes to rest", Err("something is still written".to_owned()));
                moving
            }
            (Err(error), _) | (_, Err(error)) => {
                let mut unread = Verdict::default();
                unread.add("the final state can be read", Err(format!("{error:#}")));
                unread
            }
        };
        if verdict.is_ok() || Instant::now() >= deadline {
            return verdict;
        }
        unfinished = verdict;
    }
}

/// Tells what a newcomer can try.
fn invite(narrator: &Narrator, stage: &Stage) {
    let (github, api, name) = (stage.github(), stage.api(), project::FULL_NAME);
    let (login, token, owner) = (stage.writer.login, &stage.writer.token, &stage.owner.token);
    narrator.say(&format!(
        "\nNow it is yours, until Ctrl-C. In a browser:\n\n    {github}/{name}   the emulated GitHub, with a form for pull requests\n    \
         {pages}   greenlight's pages: runs, logs, environments, deliveries\n\n\
         With plain git and curl, as {login}, who may push:\n\n    \
         export TOKEN={token}\n    \
         export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.extraHeader GIT_CONFIG_VALUE_0=\"Authorization: Bearer $TOKEN\"\n    \
         git clone {github}/{name}.git && cd {repository}\n    \
         git switch -c my-change && printf 'Hej, %%s!\\n' > greetings/sv && git add . && git commit -m 'Greet in Swedish'\n    \
         git push -u origin my-change\n    \
         curl -H \"Authorization: Bearer $TOKEN\" {api}/repos/{name}/pulls -d '{{\"title\":\"Greet in Swedish\",\"head\":\"my-change\",\"base\":\"main\"}}'\n\n\
         Or, as {owner_login}, who owns the repository, let the stranger's pull request start, and approve what it became:\n\n    \
         export OWNER_TOKEN={owner}\n    \
         HEAD=$(git ls-remote {github}/{name}.git refs/pull/3/head | cut -f1)\n    \
         curl -H \"Authorization: Bearer $OWNER_TOKEN\" {api}/repos/{name}/issues/3/comments -d \"{{\\\"body\\\":\\\"/ok-to-test $HEAD\\\"}}\"\n    \
         curl -H \"Authorization: Bearer $OWNER_TOKEN\" {api}/repos/{name}/pulls/3/reviews -d '{{\"event\":\"APPROVE\"}}'\n",
        pages = stage.pages(),
        repository = project::NAME,
        owner_login = stage.owner.login,
    ));
}

/// Goes on telling what happens, until a process is gone.
async fn keep_telling(mut watcher: Watcher<'_>) {
    loop {
        if let Err(why) = watcher.look(Duration::from_secs(5)).await {
            return watcher.note(&why, Tone::Bad, json!({}));
        }
    }
}
