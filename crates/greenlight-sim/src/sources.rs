//! The workflows and settings that the fake repository holds: few, static, and different from seed to seed.

mod texts;

use std::sync::Arc;

use greenlight_core::config::MergeWhen;

use crate::rng::Rng;
pub use texts::CLOCK_LINES;
use texts::{CALLED_TEXTS, CI_TEXTS, CLOCK_TEXT, DEPLOY_TEXT, TRIAGE_TEXT};

/// Texts by version of their path.
#[derive(Clone, Debug)]
pub struct Sources {
    ci_path: Arc<str>,
    deploy_path: Arc<str>,
    config_path: Arc<str>,
    ci: Vec<Arc<str>>,
    called: Vec<(Arc<str>, Arc<str>)>,
    triage: (Arc<str>, Arc<str>),
    deploy: Arc<str>,
    clock: (Arc<str>, Arc<str>),
    configs: Vec<Arc<str>>,
    /// When this seed merges; nothing where it does not.
    pub when: Option<MergeWhen>,
    /// The environments that this seed deploys to.
    pub environments: Vec<&'static str>,
    /// Must somebody else's `lint` be green as well?
    pub lint: bool,
    /// Does anything come due by the clock?
    pub ticks: bool,
}

/// The version of the broken settings.
pub const CONFIG_BROKEN: u16 = 1;
/// The version of the workflow that cannot be read.
pub const CI_BROKEN: u16 = CI_GOOD;
/// The version of the workflow that deploys beside which nothing comes due by the clock.
pub const STILL: u16 = 2;
/// How many versions of the workflow can be read.
pub const CI_GOOD: u16 = 9;
/// The first version of the workflow in which jobs call others or take turns; all after it that can be read do.
pub const CI_NESTED: u16 = 6;

impl Sources {
    /// Chooses what this seed's repository holds.
    pub fn new(rng: &mut Rng) -> Self {
        let when = match rng.below(10) {
            0 => None,
            1..5 => Some(MergeWhen::Green),
            5..8 => Some(MergeWhen::Approved),
            _ => Some(MergeWhen::Command),
        };
        let lint = rng.chance(200);
        let environments = match rng.below(4) {
            0 => Vec::new(),
            1 => vec!["staging"],
            _ => vec!["staging", "production"],
        };
        let ticks = rng.chance(120);
        let config = config_text(rng, when, lint, &environments);
        let broken = "merge: { wen: green }\n";
        Self {
            ci_path: ".github/workflows/ci.yml".into(),
            deploy_path: ".github/workflows/deploy.yml".into(),
            config_path: ".greenlight.yml".into(),
            ci: CI_TEXTS.iter().map(|text| Arc::from(*text)).collect(),
            called: CALLED_TEXTS.iter().map(|(path, text)| (Arc::from(*path), Arc::from(*text))).collect(),
            triage: (".github/workflows/triage.yml".into(), TRIAGE_TEXT.into()),
            deploy: DEPLOY_TEXT.into(),
            clock: (".github/workflows/clock.yml".into(), CLOCK_TEXT.into()),
            configs: vec![config.as_str().into(), broken.into(), format!("{config}# the same, said again\n").into()],
            when,
            environments,
            lint,
            ticks,
        }
    }

    /// Returns the workflow files of a tree.
    pub fn workflows(&self, ci: u16, deploy: u16) -> Vec<(Arc<str>, Arc<str>)> {
        let at = usize::from(ci).min(self.ci.len() - 1);
        let mut files = vec![(self.ci_path.clone(), self.ci[at].clone())];
        if self.ticks && deploy != STILL {
            files.push(self.clock.clone());
        }
        files.push((self.deploy_path.clone(), self.deploy.clone()));
        if (CI_NESTED..CI_GOOD).contains(&ci) {
            files.extend(self.called.iter().cloned());
        }
        if ci % 2 == 1 {
            files.push(self.triage.clone());
        }
        files
    }

    /// Returns the settings of a tree.
    pub fn config(&self, version: u16) -> (Arc<str>, Arc<str>) {
        let at = usize::from(version).min(self.configs.len() - 1);
        (self.config_path.clone(), self.configs[at].clone())
    }
}

fn config_text(rng: &mut Rng, when: Option<MergeWhen>, lint: bool, environments: &[&str]) -> String {
    let mut text = String::new();
    if let Some(when) = when {
        let word = match when {
            MergeWhen::Green => "green",
            MergeWhen::Approved => "approved",
            MergeWhen::Command => "command",
        };
        let method = rng.pick(&["merge", "squash", "rebase"]).expect("there are three");
        let require = if lint { "[greenlight, lint]" } else { "[greenlight]" };
        text.push_str(&format!("merge:\n  when: {word}\n  method: {method}\n  require: {require}\n"));
    }
    if !environments.is_empty() {
        text.push_str("environments:\n");
    }
    for (at, name) in environments.iter().enumerate() {
        let begin = if at == 0 { "on: merge" } else { "after: [staging]" };
        let run = if rng.chance(300) { "shell: script/deploy" } else { "workflow: deploy" };
        text.push_str(&format!("  {name}:\n    {begin}\n    run: {{ {run} }}\n"));
    }
    text.push_str("notify:\n  - { room: deploys, on: [deployment, failure, merge] }\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_should_be_readable_is() {
        for (at, text) in CI_TEXTS.iter().enumerate() {
            let parsed = greenlight_workflow::parse_workflow("ci.yml", text);
            let errors: Vec<_> = parsed.findings.iter().filter(|finding| finding.is_error()).collect();
            assert_eq!(errors.is_empty(), at < usize::from(CI_GOOD), "{at}: {errors:?}");
        }
        for (path, text) in CALLED_TEXTS.into_iter().chain([("triage.yml", TRIAGE_TEXT), ("clock.yml", CLOCK_TEXT)]) {
            let parsed = greenlight_workflow::parse_workflow(path, text);
            assert!(!parsed.findings.iter().any(|finding| finding.is_error()), "{:?}", parsed.findings);
        }
        for seed in 0..50 {
            let sources = Sources::new(&mut Rng::new(seed));
            for version in [0, CONFIG_BROKEN, 2] {
                let (path, text) = sources.config(version);
                let read = greenlight_core::config::decode(&path, &text);
                assert_eq!(read.is_ok(), version != CONFIG_BROKEN, "{text}: {read:?}");
            }
        }
    }
}
