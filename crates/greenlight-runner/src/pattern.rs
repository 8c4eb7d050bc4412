//! File patterns as `@actions/glob` reads them: `*`, `?`, `[…]` within a name, `**` over folders, `!` takes back, `#` is a comment. A
//! pattern that names a folder means all that is below it. Names that begin with a dot are names like any other.

use std::path::{Component, Path, PathBuf};

/// How many patterns one search may have.
const PATTERNS_MAX: usize = 1000;

/// A list of patterns, the later ones over the earlier ones.
#[derive(Clone, Debug)]
pub(crate) struct Patterns(Vec<Pattern>);

/// What patterns say of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Is it one of those that are meant?
    pub(crate) is_match: bool,
    /// May something below it be one?
    pub(crate) may_be_below: bool,
}

#[derive(Clone, Debug)]
struct Pattern {
    is_negative: bool,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`
    Any,
    Name(Vec<Letter>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Letter {
    Is(char),
    One,
    Many,
    Of { is_negative: bool, ranges: Vec<(char, char)> },
}

impl Patterns {
    /// Reads patterns, each of which may have several lines. What is relative is so to `root`.
    pub(crate) fn new(root: &Path, texts: &[String]) -> Result<Self, String> {
        let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
        let patterns = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let patterns = patterns.map(|line| Pattern::parse(root, line)).collect::<Result<Vec<_>, _>>()?;
        if patterns.len() > PATTERNS_MAX {
            return Err(format!("hashFiles takes at most {PATTERNS_MAX} patterns"));
        }
        Ok(Self(patterns))
    }

    /// Returns where to begin: the longest paths without a wildcard, none of which is below another.
    pub(crate) fn starts(&self) -> Vec<PathBuf> {
        let all: Vec<PathBuf> = self.0.iter().filter(|pattern| !pattern.is_negative).map(Pattern::start).collect();
        let mut starts: Vec<PathBuf> = Vec::new();
        for start in &all {
            let is_below = all.iter().any(|other| other != start && start.starts_with(other));
            if !is_below && !starts.contains(start) {
                starts.push(start.clone());
            }
        }
        starts
    }

    /// Says whether a path is meant.
    pub(crate) fn find(&self, path: &Path) -> Found {
        let names: Vec<Vec<char>> = names(path);
        let mut found = Found { is_match: false, may_be_below: false };
        for pattern in &self.0 {
            let (is_match, may_be_below) = pattern.find(&names);
            if pattern.is_negative {
                found.is_match &= !is_match;
            } else {
                found.is_match |= is_match;
                found.may_be_below |= may_be_below;
            }
        }
        found
    }
}

fn names(path: &Path) -> Vec<Vec<char>> {
    let normal = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().chars().collect()),
        _ => None,
    });
    normal.collect()
}

impl Pattern {
    fn parse(root: &Path, line: &str) -> Result<Self, String> {
        let negatives = line.chars().take_while(|&letter| letter == '!').count();
        let text = line[negatives..].trim();
        let mut parts: Vec<Part> = Vec::new();
        if !text.starts_with('/') {
            parts.extend(names(root).into_iter().map(|name| Part::Name(name.into_iter().map(Letter::Is).collect())));
        }
        for part in text.split('/').filter(|part| !part.is_empty()) {
            match part {
                "." => {}
                ".." => return Err(format!("the pattern '{line}' holds '..', which hashFiles does not take")),
                "**" => parts.push(Part::Any),
                name => parts.push(Part::Name(letters(name))),
            }
        }
        Ok(Self { is_negative: negatives % 2 == 1, parts })
    }

    fn start(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        for part in &self.parts {
            let literal = match part {
                Part::Any => None,
                Part::Name(letters) => letters
                    .iter()
                    .map(|letter| if let Letter::Is(letter) = letter { Some(*letter) } else { None })
                    .collect::<Option<String>>(),
            };
            match literal {
                Some(name) => path.push(name),
                None => break,
            }
        }
        path
    }

    /// Says whether the path, or a folder that it is in, is meant, and whether something below it may be.
    fn find(&self, names: &[Vec<char>]) -> (bool, bool) {
        // All places of the pattern at which one may be after so many names.
        let mut states = vec![false; self.parts.len() + 1];
        self.enter(&mut states, 0);
        let mut is_match = states[self.parts.len()];
        for name in names {
            let mut next = vec![false; self.parts.len() + 1];
            for (place, _) in states.iter().enumerate().filter(|(_, is_here)| **is_here) {
                match self.parts.get(place) {
                    Some(Part::Any) => self.enter(&mut next, place),
                    Some(Part::Name(letters)) if fits(letters, name) => self.enter(&mut next, place + 1),
                    _ => {}
                }
            }
            states = next;
            is_match |= states[self.parts.len()];
        }
        (is_match, is_match || states.contains(&true))
    }

    fn enter(&self, states: &mut [bool], place: usize) {
        states[place] = true;
        if self.parts.get(place) == Some(&Part::Any) {
            self.enter(states, place + 1);
        }
    }
}

fn letters(name: &str) -> Vec<Letter> {
    let letters: Vec<char> = name.chars().collect();
    let mut parsed = Vec::new();
    let mut place = 0;
    while place < letters.len() {
        let letter = match letters[place] {
            '\\' if place + 1 < letters.len() => {
                place += 1;
                Letter::Is(letters[place])
            }
            '?' => Letter::One,
            '*' => Letter::Many,
            '[' => match choice(&letters[place + 1..]) {
                Some((choice, length)) => {
                    place += length;
                    choice
                }
                None => Letter::Is('['),
            },
            letter => Letter::Is(letter),
        };
        place += 1;
        parsed.push(letter);
    }
    parsed
}

/// Reads what stands in brackets, and how long it is with the closing one.
fn choice(letters: &[char]) -> Option<(Letter, usize)> {
    let is_negative = matches!(letters.first(), Some('!' | '^'));
    let begin = usize::from(is_negative);
    let end = begin + 1 + letters.get(begin + 1..)?.iter().position(|&letter| letter == ']')?;
    let inner = &letters[begin..end];
    let mut ranges = Vec::new();
    let mut place = 0;
    while place < inner.len() {
        if inner.get(place + 1) == Some(&'-') && place + 2 < inner.len() {
            ranges.push((inner[place], inner[place + 2]));
            place += 3;
        } else {
            ranges.push((inner[place], inner[place]));
            place += 1;
        }
    }
    Some((Letter::Of { is_negative, ranges }, end + 1))
}

/// Walks all possibilities side by side, so no pattern can make it slow.
fn fits(letters: &[Letter], name: &[char]) -> bool {
    let mut states = vec![false; letters.len() + 1];
    reach(letters, &mut states, 0);
    for &letter in name {
        let mut next = vec![false; letters.len() + 1];
        for (place, _) in states.iter().enumerate().filter(|(_, is_here)| **is_here) {
            match letters.get(place) {
                Some(Letter::Many) => reach(letters, &mut next, place),
                Some(Letter::One) => reach(letters, &mut next, place + 1),
                Some(Letter::Is(wanted)) if *wanted == letter => reach(letters, &mut next, place + 1),
                Some(Letter::Of { is_negative, ranges }) => {
                    let is_in = ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter));
                    if is_in != *is_negative {
                        reach(letters, &mut next, place + 1);
                    }
                }
                _ => {}
            }
        }
        states = next;
    }
    states[letters.len()]
}

fn reach(letters: &[Letter], states: &mut [bool], place: usize) {
    states[place] = true;
    if letters.get(place) == Some(&Letter::Many) {
        reach(letters, states, place + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        Patterns::new(Path::new("/w"), &[pattern.to_owned()]).unwrap().find(Path::new(path)).is_match
    }

    #[test]
    fn names_and_folders_are_matched_as_glob_does() {
        for (pattern, path) in [
            ("a.txt", "/w/a.txt"),
            ("*.txt", "/w/a.txt"),
            ("*", "/w/.hidden"),
            ("**/*.txt", "/w/x/y/a.txt"),
            ("**/a.txt", "/w/a.txt"),
            ("src", "/w/src/deep/file"),
            ("src/**", "/w/src/deep/file"),
            ("a?c", "/w/abc"),
            ("[a-c]x", "/w/bx"),
            ("[!a-c]x", "/w/dx"),
            ("\\*", "/w/*"),
            ("/w/./a", "/w/a"),
            ("[", "/w/["),
        ] {
            assert!(is_match(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.txt", "/w/x/a.txt"),
            ("[a-c]x", "/w/dx"),
            ("a?c", "/w/ac"),
            ("/a.txt", "/w/a.txt"),
            ("!a", "/w/a"),
            ("\\*", "/w/a"),
        ] {
            assert!(!is_match(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn the_search_begins_where_wildcards_do() {
        let texts = ["a/*/b".to_owned(), "a/b".to_owned(), "c".to_owned(), "!d/e".to_owned(), "c".to_owned()];
        let patterns = Patterns::new(Path::new("/w"), &texts).unwrap();
        assert_eq!(patterns.starts(), [PathBuf::from("/w/a"), PathBuf::from("/w/c")]);
        let found = patterns.find(Path::new("/w/a/x"));
        assert_eq!(found, Found { is_match: false, may_be_below: true });
        assert!(!patterns.find(Path::new("/w/z")).may_be_below);
    }
}
