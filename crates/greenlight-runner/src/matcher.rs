//! Problem matchers: patterns that find errors and warnings in what a tool prints.
//!
//! A matcher is a list of patterns; each must find its line right after the one before it. The last one may be a loop: it then finds
//! problems as long as lines fit. A matcher that was added counts for the rest of the job. The patterns are regular expressions without
//! look-around and back-references, so that none can take longer than its line (S21).

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use greenlight_workflow::Value;
use regex::{Captures, Regex, RegexBuilder};

use crate::host::AnnotationLevel;

/// How large a file of matchers may be.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// How many matchers a job may have.
pub(crate) const MATCHERS_MAX: usize = 100;

/// How many patterns a matcher may have.
const PATTERNS_MAX: usize = 20;

/// How large a compiled pattern may be.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// How long a line may be that is looked at.
const LINE_BYTES_MAX: usize = 8 << 10;

/// A matcher.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) owner: String,
    severity: Option<String>,
    from_path: Option<String>,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    is_loop: bool,
    groups: Groups,
}

/// Which group of a pattern is what.
#[derive(Clone, Copy, Debug, Default)]
struct Groups {
    file: Option<usize>,
    from_path: Option<usize>,
    line: Option<usize>,
    end_line: Option<usize>,
    column: Option<usize>,
    end_column: Option<usize>,
    severity: Option<usize>,
    code: Option<usize>,
    message: Option<usize>,
}

/// What a matcher found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) file: Option<String>,
    from_path: Option<String>,
    pub(crate) line: Option<String>,
    pub(crate) end_line: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) end_column: Option<String>,
    severity: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

/// A matcher on its way through the lines of one step.
#[derive(Debug)]
pub(crate) struct Matching {
    pub(crate) matcher: Arc<Matcher>,
    /// How many patterns found their line.
    place: usize,
    found: Problem,
}

/// Reads a file of matchers. The error says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Vec<Matcher>, String> {
    let json = Value::from_json(&without_comments(text)).map_err(|error| format!("it is not JSON: {error}"))?;
    let matchers = json.get("problemMatcher").as_array().ok_or("it has no list 'problemMatcher'")?;
    matchers.iter().map(matcher).collect()
}

