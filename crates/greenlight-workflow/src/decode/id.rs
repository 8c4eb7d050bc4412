//! Ids of jobs and steps: which ones may be written, and how those that are not written are made.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::finding::{Finding, Span};
use crate::value::fold_case;

/// How long an id may be.
pub(crate) const ID_LENGTH_MAX: usize = 100;

/// What ids begin with that nobody may write.
const RESERVED: &str = "__";

/// The ids of one scope.
#[derive(Default)]
pub(crate) struct Ids {
    taken: BTreeSet<Arc<str>>,
    /// The last number that was given to what was made of the same text.
    numbers: BTreeMap<Arc<str>, usize>,
    /// Room to put ids together in.
    scratch: String,
}

impl Ids {
    /// Takes an id that was written, or says why it cannot be taken.
    pub fn take(&mut self, id: &str) -> Result<(), String> {
        check(id)?;
        if !self.taken.insert(fold_case(id).into()) {
            return Err(format!("The identifier '{id}' may not be used more than once within the same scope."));
        }
        Ok(())
    }

    /// Says whether an id is taken.
    pub fn contains(&self, id: &str) -> bool {
        self.taken.contains(&*fold_case(id))
    }

    /// Makes an id of a text that is not taken yet.
    pub fn make(&mut self, base: &str) -> Arc<str> {
        let text = &mut self.scratch;
        text.clear();
        text.push_str(RESERVED);
        text.extend(base.chars().take(ID_LENGTH_MAX - RESERVED.len()).map(legal));
        let base_length = text.len();
        let number = match self.numbers.get_mut(text.as_str()) {
            Some(number) => number,
            None => self.numbers.entry(text.as_str().into()).or_default(),
        };
        loop {
            *number += 1;
            if *number > 1 {
                let digits = number.ilog10() as usize + 1;
                text.truncate(base_length.min(ID_LENGTH_MAX - digits - 1));
                write!(text, "_{number}").expect("writing to a string does not fail");
            }
            let id: Arc<str> = text.as_str().into();
            if self.taken.insert(folded(&id)) {
                return id;
            }
        }
    }
}

fn folded(id: &Arc<str>) -> Arc<str> {
    match fold_case(id) {
        Cow::Borrowed(_) => id.clone(),
        Cow::Owned(folded) => folded.into(),
    }
}

/// Says what is wrong with an id that was written.
pub(crate) fn check(id: &str) -> Result<(), String> {
    let mut letters = id.chars();
    let starts_well = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !starts_well || !letters.all(is_id_letter) || id.len() >= ID_LENGTH_MAX {
        return Err(format!(
            "The identifier '{id}' is invalid. IDs may only contain alphanumeric characters, '_', and '-'. IDs must start \
             with a letter or '_' and and must be less than {ID_LENGTH_MAX} characters."
        ));
    }
    if id.starts_with(RESERVED) {
        return Err(format!("The identifier '{id}' is invalid. IDs starting with '__' are reserved."));
    }
    Ok(())
}

/// Returns the finding about an id that cannot be taken.
pub(crate) fn finding(id: &str, span: Span, problem: String) -> Finding {
    let help = mended(id).map(|mended| format!("write '{mended}', for instance"));
    Finding::error("invalid-id", span, problem).with_help_of(help)
}

/// Returns an id that may be written, made of one that may not; None where its letters are not what is wrong with it.
fn mended(id: &str) -> Option<String> {
    let letters: String = id.chars().map(legal).collect();
    let starts_well = letters.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let mended = if starts_well { letters } else { format!("_{letters}") };
    (mended != id && check(&mended).is_ok()).then_some(mended)
}

fn legal(letter: char) -> char {
    if is_id_letter(letter) { letter } else { '_' }
}

fn is_id_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}
