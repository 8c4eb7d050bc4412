//! What GitHub should show: derived from state, compared with what it last accepted.

use std::sync::Arc;

use crate::event::DeploymentState;
use crate::id::{JobKey, PullNumber, RunNumber};

/// Longest description that GitHub takes with a status or a deployment status, in characters.
pub const DESCRIPTION_MAX: usize = 140;

/// Where a status's link leads. The address in front of it is the server's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A run's page.
    Run(RunNumber),
    /// A job's log.
    Job(RunNumber, JobKey),
    /// A pull request's page.
    Pull(PullNumber),
    /// The page of an environment.
    Environments,
}

/// How a report stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportState {
    /// Nothing runs yet.
    Pending,
    /// It runs.
    Running,
    /// Success.
    Success,
    /// Skipped by a filter or a condition: as good as a success.
    Skipped,
    /// Failed.
    Failure,
    /// Stopped by a person, or by a newer push.
    Cancelled,
    /// The machinery failed, not the code.
    Error,
}

impl ReportState {
    /// Is nothing more to come in this attempt?
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Is it green?
    pub fn is_green(self) -> bool {
        matches!(self, Self::Success | Self::Skipped)
    }
}

/// What to show on a commit under one context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownReport {
    /// The state.
    pub state: ReportState,
    /// One sentence that says why; at most [`DESCRIPTION_MAX`] characters.
    pub description: Arc<str>,
    /// Where the details are.
    pub link: Option<Link>,
    /// More text, for a check run's summary (Markdown); a status has no room for it.
    pub summary: Option<Arc<str>>,
    /// Is this a check run (a job, with an App) or a status?
    pub form: ReportForm,
}

/// Which of GitHub's two ways a report takes. Never both for one context: GitHub would require both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// A commit status.
    Status,
    /// A check run: Apps only.
    CheckRun,
}

/// What to show of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownDeployment {
    /// The state.
    pub state: DeploymentState,
    /// One sentence; at most [`DESCRIPTION_MAX`] characters.
    pub description: Arc<str>,
    /// Where the log is.
    pub log: Option<Link>,
    /// Where the deployed thing is.
    pub environment_url: Option<Arc<str>>,
}

/// How grave an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationLevel {
    /// `::error::`
    Error,
    /// `::warning::`
    Warning,
    /// `::notice::`
    Notice,
}

impl AnnotationLevel {
    /// Returns the word of the command that says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }

    /// Returns the level of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Error, Self::Warning, Self::Notice].into_iter().find(|level| level.as_str() == word)
    }
}

/// An error, a warning or a notice that a job said beside its log, perhaps about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The step's place.
    pub step: u32,
    /// How grave.
    pub level: AnnotationLevel,
    /// What, masked.
    pub message: Arc<str>,
    /// A title.
    pub title: Option<Arc<str>>,
    /// The file, as the job named it.
    pub file: Option<Arc<str>>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The last line, where there are several.
    pub end_line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// The last column.
    pub end_column: Option<u32>,
}

impl Annotation {
    /// Returns one that is about no place.
    pub fn new(step: u32, level: AnnotationLevel, message: Arc<str>) -> Self {
        Self {
            step,
            level,
            message,
            title: None,
            file: None,
            line: None,
            end_line: None,
            column: None,
            end_column: None,
        }
    }
}

/// What a job said beside its log, for the check run that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Remarks {
    /// Its annotations, in the order in which they came.
    pub annotations: Vec<Annotation>,
    /// The summaries of its steps, in Markdown.
    pub summaries: Vec<Arc<str>>,
}

/// Cuts `text` to [`DESCRIPTION_MAX`] characters, on a character's border.
pub fn description(text: &str) -> Arc<str> {
    match text.char_indices().nth(DESCRIPTION_MAX) {
        None => text.into(),
        Some(_) => {
            let end = text.char_indices().nth(DESCRIPTION_MAX - 1).map_or(text.len(), |(at, _)| at);
            format!("{}…", text[..end].trim_end()).into()
        }
    }
}

/// Longest sentence that others are put in front of or behind, in characters: a report still says how much more is wrong.
const COUNTED_MAX: usize = DESCRIPTION_MAX - 28;

/// Returns a sentence with what there is besides behind it (" (and 2 more)"), which stays where the sentence is cut.
pub fn counted(text: &str, more: &str) -> String {
    let room = COUNTED_MAX.saturating_sub(more.chars().count());
    match text.char_indices().nth(room) {
        None => format!("{text}{more}"),
        Some(_) => {
            let end = text.char_indices().nth(room.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
            format!("{}…{more}", text[..end].trim_end())
        }
    }
}

/// Returns what is wrong with a file in one sentence: the first of its errors, with what to do where that has room, and how many
/// there are besides.
pub fn first_of(finding: &str, help: Option<&str>, others: usize) -> String {
    let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
    let helped = help.map(|help| format!("{finding}; {help}"));
    let has_room = |text: &String| text.chars().count() + more.chars().count() <= COUNTED_MAX;
    match (helped.filter(has_room), others) {
        (Some(helped), _) => format!("{helped}{more}"),
        (None, 0) => finding.to_owned(),
        (None, _) => counted(finding, &more),
    }
}

/// Ends a text as a sentence ends; one that asks or ends already is left as it is.
pub fn sentence(text: &str) -> String {
    let end = if text.ends_with(['.', '?', '!', '…']) { "" } else { "." };
    format!("{text}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_cut_between_characters() {
        assert_eq!(&*description("short"), "short");
        let cut = description(&"ü".repeat(200));
        assert_eq!(cut.chars().count(), DESCRIPTION_MAX);
        assert!(cut.ends_with('…'));
        assert_eq!(description(&"x".repeat(140)).chars().count(), 140);
    }

    #[test]
    fn how_much_more_is_wrong_is_said_however_long_the_first_is() {
        assert_eq!(first_of("a:1: no", Some("do b"), 0), "a:1: no; do b");
        assert_eq!(first_of("a:1: no", Some("do b"), 2), "a:1: no; do b (and 2 more)");
        assert_eq!(first_of("a:1: no", Some(&"b".repeat(200)), 2), "a:1: no (and 2 more)");
        assert_eq!(first_of(&"ü".repeat(200), None, 0).chars().count(), 200);
        let long = first_of(&"ü".repeat(200), None, 12);
        assert!(long.ends_with("ü… (and 12 more)") && long.chars().count() == COUNTED_MAX, "{long}");
        let longer = counted(&long, "; 20 more files are wrong");
        assert!(longer.ends_with("; 20 more files are wrong") && longer.chars().count() <= DESCRIPTION_MAX, "{longer}");
    }

    #[test]
    fn a_sentence_ends_once() {
        assert_eq!(sentence("it is a draft"), "it is a draft.");
        assert_eq!(sentence("did you mean when?"), "did you mean when?");
    }
}
