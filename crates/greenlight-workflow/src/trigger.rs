//! When a workflow runs: the events under `on:` with their filters, and the question whether one event starts it, always
//! answered with a reason.

use crate::cron::UTC;
use crate::event::event_names;
use crate::finding::{Span, nearest};
use crate::glob::Patterns;
use crate::template::Template;
use crate::workflow::Workflow;

/// Activity types of pull requests that start a workflow which names none.
const PULL_REQUEST_TYPES_DEFAULT: [&str; 3] = ["opened", "synchronize", "reopened"];

/// How many changed files a path filter looks at, as on GitHub.
pub const CHANGED_PATHS_MAX: usize = 300;

/// The events that start a workflow.
#[derive(Clone, Debug, Default)]
pub struct Triggers {
    /// In the order of the file.
    pub events: Vec<EventTrigger>,
}

/// One event under `on:`.
#[derive(Clone, Debug, Default)]
pub struct EventTrigger {
    /// The event's name.
    pub name: String,
    /// The activity types; None stands for the event's default ones.
    pub types: Option<Vec<String>>,
    /// Which branches.
    pub branches: Filter,
    /// Which tags.
    pub tags: Filter,
    /// Which changed files.
    pub paths: Filter,
    /// Which workflows, for `workflow_run`; empty stands for all.
    pub workflows: Patterns,
    /// Which images, for `image_version`; empty stands for all.
    pub names: Patterns,
    /// Which versions of them.
    pub versions: Patterns,
    /// The times, for `schedule`.
    pub schedules: Vec<Schedule>,
    /// The inputs, for `workflow_dispatch` and `workflow_call`.
    pub inputs: Vec<Input>,
    /// The secrets, for `workflow_call`.
    pub secrets: Vec<SecretInput>,
    /// The outputs, for `workflow_call`.
    pub outputs: Vec<(String, Template)>,
    /// Where it stands.
    pub span: Span,
}

/// A filter of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// There is none.
    #[default]
    Any,
    /// Only those that match.
    Only(Patterns),
    /// All but those that match.
    Ignore(Patterns),
}

/// A time at which a workflow runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Minute, hour, day, month, weekday.
    pub cron: String,
    /// The time zone, UTC unless said otherwise.
    pub timezone: Option<String>,
}

/// An input of a workflow.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it must be given.
    pub required: bool,
    /// What it is if it is not given.
    pub default: Option<Template>,
    /// What it may be.
    pub kind: InputKind,
    /// What can be chosen from.
    pub options: Vec<String>,
    /// What to say to those who still use it.
    pub deprecation_message: Option<String>,
}

/// The type of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputKind {
    /// Any text.
    #[default]
    String,
    /// True or false.
    Boolean,
    /// A number.
    Number,
    /// One of the options.
    Choice,
    /// The name of an environment.
    Environment,
}

/// A secret that a called workflow takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInput {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it must be given.
    pub required: bool,
}

/// What is known about an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFacts<'a> {
    /// The event's name.
    pub name: &'a str,
    /// Its activity type; for `repository_dispatch` the type that was sent.
    pub action: Option<&'a str>,
    /// The full ref, `refs/heads/x` or `refs/tags/v1`.
    pub git_ref: &'a str,
    /// The branch that branch filters look at where it is not the ref's: the base of a pull request or merge group, the
    /// head branch of a `workflow_run`.
    pub base_branch: Option<&'a str>,
    /// The files that changed; None where they are not known or too many, which runs the workflow.
    pub changed_paths: Option<&'a [String]>,
    /// The workflow that a `workflow_run` is about.
    pub workflow: Option<&'a str>,
    /// The cron line that came due.
    pub schedule: Option<&'a str>,
    /// The time zone by which it did, where that is told.
    pub timezone: Option<&'a str>,
}

/// Whether an event starts a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It does.
    Yes,
    /// It does not.
    No {
        /// Why, in one sentence.
        reason: String,
    },
}

impl Trigger {
    /// Says whether the workflow runs.
    pub fn is_yes(&self) -> bool {
        *self == Trigger::Yes
    }
}

impl Schedule {
    /// Returns the name of the time zone by which it comes due.
    pub fn zone(&self) -> &str {
        self.timezone.as_deref().unwrap_or(UTC)
    }
}

impl Triggers {
    /// Returns the event of this name.
    pub fn event(&self, name: &str) -> Option<&EventTrigger> {
        self.events.iter().find(|event| event.name == name)
    }
}

impl Filter {
    fn is_any(&self) -> bool {
        *self == Filter::Any
    }

    /// Says whether the name is let through.
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Filter::Any => true,
            Filter::Only(patterns) => patterns.matches(name),
            Filter::Ignore(patterns) => !patterns.matches(name),
        }
    }
}

impl Workflow {
    /// Says whether an event starts this workflow, and if not, why.
    pub fn triggered_by(&self, facts: &EventFacts<'_>) -> Trigger {
        let refusal = match self.on.event(facts.name) {
            None => Some(self.other_events(facts.name)),
            Some(event) => event.refusal(facts),
        };
        refusal.map_or(Trigger::Yes, |reason| Trigger::No { reason })
    }

