//! Notices that GitHub is back where nothing is left that would be asked of it: what was to be shown may have become what is
//! shown already, and then no effect finds out. A wait that belongs to nothing any more is no wait.

use std::sync::Arc;
use std::time::Duration;

use greenlight_core::effect::Target;
use greenlight_github::client::Remedy;

use super::Shared;
use super::outbox;
use super::repository::Handle;

/// How often it is looked. Nothing is asked of GitHub unless it is known as away.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Whether GitHub answered.
#[derive(PartialEq, Eq)]
enum Answered {
    Yes,
    No,
}

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    for round in 0_usize.. {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
        let mut handles = shared.directory.all();
        outbox::forget_waits(&shared.standing, |name| {
            handles.iter().any(|handle| *handle.reference().full_name == *name)
        });
        // One question a round that is not answered is enough; each round begins with another repository.
        let first = round.checked_rem(handles.len()).unwrap_or(0);
        handles.rotate_left(first);
        for handle in handles {
            if look(&shared, &handle).await == Some(Answered::No) {
                break;
            }
        }
    }
}

/// Looks after what one repository waits for. Returns what came of the question, where one had to be asked.
async fn look(shared: &Shared, handle: &Handle) -> Option<Answered> {
    let name = handle.reference().full_name;
    let (github, git) = (outbox::github_wait(&name), outbox::git_wait(&name));
    let waits = |what: &str| shared.standing.of(what).is_some();
    if !waits(&github) && !waits(&git) {
        return None;
    }
    // What is still wanted is tried again, and says itself how that goes.
    let look = handle.look(|cell| cell.repository().items().map(|item| item.effect.target()).collect::<Vec<_>>());
    let wanted = look.await.ok()?;
    if !wanted.contains(&Target::Git) {
        shared.standing.clear(&git);
    }
    let asks_github = wanted.iter().any(|target| matches!(target, Target::GitHubRead | Target::GitHubWrite));
    if asks_github || !waits(&github) {
        return None;
    }
    let asked = shared.github.client().repository(&name);
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(answer) if answer.as_ref().err().is_none_or(|error| error.remedy() == Remedy::GiveUp) => {
            // A no is an answer.
            shared.standing.clear(&github);
            Some(Answered::Yes)
        }
        Ok(answer) => {
            if let Err(error) = answer {
                shared.standing.wait(&github, error.to_string());
            }
            Some(Answered::No)
        }
        Err(_) => Some(Answered::No),
    }
}
