//! Rust text with its comments, strings and test modules told apart.
//!
//! This is a scanner, not a parser: it knows just enough of the language that a word in a string or comment
//! is never taken for code, and that the end of a test module is found. Every view keeps the offsets of the text.

use std::ops::Range;

/// What stands where a character of a string was. A real one cannot be confused with it: NUL is not in source text.
const BLANK: u8 = 0;

/// The views of one Rust file.
pub struct RustSource {
    /// The code: comments are spaces, the insides of strings are NUL.
    pub code: String,
    /// Code and comments: the insides of strings are NUL.
    pub prose: String,
    tests: Vec<TestCode>,
    /// Every path that the code names, imports written out.
    pub paths: Vec<NamedPath>,
}

/// A path such as `std::fs::read` and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    pub segments: Vec<String>,
    pub offset: usize,
    pub is_import: bool,
}

/// An item behind `#[cfg(test)]`.
struct TestCode {
    range: Range<usize>,
    /// The name, if it is `mod name;`.
    module: Option<String>,
    /// Whether it is a module at all.
    is_module: bool,
}

impl RustSource {
    pub fn new(text: &str) -> RustSource {
        let (code, prose) = blanked(text);
        let tests = test_code(&code);
        let mut paths = imports(&code);
        let imported: Vec<Range<usize>> = use_ranges(&code);
        paths.extend(
            inline_paths(&code).into_iter().filter(|path| !imported.iter().any(|range| range.contains(&path.offset))),
        );
        RustSource { code, prose, tests, paths }
    }

    /// Returns whether the offset is inside an item behind `#[cfg(test)]`.
    pub fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|test| test.range.contains(&offset))
    }

    /// Returns the names of the test modules that have a file of their own.
    pub fn test_modules(&self) -> Vec<&str> {
        self.tests.iter().filter_map(|test| test.module.as_deref()).collect()
    }

    /// Returns where `#[cfg(test)]` stands before something that is no module.
    pub fn test_switches(&self) -> Vec<usize> {
        self.tests.iter().filter(|test| !test.is_module).map(|test| test.range.start).collect()
    }

    /// Returns the offsets at which `pattern` occurs in the code.
    pub fn find<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(pattern).map(|(offset, _)| offset)
    }
}

/// Returns the views "code" and "code and comments" of `text`.
fn blanked(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut prose) = (bytes.to_vec(), bytes.to_vec());
    let mut at = 0;
    while at < bytes.len() {
        if let Some(end) = comment_end(bytes, at) {
            blank(&mut code, at..end, b' ');
            at = end;
        } else if let Some((inside, end)) = string_at(bytes, at) {
            blank(&mut code, inside.clone(), BLANK);
            blank(&mut prose, inside, BLANK);
            at = end;
        } else {
            at += 1;
        }
    }
    // Only whole comments and strings were replaced, byte by byte, so what is left is UTF-8.
    let text_of = |bytes| String::from_utf8(bytes).expect("blanking keeps characters whole");
    (text_of(code), text_of(prose))
}

fn blank(bytes: &mut [u8], range: Range<usize>, with: u8) {
    for byte in &mut bytes[range] {
        if *byte != b'\n' {
            *byte = with;
        }
    }
}

fn comment_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at..].starts_with(b"//") {
        return Some(bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length));
    }
    if !bytes[at..].starts_with(b"/*") {
        return None;
    }
    let (mut depth, mut end) = (1, at + 2);
    while depth > 0 && end < bytes.len() {
        if bytes[end..].starts_with(b"/*") {
            depth += 1;
            end += 2;
        } else if bytes[end..].starts_with(b"*/") {
            depth -= 1;
            end += 2;
        } else {
            end += 1;
        }
    }
    Some(end)
}

/// Returns the inside and the end of the string or character that starts at `at`.
fn string_at(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    match bytes[at] {
        b'"' => Some(quoted(bytes, at, b'"')),
        b'\'' => is_character(bytes, at).then(|| quoted(bytes, at, b'\'')),
        b'r' if !is_word_before(bytes, at) => raw(bytes, at),
        _ => None,
    }
}

/// Returns whether the quote at `at` starts a character and not a lifetime.
fn is_character(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at + 1) {
        Some(b'\\') => true,
        Some(first) => {
            let width = match first {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            bytes.get(at + 1 + width) == Some(&b'\'')
        }
        None => false,
    }
}

fn quoted(bytes: &[u8], at: usize, quote: u8) -> (Range<usize>, usize) {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    let end = end.min(bytes.len());
    (at + 1..end, (end + 1).min(bytes.len()))
}

fn raw(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let start = at + 1 + hashes;
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let closing: Vec<u8> = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let rest = &bytes[start + 1..];
    let length = rest.windows(closing.len()).position(|window| window == closing).unwrap_or(rest.len());
    let end = start + 1 + length;
    Some((start + 1..end, (end + closing.len()).min(bytes.len())))
}

/// Returns whether the character before `at` is part of a word. The prefixes `b` and `c` of a string are not.
fn is_word_before(bytes: &[u8], at: usize) -> bool {
    let Some(previous) = at.checked_sub(1) else { return false };
    let is_prefix = matches!(bytes[previous], b'b' | b'c') && (previous == 0 || !is_word(bytes[previous - 1]));
    is_word(bytes[previous]) && !is_prefix
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn test_code(code: &str) -> Vec<TestCode> {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    code.match_indices(ATTRIBUTE).map(|(start, _)| test_item(code, start, start + ATTRIBUTE.len())).collect()
}

fn test_item(code: &str, start: usize, after: usize) -> TestCode {
    let body = skip_attributes(code, after);
    let item = &code[body..];
    let end = item.find(['{', ';']).map_or(code.len(), |offset| match item.as_bytes()[offset] {
        b'{' => block_end(code, body + offset),
        _ => body + offset + 1,
    });
    let words: Vec<&str> =
        item.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).take(4).collect();
    let module =
        words.iter().position(|word| *word == "mod").and_then(|at| words.get(at + 1)).map(|name| (*name).to_owned());
    let is_module = item.starts_with("mod ") || item.starts_with("pub mod ") || item.starts_with("pub(crate) mod ");
    let has_file = code[..end].ends_with(';');
    TestCode { range: start..end, module: module.filter(|_| is_module && has_file), is_module }
}

