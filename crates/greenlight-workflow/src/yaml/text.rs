//! Texts that come again and again in a file, as its keys do, are there once.

use std::sync::Arc;

/// How many texts are remembered; the next one with the same number takes the place.
const PLACES: usize = 128;
/// Up to how many bytes a text is remembered.
const LENGTH_MAX: usize = 32;

/// The short texts that a file had lately.
pub(super) struct Texts {
    recent: [Option<Arc<str>>; PLACES],
}

impl Default for Texts {
    fn default() -> Texts {
        Texts { recent: [const { None }; PLACES] }
    }
}

impl Texts {
    /// Returns the text, shared with the last place that had it where that is known.
    pub fn shared(&mut self, text: &str) -> Arc<str> {
        if text.len() > LENGTH_MAX {
            return text.into();
        }
        let place = &mut self.recent[place(text.as_bytes())];
        match place {
            Some(known) if **known == *text => known.clone(),
            _ => place.insert(text.into()).clone(),
        }
    }
}

fn place(bytes: &[u8]) -> usize {
    let letter = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
    let middle = bytes.len() / 2;
    (bytes.len() + letter(0) * 7 + letter(middle) * 31 + letter(bytes.len().wrapping_sub(1)) * 3) % PLACES
}
