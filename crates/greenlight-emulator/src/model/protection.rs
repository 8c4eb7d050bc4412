//! Branch protection and rulesets: what a branch asks of a push and of a merge.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A status or check that must have passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredCheck {
    pub context: String,
    pub app: Option<u64>,
}

/// Required status checks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RequiredChecks {
    pub strict: bool,
    pub checks: Vec<RequiredCheck>,
}

/// Required reviews.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RequiredReviews {
    pub count: u64,
    pub dismiss_stale: bool,
    pub code_owners: bool,
}

/// The protection of one branch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Protection {
    pub required_checks: Option<RequiredChecks>,
    pub required_reviews: Option<RequiredReviews>,
    pub enforce_admins: bool,
    pub linear_history: bool,
    pub allow_force_pushes: bool,
    pub allow_deletions: bool,
}

/// A repository ruleset, kept as it was given, since most of its rules are only shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ruleset {
    pub id: u64,
    pub name: String,
    pub enforcement: String,
    pub conditions: Value,
    pub rules: Vec<Value>,
}

impl Ruleset {
    /// Answers whether the ruleset is active for `branch`.
    pub fn governs(&self, branch: &str, default_branch: &str) -> bool {
        let patterns = |key: &str| -> Vec<&str> {
            self.conditions["ref_name"][key]
                .as_array()
                .map(|list| list.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default()
        };
        let matches = |pattern: &str| match pattern {
            "~ALL" => true,
            "~DEFAULT_BRANCH" => branch == default_branch,
            _ => glob_matches(pattern.strip_prefix("refs/heads/").unwrap_or(pattern), branch),
        };
        self.enforcement == "active"
            && patterns("include").into_iter().any(matches)
            && !patterns("exclude").into_iter().any(matches)
    }

    /// Returns the rules as a protection, so that both are enforced alike.
    pub fn as_protection(&self) -> Protection {
        let mut protection = Protection {
            allow_force_pushes: true,
            allow_deletions: true,
            enforce_admins: true,
            ..Protection::default()
        };
        for rule in &self.rules {
            let parameters = &rule["parameters"];
            match rule["type"].as_str().unwrap_or_default() {
                "required_status_checks" => {
                    let checks = parameters["required_status_checks"].as_array().map(Vec::as_slice).unwrap_or_default();
                    protection.required_checks = Some(RequiredChecks {
                        strict: parameters["strict_required_status_checks_policy"].as_bool().unwrap_or(false),
                        checks: checks
                            .iter()
                            .filter_map(|check| {
                                Some(RequiredCheck {
                                    context: check["context"].as_str()?.to_owned(),
                                    app: check["integration_id"].as_u64(),
                                })
                            })
                            .collect(),
                    });
                }
                "pull_request" => {
                    protection.required_reviews = Some(RequiredReviews {
                        count: parameters["required_approving_review_count"].as_u64().unwrap_or(0),
                        dismiss_stale: parameters["dismiss_stale_reviews_on_push"].as_bool().unwrap_or(false),
                        code_owners: parameters["require_code_owner_review"].as_bool().unwrap_or(false),
                    });
                }
                "non_fast_forward" => protection.allow_force_pushes = false,
                "deletion" => protection.allow_deletions = false,
                "required_linear_history" => protection.linear_history = true,
                _ => {}
            }
        }
        protection
    }

    /// Returns the rules as `GET /rules/branches/{branch}` shows them.
    pub fn shown_rules(&self, full_name: &str) -> Vec<Value> {
        let mut shown = self.rules.clone();
        for rule in &mut shown {
            rule["ruleset_source_type"] = json!("Repository");
            rule["ruleset_source"] = json!(full_name);
            rule["ruleset_id"] = json!(self.id);
        }
        shown
    }
}

/// Answers whether `text` matches a pattern of `*` (no slash), `**` (anything) and `?`.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
            [b'*', rest @ ..] => {
                let reach = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
                (0..=reach).any(|skip| matches(rest, &text[skip..]))
            }
            [b'?', rest @ ..] => matches!(text, [first, others @ ..] if *first != b'/' && matches(rest, others)),
            [first, rest @ ..] => matches!(text, [head, others @ ..] if head == first && matches(rest, others)),
        }
    }
    matches(pattern.as_bytes(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_stop_at_slashes_unless_doubled() {
        assert!(glob_matches("release/*", "release/1"));
        assert!(!glob_matches("release/*", "release/1/a"));
        assert!(glob_matches("release/**", "release/1/a"));
        assert!(!glob_matches("main", "main2"));
    }

    #[test]
    fn a_ruleset_governs_the_branches_that_it_names() {
        let ruleset = Ruleset {
            id: 1,
            name: "main".to_owned(),
            enforcement: "active".to_owned(),
            conditions: json!({"ref_name": {"include": ["~DEFAULT_BRANCH", "refs/heads/release/*"], "exclude": ["refs/heads/release/old"]}}),
            rules: vec![json!({"type": "non_fast_forward"})],
        };
        assert!(ruleset.governs("main", "main"));
        assert!(ruleset.governs("release/1", "main"));
        assert!(!ruleset.governs("release/old", "main"));
        assert!(!ruleset.as_protection().allow_force_pushes);
    }
}
