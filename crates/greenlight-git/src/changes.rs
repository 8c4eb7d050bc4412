//! Which paths changed, for the path filters of workflows.
//!
//! Up to 300 paths are told; where there are more, or where nobody can tell, the answer is nothing, and every filter matches: a
//! workflow that runs too often costs time, one that does not run costs trust. A file that was moved counts with both paths.

use greenlight_core::event::CommitFiles;
use greenlight_core::id::Sha;

use crate::error::GitError;
use crate::mirror::Mirror;

/// How many changed paths are told.
pub const CHANGED_PATHS_MAX: usize = 300;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Two commits with each other: a push.
    Each,
    /// The second with where it left the first: a pull request, a new branch.
    SinceFork,
}

/// Does any workflow of the commit have a path filter? Comparing costs a process on the way to the first step; most need none.
pub(crate) fn asks_for_paths(files: &CommitFiles) -> bool {
    files.workflows.iter().any(|(_, text)| text.contains("paths"))
}

/// Returns the paths that differ.
pub(crate) async fn changed_paths(
    mirror: &Mirror,
    from: &str,
    to: Sha,
    compared: Compared,
) -> Result<Option<Vec<String>>, GitError> {
    let range = match compared {
        Compared::Each => format!("{from}..{to}"),
        Compared::SinceFork => format!("{from}...{to}"),
    };
    let diff =
        ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"];
    match mirror.call("diff").args(diff).arg(range).arg("--").run_to_end().await {
        Ok(output) if output.code == 0 => Ok(paths(&output.stdout)),
        // No common commit, or one of them is not there.
        Ok(_) | Err(GitError::TooMuchOutput { .. } | GitError::TimedOut { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn paths(output: &[u8]) -> Option<Vec<String>> {
    let paths = output.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    let paths: Vec<String> =
        paths.take(CHANGED_PATHS_MAX + 1).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    (paths.len() <= CHANGED_PATHS_MAX).then_some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_hundred_paths_are_told_and_one_more_is_not() {
        let output = |count: usize| (0..count).map(|number| format!("dir/{number}\0")).collect::<String>().into_bytes();
        assert_eq!(paths(&output(300)).unwrap().len(), 300);
        assert_eq!(paths(&output(301)), None);
        assert_eq!(paths(b""), Some(Vec::new()));
    }
}
