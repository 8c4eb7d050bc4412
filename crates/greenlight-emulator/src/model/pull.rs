//! Pull requests, reviews, comments and labels.

use serde::{Deserialize, Serialize};

use super::{At, Oid};

/// One end of a pull request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullEnd {
    /// The repository, unless it was deleted.
    pub repository: Option<u64>,
    pub branch: String,
    pub sha: Oid,
}

/// What is known about merging a pull request into its base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mergeability {
    /// Not computed since head or base moved.
    Unknown,
    /// A test merge exists.
    Clean { merge: Oid, base: Oid, head: Oid },
    /// Head and base conflict.
    Conflict { base: Oid, head: Oid },
}

/// How a pull request ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PullState {
    Open,
    Closed { at: At },
    Merged { at: At, by: u64, sha: Oid },
}

/// The size of a pull request.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct PullSize {
    pub commits: usize,
    pub additions: usize,
    pub deletions: usize,
    pub changed_files: usize,
}

/// A pull request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pull {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub author: u64,
    pub draft: bool,
    pub state: PullState,
    pub head: PullEnd,
    pub base: PullEnd,
    pub created_at: At,
    pub updated_at: At,
    pub mergeability: Mergeability,
    pub size: PullSize,
    pub labels: Vec<Label>,
    pub assignees: Vec<u64>,
    pub requested_reviewers: Vec<u64>,
    pub requested_teams: Vec<u64>,
    pub reviews: Vec<Review>,
    pub maintainer_can_modify: bool,
}

impl Pull {
    /// Answers whether it is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, PullState::Open)
    }

    /// Returns the newest verdict of each reviewer: approvals and change requests that were not dismissed.
    pub fn verdicts(&self) -> Vec<&Review> {
        let mut latest: Vec<&Review> = Vec::new();
        for review in &self.reviews {
            if matches!(review.state, ReviewState::Approved | ReviewState::ChangesRequested | ReviewState::Dismissed) {
                latest.retain(|known| known.author != review.author);
                latest.push(review);
            }
        }
        latest.retain(|review| review.state != ReviewState::Dismissed);
        latest
    }
}

/// What a review says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReviewState {
    Pending,
    Commented,
    Approved,
    ChangesRequested,
    Dismissed,
}

impl ReviewState {
    /// Returns GitHub's word in answers.
    pub fn name(self) -> &'static str {
        match self {
            ReviewState::Pending => "PENDING",
            ReviewState::Commented => "COMMENTED",
            ReviewState::Approved => "APPROVED",
            ReviewState::ChangesRequested => "CHANGES_REQUESTED",
            ReviewState::Dismissed => "DISMISSED",
        }
    }
}

/// A review of a pull request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Review {
    pub id: u64,
    pub author: u64,
    pub body: String,
    pub state: ReviewState,
    pub commit: Oid,
    pub submitted_at: At,
}

/// A comment in the conversation of a pull request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comment {
    pub id: u64,
    pub number: u64,
    pub author: u64,
    pub body: String,
    pub created_at: At,
    pub updated_at: At,
    pub reactions: Vec<Reaction>,
    /// The App that wrote it.
    pub app: Option<u64>,
}

/// A reaction to a comment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reaction {
    pub id: u64,
    pub user: u64,
    pub content: String,
    pub created_at: At,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub id: u64,
    pub name: String,
    pub color: String,
    pub description: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(id: u64, author: u64, state: ReviewState) -> Review {
        Review { id, author, body: String::new(), state, commit: String::new(), submitted_at: At(0) }
    }

    #[test]
    fn only_the_newest_verdict_of_a_reviewer_counts() {
        let mut pull = Pull {
            id: 1,
            number: 1,
            title: String::new(),
            body: None,
            author: 1,
            draft: false,
            state: PullState::Open,
            head: PullEnd { repository: None, branch: String::new(), sha: String::new() },
            base: PullEnd { repository: None, branch: String::new(), sha: String::new() },
            created_at: At(0),
            updated_at: At(0),
            mergeability: Mergeability::Unknown,
            size: PullSize::default(),
            labels: Vec::new(),
            assignees: Vec::new(),
            requested_reviewers: Vec::new(),
            requested_teams: Vec::new(),
            reviews: vec![review(1, 7, ReviewState::ChangesRequested), review(2, 8, ReviewState::Approved)],
            maintainer_can_modify: false,
        };
        pull.reviews.push(review(3, 7, ReviewState::Approved));
        pull.reviews.push(review(4, 7, ReviewState::Commented));
        pull.reviews.push(review(5, 8, ReviewState::Dismissed));
        let verdicts: Vec<(u64, ReviewState)> =
            pull.verdicts().iter().map(|review| (review.author, review.state)).collect();
        assert_eq!(verdicts, [(7, ReviewState::Approved)]);
    }
}
