//! What a step says: read in blocks, searched for commands, masked, and handed on as whole lines.
//!
//! One clock, one search and one hand-over for each block that was read, not for each line. A block goes on as soon as it was
//! read, so a line is seen at once; only the beginning of a line waits for its end, for a secret must not be cut in two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::io::Errno;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::command::{Command, is_stop_token};
use crate::host::{Annotation, AnnotationLevel, JobHost, LogBlock};
use crate::mask::Masks;

/// How long a line may be; the rest of it is left out.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// How much is read before it is handed on.
const BLOCK_BYTES_MAX: usize = 64 << 10;

/// How much is read of what was written before a process ended: no pipe holds more.
const LEFT_BYTES_MAX: usize = 1 << 20;

/// How many errors, warnings and notices of a step are shown, of each.
const ANNOTATIONS_MAX: u32 = 10;

/// How long the message of an annotation may be.
const ANNOTATION_LENGTH_MAX: usize = 4096;

/// How many outputs and states a step may set with commands.
const VALUES_MAX: usize = 1000;

/// What is shared by all logs of one job.
pub(crate) struct JobLog {
    pub(crate) host: Arc<dyn JobHost>,
    masks: Mutex<Masks>,
    written: AtomicU64,
    bytes_max: u64,
}

impl JobLog {
    pub(crate) fn new(host: Arc<dyn JobHost>, bytes_max: u64) -> Self {
        Self { host, masks: Mutex::default(), written: AtomicU64::new(0), bytes_max }
    }

    /// Returns the masks.
    pub(crate) fn masks(&self) -> MutexGuard<'_, Masks> {
        self.masks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the text without secrets.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.masks().apply_to(text)
    }

    /// Writes whole lines to a step's log.
    pub(crate) async fn write(&self, step: u32, lines: &[u8]) {
        let masked = Bytes::copy_from_slice(&self.masks().apply(lines));
        let before = self.written.fetch_add(masked.len() as u64, Ordering::Relaxed);
        let text = if before + masked.len() as u64 <= self.bytes_max {
            masked
        } else if before <= self.bytes_max {
            let notice = format!(
                "##[warning]The log ends here: a job's log has at most {} bytes. The job goes on.\n",
                self.bytes_max
            );
            Bytes::from(notice)
        } else {
            return;
        };
        self.host.log(LogBlock { step, at: self.host.now(), text }).await;
    }

    /// Writes one line to a step's log.
    pub(crate) async fn line(&self, step: u32, line: &str) {
        self.write(step, format!("{line}\n").as_bytes()).await;
    }
}

/// What a step said that is more than text.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// What `set-output` set.
    pub(crate) outputs: Vec<(String, String)>,
    /// What `save-state` saved.
    pub(crate) state: Vec<(String, String)>,
    /// The command that fails the step, where one does.
    pub(crate) refused: Option<String>,
}

/// A step's output.
pub(crate) struct Output {
    log: Arc<JobLog>,
    step: u32,
    pending: Vec<u8>,
    /// Is the rest of the line left out?
    is_cut: bool,
    /// What starts commands again.
    stopped_until: Option<String>,
    annotations: [u32; 3],
    annotated: Vec<Annotation>,
    said: Said,
}

impl Output {
    pub(crate) fn new(log: Arc<JobLog>, step: u32) -> Self {
        Self {
            log,
            step,
            pending: Vec::new(),
            is_cut: false,
            stopped_until: None,
            annotations: [0; 3],
            annotated: Vec::new(),
            said: Said::default(),
        }
    }

    /// Takes in what was read.
    async fn feed(&mut self, mut chunk: &[u8]) {
        if self.is_cut {
            let Some(end) = chunk.iter().position(|&byte| byte == b'\n') else { return };
            chunk = &chunk[end + 1..];
            self.is_cut = false;
        }
        let end = chunk.iter().rposition(|&byte| byte == b'\n');
        if let Some(end) = end {
            let (whole, rest) = chunk.split_at(end + 1);
            if self.pending.is_empty() {
                self.take_lines(whole).await;
            } else {
                let mut lines = std::mem::take(&mut self.pending);
                lines.extend_from_slice(whole);
                self.take_lines(&lines).await;
            }
            chunk = rest;
        }
        self.pending.extend_from_slice(chunk);
        let longest = self.log.masks().longest();
        if self.pending.len() > LINE_BYTES_MAX + longest {
            let line = std::mem::take(&mut self.pending);
            let mut line = self.log.masks().apply(&line).into_owned();
            line.truncate(LINE_BYTES_MAX);
            line.extend_from_slice(
                format!(" … (the line is cut here: it has more than {LINE_BYTES_MAX} bytes)\n").as_bytes(),
            );
            self.log.write(self.step, &line).await;
            self.is_cut = true;
        }
    }

    /// Takes in the last line, which may have no end.
    pub(crate) async fn finish(mut self) -> Said {
        if !self.pending.is_empty() {
            let mut line = std::mem::take(&mut self.pending);
            line.push(b'\n');
            self.take_lines(&line).await;
        }
        self.said
    }

    async fn take_lines(&mut self, lines: &[u8]) {
        if !may_have_command(lines) {
            self.log.write(self.step, lines).await;
            return;
        }
        let mut shown = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let command = if may_have_command(line) {
                Command::parse(String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']))
            } else {
                None
            };
            match command.map(|command| self.obey(command)) {
                None | Some(Shown::AsWritten) => shown.extend_from_slice(line),
                Some(Shown::As(text)) => {
                    shown.extend_from_slice(text.as_bytes());
                    shown.push(b'\n');
                }
                Some(Shown::Not) => {}
            }
        }
        if !shown.is_empty() {
            self.log.write(self.step, &shown).await;
        }
        for annotation in std::mem::take(&mut self.annotated) {
            let masked = |text: &Arc<str>| Arc::from(self.log.masked(text));
            let annotation = Annotation {
                message: masked(&annotation.message),
                title: annotation.title.as_ref().map(masked),
                ..annotation
            };
            self.log.host.annotate(annotation).await;
        }
    }

