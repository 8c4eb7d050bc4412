//! What a branch asks of a commit before it may land, and how far the commit is.

use super::{
    At, Model, Permission, Repository,
    check::CheckRun,
    commit_status::latest,
    protection::Protection,
    pull::{Pull, ReviewState},
};

/// Where one context stands on a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextState {
    /// Nobody has reported yet.
    Expected,
    Pending,
    Failing,
    Passing,
}

impl ContextState {
    /// Returns the word in GitHub's refusals.
    pub fn name(self) -> &'static str {
        match self {
            ContextState::Expected => "expected",
            ContextState::Pending => "pending",
            ContextState::Failing => "failing",
            ContextState::Passing => "passing",
        }
    }
}

impl Repository {
    /// Returns the protections that hold for `branch`: its own and those of rulesets.
    pub fn protections(&self, branch: &str) -> Vec<Protection> {
        let own = self.protection.get(branch).cloned();
        let by_rules = self
            .rulesets
            .iter()
            .filter(|ruleset| ruleset.governs(branch, &self.default_branch))
            .map(|ruleset| ruleset.as_protection());
        own.into_iter().chain(by_rules).collect()
    }

    /// Returns where `context` stands on `sha`. A status and a check run of one name must both pass.
    pub fn context_state(&self, sha: &str, context: &str, now: At) -> ContextState {
        let statuses = self.statuses.get(sha).map(Vec::as_slice).unwrap_or_default();
        let status = latest(statuses, now).into_iter().find(|status| status.context.eq_ignore_ascii_case(context));
        let by_status = status.map(|status| state_of_status(&status.state));
        let by_runs = self.latest_check_runs(sha).into_iter().filter(|run| run.name == context).map(state_of_run);
        let mut states: Vec<ContextState> = by_status.into_iter().chain(by_runs).collect();
        states.sort_by_key(|state| match state {
            ContextState::Failing => 0,
            ContextState::Pending => 1,
            ContextState::Expected => 2,
            ContextState::Passing => 3,
        });
        states.first().copied().unwrap_or(ContextState::Expected)
    }

    /// Returns the required contexts that have not passed on `sha`, and how many are required in all.
    pub fn unmet_contexts(&self, branch: &str, sha: &str, now: At) -> (Vec<(String, ContextState)>, usize) {
        let mut required: Vec<String> = Vec::new();
        for checks in self.protections(branch).into_iter().filter_map(|protection| protection.required_checks) {
            for check in checks.checks {
                if !required.contains(&check.context) {
                    required.push(check.context);
                }
            }
        }
        let count = required.len();
        let states = required.into_iter().map(|context| {
            let state = self.context_state(sha, &context, now);
            (context, state)
        });
        (states.filter(|(_, state)| *state != ContextState::Passing).collect(), count)
    }

    /// Answers whether a pull request into `branch` must contain the branch's tip.
    pub fn is_strict(&self, branch: &str) -> bool {
        self.protections(branch)
            .iter()
            .any(|protection| protection.required_checks.as_ref().is_some_and(|checks| checks.strict))
    }

    /// Answers whether anything on `sha` is failing or under way, required or not.
    pub fn is_unstable(&self, sha: &str, now: At) -> bool {
        let statuses = self.statuses.get(sha).map(Vec::as_slice).unwrap_or_default();
        let by_status =
            latest(statuses, now).into_iter().any(|status| state_of_status(&status.state) != ContextState::Passing);
        by_status || self.latest_check_runs(sha).into_iter().any(|run| state_of_run(run) != ContextState::Passing)
    }
}

impl Model {
    /// Returns GitHub's sentence on what reviews still lack for a merge, if they do.
    pub fn missing_review(&self, repository: &Repository, pull: &Pull) -> Option<String> {
        let protections = repository.protections(&pull.base.branch);
        let required = protections
            .into_iter()
            .filter_map(|protection| protection.required_reviews)
            .map(|reviews| reviews.count)
            .max()?;
        let writers = pull
            .verdicts()
            .into_iter()
            .filter(|review| self.permission(repository, Some(review.author)) >= Permission::Write)
            .collect::<Vec<_>>();
        if required > 0 && writers.iter().any(|review| review.state == ReviewState::ChangesRequested) {
            return Some("Changes have been requested by a reviewer with write access.".to_owned());
        }
        let approvals = writers
            .iter()
            .filter(|review| review.state == ReviewState::Approved && review.author != pull.author)
            .count() as u64;
        (approvals < required).then(|| {
            let noun = if required == 1 { "review is" } else { "reviews are" };
            format!("At least {required} approving {noun} required by reviewers with write access.")
        })
    }
}

/// Returns GitHub's sentence on required checks that have not passed.
pub fn refusal_of_checks(unmet: &[(String, ContextState)], required: usize) -> Option<String> {
    match unmet {
        [] => None,
        [(context, state)] if required == 1 => {
            Some(format!("Required status check \"{context}\" is {}.", state.name()))
        }
        _ => {
            let parts: Vec<String> = [ContextState::Expected, ContextState::Pending, ContextState::Failing]
                .into_iter()
                .filter_map(|wanted| {
                    let count = unmet.iter().filter(|(_, state)| *state == wanted).count();
                    (count > 0).then(|| format!("{count} {}", wanted.name()))
                })
                .collect();
            match &parts[..] {
                [one] => {
                    let (count, word) = one.split_once(' ').unwrap_or((one, ""));
                    let verb = if count == "1" { "is" } else { "are" };
                    Some(format!("{count} of {required} required status checks {verb} {word}."))
                }
                _ => Some(format!(
                    "{} of {required} required status checks have not succeeded: {}.",
                    unmet.len(),
                    parts.join(" and ")
                )),
            }
        }
    }
}

fn state_of_status(state: &str) -> ContextState {
    match state {
        "success" => ContextState::Passing,
        "pending" => ContextState::Pending,
        _ => ContextState::Failing,
    }
}

fn state_of_run(run: &CheckRun) -> ContextState {
    match run.conclusion.as_deref() {
        None => ContextState::Pending,
        Some("success" | "neutral" | "skipped") => ContextState::Passing,
        Some(_) => ContextState::Failing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_missing() {
        let unmet = |states: &[(&str, ContextState)]| {
            states.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect::<Vec<_>>()
        };
        assert_eq!(refusal_of_checks(&[], 1), None);
        assert_eq!(
            refusal_of_checks(&unmet(&[("ci", ContextState::Expected)]), 1).unwrap(),
            "Required status check \"ci\" is expected."
        );
        let both = unmet(&[("a", ContextState::Expected), ("b", ContextState::Expected)]);
        assert_eq!(refusal_of_checks(&both, 2).unwrap(), "2 of 2 required status checks are expected.");
        let mixed = unmet(&[("a", ContextState::Expected), ("b", ContextState::Failing)]);
        assert_eq!(
            refusal_of_checks(&mixed, 3).unwrap(),
            "2 of 3 required status checks have not succeeded: 1 expected and 1 failing."
        );
    }
}
