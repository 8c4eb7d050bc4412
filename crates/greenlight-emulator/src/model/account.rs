//! Users, organizations, bots and the tokens of people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{At, Permission};

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountKind {
    /// A person.
    User,
    /// An organization, which owns repositories and has members.
    Organization,
    /// What a GitHub App acts as.
    Bot,
}

/// A user, an organization or a bot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    pub id: u64,
    pub login: String,
    pub name: String,
    pub email: String,
    pub kind: AccountKind,
    pub created_at: At,
    /// Members of an organization: true for its owners.
    pub members: BTreeMap<u64, bool>,
    pub teams: Vec<Team>,
}

/// A team of an organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Team {
    pub id: u64,
    pub name: String,
    pub slug: String,
    pub members: Vec<u64>,
    /// What its members may do, by repository.
    pub repositories: BTreeMap<u64, Permission>,
}

impl Account {
    /// Returns GitHub's word for the kind.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            AccountKind::User => "User",
            AccountKind::Organization => "Organization",
            AccountKind::Bot => "Bot",
        }
    }

    /// Returns what membership alone allows in the repositories of this organization.
    pub fn permission_of_member(&self, user: u64) -> Permission {
        match self.members.get(&user) {
            Some(true) => Permission::Admin,
            Some(false) => Permission::Read,
            None => Permission::None,
        }
    }

    /// Returns what `user` may do in `repository` through teams.
    pub fn permission_by_team(&self, repository: u64, user: u64) -> Permission {
        let granted = self
            .teams
            .iter()
            .filter(|team| team.members.contains(&user))
            .filter_map(|team| team.repositories.get(&repository));
        granted.copied().max().unwrap_or(Permission::None)
    }
}

/// A personal access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    pub user: u64,
    pub scopes: Vec<String>,
    pub revoked: bool,
}

/// The scopes of a token for which none were named: all that the emulator knows.
pub const SCOPES_ALL: [&str; 7] =
    ["repo", "workflow", "admin:repo_hook", "admin:org", "admin:org_hook", "delete_repo", "user"];

impl Token {
    /// Answers whether the token carries `scope`, itself or inside a wider one.
    pub fn allows(&self, scope: &str, private: bool) -> bool {
        let has = |wanted: &str| self.scopes.iter().any(|scope| scope == wanted);
        if has(scope) {
            return true;
        }
        match scope {
            "repo:status" | "repo_deployment" | "public_repo" => has("repo") || (!private && has("public_repo")),
            "repo" => !private && has("public_repo"),
            "read:repo_hook" => has("write:repo_hook") || has("admin:repo_hook") || has("repo"),
            "write:repo_hook" => has("admin:repo_hook") || has("repo"),
            "admin:repo_hook" => has("repo"),
            "read:org" => has("write:org") || has("admin:org"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    fn token(scopes: &[&str]) -> Token {
        Token { user: 1, scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), revoked: false }
    }

    #[test]
    fn a_wider_scope_holds_the_narrower_ones() {
        assert!(token(&["repo"]).allows("repo:status", true));
        assert!(token(&["public_repo"]).allows("repo", false));
        assert!(!token(&["public_repo"]).allows("repo", true));
        assert!(!token(&["repo:status"]).allows("repo", false));
    }
}
