//! Watching the feed: each entry is told, folded into the record, and looked at for what the story waits for.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::emulated::GitHub;
use super::narration::{Kind, Line, Narrator, Tone};
use super::processes::{Process, State};
use super::project;
use super::record::{Record, is_aggregate};
use super::recorded::{DeploymentStatus, Entry, Status, What, short};

/// How long one look at the feed waits for news.
const LOOK_WITHIN: Duration = Duration::from_secs(1);
/// How long a log that its link does not give yet is asked for: the server may be on its way up again.
const LOG_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked for.
const LOG_EVERY: Duration = Duration::from_millis(100);
/// How many of a log's lines are told; the last ones.
const LOG_LINES_MAX: usize = 40;

/// A step that did not come.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {why}")]
pub struct Missed {
    /// The step.
    pub step: String,
    /// Why not.
    pub why: String,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It came.
    Came,
    /// It has not come, and may.
    NotYet,
    /// Something came in its place that may be, and it will not.
    Instead(String),
    /// Something came in its place that should not be.
    Never(String),
}

impl Progress {
    /// Returns whether it came, where nothing else can.
    pub fn of(came: bool) -> Self {
        if came { Self::Came } else { Self::NotYet }
    }
}

/// How much time is taken, and how much is given.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After each line, so that one can read along.
    pub line: Duration,
    /// Between two parts of the story.
    pub part: Duration,
    /// How long a step may take.
    pub step_within: Duration,
}

/// Who watches.
pub struct Watcher<'a> {
    /// Where from.
    pub github: GitHub,
    /// Looks at what only the repository's admins see: a hook's deliveries.
    pub token: String,
    /// Who tells.
    pub narrator: Narrator,
    /// The story so far.
    pub record: Record,
    /// The time that is taken and given.
    pub pace: Pace,
    /// The processes, which may end.
    pub processes: [&'a Process; 2],
    /// The steps that came.
    pub steps: Vec<String>,
    /// The last entry that was seen.
    pub seen: u64,
}

