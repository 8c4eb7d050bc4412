//! What the judge found.

use serde_json::{Value, json};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What should be.
    pub what: String,
    /// What is in its place, where it is not.
    pub wrong: Option<String>,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// In the order of looking.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Adds a finding.
    pub fn add(&mut self, what: &str, found: Result<(), String>) {
        self.findings.push(Finding { what: what.to_owned(), wrong: found.err() });
    }

    /// Is everything as it should be?
    pub fn is_ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.wrong.is_none())
    }

    /// Returns what is not as it should be, a line each.
    pub fn wrong(&self) -> Vec<String> {
        let wrong = self.findings.iter().filter_map(|finding| Some((finding, finding.wrong.as_ref()?)));
        wrong.map(|(finding, why)| format!("{}: {why}", finding.what)).collect()
    }

    /// Returns the findings for scripts.
    pub fn as_json(&self) -> Value {
        self.findings
            .iter()
            .map(|finding| json!({"check": finding.what, "ok": finding.wrong.is_none(), "why": finding.wrong}))
            .collect()
    }
}
