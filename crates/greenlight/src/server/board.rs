//! The jobs that wait for a runner, of all repositories: where a free slot looks for the oldest that it can do. A slot that finds
//! none leaves its question here, and the next step that may make a job takes it along: so the job is planned and handed out
//! with one commit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use greenlight_core::effect::Reply;
use greenlight_core::fact::LeaseAsked;
use greenlight_core::id::RepoId;
use greenlight_core::schedule::QueuedJob;
use tokio::sync::{oneshot, watch};

/// The board.
pub struct Board {
    queued: Mutex<BTreeMap<RepoId, Vec<QueuedJob>>>,
    questions: Mutex<Questions>,
    changed: watch::Sender<u64>,
}

/// What slots ask that found nothing, the one that waits longest first.
#[derive(Default)]
struct Questions {
    waiting: VecDeque<(u64, Question)>,
    next: u64,
}

/// What a slot asks, and where the answer goes.
type Question = (LeaseAsked, oneshot::Sender<Reply>);

/// A question that was left on the board. Dropping it takes it away again.
pub struct Left<'a> {
    board: &'a Board,
    number: u64,
    answer: oneshot::Receiver<Reply>,
}

impl Left<'_> {
    /// Waits for the answer; nothing where the step that took the question along could not be taken.
    pub async fn answer(&mut self) -> Option<Reply> {
        (&mut self.answer).await.ok()
    }

    /// Takes the question away. Where somebody has taken it along already, waits for the answer, unless that has come.
    pub async fn take_back(mut self) -> Option<Reply> {
        if self.board.take_back(self.number) || self.answer.is_terminated() { None } else { self.answer().await }
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.board.take_back(self.number);
    }
}

impl Default for Board {
    fn default() -> Self {
        Self { queued: Mutex::default(), questions: Mutex::default(), changed: watch::channel(0).0 }
    }
}

impl Board {
    /// Puts up the jobs of a repository in place of those that were there.
    pub fn put(&self, repo: RepoId, jobs: Vec<QueuedJob>) {
        let mut queued = self.queued.lock().expect("nobody panics while holding the board");
        let before = if jobs.is_empty() { queued.remove(&repo) } else { queued.insert(repo, jobs) };
        let is_news = queued.contains_key(&repo) || before.is_some();
        drop(queued);
        if is_news {
            self.changed.send_modify(|version| *version += 1);
        }
    }

    /// Returns the repository with the oldest job that a runner with these labels can do.
    pub fn oldest(&self, labels: &[Arc<str>]) -> Option<RepoId> {
        let queued = self.queued.lock().expect("nobody panics while holding the board");
        let fitting = queued.iter().filter_map(|(repo, jobs)| {
            let since = jobs
                .iter()
                .filter(|job| job.labels.iter().all(|label| labels.contains(label)))
                .map(|job| job.since)
                .min()?;
            Some((since, *repo))
        });
        fitting.min().map(|(_, repo)| repo)
    }

    /// Leaves a question for the next step that may make a job.
    pub fn leave(&self, asked: LeaseAsked) -> Left<'_> {
        let (sender, answer) = oneshot::channel();
        let mut questions = self.questions();
        let number = questions.next;
        questions.next += 1;
        questions.waiting.push_back((number, (asked, sender)));
        Left { board: self, number, answer }
    }

    /// Takes the oldest question along.
    pub fn take_question(&self) -> Option<Question> {
        let mut questions = self.questions();
        while let Some((_, question)) = questions.waiting.pop_front() {
            if !question.1.is_closed() {
                return Some(question);
            }
        }
        None
    }

    fn take_back(&self, number: u64) -> bool {
        let mut questions = self.questions();
        let before = questions.waiting.len();
        questions.waiting.retain(|(other, _)| *other != number);
        questions.waiting.len() < before
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().expect("nobody panics while holding the board")
    }

    /// Follows the changes of the board.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greenlight_core::id::RunnerId;

    use super::*;

    fn asked(runner: &str) -> LeaseAsked {
        let boot = Some("boot".into());
        LeaseAsked { runner: RunnerId::from(runner), boot, labels: Arc::new([]), length: Duration::from_secs(60) }
    }

    #[tokio::test]
    async fn the_question_that_waits_longest_is_taken_along_and_answered() {
        let board = Board::default();
        let (mut first, second) = (board.leave(asked("one")), board.leave(asked("two")));
        let (taken, answer) = board.take_question().unwrap();
        assert_eq!(taken.runner, RunnerId::from("one"));
        answer.send(Reply::NoJob).unwrap();
        assert!(matches!(first.answer().await, Some(Reply::NoJob)));
        assert!(second.take_back().await.is_none());
        assert!(board.take_question().is_none());
    }

    #[tokio::test]
    async fn a_question_that_was_taken_along_is_waited_for_and_one_whose_slot_is_gone_is_not_asked() {
        let board = Board::default();
        drop(board.leave(asked("gone")));
        let left = board.leave(asked("here"));
        let (taken, answer) = board.take_question().unwrap();
        assert_eq!(taken.runner, RunnerId::from("here"));
        let waits = tokio::spawn(async move { answer.send(Reply::NoJob) });
        assert!(matches!(left.take_back().await, Some(Reply::NoJob)));
        waits.await.unwrap().unwrap();
        let lost = board.leave(asked("lost"));
        drop(board.take_question());
        assert!(lost.take_back().await.is_none(), "the step could not be taken");
        let mut heard = board.leave(asked("heard"));
        drop(board.take_question());
        assert!(heard.answer().await.is_none());
        assert!(heard.take_back().await.is_none(), "there is nothing more to wait for");
    }
}