/// Returns where the item starts that follows the attributes from `at` on.
fn skip_attributes(code: &str, mut at: usize) -> usize {
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        at = code[at..].find(']').map_or(code.len(), |offset| at + offset + 1);
    }
}

/// Returns the end of the block whose brace stands at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.as_bytes()[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset + 1;
        }
    }
    code.len()
}

fn use_ranges(code: &str) -> Vec<Range<usize>> {
    let bytes = code.as_bytes();
    code.match_indices("use ")
        .filter(|(start, _)| !start.checked_sub(1).is_some_and(|previous| is_word(bytes[previous])))
        .filter_map(|(start, _)| code[start..].find(';').map(|length| start..start + length))
        .collect()
}

/// Returns every path that a `use` brings in, groups written out.
fn imports(code: &str) -> Vec<NamedPath> {
    let mut found = Vec::new();
    for range in use_ranges(code) {
        let start = range.start + "use ".len();
        expand(&code[start..range.end], start, &[], &mut found);
    }
    found
}

fn expand(tree: &str, offset: usize, prefix: &[String], found: &mut Vec<NamedPath>) {
    let leading = tree.len() - tree.trim_start().len();
    let (offset, tree) = (offset + leading, tree.trim());
    if tree.is_empty() {
        return;
    }
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        let segments = prefix.iter().cloned().chain(segments(path)).collect();
        found.push(NamedPath { segments, offset, is_import: true });
        return;
    };
    let prefix: Vec<String> = prefix.iter().cloned().chain(segments(&tree[..open])).collect();
    let inside = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    for (start, part) in top_level_parts(inside) {
        expand(part, offset + open + 1 + start, &prefix, found);
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned)
}

/// Splits at the commas that are in no inner group.
fn top_level_parts(group: &str) -> Vec<(usize, &str)> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (offset, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push((start, &group[start..offset]));
                start = offset + 1;
            }
            _ => {}
        }
    }
    parts.push((start, &group[start..]));
    parts
}

/// Returns the paths outside of imports: words joined by `::`, single words included.
fn inline_paths(code: &str) -> Vec<NamedPath> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let (start, end) = (at, path_end(bytes, at));
        at = end;
        // A number is a word here, but no name.
        if !bytes[start].is_ascii_digit() {
            found.push(NamedPath { segments: segments(&code[start..end]).collect(), offset: start, is_import: false });
        }
    }
    found
}

/// Returns the end of the words joined by `::` that start at `at`.
fn path_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at += bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        let goes_on = bytes[at..].starts_with(b"::") && bytes.get(at + 2).is_some_and(|byte| is_word(*byte));
        if !goes_on {
            return at;
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        RustSource::new(text).code.replace('\0', "_")
    }

    fn paths(text: &str) -> Vec<String> {
        let mut paths: Vec<_> = RustSource::new(text).paths.iter().map(|path| path.segments.join("::")).collect();
        paths.sort();
        paths
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("a /* b /* c */ */ d"), "a                 d");
        assert_eq!(code(r#"f("a\"b", 'x', 'y')"#), r#"f("____", '_', '_')"#);
        assert_eq!(code(r##"r#"a "b" c"# d"##), r##"r#"_______"# d"##);
        assert_eq!(code(r#"br"x" r#type"#), r#"br"_" r#type"#);
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(code("fn f<'a>(x: &'a str) -> &'a str"), "fn f<'a>(x: &'a str) -> &'a str");
        assert_eq!(code(r"['\'', 'é', '\u{1f600}'] x"), r"['__', '__', '_________'] x");
    }

    #[test]
    fn test_modules_end_with_their_brace() {
        let source = RustSource::new("fn a() {}\n#[cfg(test)]\nmod tests { fn b() { \"}\" } }\nfn c() {}\n");
        assert!(!source.is_test(3));
        assert!(source.is_test(source.code.find("fn b").expect("b is there")));
        assert!(!source.is_test(source.code.find("fn c").expect("c is there")));
        assert!(source.test_switches().is_empty());
    }

    #[test]
    fn a_test_module_can_have_a_file() {
        let source = RustSource::new("#[cfg(test)]\nmod tests;\n\n#[cfg(test)]\nmod inline { mod deeper; }\n");
        assert_eq!(source.test_modules(), ["tests"]);
    }

    #[test]
    fn a_switch_is_no_module() {
        assert_eq!(RustSource::new("#[cfg(test)]\nfn only_in_tests() {}\n").test_switches(), [0]);
    }

    #[test]
    fn groups_of_imports_are_written_out() {
        assert_eq!(
            paths("use std::{fs, io::{self, Read as _}};\npub use crate::run::Run;\n"),
            ["crate::run::Run", "pub", "std::fs", "std::io::Read", "std::io::self"]
        );
    }

    #[test]
    fn paths_in_code_are_seen_whole() {
        assert_eq!(paths("let x = std::fs::read(0x1f);"), ["let", "std::fs::read", "x"]);
        assert_eq!(paths("Vec::<u8>::new()"), ["Vec", "new", "u8"]);
    }
}
