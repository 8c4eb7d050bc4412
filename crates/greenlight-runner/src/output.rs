//! What a step says: read in blocks, searched for commands, masked, and handed on as whole lines.
//!
//! One clock, one search and one hand-over for each block that was read, not for each line. A block goes on as soon as it was
//! read, so a line is seen at once; only the beginning of a line waits for its end ([`held`]). While a large block is being written,
//! the next one is read and searched: a step that prints much keeps both busy.

mod held;
mod reading;

use std::path::Path;
use std::sync::Arc;

use memchr::memmem;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::command::{Command, is_stop_token};
use crate::container::Mounts;
use crate::host::{Annotation, AnnotationLevel};
use crate::job_log::{JobLog, wait_for};
use crate::matcher::{self, Matching, Problem};
pub(crate) use reading::{discard, pump};

/// How long a line may be; the rest of it is left out.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// How much a pipe holds where nothing else is said, and is read before it is handed on.
const PIPE_BYTES: usize = 64 << 10;

/// How much the pipe of a step that prints much holds: it waits less often then.
const PIPE_BYTES_LARGE: usize = 256 << 10;

/// How large a block is that is written while the next one is read. Smaller ones are not worth a task.
const APART_BYTES_MIN: usize = 16 << 10;

/// How many errors, warnings and notices of a step are shown, of each.
const ANNOTATIONS_MAX: u32 = 10;

/// How long the message of an annotation may be.
const ANNOTATION_LENGTH_MAX: usize = 4096;

/// How many outputs and states a step may set with commands.
const VALUES_MAX: usize = 1000;

/// What a step said that is more than text.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// What `set-output` set.
    pub(crate) outputs: Vec<(String, String)>,
    /// What `save-state` saved.
    pub(crate) state: Vec<(String, String)>,
    /// What `set-env` set, where it may.
    pub(crate) env: Vec<(String, String)>,
    /// What `add-path` added, where it may.
    pub(crate) paths: Vec<String>,
    /// The command that fails the step, where one does.
    pub(crate) refused: Option<String>,
}

/// A step's output.
pub(crate) struct Output {
    log: Arc<JobLog>,
    step: u32,
    /// What is read into. Its beginning is that of a line that has not ended, this long.
    block: Vec<u8>,
    pending: usize,
    /// How much of that line was shown before its end, and since when more of it is held than may be held for long.
    shown: usize,
    held_since: Option<Instant>,
    /// The pipe's room, as far as we know.
    pipe_bytes: usize,
    /// The large block that is being written.
    written: Option<JoinHandle<()>>,
    /// Is the rest of the line left out?
    is_cut: bool,
    /// What starts commands again.
    stopped_until: Option<String>,
    annotations: [u32; 3],
    annotated: Vec<Annotation>,
    said: Said,
    /// May commands set variables and the path?
    may_set_env: bool,
    /// Are commands shown as they were written?
    is_echoing: bool,
    /// How the step's place calls the job's folders.
    mounts: Option<Mounts>,
    /// The problem matchers on their way, and at which change of the job's list they were taken.
    matching: Vec<Matching>,
    matcher_changes: usize,
}

impl Output {
    pub(crate) fn new(log: Arc<JobLog>, step: u32, may_set_env: bool, mounts: Option<Mounts>) -> Self {
        let is_echoing = log.is_debugged();
        let mut output = Self {
            log,
            step,
            block: Vec::new(),
            pending: 0,
            shown: 0,
            held_since: None,
            pipe_bytes: PIPE_BYTES,
            written: None,
            is_cut: false,
            stopped_until: None,
            annotations: [0; 3],
            annotated: Vec::new(),
            said: Said::default(),
            may_set_env,
            is_echoing,
            mounts,
            matching: Vec::new(),
            matcher_changes: 0,
        };
        output.take_matchers();
        output
    }

    /// Takes the job's problem matchers, where they changed.
    fn take_matchers(&mut self) {
        let changes = self.log.matcher_changes();
        if changes == self.matcher_changes {
            return;
        }
        self.matcher_changes = changes;
        let mut known = std::mem::take(&mut self.matching);
        for matcher in self.log.matchers().iter() {
            let kept = known.iter().position(|matching| Arc::ptr_eq(&matching.matcher, matcher));
            let matching = kept.map(|place| known.swap_remove(place));
            self.matching.push(matching.unwrap_or_else(|| Matching::new(matcher.clone())));
        }
    }

