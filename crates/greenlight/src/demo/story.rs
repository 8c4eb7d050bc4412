//! The story: what people do, and what must come of it.
//!
//! One: a pull request goes all the way to production. Two: one fails its tests, is mended, and goes the same way. Three: one
//! comes from a stranger's fork and waits for somebody who may let it start.

use serde_json::json;

use super::desk::{Desk, Person};
use super::judge::{Ending, Expected, ExpectedPull, Manner, Shows};
use super::narration::Tone;
use super::project::{self, Change, ENVIRONMENTS};
use super::record::{Record, Standing, is_aggregate, is_unknown};
use super::recorded::{Status, short};
use super::stage::Stage;
use super::watcher::{Missed, Progress, Watcher};

/// Plays it. What should have become of it in the end is returned for the judge.
pub struct Story<'a> {
    stage: &'a Stage,
    manner: Manner,
    expected: Expected,
}

impl<'a> Story<'a> {
    /// Gets ready.
    pub fn new(stage: &'a Stage, manner: Manner) -> Self {
        Self { stage, manner, expected: Expected::default() }
    }

    /// Plays it to its end.
    pub async fn play(mut self, watcher: &mut Watcher<'_>) -> Result<Expected, Missed> {
        let desk = self.desk(&self.stage.writer, project::FULL_NAME, "1 clone").await?;
        self.deliver_one(watcher, &desk).await?;
        pause(watcher).await;
        self.mend_one(watcher, &desk).await?;
        pause(watcher).await;
        self.hold_one(watcher).await?;
        Ok(self.expected)
    }

    async fn deliver_one(&mut self, watcher: &mut Watcher<'_>, desk: &Desk) -> Result<(), Missed> {
        chapter(watcher, 1, "a pull request goes from its branch to production");
        let head = self.propose(watcher, desk, &project::FRENCH, 1).await?;
        let number = self.open(watcher, &self.stage.writer, &project::FRENCH, project::FRENCH.branch, 1).await?;
        self.expect(number, &head, Shows::Success, Ending::Delivered);
        self.delivered(watcher, "pull_request opened", 1, 1).await?;
        self.tested_green(watcher, &head, 1).await?;
        self.merged_and_delivered(watcher, number, 1).await
    }

    async fn mend_one(&mut self, watcher: &mut Watcher<'_>, desk: &Desk) -> Result<(), Missed> {
        chapter(watcher, 2, "a pull request fails its tests, and a new push mends it");
        let bad = self.propose(watcher, desk, &project::SPANISH, 2).await?;
        let number = self.open(watcher, &self.stage.writer, &project::SPANISH, project::SPANISH.branch, 2).await?;
        self.expect(number, &bad, Shows::Failure, Ending::Delivered);
        self.delivered(watcher, "pull_request opened", 2, 2).await?;
        watcher.until("2 pending is shown", |record| was_shown(record, &bad, "pending")).await?;
        watcher.until("2 the test fails", |record| job_shows(record, &bad, "test", "failure")).await?;
        watcher.until("2 failure is shown", |record| aggregate_is(record, &bad, "failure")).await?;
        let words =
            watcher.record.latest(&bad, is_aggregate).map(|status| status.description.clone()).unwrap_or_default();
        let text = format!("#{number} is not merged, since {} shows failure: {words}", short(&bad));
        watcher.note(&text, Tone::Bad, json!({"pull": number, "sha": bad, "why": words}));
        pause(watcher).await;

        let good = self.propose_more(watcher, desk, &project::SPANISH_MENDED, 2).await?;
        self.expect(number, &good, Shows::Success, Ending::Delivered);
        self.delivered(watcher, "pull_request synchronize", 1, 2).await?;
        self.tested_green(watcher, &good, 2).await?;
        self.merged_and_delivered(watcher, number, 2).await
    }