/// Puts blanks in the place of comments, which GitHub's runner reads over: what stands behind them keeps its place.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_quoted = false;
    while let Some(letter) = rest.chars().next() {
        let comment = match rest.as_bytes() {
            _ if is_quoted => 0,
            [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => 0,
        };
        let taken = match letter {
            _ if comment > 0 => comment,
            '\\' if is_quoted => rest.char_indices().nth(2).map_or(rest.len(), |(place, _)| place),
            other => other.len_utf8(),
        };
        is_quoted ^= letter == '"';
        let (taken, after) = rest.split_at(taken);
        match comment {
            0 => plain.push_str(taken),
            _ => plain.extend(taken.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    plain
}

fn matcher(json: &Value) -> Result<Matcher, String> {
    let text = |name: &str| json.get(name).as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let owner = text("owner").ok_or("a matcher has no owner")?;
    let patterns = json.get("pattern").as_array().unwrap_or_default();
    if patterns.is_empty() || patterns.len() > PATTERNS_MAX {
        return Err(format!("matcher '{owner}' must have 1 to {PATTERNS_MAX} patterns"));
    }
    let patterns: Vec<Pattern> =
        patterns.iter().map(pattern).collect::<Result<_, _>>().map_err(|why| format!("matcher '{owner}': {why}"))?;
    let last = patterns.len() - 1;
    let is_bad_loop =
        patterns.iter().enumerate().any(|(place, pattern)| pattern.is_loop && (place != last || last == 0));
    if is_bad_loop {
        return Err(format!("matcher '{owner}': only the last one of several patterns may be a loop"));
    }
    if patterns[last].groups.message.is_none() {
        return Err(format!("matcher '{owner}': the last pattern must have a 'message'"));
    }
    Ok(Matcher { owner, severity: text("severity"), from_path: text("fromPath"), patterns })
}

fn pattern(json: &Value) -> Result<Pattern, String> {
    let text = json.get("regexp").as_str().ok_or("a pattern has no 'regexp'")?;
    let regex = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    let regex = regex.map_err(|_| format!("the pattern '{text}' is none that can be searched for in linear time"))?;
    let group = |name: &str| -> Result<Option<usize>, String> {
        let Some(number) = json.get(name).as_number() else { return Ok(None) };
        let is_group = number >= 0.0 && number.fract() == 0.0 && (number as usize) < regex.captures_len();
        if is_group {
            Ok(Some(number as usize))
        } else {
            Err(format!("'{name}' is {number}, which is no group of '{text}'"))
        }
    };
    let groups = Groups {
        file: group("file")?,
        from_path: group("fromPath")?,
        line: group("line")?,
        end_line: group("endLine")?,
        column: group("column")?,
        end_column: group("endColumn")?,
        severity: group("severity")?,
        code: group("code")?,
        message: group("message")?,
    };
    Ok(Pattern { is_loop: json.get("loop").coerce_bool(), groups, regex })
}

impl Matching {
    pub(crate) fn new(matcher: Arc<Matcher>) -> Self {
        Self { matcher, place: 0, found: Problem::default() }
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        (self.place, self.found) = (0, Problem::default());
    }

    /// Looks at a line without colours, and returns a problem that ends with it.
    pub(crate) fn look(&mut self, line: &str) -> Option<Problem> {
        if line.len() > LINE_BYTES_MAX {
            return None;
        }
        let matcher = self.matcher.clone();
        let last = matcher.patterns.len() - 1;
        if self.place > 0 && !matcher.patterns[self.place].regex.is_match(line) {
            // The row is broken; this line may begin another.
            self.reset();
        }
        let pattern = &matcher.patterns[self.place];
        let captures = pattern.regex.captures(line)?;
        let mut found = self.found.clone();
        found.take(&captures, &pattern.groups);
        if self.place < last {
            (self.place, self.found) = (self.place + 1, found);
            return None;
        }
        if !pattern.is_loop {
            self.reset();
        }
        found.severity = found.severity.filter(|severity| !severity.is_empty()).or_else(|| matcher.severity.clone());
        found.from_path = found.from_path.or_else(|| matcher.from_path.clone());
        Some(found)
    }
}

impl Problem {
    fn take(&mut self, captures: &Captures<'_>, groups: &Groups) {
        let text = |group: Option<usize>| Some(captures.get(group?)?.as_str().to_owned());
        let places = [
            (&mut self.file, groups.file),
            (&mut self.from_path, groups.from_path),
            (&mut self.line, groups.line),
            (&mut self.end_line, groups.end_line),
            (&mut self.column, groups.column),
            (&mut self.end_column, groups.end_column),
            (&mut self.severity, groups.severity),
            (&mut self.code, groups.code),
            (&mut self.message, groups.message),
        ];
        for (place, group) in places {
            if let Some(found) = text(group) {
                *place = Some(found);
            }
        }
    }

    /// Returns how grave it is; nothing where its word is none of ours.
    pub(crate) fn level(&self) -> Option<AnnotationLevel> {
        match self.severity.as_deref().unwrap_or("error").to_ascii_lowercase().as_str() {
            "error" => Some(AnnotationLevel::Error),
            "warning" => Some(AnnotationLevel::Warning),
            "notice" => Some(AnnotationLevel::Notice),
            _ => None,
        }
    }

    /// Names its files as the runner does, where the step says otherwise.
    pub(crate) fn rename(&mut self, name: impl Fn(&str) -> String) {
        for file in [&mut self.file, &mut self.from_path].into_iter().flatten() {
            *file = name(file.trim());
        }
    }

    /// Returns its file relative to the workspace, where it is one of its files.
    pub(crate) fn file_in(&self, workspace: &Path) -> Option<String> {
        let file = Path::new(self.file.as_deref().map(str::trim).filter(|file| !file.is_empty())?);
        let from = self.from_path.as_deref().and_then(|from| Path::new(from.trim()).parent()).unwrap_or(Path::new(""));
        let whole = normal(&workspace.join(from).join(file))?;
        let relative = whole.strip_prefix(workspace).ok()?;
        whole.is_file().then(|| relative.display().to_string())
    }
}

/// Takes `.` and `..` out of a path, by its text alone.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut whole = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !whole.pop() {
                    return None;
                }
            }
            other => whole.push(other),
        }
    }
    Some(whole)
}

