//! On a terminal: log lines as they come, and below them what runs now, with its step and its time.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use greenlight_core::run::Conclusion;
use greenlight_core::time::spoken;
use greenlight_runner::StepState;

use super::plain::Story;
use super::{JobName, View, Word};
use crate::terminal::{self, PLAIN};

/// How often the times are drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// How many running jobs are shown.
const SHOWN_MAX: usize = 12;
/// How wide a terminal is that does not say so.
const WIDTH: usize = 80;

/// The live view.
pub struct Live(Mutex<Screen>);

struct Screen {
    story: Story,
    has_colour: bool,
    running: BTreeMap<JobName, Running>,
    over: usize,
    drawn: usize,
}

struct Running {
    since: Instant,
    step: Option<(Arc<str>, Instant)>,
}

impl Live {
    /// Returns a view of the terminal; its times go on while it is there.
    pub fn new(is_quiet: bool) -> Arc<Self> {
        let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let screen = Screen { story: Story::new(is_quiet), has_colour, running: BTreeMap::new(), over: 0, drawn: 0 };
        let live = Arc::new(Self(Mutex::new(screen)));
        tokio::spawn(tick(Arc::downgrade(&live)));
        live
    }

    /// Is there a terminal to draw on?
    pub fn is_possible() -> bool {
        let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        std::io::stdout().is_terminal() && !is_dumb
    }
}

async fn tick(live: Weak<Live>) {
    let mut ticks = tokio::time::interval(DRAW_EVERY);
    loop {
        ticks.tick().await;
        let Some(live) = live.upgrade() else { return };
        live.0.lock().unwrap_or_else(PoisonError::into_inner).draw("");
    }
}

impl View for Live {
    fn tell(&self, word: &Word<'_>) {
        let mut screen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        screen.take(word);
        let text = tamed(&screen.story.lines(word));
        let text = screen.coloured(word, text);
        screen.draw(&text);
    }
}

impl Screen {
    fn take(&mut self, word: &Word<'_>) {
        match word {
            Word::JobStart { job, .. } => {
                self.running.insert((*job).clone(), Running { since: Instant::now(), step: None });
            }
            Word::Step { job, update, .. } => {
                if let Some(running) = self.running.get_mut(*job) {
                    running.step = match update.state {
                        StepState::Running { .. } => Some((update.name.clone(), Instant::now())),
                        StepState::Completed { .. } => None,
                    };
                }
            }
            Word::JobEnd { job, .. } => {
                self.running.remove(*job);
                self.over += 1;
            }
            Word::End { .. } => self.running.clear(),
            _ => {}
        }
    }

    fn coloured(&self, word: &Word<'_>, text: String) -> String {
        let conclusion = match word {
            Word::JobEnd { state, .. } => state.conclusion(),
            Word::RunEnd { run } => run.conclusion(),
            Word::End { conclusion, .. } => *conclusion,
            _ => None,
        };
        let colour = match conclusion {
            Some(Conclusion::Success) => "32",
            Some(Conclusion::Failure | Conclusion::TimedOut | Conclusion::Lost) => "31",
            Some(Conclusion::Skipped | Conclusion::Cancelled) => "33",
            None => return text,
        };
        if !self.has_colour {
            return text;
        }
        // The conclusion is the last line; what may stand before it is what the jobs said.
        let (before, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
        let before = if before.is_empty() { String::new() } else { format!("{before}\n") };
        format!("{before}\x1b[{colour}m{last}\x1b[0m\n")
    }

    /// Takes the lower part away, writes the text, and draws the lower part again.
    fn draw(&mut self, text: &str) {
        if text.is_empty() && self.running.is_empty() && self.drawn == 0 {
            return;
        }
        let mut out = String::new();
        if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A\x1b[J", self.drawn));
        }
        out.push_str(text);
        let width = width();
        let lines = self.lines();
        for line in &lines {
            // A name is a word of the workflow's, or of a job's.
            out.extend(line.chars().filter(|c| !c.is_control()).take(width.saturating_sub(1)));
            out.push('\n');
        }
        self.drawn = lines.len();
        let mut stdout = std::io::stdout().lock();
        // A terminal that is gone is nobody's loss; the jobs go on.
        let _ = stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush());
    }

    fn lines(&self) -> Vec<String> {
        if self.running.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![format!("── {} running, {} over", self.running.len(), self.over)];
        for (job, running) in self.running.iter().take(SHOWN_MAX) {
            let step = match &running.step {
                Some((name, since)) => format!("{name} ({})", spoken(since.elapsed())),
                None => String::new(),
            };
            lines.push(format!("   {}  {}  {step}", job.name, spoken(running.since.elapsed())));
        }
        if self.running.len() > SHOWN_MAX {
            lines.push(format!("   and {} more", self.running.len() - SHOWN_MAX));
        }
        lines
    }
}

/// Returns what a job may show on a terminal; its colours end with it.
fn tamed(text: &str) -> String {
    let tamed = terminal::tame(text);
    match tamed.strip_suffix('\n').filter(|_| tamed.contains('\u{1b}')) {
        Some(lines) => format!("{lines}{PLAIN}\n"),
        None => tamed.into_owned(),
    }
}

fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
    if columns == 0 { WIDTH } else { usize::from(columns) }
}