    async fn hold_one(&mut self, watcher: &mut Watcher<'_>) -> Result<(), Missed> {
        chapter(watcher, 3, "a pull request from a stranger's fork waits for an approval");
        let stranger = &self.stage.stranger;
        let fork = format!("{}/{}", stranger.login, project::NAME);
        let path = format!("/repos/{}/forks", project::FULL_NAME);
        let asked = watcher.github.post(&stranger.token, &path, &json!({})).await;
        asked.map_err(|error| missed("3 the fork is made", &error))?;
        let desk = self.desk(stranger, &fork, "3 the fork is cloned").await?;
        let head = self.propose(watcher, &desk, &project::KLINGON, 3).await?;
        let label = format!("{}:{}", stranger.login, project::KLINGON.branch);
        let number = self.open(watcher, stranger, &project::KLINGON, &label, 3).await?;
        self.expect(number, &head, Shows::WaitsForApproval, Ending::Open);
        self.delivered(watcher, "pull_request opened", 3, 3).await?;
        let waits =
            |record: &Record| {
                let shown = record.latest(&head, is_aggregate);
                Progress::of(shown.is_some_and(|shown| {
                    shown.state == "pending" && shown.description.starts_with("waits for approval")
                }))
            };
        watcher.until("3 it waits for an approval", waits).await?;
        let text = format!(
            "#{number} stays so until {}, or anybody who may push, comments: /ok-to-test {}",
            self.stage.owner.login, head
        );
        watcher.note(
            &text,
            Tone::Waiting,
            json!({"pull": number, "sha": head, "comment": format!("/ok-to-test {head}")}),
        );
        Ok(())
    }

    fn expect(&mut self, number: u64, head: &str, shows: Shows, ending: Ending) {
        let head = (head.to_owned(), shows);
        match self.expected.pulls.iter_mut().find(|pull| pull.number == number) {
            Some(pull) => pull.heads.push(head),
            None => self.expected.pulls.push(ExpectedPull { number, heads: vec![head], ending }),
        }
    }

    async fn desk(&self, person: &Person, repository: &str, step: &str) -> Result<Desk, Missed> {
        let dir = self.stage.dir.join("desks").join(person.login);
        let url = format!("{}/{repository}.git", self.stage.github());
        Desk::set_up(&dir, &url, person).await.map_err(|error| missed(step, &error))
    }

    /// Begins a branch, changes something on it, and pushes it.
    async fn propose(
        &self,
        watcher: &mut Watcher<'_>,
        desk: &Desk,
        change: &Change,
        story: u8,
    ) -> Result<String, Missed> {
        desk.begin(change.branch).await.map_err(|error| missed(&pushed(story), &error))?;
        self.propose_more(watcher, desk, change, story).await
    }

    async fn propose_more(
        &self,
        watcher: &mut Watcher<'_>,
        desk: &Desk,
        change: &Change,
        story: u8,
    ) -> Result<String, Missed> {
        let head = async {
            let head = desk.commit(change.title, change.files).await?;
            desk.push().await.map(|()| head)
        };
        let head = head.await.map_err(|error| missed(&pushed(story), &error))?;
        let git_ref = format!("refs/heads/{}", change.branch);
        watcher.until(&pushed(story), |record| Progress::of(record.was_pushed(&git_ref, &head))).await?;
        Ok(head)
    }

    async fn open(
        &self,
        watcher: &mut Watcher<'_>,
        person: &Person,
        change: &Change,
        head: &str,
        story: u8,
    ) -> Result<u64, Missed> {
        let step = format!("{story} a pull request is opened");
        let path = format!("/repos/{}/pulls", project::FULL_NAME);
        let body = json!({"title": change.title, "head": head, "base": "main"});
        let opened = watcher.github.post(&person.token, &path, &body).await.map_err(|error| missed(&step, &error))?;
        opened["number"].as_u64().ok_or_else(|| Missed { step, why: "the answer has no number".to_owned() })
    }

    /// A webhook arrives. Where the server may be down at that moment, it learns of it later by itself.
    async fn delivered(&self, watcher: &mut Watcher<'_>, name: &str, times: usize, story: u8) -> Result<(), Missed> {
        if self.manner == Manner::Killed {
            return Ok(());
        }
        let step = format!("{story} the webhook {name} arrives");
        watcher.until(&step, |record| Progress::of(record.delivered(name) >= times)).await.map(|_| ())
    }

