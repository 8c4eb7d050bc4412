//! The patterns of branch, tag and path filters, in GitHub's own dialect: `*` is anything but `/`, `**` anything, `?` and
//! `+` say how often the character before them may come, `[]` is a choice of characters, a leading `!` takes back what an
//! earlier pattern let in. The whole name must match. Matching walks all possibilities side by side, so no pattern can make
//! it slow.

/// A single pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    negative: bool,
    atoms: Vec<(Atom, Repeat)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Atom {
    Letter(char),
    /// A `[` that is not closed: it is taken as it stands.
    Open,
    Choice(Vec<(char, char)>),
    /// Anything but a slash, any number of times.
    Star,
    /// Anything, any number of times.
    StarStar,
    /// Nothing, or anything that ends with a slash: `**/` where a name or a folder begins.
    Folders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Once,
    Optional,
    Many,
}

impl Pattern {
    /// Returns the pattern that a text means. Every text means one: what is not closed is taken literally.
    pub fn new(text: &str) -> Pattern {
        let (negative, body) = match text.strip_prefix('!') {
            Some(body) => (true, body),
            None => (false, text),
        };
        Pattern { text: text.into(), negative, atoms: atoms(body) }
    }

    /// Returns the text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what is wrong with it, where it means something else than it looks like.
    pub fn problem(&self) -> Option<&'static str> {
        let body = self.text.strip_prefix('!').unwrap_or(&self.text);
        if body.is_empty() {
            return Some("there is nothing to compare with");
        }
        if body.starts_with(['+', '?']) {
            return Some("there is nothing before the '+' or '?' that it could repeat");
        }
        let backslashes = body.len() - body.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            return Some("nothing follows the '\\' at its end");
        }
        self.atoms.iter().find_map(|(atom, _)| match atom {
            Atom::Open => Some("a '[' is not closed, or nothing stands between the brackets"),
            Atom::Choice(ranges) if ranges.iter().any(|(from, to)| from > to) => {
                Some("a range between brackets goes backwards")
            }
            _ => None,
        })
    }

    /// Says whether it takes back what an earlier one let in.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Says whether the whole name matches, without regard to a leading `!`.
    pub fn matches(&self, name: &str) -> bool {
        let mut states = vec![false; self.atoms.len() + 1];
        self.enter(&mut states, 0);
        for letter in name.chars() {
            states = self.step(&states, letter);
            if !states.contains(&true) {
                return false;
            }
        }
        states[self.atoms.len()]
    }

    fn step(&self, states: &[bool], letter: char) -> Vec<bool> {
        let mut next = vec![false; states.len()];
        for (at, (atom, repeat)) in self.atoms.iter().enumerate().filter(|(at, _)| states[*at]) {
            match atom {
                Atom::Star if letter == '/' => {}
                Atom::Star | Atom::StarStar => self.enter(&mut next, at),
                Atom::Folders => {
                    next[at] = true;
                    if letter == '/' {
                        self.enter(&mut next, at + 1);
                    }
                }
                atom if atom.accepts(letter) => {
                    next[at] |= *repeat == Repeat::Many;
                    self.enter(&mut next, at + 1);
                }
                _ => {}
            }
        }
        next
    }

    /// Marks a state, and those behind it that need no further character.
    fn enter(&self, states: &mut [bool], from: usize) {
        for (at, (atom, repeat)) in self.atoms.iter().enumerate().skip(from) {
            states[at] = true;
            let may_be_nothing =
                matches!(atom, Atom::Star | Atom::StarStar | Atom::Folders) || *repeat == Repeat::Optional;
            if !may_be_nothing {
                return;
            }
        }
        states[self.atoms.len()] = true;
    }
}

impl Atom {
    fn accepts(&self, letter: char) -> bool {
        match self {
            Atom::Letter(expected) => *expected == letter,
            Atom::Open => letter == '[',
            Atom::Choice(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)),
            Atom::Star | Atom::StarStar | Atom::Folders => true,
        }
    }
}

fn atoms(text: &str) -> Vec<(Atom, Repeat)> {
    let letters: Vec<char> = text.chars().collect();
    let mut atoms: Vec<(Atom, Repeat)> = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let begins_name = at == 0 || letters[at - 1] == '/';
        let (atom, length) = match rest {
            ['*', '*', '/', ..] if begins_name => (Atom::Folders, 3),
            ['*', '*', ..] => (Atom::StarStar, 2),
            ['*', ..] => (Atom::Star, 1),
            ['\\', escaped, ..] => (Atom::Letter(*escaped), 2),
            ['[', ..] => choice(rest).unwrap_or((Atom::Open, 1)),
            [letter, ..] => (Atom::Letter(*letter), 1),
            [] => break,
        };
        at += length;
        let repeat = match letters.get(at) {
            Some('?') => Repeat::Optional,
            Some('+') => Repeat::Many,
            _ => Repeat::Once,
        };
        at += usize::from(repeat != Repeat::Once);
        atoms.push((atom, repeat));
    }
    atoms
}