    /// Does what a command says, and returns what is shown of it.
    fn obey(&mut self, command: Command) -> Shown {
        if let Some(token) = &self.stopped_until {
            if command.name.eq_ignore_ascii_case(token) {
                self.stopped_until = None;
            }
            return Shown::AsWritten;
        }
        match command.name.as_str() {
            "add-mask" => self.add_mask(&command),
            "stop-commands" => self.stop_commands(&command),
            "error" => self.annotation(AnnotationLevel::Error, "error", command),
            "warning" => self.annotation(AnnotationLevel::Warning, "warning", command),
            "notice" => self.annotation(AnnotationLevel::Notice, "notice", command),
            "group" => Shown::As(format!("##[group]{}", command.data)),
            "endgroup" => Shown::As("##[endgroup]".into()),
            "set-output" => self.set_value(command, |said| &mut said.outputs),
            "save-state" => self.set_value(command, |said| &mut said.state),
            "set-env" | "add-path" => self.refuse(&command.name),
            "debug" | "echo" | "add-matcher" | "remove-matcher" => Shown::Not,
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

    fn set_value(&mut self, command: Command, place: impl Fn(&mut Said) -> &mut Vec<(String, String)>) -> Shown {
        let Some(name) = command.property("name").map(str::to_owned) else {
            return Shown::As(format!("##[warning]the command '{}' names nothing", command.name));
        };
        let values = place(&mut self.said);
        if values.len() >= VALUES_MAX {
            return Shown::As(format!("##[warning]a step sets at most {VALUES_MAX} values with '{}'", command.name));
        }
        values.push((name, command.data));
        Shown::Not
    }

    fn annotation(&mut self, level: AnnotationLevel, word: &str, command: Command) -> Shown {
        let count = &mut self.annotations[level as usize];
        *count += 1;
        if *count <= ANNOTATIONS_MAX {
            let text = |name: &str| command.property(name).map(Arc::from);
            self.annotated.push(Annotation {
                step: self.step,
                level,
                message: command.data.chars().take(ANNOTATION_LENGTH_MAX).collect::<String>().into(),
                title: text("title"),
                file: text("file"),
                line: command.property("line").and_then(|line| line.parse().ok()),
            });
        }
        Shown::As(format!("##[{word}]{}", command.data))
    }
}

enum Shown {
    AsWritten,
    As(String),
    Not,
}

fn may_have_command(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|window| window[..2] == *b"::" || window == b"##[")
}

/// Reads a pipe into a step's output until all its writers are gone, or until the step's own process ended: what that one
/// wrote is in the pipe then, and what others write later is nobody's line. Returns the pipe where it still has writers.
pub(crate) async fn pump(
    pipe: pipe::Receiver,
    mut output: Output,
    mut ended: oneshot::Receiver<()>,
) -> (Output, Option<pipe::Receiver>) {
    let mut block = vec![0; BLOCK_BYTES_MAX];
    loop {
        let has_ended = tokio::select! {
            biased;
            _ = &mut ended => true,
            readable = pipe.readable() => {
                if readable.is_err() {
                    return (output, None);
                }
                false
            }
        };
        if has_ended {
            let has_writers = drain(&pipe, &mut output, &mut block).await;
            return (output, has_writers.then_some(pipe));
        }
        let (length, is_over) = fill(&mut block, |room| pipe.try_read(room).map_err(|error| error.kind()));
        output.feed(&block[..length]).await;
        if is_over {
            return (output, None);
        }
    }
}

/// Reads what is in the pipe now, past what the runtime knows of it. Returns whether the pipe still has writers.
async fn drain(pipe: &pipe::Receiver, output: &mut Output, block: &mut [u8]) -> bool {
    let mut left = LEFT_BYTES_MAX;
    while left > 0 {
        let (length, is_over) = fill(block, |room| {
            rustix::io::read(pipe, room).map_err(|error| match error {
                Errno::AGAIN => std::io::ErrorKind::WouldBlock,
                Errno::INTR => std::io::ErrorKind::Interrupted,
                _ => std::io::ErrorKind::Other,
            })
        });
        output.feed(&block[..length]).await;
        if is_over {
            return false;
        }
        if length == 0 {
            return true;
        }
        left = left.saturating_sub(length);
    }
    true
}

/// Reads until the block is full or nothing more is there. Returns how much was read and whether that was the end.
fn fill(block: &mut [u8], mut read: impl FnMut(&mut [u8]) -> Result<usize, std::io::ErrorKind>) -> (usize, bool) {
    let mut length = 0;
    while length < block.len() {
        match read(&mut block[length..]) {
            Ok(0) => return (length, true),
            Ok(count) => length += count,
            Err(std::io::ErrorKind::Interrupted) => {}
            Err(std::io::ErrorKind::WouldBlock) => return (length, false),
            Err(_) => return (length, true),
        }
    }
    (length, false)
}

/// Reads and forgets what a process in the background still writes, so that it is not stopped by a broken pipe.
pub(crate) async fn discard(pipe: pipe::Receiver) {
    let mut block = vec![0; BLOCK_BYTES_MAX];
    while pipe.readable().await.is_ok() {
        match pipe.try_read(&mut block) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}