    async fn tested_green(&self, watcher: &mut Watcher<'_>, head: &str, story: u8) -> Result<(), Missed> {
        let logs = watcher.record.logs_read();
        watcher.until(&format!("{story} pending is shown"), |record| was_shown(record, head, "pending")).await?;
        for job in ["build", "test"] {
            let step = format!("{story} the job {job} succeeds");
            watcher.until(&step, |record| job_shows(record, head, job, "success")).await?;
        }
        if self.manner == Manner::Undisturbed {
            let step = format!("{story} the logs can be read");
            watcher.until(&step, |record| Progress::of(record.logs_read() >= logs + 2)).await?;
        }
        watcher
            .until(&format!("{story} success is shown"), |record| aggregate_is(record, head, "success"))
            .await
            .map(|_| ())
    }

    async fn merged_and_delivered(&self, watcher: &mut Watcher<'_>, number: u64, story: u8) -> Result<(), Missed> {
        let step = format!("{story} the pull request is merged");
        watcher.until(&step, |record| Progress::of(record.merge_of(number).is_some())).await?;
        let merge = watcher.record.merge_of(number).unwrap_or_default().to_owned();
        for environment in ENVIRONMENTS {
            if !self.deployed(watcher, environment, &merge, story).await? {
                return Ok(());
            }
            let step = format!("{story} the room is told of {environment}");
            let words = [environment, short(&merge), "done"];
            watcher.until(&step, |record| Progress::of(record.was_told(&words))).await?;
        }
        Ok(())
    }

    /// Returns whether the deployment succeeded; where it did not, nothing follows.
    async fn deployed(
        &self,
        watcher: &mut Watcher<'_>,
        environment: &str,
        merge: &str,
        story: u8,
    ) -> Result<bool, Missed> {
        let manner = self.manner;
        let came = |record: &Record| Progress::of(record.standing(environment, merge) != Standing::None);
        watcher.until(&format!("{story} a deployment to {environment} is created"), came).await?;
        for state in ["queued", "in_progress", "success"] {
            let step = format!("{story} {environment} shows {state}");
            let progress = |record: &Record| deployment_shows(record, environment, merge, state, manner);
            if !watcher.until(&step, progress).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn deployment_shows(record: &Record, environment: &str, merge: &str, state: &str, manner: Manner) -> Progress {
    match record.standing(environment, merge) {
        Standing::Over(status) if status.state == "success" => Progress::Came,
        Standing::Over(status) if manner == Manner::Killed && is_unknown(&status) => {
            Progress::Instead(format!("it ended as {}, and {environment} is kept for a person", status.description))
        }
        Standing::Blocked if manner == Manner::Killed => {
            Progress::Instead(format!("it waits until a person frees {environment}"))
        }
        Standing::Going(states) => Progress::of(states.iter().any(|known| known == state)),
        Standing::Over(status) => Progress::Never(format!("it shows {}: {}", status.state, status.description)),
        Standing::None | Standing::Blocked => Progress::NotYet,
    }
}

fn was_shown(record: &Record, sha: &str, state: &str) -> Progress {
    Progress::of(record.was_shown(sha, state, is_aggregate))
}

fn aggregate_is(record: &Record, sha: &str, state: &str) -> Progress {
    ended_as(record.latest(sha, is_aggregate), state)
}

fn job_shows(record: &Record, sha: &str, job: &str, state: &str) -> Progress {
    let context = format!(" / {job} (pull_request)");
    ended_as(record.latest(sha, |known| known.ends_with(&context)), state)
}

fn ended_as(latest: Option<&Status>, state: &str) -> Progress {
    match latest {
        Some(status) if status.state == state => Progress::Came,
        None => Progress::NotYet,
        Some(status) if status.state == "pending" => Progress::NotYet,
        Some(status) => Progress::Never(format!("it shows {}: {}", status.state, status.description)),
    }
}

fn pushed(story: u8) -> String {
    format!("{story} a branch is pushed")
}

fn missed(step: &str, error: &anyhow::Error) -> Missed {
    Missed { step: step.to_owned(), why: format!("{error:#}") }
}

fn chapter(watcher: &Watcher<'_>, number: u8, title: &str) {
    watcher.narrator.say("");
    watcher.note(&format!("Story {number}: {title}"), Tone::Plain, json!({"story": number}));
}

async fn pause(watcher: &Watcher<'_>) {
    tokio::time::sleep(watcher.pace.part).await;
}