/// Returns the choice that starts here and its length, None where it is not closed.
fn choice(rest: &[char]) -> Option<(Atom, usize)> {
    let end = rest.iter().position(|letter| *letter == ']').filter(|end| *end > 1)?;
    let inside = &rest[1..end];
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < inside.len() {
        match &inside[at..] {
            [from, '-', to, ..] => {
                ranges.push((*from, *to));
                at += 3;
            }
            [letter, ..] => {
                ranges.push((*letter, *letter));
                at += 1;
            }
            [] => break,
        }
    }
    Some((Atom::Choice(ranges), end + 1))
}

/// Patterns in order: of those that match a name the last one decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

impl Patterns {
    /// Returns the patterns of these texts.
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Patterns {
        Patterns { patterns: texts.into_iter().map(|text| Pattern::new(text.as_ref())).collect() }
    }

    /// Says whether the name is let in: by the last pattern that matches it.
    pub fn matches(&self, name: &str) -> bool {
        self.deciding(name).is_some_and(|pattern| !pattern.is_negative())
    }

    /// Returns the pattern that decides about the name: the last one that matches it.
    pub fn deciding(&self, name: &str) -> Option<&Pattern> {
        self.patterns.iter().rev().find(|pattern| pattern.matches(name))
    }

    /// Returns the single patterns.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }
}

impl std::fmt::Display for Patterns {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, pattern) in self.patterns.iter().enumerate() {
            formatter.write_str(if at > 0 { ", " } else { "" })?;
            write!(formatter, "'{}'", pattern.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let pattern = Pattern::new(pattern);
        for name in matching {
            assert!(pattern.matches(name), "{} should match {name}", pattern.text());
        }
        for name in others {
            assert!(!pattern.matches(name), "{} should not match {name}", pattern.text());
        }
    }

    #[test]
    fn branches_match_as_the_documentation_says() {
        check("feature/*", &["feature/my-branch"], &["feature/a/b", "feature"]);
        check("feature/**", &["feature/beta-a/my-branch", "feature/x"], &["feature", "xfeature/x"]);
        check("main", &["main"], &["main2", "Main", "a/main"]);
        check("*", &["main", "releases"], &["all/the/branches"]);
        check("**", &["all/the/branches", "every/tag", ""], &[]);
        check("*feature", &["mona-feature", "feature", "ver-10-feature"], &["x/feature"]);
        check("v2*", &["v2", "v2.0", "v2.9"], &["v3"]);
        check("v[12].[0-9]+.[0-9]+", &["v1.10.1", "v2.0.0"], &["v3.0.0", "v1..1", "v1.0."]);
        check("v?1", &["v1", "1"], &["vv1", "2"]);
        check("a+b", &["ab", "aaab"], &["b", "aacb"]);
        check("\\*\\!", &["*!"], &["x!"]);
        check("[ab", &["[ab"], &["a"]);
    }

    #[test]
    fn paths_match_as_the_documentation_says() {
        check("*.jsx?", &["page.js", "page.jsx"], &["a/page.js", "page.jsxx"]);
        check("**.js", &["index.js", "js/index.js", "src/js/app.js"], &["index.ts"]);
        check("docs/*", &["docs/README.md"], &["docs/a/b", "docs"]);
        check("docs/**", &["docs/README.md", "docs/mona/octocat.txt"], &["x/docs/a"]);
        check("docs/**/*.md", &["docs/README.md", "docs/mona/hello.md", "docs/a/b.md"], &["docs.md", "docs/a/b.txt"]);
        check("**/docs/**", &["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"], &["mydocs/x"]);
        check("**/README.md", &["README.md", "js/README.md"], &["MYREADME.md", "js/MYREADME.md"]);
        check("**/*src/**", &["a/src/app.js", "my-src/code/js/app.js"], &["src2/x"]);
        check("**/migrate-*.sql", &["migrate-10909.sql", "db/sept/migrate-v1.sql"], &["xmigrate-1.sql"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let patterns = Patterns::new(["releases/**", "!releases/**-alpha", "releases/b-alpha"]);
        assert!(patterns.matches("releases/10"));
        assert!(!patterns.matches("releases/a-alpha"));
        assert!(patterns.matches("releases/b-alpha"));
        assert!(!patterns.matches("main"));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for text in ["a[", "!a[", "[]", "x[z-a]", "**\\", "+a", "?", "", "!"] {
            assert!(Pattern::new(text).problem().is_some(), "{text}");
        }
        for text in ["a\\[", "x[a-z]+", "**", "a\\\\", "v?1", "!a"] {
            assert_eq!(Pattern::new(text).problem(), None, "{text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::new(&"**a".repeat(200));
        assert!(!pattern.matches(&"a".repeat(2_000).replace("aaaaaaaaaa", "aaaaaaaaab")));
    }
}
