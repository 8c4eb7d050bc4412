//! Telling what happens: a line an event, with the time since the story began, for people or as JSON.

use std::io::{IsTerminal as _, Write as _};

use serde_json::{Map, Value, json};

/// What a line is about. In JSON it is the field `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A heading, or something about the demo itself.
    Note,
    /// A ref moved, or a repository was forked.
    Push,
    /// A pull request was opened, or somebody spoke on it.
    Pull,
    /// A webhook was delivered.
    Webhook,
    /// A commit shows something.
    Status,
    /// A line of a job's log.
    Log,
    /// A pull request was merged.
    Merge,
    /// A deployment was made, or shows something.
    Deploy,
    /// A room was told.
    Room,
    /// A write was refused.
    Refused,
    /// A step of the story came, or did not.
    Step,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Webhook => "webhook",
            Self::Status => "status",
            Self::Log => "log",
            Self::Merge => "merge",
            Self::Deploy => "deploy",
            Self::Room => "room",
            Self::Refused => "refused",
            Self::Step => "step",
        }
    }
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// To be waited for.
    Waiting,
    /// By the way.
    Quiet,
}

impl Tone {
    /// Returns the tone of a state of GitHub's.
    pub fn of_state(state: &str) -> Self {
        match state {
            "success" => Self::Good,
            "failure" | "error" => Self::Bad,
            "pending" | "queued" | "in_progress" => Self::Waiting,
            _ => Self::Quiet,
        }
    }

    fn colour(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Bad => Some("31"),
            Self::Waiting => Some("33"),
            Self::Quiet => Some("2"),
        }
    }
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Its place in the emulator's feed, where it has one.
    pub seq: Option<u64>,
    /// What it is about.
    pub kind: Kind,
    /// How it is meant.
    pub tone: Tone,
    /// The sentence.
    pub text: String,
    /// What scripts read: a JSON object whose fields are added to the line's.
    pub fields: Value,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For people, plain.
    Plain,
    /// For people, on a terminal.
    Coloured,
    /// For scripts, an object a line.
    Json,
}

impl Style {
    /// Returns how the standard output wants it.
    pub fn of_output(json: bool) -> Self {
        let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match json {
            true => Self::Json,
            false if wants_colour && std::io::stdout().is_terminal() => Self::Coloured,
            false => Self::Plain,
        }
    }
}

/// Writes lines to the standard output.
pub struct Narrator {
    style: Style,
    began_at: i64,
}

impl Narrator {
    /// Begins to count.
    pub fn new(style: Style, began_at: i64) -> Self {
        Self { style, began_at }
    }

    /// Is it for scripts?
    pub fn is_json(&self) -> bool {
        self.style == Style::Json
    }

    /// Tells a line. A reader that went away is not worth an error: the exit code still tells how it ended.
    pub fn tell(&self, line: &Line) {
        self.write(&self.written(line));
    }

    /// Tells people what scripts have no use for.
    pub fn say(&self, text: &str) {
        if !self.is_json() {
            self.write(text);
        }
    }

    /// Writes an object as it is, where scripts read.
    pub fn report(&self, object: &Value) {
        if self.is_json() {
            self.write(&object.to_string());
        }
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _gone = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    fn written(&self, line: &Line) -> String {
        let elapsed = (line.at - self.began_at).max(0);
        match self.style {
            Style::Json => object(line, elapsed).to_string(),
            Style::Plain => format!("{} {:<8} {}", clock(elapsed), line.kind.name(), visible(&line.text)),
            Style::Coloured => {
                let text = visible(&line.text);
                let told = match line.tone.colour() {
                    Some(colour) => format!("\x1b[{colour}m{text}\x1b[0m"),
                    None => text,
                };
                format!("\x1b[2m{}\x1b[0m \x1b[36m{:<8}\x1b[0m {told}", clock(elapsed), line.kind.name())
            }
        }
    }
}

fn clock(elapsed: i64) -> String {
    format!("{:>4}.{:02}s", elapsed / 1000, elapsed % 1000 / 10)
}

fn object(line: &Line, elapsed: i64) -> Value {
    let mut object = Map::new();
    object.insert("kind".to_owned(), json!(line.kind.name()));
    object.insert("at".to_owned(), json!(line.at));
    object.insert("elapsed_ms".to_owned(), json!(elapsed));
    object.insert("seq".to_owned(), json!(line.seq));
    object.insert("text".to_owned(), json!(line.text));
    if let Value::Object(fields) = &line.fields {
        object.extend(fields.clone());
    }
    Value::Object(object)
}

/// What jobs and people wrote may hold anything: nothing of it moves the reader's cursor or changes the colours.
fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\x1b' && characters.next_if_eq(&'[').is_some() {
            // A sequence for the terminal ends with its first letter.
            characters.by_ref().find(|character| ('@'..='~').contains(character));
        } else if character == '\t' || !character.is_control() {
            seen.push(character);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            at: 2_340,
            seq: Some(7),
            kind: Kind::Status,
            tone: Tone::Good,
            text: text.into(),
            fields: json!({"state": "success"}),
        }
    }

    #[test]
    fn a_line_has_its_time_and_nothing_that_moves_the_cursor() {
        let plain = Narrator::new(Style::Plain, 1_000);
        assert_eq!(plain.written(&line("green \x1b[2J\x1b[1;31mnow\x07")), "   1.34s status   green now");
        let coloured = Narrator::new(Style::Coloured, 1_000);
        assert!(coloured.written(&line("green")).contains("\x1b[32mgreen\x1b[0m"));
    }

    #[test]
    fn a_script_gets_an_object_a_line() {
        let told = Narrator::new(Style::Json, 1_000).written(&line("two\nlines"));
        assert!(!told.contains('\n'));
        let value: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            (&value["kind"], &value["elapsed_ms"], &value["state"]),
            (&json!("status"), &json!(1_340), &json!("success"))
        );
    }
}