    /// Takes in what one reading brings; returns what that said, with how much there was.
    async fn take_in<T>(&mut self, read: impl FnOnce(&mut [u8]) -> (usize, T)) -> (usize, T) {
        if self.block.is_empty() {
            self.block = vec![0; self.pipe_bytes];
        } else {
            self.block.resize(self.pending + self.pipe_bytes, 0);
        }
        let (length, said) = read(&mut self.block[self.pending..]);
        let mut block = std::mem::take(&mut self.block);
        let filled = self.pending + length;
        let rest = self.take_block(&block[..filled], self.pending).await;
        block.copy_within(rest..filled, 0);
        self.pending = filled - rest;
        self.block = block;
        self.note_held();
        if self.pending == 0 && self.block.len() > 2 * PIPE_BYTES_LARGE {
            self.block = Vec::new();
        }
        (length, said)
    }

    /// Takes a block in whose first `known` bytes have no line's end. Returns where what is to be kept of it begins.
    async fn take_block(&mut self, block: &[u8], known: usize) -> usize {
        let mut start = 0;
        if self.is_cut {
            let Some(end) = memchr::memchr(b'\n', block) else { return block.len() };
            start = end + 1;
            self.is_cut = false;
        }
        if let Some(end) = memchr::memrchr(b'\n', &block[known.max(start)..]) {
            let end = known.max(start) + end + 1;
            start += self.take_rest(&block[start..end]).await;
            if start < end {
                self.take_lines(&block[start..end]).await;
            }
            start = end;
        }
        let longest = self.log.masks().longest();
        if self.shown + block.len() - start > LINE_BYTES_MAX + longest {
            let mut line = self.log.masks().apply(&block[start..]).into_owned();
            line.truncate(LINE_BYTES_MAX.saturating_sub(self.shown));
            line.extend_from_slice(
                format!(" … (the line is cut here: it has more than {LINE_BYTES_MAX} bytes)\n").as_bytes(),
            );
            self.emit(&line).await;
            (self.is_cut, self.shown) = (true, 0);
            return block.len();
        }
        start
    }

    /// Takes in the last line, which may have no end.
    pub(crate) async fn finish(mut self) -> Said {
        if self.pending > 0 {
            let mut line = std::mem::take(&mut self.block);
            line.truncate(self.pending);
            line.push(b'\n');
            if self.take_rest(&line).await == 0 {
                self.take_lines(&line).await;
            }
        }
        self.settle().await;
        self.tell_of_more().await;
        self.said
    }

    /// Says where there were more annotations than are shown.
    async fn tell_of_more(&self) {
        for level in [AnnotationLevel::Error, AnnotationLevel::Warning, AnnotationLevel::Notice] {
            let more = self.annotations[level as usize].saturating_sub(ANNOTATIONS_MAX);
            if more > 0 {
                let what = if more == 1 { level.as_str().to_owned() } else { format!("{}s", level.as_str()) };
                let message = format!("{more} more {what} of this step stand in its log").into();
                self.log.host.annotate(Annotation::new(self.step, AnnotationLevel::Notice, message)).await;
            }
        }
    }

    /// Writes whole lines, one block behind the other.
    async fn emit(&mut self, lines: &[u8]) {
        let block = self.log.block(self.step, lines);
        self.settle().await;
        let Some(block) = block else { return };
        if block.text.len() < APART_BYTES_MIN {
            self.log.hand_on(block).await;
        } else {
            let log = self.log.clone();
            self.written = Some(tokio::spawn(async move { log.hand_on(block).await }));
        }
    }

    /// Waits until everything is written.
    async fn settle(&mut self) {
        wait_for(self.written.take()).await;
    }

