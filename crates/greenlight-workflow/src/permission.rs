//! What a job's token may do: GitHub's scopes and levels. Naming one scope denies all the others.

/// The scopes in GitHub's order.
pub const PERMISSION_SCOPES: [&str; 20] = [
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "code-quality",
    "contents",
    "copilot-requests",
    "deployments",
    "discussions",
    "drives",
    "id-token",
    "issues",
    "models",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
    "vulnerability-alerts",
];

/// How far one scope goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PermissionLevel {
    /// Not at all.
    #[default]
    None,
    /// To look.
    Read,
    /// To look and to change.
    Write,
}

impl PermissionLevel {
    /// Returns the level as GitHub writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            PermissionLevel::None => "none",
            PermissionLevel::Read => "read",
            PermissionLevel::Write => "write",
        }
    }

    /// Returns the level of this name.
    pub fn named(name: &str) -> Option<PermissionLevel> {
        match name {
            "none" => Some(PermissionLevel::None),
            "read" => Some(PermissionLevel::Read),
            "write" => Some(PermissionLevel::Write),
            _ => None,
        }
    }
}

/// A level for every scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    levels: [PermissionLevel; PERMISSION_SCOPES.len()],
}

impl Permissions {
    /// Returns permissions for nothing.
    pub fn none() -> Permissions {
        Permissions::default()
    }

    /// Returns what `read-all` means: reading wherever there is something to read.
    pub fn read_all() -> Permissions {
        Permissions::all(PermissionLevel::Read)
    }

    /// Returns what `write-all` means: writing wherever there is something to write.
    pub fn write_all() -> Permissions {
        Permissions::all(PermissionLevel::Write)
    }

    /// Returns what GitHub grants by default where the setting is the limited one: reading contents and packages.
    pub fn limited_read() -> Permissions {
        Permissions::none().with("contents", PermissionLevel::Read).with("packages", PermissionLevel::Read)
    }

    fn all(level: PermissionLevel) -> Permissions {
        let mut permissions = Permissions::none();
        for (at, scope) in PERMISSION_SCOPES.iter().enumerate() {
            permissions.levels[at] = highest(scope, level);
        }
        permissions
    }

    /// Returns the permissions with one scope's level changed; a scope that does not exist is left out.
    pub fn with(mut self, scope: &str, level: PermissionLevel) -> Permissions {
        if let Some(at) = PERMISSION_SCOPES.iter().position(|known| *known == scope) {
            self.levels[at] = level;
        }
        self
    }

    /// Returns one scope's level.
    pub fn get(&self, scope: &str) -> PermissionLevel {
        PERMISSION_SCOPES.iter().position(|known| *known == scope).map_or(PermissionLevel::None, |at| self.levels[at])
    }

    /// Returns each scope with its level.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, PermissionLevel)> {
        PERMISSION_SCOPES.iter().copied().zip(self.levels)
    }

    /// Returns the lower level of the two for each scope: what a called workflow may have of what its caller has.
    pub fn shrunk_to(&self, most: &Permissions) -> Permissions {
        let mut permissions = self.clone();
        for (level, limit) in permissions.levels.iter_mut().zip(most.levels) {
            *level = (*level).min(limit);
        }
        permissions
    }

    /// Returns the scopes that ask for more than the other permissions allow, with what is asked for and what is allowed.
    pub fn beyond(&self, most: &Permissions) -> Vec<(&'static str, PermissionLevel, PermissionLevel)> {
        self.iter()
            .zip(most.levels)
            .filter(|((_, level), limit)| level > limit)
            .map(|((scope, level), limit)| (scope, level, limit))
            .collect()
    }
}

/// Returns the most that a scope can have of a level: some can only be written, some only be read.
fn highest(scope: &str, level: PermissionLevel) -> PermissionLevel {
    match scope {
        "copilot-requests" if level == PermissionLevel::Read => PermissionLevel::None,
        "models" | "vulnerability-alerts" => level.min(PermissionLevel::Read),
        _ => level,
    }
}