impl Watcher<'_> {
    /// Watches until a step came; tells whether it did or something else came in its place.
    pub async fn until(&mut self, step: &str, progress: impl Fn(&Record) -> Progress) -> Result<bool, Missed> {
        let deadline = Instant::now() + self.pace.step_within;
        let missed = |why: String| Missed { step: step.to_owned(), why };
        loop {
            match progress(&self.record) {
                Progress::Came => {
                    self.came(step, None);
                    return Ok(true);
                }
                Progress::Instead(other) => {
                    self.came(step, Some(&other));
                    return Ok(false);
                }
                Progress::Never(why) => return Err(missed(why)),
                Progress::NotYet => {}
            }
            if Instant::now() >= deadline {
                return Err(missed(format!("it did not come within {} s", self.pace.step_within.as_secs())));
            }
            self.look(LOOK_WITHIN).await.map_err(missed)?;
        }
    }

    /// Takes in what is new; an error says which process is gone.
    pub async fn look(&mut self, wait: Duration) -> Result<(), String> {
        for process in self.processes {
            if let State::Down { why } = process.state() {
                return Err(why);
            }
        }
        let entries = self.github.events(self.seen, wait).await.map_err(|error| format!("{error:#}"))?;
        for entry in entries {
            self.seen = entry.seq;
            self.record.apply(&entry);
            if let Some(line) = self.line_of(&entry).await {
                self.narrator.tell(&line);
                tokio::time::sleep(self.pace.line).await;
            }
            if let What::Status(status) = &entry.what {
                self.read_log(&entry, status).await;
            }
        }
        Ok(())
    }

    /// Tells of the demo itself.
    pub fn note(&self, text: &str, tone: Tone, fields: Value) {
        let line = Line { at: now(), seq: None, kind: Kind::Note, tone, text: text.to_owned(), fields };
        self.narrator.tell(&line);
    }

    fn came(&mut self, step: &str, instead: Option<&str>) {
        self.steps.push(step.to_owned());
        if self.narrator.is_json() {
            let text = instead.map_or_else(|| step.to_owned(), |other| format!("{step}: {other}"));
            let fields = json!({"step": step, "came": instead.is_none(), "instead": instead});
            self.narrator.tell(&Line { at: now(), seq: None, kind: Kind::Step, tone: Tone::Quiet, text, fields });
        } else if let Some(other) = instead {
            self.note(&format!("{step}: {other}"), Tone::Waiting, json!({}));
        }
    }

    async fn line_of(&self, entry: &Entry) -> Option<Line> {
        let (kind, tone, text, fields) = match &entry.what {
            What::Push { .. } => told_push(&entry.what)?,
            What::Delivery { .. } => self.told_delivery(&entry.what).await?,
            What::Fork { repository, login } => {
                let text = format!("{login} forks {} as {repository}", project::FULL_NAME);
                (Kind::Push, Tone::Plain, text, json!({"login": login, "repository": repository}))
            }
            What::PullOpened { number, title, head, head_sha, base, login } => {
                let text = format!("{login} opens #{number} “{title}”: {head} at {} into {base}", short(head_sha));
                (Kind::Pull, Tone::Plain, text, json!({"pull": number, "sha": head_sha, "login": login}))
            }
            What::Status(status) => told_status(status),
            What::Merged { number, sha, login } => {
                let text = format!("{login} merges #{number} into main as {}", short(sha));
                (Kind::Merge, Tone::Good, text, json!({"pull": number, "sha": sha, "login": login}))
            }
            What::Deployment { id, environment, sha, login } => {
                let text = format!("{login} creates deployment {id} of {} to {environment}", short(sha));
                (Kind::Deploy, Tone::Plain, text, json!({"deployment": id, "environment": environment, "sha": sha}))
            }
            What::DeploymentStatus { id, status } => self.told_deployment(*id, status),
            What::Comment { number, login, body } => {
                let text = format!("{login} says on #{number}: {}", body.lines().next().unwrap_or_default());
                (Kind::Pull, Tone::Plain, text, json!({"pull": number, "login": login, "body": body}))
            }
            What::Refused { method, path, status, message, login } => {
                let text = format!("{login}'s {method} {path} is answered {status}: {message}");
                (Kind::Refused, Tone::Quiet, text, json!({"status": status, "path": path, "message": message}))
            }
            What::Room { room, text } => {
                (Kind::Room, Tone::Plain, format!("#{room}: {text}"), json!({"room": room, "said": text}))
            }
            What::Other => return None,
        };
        Some(Line { at: entry.at, seq: Some(entry.seq), kind, tone, text, fields })
    }

    fn told_deployment(&self, id: u64, status: &DeploymentStatus) -> Told {
        let environment = self.record.deployment(id).map_or("somewhere", |deployment| &deployment.environment);
        let address = status.environment_url.as_ref().map(|url| format!(" → {url}")).unwrap_or_default();
        let text = format!("{environment} shows {} — {}{address}", status.state, status.description);
        let fields = json!({"deployment": id, "environment": environment, "state": status.state,
            "description": status.description, "environment_url": status.environment_url});
        (Kind::Deploy, Tone::of_state(&status.state), text, fields)
    }

    /// Tells of those that begin something, and of any that did not arrive.
    async fn told_delivery(&self, what: &What) -> Option<Told> {
        let What::Delivery { hook, id, event, action, answered, milliseconds } = what else { return None };
        let arrived = (200..300).contains(answered);
        let name = action.as_ref().map_or_else(|| event.clone(), |action| format!("{event} {action}"));
        if arrived && !matches!(event.as_str(), "pull_request" | "deployment" | "issue_comment" | "pull_request_review")
        {
            return None;
        }
        let is_signed = self.is_signed(*hook, *id).await;
        let signed = if is_signed { "signed webhook" } else { "webhook" };
        let text = match arrived {
            // GitHub counts in hundredths of a second.
            true if *milliseconds < 10.0 => format!("{signed} {name} arrives, answered {answered} at once"),
            true => format!("{signed} {name} arrives, answered {answered} after {milliseconds:.0} ms"),
            false => format!("{signed} {name} does not arrive ({answered})"),
        };
        let tone = if arrived { Tone::Plain } else { Tone::Bad };
        let fields = json!({"event": event, "action": action, "answered": answered, "signed": is_signed, "hook": hook, "delivery": id});
        Some((Kind::Webhook, tone, text, fields))
    }

    async fn is_signed(&self, hook: u64, delivery: u64) -> bool {
        let path = format!("/repos/{}/hooks/{hook}/deliveries/{delivery}", project::FULL_NAME);
        let Ok(delivery) = self.github.get(&self.token, &path).await else { return false };
        delivery["request"]["headers"]["X-Hub-Signature-256"]
            .as_str()
            .is_some_and(|signature| signature.starts_with("sha256="))
    }

    /// Reads the log of a job that is over, from the link that its status gave.
    async fn read_log(&mut self, entry: &Entry, status: &Status) {
        let is_over = matches!(status.state.as_str(), "success" | "failure");
        let Some(link) = status.target_url.as_ref().filter(|_| is_over && !is_aggregate(&status.context)) else {
            return;
        };
        let deadline = Instant::now() + LOG_WITHIN;
        let text = loop {
            if let Some(text) = self.github.log(link).await {
                break text;
            }
            if Instant::now() >= deadline {
                return self.note(&format!("the log at {link} cannot be read"), Tone::Quiet, json!({"link": link}));
            }
            tokio::time::sleep(LOG_EVERY).await;
        };
        self.record.note_log();
        let lines = if self.narrator.is_json() { numbered(&text) } else { for_people(&text) };
        let first = lines.len().saturating_sub(LOG_LINES_MAX);
        for (number, text) in &lines[first..] {
            let fields = json!({"context": status.context, "sha": status.sha, "number": number, "link": link});
            let text = text.clone();
            self.narrator.tell(&Line { at: entry.at, seq: None, kind: Kind::Log, tone: Tone::Quiet, text, fields });
        }
        tokio::time::sleep(self.pace.line).await;
    }
}

