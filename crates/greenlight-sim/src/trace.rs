//! What happened, in order: a hash always, lines only where somebody reads them.
//!
//! A life is lived without lines; where it fails it is lived again with them, since a seed is a seed (I32).

use std::collections::VecDeque;

use crate::rng::mix;

/// How many lines a failure shows.
pub const LINES: usize = 40;

/// What becomes of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// None are made.
    None,
    /// The last ones are kept.
    Last,
    /// All are printed as they come.
    Print,
}

/// The trace of one life.
#[derive(Clone, Debug)]
pub struct Trace {
    lines: Lines,
    kept: VecDeque<String>,
    hash: u64,
}

impl Trace {
    /// Begins a trace.
    pub fn new(lines: Lines) -> Self {
        Self { lines, kept: VecDeque::new(), hash: 0 }
    }

    /// Takes a number into the hash.
    pub fn mix(&mut self, number: u64) {
        self.hash = mix(self.hash ^ number);
    }

    /// Takes a text into the hash.
    pub fn mix_text(&mut self, text: &str) {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.mix(hash);
    }

    /// Writes a line, where lines are read.
    pub fn line(&mut self, line: impl FnOnce() -> String) {
        match self.lines {
            Lines::None => {}
            Lines::Last => {
                if self.kept.len() == LINES {
                    self.kept.pop_front();
                }
                self.kept.push_back(line());
            }
            Lines::Print => println!("{}", line()),
        }
    }

    /// Returns the hash of all that happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the last lines.
    pub fn last(self) -> Vec<String> {
        self.kept.into()
    }
}
