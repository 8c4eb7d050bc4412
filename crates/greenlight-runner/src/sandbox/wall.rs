//! The last wall: Landlock, put up from within. What it forbids, nothing that a job starts can get back.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
    path_beneath_rules,
};

/// The newest rules that are asked for; an older kernel gets those that it knows.
const RULES: ABI = ABI::V6;

/// Lets this process and all that it starts write below `writable` only, and read below `readable`. Nothing said about reading
/// means everywhere. Returns what stands, as the runner tells it; empty where the kernel has none of it.
pub(crate) fn raise(writable: &[PathBuf], readable: &[PathBuf]) -> String {
    let everywhere = [PathBuf::from("/")];
    let readable = if readable.is_empty() { &everywhere[..] } else { readable };
    let read = AccessFs::from_read(RULES) | AccessFs::IoctlDev;
    let done = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))
        .and_then(|rules| rules.scope(Scope::from_all(RULES)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(existing(readable), read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(existing(writable), AccessFs::from_all(RULES))))
        .and_then(landlock::RulesetCreated::restrict_self);
    match done.map(|done| done.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => "Landlock".into(),
        Ok(RulesetStatus::PartiallyEnforced) => "Landlock (an older one)".into(),
        _ => String::new(),
    }
}

fn existing(paths: &[PathBuf]) -> impl Iterator<Item = &Path> {
    paths.iter().map(PathBuf::as_path).filter(|path| path.exists())
}

/// Returns paths that hold all of `/` but what is below `hidden`: Landlock can only allow.
pub(crate) fn all_but(hidden: &[PathBuf]) -> Vec<PathBuf> {
    let mut allowed = Vec::new();
    split(Path::new("/"), hidden, &mut allowed);
    allowed
}

fn split(folder: &Path, hidden: &[PathBuf], allowed: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if hidden.contains(&path) {
            continue;
        }
        if hidden.iter().any(|hidden| hidden.starts_with(&path)) {
            split(&path, hidden, allowed);
        } else {
            allowed.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_with_all_below_it_and_its_neighbours_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["data/mirrors", "data/work", "other"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let allowed = all_but(&[folder.join("data/mirrors")]);
        assert!(allowed.contains(&folder.join("data/work")) && allowed.contains(&folder.join("other")));
        assert!(!allowed.iter().any(|path| folder.join("data/mirrors").starts_with(path)), "{allowed:?}");
    }
}
