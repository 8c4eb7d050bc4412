//! The beginning of a line that does not end: how long it waits, and how much of it is shown then.
//!
//! A line waits for its end, for it may be a command, a problem matcher wants it whole, and a secret must not be cut in two. But a
//! step that draws a bar with carriage returns, or prints one endless line, would not be seen for as long as it goes on. So of a line
//! that does not end, at most [`HELD_BYTES_MAX`] are held for longer than [`HELD_FOR_MAX`]: what can be shown of it then is a line of
//! the log of its own, and the rest of it goes on in the next one. What might be the beginning of a secret, or of a command, waits on.
//!
//! What is left of such a line is no command, but for the older form, which may stand anywhere in a line.

use std::time::Duration;

use memchr::{memchr, memmem, memrchr};
use tokio::time::Instant;

use super::{Output, may_have_command};

/// How much of a line without an end is held, however long that takes.
const HELD_BYTES_MAX: usize = 4 << 10;

/// How long more than that is held.
const HELD_FOR_MAX: Duration = Duration::from_secs(1);

/// What an older command begins with.
const OLD_COMMAND: &[u8] = b"##[";

impl Output {
    /// Notes since when more is held than may be held for long.
    pub(super) fn note_held(&mut self) {
        let has_more = self.pending > HELD_BYTES_MAX;
        self.held_since = has_more.then(|| self.held_since.unwrap_or_else(Instant::now));
    }

    /// Returns when a part of what is held is to be shown.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.held_since.map(|since| since + HELD_FOR_MAX)
    }

    /// Shows what can be shown of a line that was held for long.
    pub(super) async fn show_what_is_due(&mut self) {
        if self.due_at().is_none_or(|due_at| Instant::now() < due_at) {
            return;
        }
        let mut block = std::mem::take(&mut self.block);
        let end = self.end_of_shown(&block[..self.pending]);
        if end > 0 {
            self.emit(&[&block[..end], b"\n"].concat()).await;
            block.copy_within(end..self.pending, 0);
            self.pending -= end;
            self.shown += end;
        }
        self.block = block;
        self.held_since = None;
        self.note_held();
    }

    /// Takes in the rest of a line that was shown in part, at the beginning of these lines. Returns how long it is; nothing where
    /// there is none, or where it is taken as lines are.
    pub(super) async fn take_rest(&mut self, lines: &[u8]) -> usize {
        if std::mem::take(&mut self.shown) == 0 {
            return 0;
        }
        let rest = &lines[..memchr(b'\n', lines).map_or(lines.len(), |end| end + 1)];
        let is_new_command = rest.trim_ascii_start().starts_with(b"::");
        if !is_new_command && memmem::find(rest, OLD_COMMAND).is_some() {
            return 0;
        }
        if !rest.trim_ascii().is_empty() {
            self.emit(rest).await;
        }
        rest.len()
    }

    /// Returns how much may be shown of a line that goes on: nothing that may yet become a command or a secret.
    fn end_of_shown(&self, held: &[u8]) -> usize {
        let may_be_command = match self.shown {
            0 => may_have_command(held) || held.trim_ascii().is_empty(),
            _ => memmem::find(held, OLD_COMMAND).is_some(),
        };
        if may_be_command {
            return 0;
        }
        let open = &held[..self.log.masks().end_of_closed(held)];
        let end = memrchr(b'\r', open).map_or_else(|| whole_letters(open), |place| place + 1);
        // A command may begin with them.
        end - held[..end].iter().rev().take_while(|byte| **byte == b'#').count()
    }
}

/// Returns where the last letter ends that is there whole.
fn whole_letters(text: &[u8]) -> usize {
    let last = text.iter().rposition(|byte| !(0x80..0xC0).contains(byte));
    let Some(last) = last else { return text.len() };
    let length = match text[last] {
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
        _ => 1,
    };
    if last + length > text.len() { last } else { text.len() }
}