    async fn take_lines(&mut self, lines: &[u8]) {
        self.take_matchers();
        if self.matching.is_empty() && !may_have_command(lines) {
            self.emit(lines).await;
            return;
        }
        let mut shown = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            match self.take_line(line) {
                Shown::AsWritten => shown.extend_from_slice(line),
                Shown::As(text) => {
                    shown.extend_from_slice(text.as_bytes());
                    shown.push(b'\n');
                }
                Shown::Not => {}
            }
        }
        if !shown.is_empty() {
            self.emit(&shown).await;
        }
        if !self.annotated.is_empty() {
            // An annotation comes behind its line.
            self.settle().await;
        }
        for annotation in std::mem::take(&mut self.annotated) {
            let masked = |text: &Arc<str>| Arc::from(self.log.masked(text));
            let annotation = Annotation {
                message: masked(&annotation.message),
                title: annotation.title.as_ref().map(masked),
                file: annotation.file.as_ref().map(masked),
                ..annotation
            };
            self.log.host.annotate(annotation).await;
        }
    }

    fn take_line(&mut self, line: &[u8]) -> Shown {
        let has_matchers = !self.matching.is_empty();
        let may_be_command = may_have_command(line);
        if !has_matchers && !may_be_command {
            return Shown::AsWritten;
        }
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        let command = if may_be_command { Command::parse(text) } else { None };
        match command.map(|command| self.obey(command, text)) {
            None | Some(Shown::AsWritten) if has_matchers => self.match_problems(text),
            None => Shown::AsWritten,
            Some(shown) => shown,
        }
    }

    /// Shows a line to the problem matchers.
    fn match_problems(&mut self, text: &str) -> Shown {
        let line = matcher::without_colours(text);
        for place in 0..self.matching.len() {
            let Some(problem) = self.matching[place].look(&line) else { continue };
            for (other, matching) in self.matching.iter_mut().enumerate() {
                if other != place {
                    matching.reset();
                }
            }
            if let Some(shown) = self.problem(problem, &line) {
                return shown;
            }
        }
        Shown::AsWritten
    }

    fn problem(&mut self, mut problem: Problem, line: &str) -> Option<Shown> {
        problem.rename(|file| self.outside(file));
        let message = problem.message.as_deref().filter(|message| !message.trim().is_empty())?;
        let level = problem.level()?;
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.trim().parse().ok());
        let annotation = Annotation {
            title: problem.code.as_deref().map(str::trim).filter(|code| !code.is_empty()).map(Arc::from),
            file: problem.file_in(self.log.workspace()).map(Arc::from),
            line: number(&problem.line),
            end_line: number(&problem.end_line),
            column: number(&problem.column),
            end_column: number(&problem.end_column),
            ..Annotation::new(self.step, level, message.into())
        };
        self.annotate(annotation);
        Some(Shown::As(format!("##[{}]{line}", level.as_str())))
    }

    /// Does what a command says, and returns what is shown of it.
    fn obey(&mut self, command: Command, text: &str) -> Shown {
        if let Some(token) = &self.stopped_until {
            if command.name.eq_ignore_ascii_case(token) {
                self.stopped_until = None;
            }
            return Shown::AsWritten;
        }
        let echo = if self.is_echoing { Shown::AsWritten } else { Shown::Not };
        match command.name.as_str() {
            "add-mask" => self.add_mask(&command),
            "stop-commands" => self.stop_commands(&command),
            "error" => self.annotation(AnnotationLevel::Error, command),
            "warning" => self.annotation(AnnotationLevel::Warning, command),
            "notice" => self.annotation(AnnotationLevel::Notice, command),
            "group" => Shown::As(format!("##[group]{}", command.data)),
            "endgroup" => Shown::As("##[endgroup]".into()),
            "set-output" => self.set_value(command, |said| &mut said.outputs).unwrap_or(echo),
            "save-state" => self.set_value(command, |said| &mut said.state).unwrap_or(echo),
            "set-env" if self.may_set_env => self.set_value(command, |said| &mut said.env).unwrap_or(echo),
            "add-path" if self.may_set_env => {
                if self.said.paths.len() < VALUES_MAX && !command.data.is_empty() {
                    self.said.paths.push(command.data);
                }
                echo
            }
            "set-env" | "add-path" => self.refuse(&command.name),
            "add-matcher" => match self.log.add_matchers(&self.outside(command.data.trim())) {
                Ok(()) => {
                    self.take_matchers();
                    Shown::As(text.to_owned())
                }
                Err(why) => {
                    self.said.refused.get_or_insert_with(|| why.clone());
                    Shown::As(format!("##[error]{why}"))
                }
            },
            "remove-matcher" => {
                self.log.remove_matchers(command.property("owner").unwrap_or(&command.data));
                self.take_matchers();
                Shown::As(text.to_owned())
            }
            "debug" if self.log.is_debugged() => Shown::As(format!("##[debug]{}", command.data)),
            "debug" => Shown::Not,
            "echo" => {
                match command.data.trim().to_ascii_lowercase().as_str() {
                    "on" => self.is_echoing = true,
                    "off" => self.is_echoing = false,
                    _ => {}
                }
                Shown::Not
            }
            _ => Shown::AsWritten,
        }
    }

    fn add_mask(&mut self, command: &Command) -> Shown {
        self.log.masks().add(&command.data);
        Shown::As("::add-mask::***".into())
    }

    fn stop_commands(&mut self, command: &Command) -> Shown {
        let token = command.data.trim();
        if !is_stop_token(token) {
            let why = format!("'{token}' cannot stop commands: it is empty or a command itself");
            self.said.refused.get_or_insert_with(|| why.clone());
            return Shown::As(format!("##[error]{why}"));
        }
        if token.len() > 6 {
            self.log.masks().add(token);
        }
        self.stopped_until = Some(token.to_owned());
        Shown::AsWritten
    }

    fn refuse(&mut self, name: &str) -> Shown {
        let file = if name == "set-env" { "GITHUB_ENV" } else { "GITHUB_PATH" };
        let why = format!(
            "the command '{name}' is not obeyed, since any output could hold it; write to the file ${file} in its stead"
        );
        self.said.refused.get_or_insert_with(|| why.clone());
        Shown::As(format!("##[error]{why}"))
    }

    /// Sets a value. Returns what is shown in the place of the command, where it could not.
    fn set_value(
        &mut self,
        command: Command,
        place: impl Fn(&mut Said) -> &mut Vec<(String, String)>,
    ) -> Option<Shown> {
        let Some(name) = command.property("name").map(str::to_owned) else {
            return Some(Shown::As(format!("##[warning]the command '{}' names nothing", command.name)));
        };
        let values = place(&mut self.said);
        if values.len() >= VALUES_MAX {
            let why = format!("##[warning]a step sets at most {VALUES_MAX} values with '{}'", command.name);
            return Some(Shown::As(why));
        }
        values.push((name, command.data));
        None
    }

    fn annotation(&mut self, level: AnnotationLevel, command: Command) -> Shown {
        let text = |name: &str| command.property(name).map(Arc::from);
        let number = |name: &str| command.property(name).and_then(|number| number.trim().parse().ok());
        let file = command.property("file").map(|file| self.relative(file));
        let line = number("line");
        self.annotate(Annotation {
            title: text("title"),
            file: file.map(Arc::from),
            line,
            end_line: number("endline").or(line),
            column: number("col"),
            end_column: number("endcolumn"),
            ..Annotation::new(self.step, level, command.data.as_str().into())
        });
        Shown::As(format!("##[{}]{}", level.as_str(), command.data))
    }

    /// Takes an annotation in, where there are not too many.
    fn annotate(&mut self, annotation: Annotation) {
        let count = &mut self.annotations[annotation.level as usize];
        *count += 1;
        if *count <= ANNOTATIONS_MAX {
            let message: String = annotation.message.chars().take(ANNOTATION_LENGTH_MAX).collect();
            self.annotated.push(Annotation { message: message.into(), ..annotation });
        }
    }

    /// Returns how the runner calls a path that the step named.
    fn outside(&self, path: &str) -> String {
        self.mounts.as_ref().map_or_else(|| path.to_owned(), |mounts| mounts.translate_back(path))
    }

    /// Returns a file's path relative to the workspace, where it is in it.
    fn relative(&self, file: &str) -> String {
        let file = &self.outside(file);
        let inside = Path::new(file).strip_prefix(self.log.workspace());
        inside.map_or_else(|_| file.to_owned(), |path| path.display().to_string())
    }
}

enum Shown {
    AsWritten,
    As(String),
    Not,
}

/// May there be a command in these lines? Text with `::` in its lines, as some languages have it, is none.
fn may_have_command(lines: &[u8]) -> bool {
    if memmem::find(lines, b"##[").is_some() {
        return true;
    }
    memmem::find_iter(lines, b"::").any(|place| {
        let before = &lines[..place];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        // A word and the rest of its line cannot make a command; other blanks than these are rare enough to be looked at.
        before[start..].iter().all(|byte| byte.is_ascii_whitespace() || !byte.is_ascii())
    })
}