    fn other_events(&self, name: &str) -> String {
        if let Err(unknown) = known_event(name) {
            return unknown;
        }
        let known: Vec<&str> = self.on.events.iter().map(|event| event.name.as_str()).collect();
        format!("it runs on {}, not on {name}", known.join(", "))
    }
}

/// Says whether there is an event of this name; the error is a sentence, with the name that was meant.
pub fn known_event(name: &str) -> Result<(), String> {
    let known: Vec<&str> = event_names().collect();
    if known.contains(&name) {
        return Ok(());
    }
    let meant = nearest(name, &known).map(|meant| format!("; did you mean '{meant}'?")).unwrap_or_default();
    Err(format!("'{name}' is no event that starts workflows{meant}"))
}

impl EventTrigger {
    fn refusal(&self, facts: &EventFacts<'_>) -> Option<String> {
        self.refused_type(facts)
            .or_else(|| self.refused_workflow(facts))
            .or_else(|| self.refused_schedule(facts))
            .or_else(|| self.refused_ref(facts))
            .or_else(|| self.refused_paths(facts))
    }

    fn refused_type(&self, facts: &EventFacts<'_>) -> Option<String> {
        let action = facts.action?;
        let wanted: Vec<&str> = match &self.types {
            Some(types) => types.iter().map(String::as_str).collect(),
            None if matches!(self.name.as_str(), "pull_request" | "pull_request_target") => {
                PULL_REQUEST_TYPES_DEFAULT.to_vec()
            }
            None => return None,
        };
        let is_wanted = wanted.iter().any(|kind| kind.eq_ignore_ascii_case(action));
        (!is_wanted).then(|| format!("it runs on {} of the types {}, not {action}", self.name, wanted.join(", ")))
    }

    fn refused_workflow(&self, facts: &EventFacts<'_>) -> Option<String> {
        let workflow = facts.workflow?;
        let is_wanted = self.workflows.iter().next().is_none() || self.workflows.matches(workflow);
        (!is_wanted).then(|| format!("it follows the workflows {}, not '{workflow}'", self.workflows))
    }

    fn refused_schedule(&self, facts: &EventFacts<'_>) -> Option<String> {
        let cron = facts.schedule?;
        let is_zone =
            |schedule: &Schedule| facts.timezone.is_none_or(|zone| schedule.zone().eq_ignore_ascii_case(zone));
        let is_wanted = self.schedules.iter().any(|schedule| schedule.cron == cron && is_zone(schedule));
        (!is_wanted).then(|| format!("none of its schedules is '{cron}'"))
    }

    fn refused_ref(&self, facts: &EventFacts<'_>) -> Option<String> {
        if let Some(base) = facts.base_branch {
            return refused_name(&self.branches, "branch", "branches", base);
        }
        if let Some(tag) = facts.git_ref.strip_prefix("refs/tags/") {
            if self.tags.is_any() && !self.branches.is_any() {
                return Some(format!("it runs for branches only, and '{tag}' is a tag"));
            }
            return refused_name(&self.tags, "tag", "tags", tag);
        }
        let branch = facts.git_ref.strip_prefix("refs/heads/").unwrap_or(facts.git_ref);
        if self.branches.is_any() && !self.tags.is_any() {
            return Some(format!("it runs for tags only, and '{branch}' is a branch"));
        }
        refused_name(&self.branches, "branch", "branches", branch)
    }

    /// Path filters do not look at pushes of tags.
    fn refused_paths(&self, facts: &EventFacts<'_>) -> Option<String> {
        if self.paths.is_any() || facts.git_ref.starts_with("refs/tags/") {
            return None;
        }
        let changed = facts.changed_paths?;
        if changed.is_empty() {
            return Some("it runs for changed files only, and no file has changed".into());
        }
        if changed.iter().take(CHANGED_PATHS_MAX).any(|path| self.paths.allows(path)) {
            return None;
        }
        let cut = match changed.len() {
            count if count > CHANGED_PATHS_MAX => {
                format!("; of {count} the first {CHANGED_PATHS_MAX} count, as on GitHub")
            }
            _ => String::new(),
        };
        Some(match &self.paths {
            Filter::Ignore(patterns) => format!("all changed files match 'paths-ignore' ({patterns}){cut}"),
            Filter::Only(patterns) => format!("no changed file matches 'paths' ({patterns}){cut}"),
            Filter::Any => unreachable!("without a filter nothing is refused"),
        })
    }
}

fn refused_name(filter: &Filter, what: &str, key: &str, name: &str) -> Option<String> {
    match filter {
        Filter::Only(patterns) if name.is_empty() && !patterns.matches(name) => {
            Some(format!("the event tells no {what}, and '{key}' asks for one ({patterns})"))
        }
        Filter::Only(patterns) if !patterns.matches(name) => {
            Some(format!("the {what} '{name}' does not match '{key}' ({patterns})"))
        }
        Filter::Ignore(patterns) if patterns.matches(name) => {
            Some(format!("the {what} '{name}' matches '{key}-ignore' ({patterns})"))
        }
        _ => None,
    }
}
