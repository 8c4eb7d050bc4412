//! Names of things: one type each, so that a run's number is never taken for a pull request's.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Compares two texts. Most that are compared are one and the same, so their addresses are looked at first.
pub(crate) fn compare(one: &Arc<str>, other: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(one, other) { Ordering::Equal } else { one.cmp(other) }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                compare(&self.0, &other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Wraps `text`.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the text, shared.
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

number_id! {
    /// A repository, by GitHub's numeric id: names change, ids do not (S2).
    RepoId
}
number_id! {
    /// A person or an App's bot, by GitHub's numeric id (S2).
    UserId
}
number_id! {
    /// A pull request's number within its repository.
    PullNumber
}
number_id! {
    /// A run's number within its repository, as people quote it.
    RunNumber
}
number_id! {
    /// A deployment, by GitHub's id.
    DeploymentId
}
number_id! {
    /// A comment on an issue or a pull request, by GitHub's id.
    CommentId
}
number_id! {
    /// A review, by GitHub's id.
    ReviewId
}
number_id! {
    /// A fencing token: grows with every lease and every lock of a repository, so that the older holder is known.
    Token
}

text_id! {
    /// A webhook delivery's GUID; the same on a redelivery.
    DeliveryId
}
text_id! {
    /// A runner, as the server named it.
    RunnerId
}
text_id! {
    /// One job of a run: the job's id, and its matrix values where it has any ("test (1, linux)").
    JobKey
}
text_id! {
    /// An effect: the same key again is the same effect again, so that a repeat is harmless.
    EffectKey
}
text_id! {
    /// An environment's name ("staging").
    EnvironmentName
}
text_id! {
    /// A full git ref ("refs/heads/main").
    RefName
}
text_id! {
    /// The context of a status, or the name of a check run ("greenlight / CI / test (pull_request)").
    Context
}
text_id! {
    /// A room, as greenlight.toml names it.
    RoomName
}

impl RefName {
    /// Returns the full ref of a branch.
    pub fn branch(name: &str) -> Self {
        Self::from(format!("refs/heads/{name}"))
    }

    /// Returns the branch's name, or nothing where this is no branch.
    pub fn as_branch(&self) -> Option<&str> {
        self.as_str().strip_prefix("refs/heads/")
    }

    /// Returns the name without "refs/heads/" or "refs/tags/".
    pub fn short(&self) -> &str {
        let text = self.as_str();
        text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/")).unwrap_or(text)
    }
}

/// A git object's name (SHA-1, as GitHub uses it).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha([u8; 20]);

impl Sha {
    /// Returns its bytes as numbers that are ordered as they are; the first nearly always tells two apart.
    #[inline(always)]
    fn parts(&self) -> (u64, u64, u32) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = self.0;
        (
            u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            u32::from_be_bytes([q, r, s, t]),
        )
    }
}

impl Ord for Sha {
    #[inline(always)]
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Sha {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The text is not 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a commit's full SHA of 40 hexadecimal digits was expected")]
pub struct ShaError;

impl Sha {
    /// All zeros: what GitHub sends for "there is no such commit" in a push that creates or deletes.
    pub const ZERO: Self = Self([0; 20]);

    /// Wraps the raw bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Returns the raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Reads 40 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, ShaError> {
        let digits = text.as_bytes();
        if digits.len() != 40 {
            return Err(ShaError);
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(bytes))
    }

    /// Is this GitHub's way to say "no commit"?
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Returns the first seven digits, as people read them.
    pub fn short(&self) -> String {
        let digit = |number: u8| char::from(DIGITS[usize::from(number)]);
        let mut text: String = self.0[..4].iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        text.pop();
        text
    }
}

fn hex_digit(digit: u8) -> Result<u8, ShaError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(ShaError),
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 40];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one job attempt: (run attempt, job, try). It is what gets leased.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The repository.
    pub repo: RepoId,
    /// The run.
    pub run: RunNumber,
    /// The run's attempt, from 1; a re-run is the next.
    pub run_attempt: u32,
    /// The job.
    pub job: JobKey,
    /// The try within the run's attempt, from 1; a job lost with its runner is tried again once.
    pub tried: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}.{}/{}.{}", self.repo, self.run, self.run_attempt, self.job, self.tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sha_is_read_and_written_the_same() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Sha::parse(text).unwrap().to_string(), text);
        assert_eq!(Sha::parse(&text.to_uppercase()).unwrap().to_string(), text);
        assert_eq!(Sha::parse(text).unwrap().short(), "0123456");
        assert_eq!(Sha::parse("0123"), Err(ShaError));
        assert_eq!(Sha::parse(&"g".repeat(40)), Err(ShaError));
        assert_eq!(Sha::parse(&"é".repeat(20)), Err(ShaError));
    }

    #[test]
    fn a_ref_knows_its_branch() {
        assert_eq!(RefName::branch("main").as_branch(), Some("main"));
        assert_eq!(RefName::from("refs/tags/v1").as_branch(), None);
        assert_eq!(RefName::from("refs/tags/v1").short(), "v1");
    }
}
