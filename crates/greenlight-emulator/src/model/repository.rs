//! A repository with everything that hangs on it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    At, Oid,
    activity::Activity,
    check::{CheckRun, CheckSuite},
    commit_status::CommitStatus,
    deployment::{Deployment, Environment},
    protection::{Protection, Ruleset},
    pull::{Comment, Label, Pull},
};

/// What somebody may do in a repository. Greater includes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Permission {
    /// Reads GitHub's two vocabularies, `pull`/`push` and `read`/`write`.
    pub fn parse(text: &str) -> Option<Permission> {
        Some(match text {
            "none" => Permission::None,
            "pull" | "read" => Permission::Read,
            "triage" => Permission::Triage,
            "push" | "write" => Permission::Write,
            "maintain" => Permission::Maintain,
            "admin" => Permission::Admin,
            _ => return None,
        })
    }

    /// Returns the role's name.
    pub fn role(self) -> &'static str {
        match self {
            Permission::None => "none",
            Permission::Read => "read",
            Permission::Triage => "triage",
            Permission::Write => "write",
            Permission::Maintain => "maintain",
            Permission::Admin => "admin",
        }
    }

    /// Returns the legacy word, of which there are only four.
    pub fn legacy(self) -> &'static str {
        match self {
            Permission::None => "none",
            Permission::Read | Permission::Triage => "read",
            Permission::Write | Permission::Maintain => "write",
            Permission::Admin => "admin",
        }
    }
}

/// Which ways of merging a repository allows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MergeMethods {
    pub merge: bool,
    pub squash: bool,
    pub rebase: bool,
}

/// A repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repository {
    pub id: u64,
    pub owner: u64,
    pub name: String,
    pub description: Option<String>,
    pub homepage: Option<String>,
    pub private: bool,
    pub archived: bool,
    pub default_branch: String,
    pub parent: Option<u64>,
    pub created_at: At,
    pub updated_at: At,
    pub pushed_at: At,
    pub merge_methods: MergeMethods,
    pub delete_branch_on_merge: bool,
    pub actions_enabled: bool,
    /// Who else may use its workflows where it is private: "none", "user", "organization" or "enterprise".
    #[serde(default = "nobody")]
    pub actions_access: String,
    pub topics: Vec<String>,
    pub collaborators: BTreeMap<u64, Permission>,
    /// Branches and tags, by full name; what the bare repository has as well.
    pub refs: BTreeMap<String, Oid>,
    /// How branches moved, the newest last; a folder of an older emulator has none.
    #[serde(default)]
    pub activities: VecDeque<Activity>,
    pub protection: BTreeMap<String, Protection>,
    pub rulesets: Vec<Ruleset>,
    pub last_number: u64,
    pub pulls: BTreeMap<u64, Pull>,
    pub comments: BTreeMap<u64, Comment>,
    pub labels: Vec<Label>,
    /// Commit statuses in the order in which they came, by commit.
    pub statuses: BTreeMap<Oid, Vec<CommitStatus>>,
    pub check_suites: BTreeMap<u64, CheckSuite>,
    pub check_runs: BTreeMap<u64, CheckRun>,
    pub deployments: BTreeMap<u64, Deployment>,
    pub environments: BTreeMap<String, Environment>,
}

fn nobody() -> String {
    "none".to_owned()
}

impl Repository {
    /// Returns an empty repository.
    pub fn new(id: u64, owner: u64, name: &str, now: At) -> Repository {
        Repository {
            id,
            owner,
            name: name.to_owned(),
            description: None,
            homepage: None,
            private: false,
            archived: false,
            default_branch: "main".to_owned(),
            parent: None,
            created_at: now,
            updated_at: now,
            pushed_at: now,
            merge_methods: MergeMethods { merge: true, squash: true, rebase: true },
            delete_branch_on_merge: false,
            actions_enabled: true,
            actions_access: nobody(),
            topics: Vec::new(),
            collaborators: BTreeMap::new(),
            refs: BTreeMap::new(),
            activities: VecDeque::new(),
            protection: BTreeMap::new(),
            rulesets: Vec::new(),
            last_number: 0,
            pulls: BTreeMap::new(),
            comments: BTreeMap::new(),
            labels: Vec::new(),
            statuses: BTreeMap::new(),
            check_suites: BTreeMap::new(),
            check_runs: BTreeMap::new(),
            deployments: BTreeMap::new(),
            environments: BTreeMap::new(),
        }
    }

    /// Returns the tip of a branch.
    pub fn branch(&self, name: &str) -> Option<&Oid> {
        self.refs.get(&format!("refs/heads/{name}"))
    }

    /// Returns the branches with their tips.
    pub fn branches(&self) -> impl Iterator<Item = (&str, &Oid)> {
        self.refs.iter().filter_map(|(name, oid)| Some((name.strip_prefix("refs/heads/")?, oid)))
    }

    /// Returns the tags with what they point at.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &Oid)> {
        self.refs.iter().filter_map(|(name, oid)| Some((name.strip_prefix("refs/tags/")?, oid)))
    }

    /// Returns what a branch, tag or full ref points at.
    pub fn resolve_ref(&self, name: &str) -> Option<&Oid> {
        ["refs/heads/", "refs/tags/", "refs/", ""].iter().find_map(|prefix| self.refs.get(&format!("{prefix}{name}")))
    }

    /// Returns the label of this name, made with GitHub's grey where it is new.
    pub fn label(&mut self, id: u64, name: &str) -> Label {
        if let Some(known) = self.labels.iter().find(|label| label.name.eq_ignore_ascii_case(name)) {
            return known.clone();
        }
        let label = Label { id, name: name.to_owned(), color: "ededed".to_owned(), description: None };
        self.labels.push(label.clone());
        label
    }

    /// Returns the check runs on `sha` that are the newest of their name in their suite.
    pub fn latest_check_runs(&self, sha: &str) -> Vec<&CheckRun> {
        let mut latest: BTreeMap<(u64, &str), &CheckRun> = BTreeMap::new();
        for run in self.check_runs.values().filter(|run| run.head_sha == sha) {
            latest.insert((run.suite, &run.name), run);
        }
        let mut runs: Vec<&CheckRun> = latest.into_values().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        runs
    }
}