/// Takes the colours out of a line.
pub(crate) fn without_colours(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find("\u{1b}[") {
        text.push_str(&rest[..start]);
        let after = &rest[start + 2..];
        let length = after.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        rest = after[length..].strip_prefix('m').unwrap_or(&after[length..]);
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(json: &str) -> Matching {
        Matching::new(Arc::new(read(json).unwrap().remove(0)))
    }

    #[test]
    fn one_pattern_finds_all_its_parts() {
        let mut matching = matching(
            r#"{"problemMatcher": [{"owner": "eslint-compact", "pattern": [{
                "regexp": "^(.+):\\sline\\s(\\d+),\\scol\\s(\\d+),\\s(Error|Warning)\\s-\\s(.+)\\s\\((.+)\\)$",
                "file": 1, "line": 2, "column": 3, "severity": 4, "message": 5, "code": 6}]}]}"#,
        );
        assert_eq!(matching.look("nothing"), None);
        let found = matching.look("bad.js: line 50, col 11, Error - 'x' is never used. (no-unused-vars)").unwrap();
        assert_eq!(found.file.as_deref(), Some("bad.js"));
        assert_eq!((found.line.as_deref(), found.column.as_deref()), (Some("50"), Some("11")));
        assert_eq!(found.message.as_deref(), Some("'x' is never used."));
        assert_eq!((found.level(), found.code.as_deref()), (Some(AnnotationLevel::Error), Some("no-unused-vars")));
    }

    #[test]
    fn several_patterns_find_lines_in_a_row_and_the_last_may_loop() {
        let mut matching = matching(
            r#"{"problemMatcher": [{"owner": "stylish", "severity": "warning", "pattern": [
                {"regexp": "^([^\\s].*)$", "file": 1},
                {"regexp": "^\\s+(\\d+):(\\d+)\\s+(.*?)\\s\\s+(.*)$", "line": 1, "column": 2, "message": 3, "code": 4, "loop": true}]}]}"#,
        );
        assert_eq!(matching.look("test.js"), None);
        let first = matching.look("  1:0   Missing use strict  strict").unwrap();
        let second = matching.look("  5:10  redefinition of x  no-redeclare").unwrap();
        assert_eq!((first.file.as_deref(), first.line.as_deref()), (Some("test.js"), Some("1")));
        assert_eq!((second.file.as_deref(), second.line.as_deref()), (Some("test.js"), Some("5")));
        assert_eq!(second.level(), Some(AnnotationLevel::Warning));
        assert_eq!(matching.look("other.js"), None);
        assert_eq!(matching.look("  2:1  again  x").unwrap().file.as_deref(), Some("other.js"));
        assert_eq!(matching.look(""), None);
        assert_eq!(matching.look("  3:1  orphan  x"), None, "the row is broken");
    }

    #[test]
    fn what_is_no_matcher_is_named() {
        for (json, why) in [
            ("nothing", "not JSON"),
            ("{}", "no list 'problemMatcher'"),
            (r#"{"problemMatcher": [{"pattern": []}]}"#, "no owner"),
            (r#"{"problemMatcher": [{"owner": "a", "pattern": []}]}"#, "must have 1 to"),
            (r#"{"problemMatcher": [{"owner": "a", "pattern": [{"regexp": "(x)"}]}]}"#, "must have a 'message'"),
            (r#"{"problemMatcher": [{"owner": "a", "pattern": [{"regexp": "(?=x)", "message": 0}]}]}"#, "linear time"),
            (r#"{"problemMatcher": [{"owner": "a", "pattern": [{"regexp": "x", "message": 2}]}]}"#, "no group"),
            (
                r#"{"problemMatcher": [{"owner": "a", "pattern": [{"regexp": "x", "message": 0, "loop": true}]}]}"#,
                "may be a loop",
            ),
        ] {
            let found = read(json).unwrap_err();
            assert!(found.contains(why), "{json}: {found}");
        }
    }

    #[test]
    fn a_file_is_one_of_the_workspace_or_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/a.rs"), "").unwrap();
        let named = |file: &str, from: Option<&str>| {
            let problem = Problem { file: Some(file.into()), from_path: from.map(str::to_owned), ..Problem::default() };
            problem.file_in(folder.path())
        };
        assert_eq!(named("sub/a.rs", None).as_deref(), Some("sub/a.rs"));
        assert_eq!(named("a.rs", Some("sub/x.proj")).as_deref(), Some("sub/a.rs"));
        assert_eq!(named("./sub/../sub/a.rs", None).as_deref(), Some("sub/a.rs"));
        assert_eq!(named(&folder.path().join("sub/a.rs").display().to_string(), None).as_deref(), Some("sub/a.rs"));
        assert_eq!(named("/etc/hostname", None), None);
        assert_eq!(named("missing.rs", None), None);
    }

    #[test]
    fn comments_are_read_over() {
        let text = r#"{"a": "http://x /* no */ \" // no", // yes
/* "b": 1,
*/ "c": 2}"#;
        let plain = without_comments(text);
        assert_eq!(Value::from_json(&plain).unwrap().to_json(), r#"{"a":"http://x /* no */ \" // no","c":2}"#);
        assert_eq!((plain.lines().count(), plain.len()), (text.lines().count(), text.len()), "places stay");
        assert_eq!(without_comments("/ é // é"), "/ é     ");
    }

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(without_colours("\u{1b}[31;1merror\u{1b}[0m: x\u{1b}[K"), "error: xK");
        assert_eq!(without_colours("plain"), "plain");
    }
}
