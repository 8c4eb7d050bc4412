//! What can go wrong with git, by name.

use std::path::PathBuf;
use std::time::Duration;

use greenlight_core::effect::{Outcome, Refusal};
use greenlight_core::id::Sha;

/// Something that git, or its surroundings, did not do.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git`.
    #[error("the program 'git' cannot be started; install git 2.38 or newer and have it on PATH")]
    Missing(#[source] std::io::Error),
    /// It is too old for `merge-tree --write-tree`.
    #[error("git {found} is too old; install git 2.38 or newer")]
    TooOld {
        /// What `git --version` said.
        found: String,
    },
    /// A process could not be started or spoken to.
    #[error("git {what} cannot be run")]
    Process {
        /// What it was to do.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It ended badly.
    #[error("git {what} failed: {message}")]
    Failed {
        /// What it was to do.
        what: &'static str,
        /// The last of what it said, without secrets.
        message: String,
    },
    /// It did not end.
    #[error("git {what} was stopped after {} seconds", after.as_secs())]
    TimedOut {
        /// What it was to do.
        what: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// It said more than anybody will read.
    #[error("git {what} wrote more than {max} bytes")]
    TooMuchOutput {
        /// What it was to do.
        what: &'static str,
        /// How much is read.
        max: usize,
    },
    /// It said something that we do not understand.
    #[error("git {what} answered in a way that is not understood: {line}")]
    Answer {
        /// What it was to do.
        what: &'static str,
        /// What it said.
        line: String,
    },
    /// A file or folder of ours cannot be used.
    #[error("{} cannot be used", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There was no token to be had.
    #[error("no token for {repository}: {reason}")]
    Credentials {
        /// "owner/name".
        repository: String,
        /// Why not.
        reason: String,
    },
    /// The other side has no such ref.
    #[error("there is no {name}")]
    NoSuchRef {
        /// The ref, or the refs of one fetch.
        name: String,
    },
    /// Neither the mirror nor the other side has this commit.
    #[error("commit {0} is not there")]
    NoSuchCommit(Sha),
    /// A commit names an object that the mirror lacks.
    #[error(
        "the mirror lacks {path} of tree {tree}, though the commit has it: a fetch may still be writing it; where this stays, \
         stop the server and remove the repository's folder below 'mirrors'"
    )]
    Incomplete {
        /// The tree that was looked into.
        tree: Sha,
        /// What of it is not there.
        path: String,
    },
    /// A ref's name is none.
    #[error("'{name}' is not the name of a branch, a tag or a commit")]
    BadName {
        /// The name.
        name: String,
    },
    /// The destination of a checkout is a symbolic link, or not a folder.
    #[error("{} is not a folder of its own; nothing is checked out through a symbolic link", path.display())]
    BadDestination {
        /// Where.
        path: PathBuf,
    },
}

impl GitError {
    /// Returns the error with its causes, as one sentence.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// Returns what this means for the effect: what is gone is refused, everything else may be better the next time.
    pub(crate) fn into_outcome(self) -> Outcome {
        let reason = self.chain().into();
        match self {
            Self::NoSuchRef { .. } | Self::NoSuchCommit(_) | Self::BadName { .. } => {
                Outcome::Refused(Refusal::Gone(reason))
            }
            _ => Outcome::Later { not_before: None, reason },
        }
    }
}