type Told = (Kind, Tone, String, Value);

fn told_push(what: &What) -> Option<Told> {
    let What::Push { repository, git_ref, before, after, commits, login, by_git } = what else { return None };
    // What the API moves follows from a merge, which is told already.
    let branch = git_ref.strip_prefix("refs/heads/").filter(|_| *by_git)?;
    let is_new = before.bytes().all(|byte| byte == b'0');
    let commits = if *commits == 1 { "1 commit".to_owned() } else { format!("{commits} commits") };
    let text = match is_new {
        true => format!("{login} pushes the branch {branch} to {repository}: {commits}, now at {}", short(after)),
        false => format!("{login} pushes {commits} to {branch} of {repository}, now at {}", short(after)),
    };
    let fields = json!({"repository": repository, "ref": git_ref, "sha": after, "login": login});
    Some((Kind::Push, Tone::Plain, text, fields))
}

fn told_status(status: &Status) -> Told {
    let text = format!("{} {}: {} — {}", short(&status.sha), status.context, status.state, status.description);
    let fields = json!({"sha": status.sha, "context": status.context, "state": status.state,
        "description": status.description, "target_url": status.target_url});
    (Kind::Status, Tone::of_state(&status.state), text, fields)
}

/// Returns a log's lines with their numbers.
fn numbered(log: &str) -> Vec<(usize, String)> {
    log.lines().enumerate().map(|(index, text)| (index + 1, text.to_owned())).collect()
}

/// Returns what the steps of a job printed, and their names: not what the runner says before, between and after them.
fn for_people(log: &str) -> Vec<(usize, String)> {
    const GROUP: &str = "##[group]";
    let mut told = Vec::new();
    let (mut begun, mut in_group) = (false, false);
    for (number, text) in numbered(log) {
        if let Some(name) = text.strip_prefix(GROUP) {
            (begun, in_group) = (true, true);
            told.push((number, format!("  ▸ {name}")));
        } else if text == "##[endgroup]" {
            in_group = false;
        } else if begun && !in_group {
            told.push((number, format!("  │ {}", text.trim_start_matches("##[error]"))));
        }
    }
    told
}

/// Returns the time in milliseconds since 1970, as the emulator counts it.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_the_steps_printed() {
        let log = "runner 1\n##[group]Run make\nmake\nshell: bash\n##[endgroup]\nmade\n##[error]it failed\n";
        let told: Vec<String> = for_people(log).into_iter().map(|(_, text)| text).collect();
        assert_eq!(told, ["  ▸ Run make", "  │ made", "  │ it failed"]);
        assert_eq!(numbered(log).len(), 7);
    }
}
