//! Values that come from the command line and from files of `NAME=VALUE` lines: secrets, variables, inputs, the environment.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::WrongUsage;

/// How long a secret is that is not a part of every other word: with a shorter one, much of what is shown is masked.
const SECRET_LENGTH_MIN: usize = 3;
/// How long a file of values may be.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Named values in the order in which they were given; a later one takes the place of an earlier one.
pub type Values = Vec<(String, String)>;

/// Reads a file of values. Where nobody named it, it need not be there.
pub fn from_file(path: &Path, is_named: bool) -> anyhow::Result<Values> {
    let wrong = |why: String| WrongUsage(format!("{}: {why}", path.display()));
    let text = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => return Ok(Values::new()),
        Err(error) => return Err(wrong(format!("it cannot be read: {error}")).into()),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(
                wrong(format!("it has more than {FILE_BYTES_MAX} bytes, and should hold lines NAME=VALUE")).into()
            );
        }
        Ok(_) => std::fs::read_to_string(path).map_err(|error| wrong(format!("it cannot be read: {error}")))?,
    };
    let bad = |line| WrongUsage(format!("{}:{line}: a line should be NAME=VALUE", path.display()));
    Ok(parse(&text).map_err(bad)?)
}

/// Reads lines of `NAME=VALUE`. Values may stand in quotes and then have several lines. The error is a line's number.
fn parse(text: &str) -> Result<Values, usize> {
    let mut values = Values::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(number)?;
        let name = name.trim().strip_prefix("export ").unwrap_or(name.trim()).trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(number);
        }
        let opened = value.trim_start();
        let value = match opened.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
            Some(quote) => {
                let start = text.len() - rest.len() + line.len() - opened.len() + 1;
                let (value, end) = quoted(&text[start..], quote).ok_or(number)?;
                rest = text[start + end..].split_once('\n').map_or("", |(_, after)| after);
                value
            }
            None => {
                rest = after;
                opened.split(" #").next().unwrap_or_default().trim_end().to_owned()
            }
        };
        put(&mut values, name, value);
    }
    Ok(values)
}

/// Reads up to the closing quote. Returns the value, and where what follows begins.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            _ if char == quote => return Some((value, at + char.len_utf8())),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                other @ ('"' | '\\' | '$') => value.push(other),
                other => value.extend(['\\', other]),
            },
            char => value.push(char),
        }
    }
    None
}

/// Sets a value.
pub fn put(values: &mut Values, name: &str, value: String) {
    values.retain(|(known, _)| known != name);
    values.push((name.to_owned(), value));
}

/// Adds what was given as `NAME=VALUE` with an option; a bare name is read from the environment.
pub fn add_given(values: &mut Values, option: &str, given: &[String]) -> anyhow::Result<()> {
    for one in given {
        match named(option, one)? {
            (name, Some(value)) => put(values, name, value.to_owned()),
            (name, None) => {
                let why = || WrongUsage(format!("{option} {name} has no value, and there is none in the environment"));
                let value = std::env::var(name).with_context(why)?;
                put(values, name, value);
            }
        }
    }
    Ok(())
}

/// Adds secrets. Those without a value are read from the environment, or asked for on the terminal.
pub fn add_secrets(values: &mut Values, given: &[String]) -> anyhow::Result<()> {
    for one in given {
        let (name, value) = match named("-s", one)? {
            (name, Some(value)) => (name, value.to_owned()),
            (name, None) => (name, from_environment(name).map_or_else(|| ask(name), Ok)?),
        };
        put(values, &name.to_uppercase(), value);
    }
    Ok(())
}

/// Returns a warning for each secret that is so short that it is in every text: it is masked there all the same, as on GitHub.
pub fn short_secrets<'a>(secrets: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let is_short = |value: &str| (1..SECRET_LENGTH_MIN).contains(&value.trim().chars().count());
    let told = |name: &str| {
        format!(
            "warning: the secret {name} has fewer than {SECRET_LENGTH_MIN} characters: wherever they stand, within other words too, *** is shown; what is no secret can be a variable (--var)"
        )
    };
    secrets.filter(|(_, value)| is_short(value)).map(|(name, _)| told(name)).collect()
}

/// Splits `NAME=VALUE` or `NAME`. What stands in place of a name may be a secret, and is not repeated.
fn named<'a>(option: &str, given: &'a str) -> Result<(&'a str, Option<&'a str>), WrongUsage> {
    let (name, value) = given.split_once('=').map_or((given, None), |(name, value)| (name, Some(value)));
    if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '\0') {
        return Err(WrongUsage(format!("{option} has no name before its value: it should be {option} NAME=VALUE")));
    }
    Ok((name, value))
}

fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).or_else(|_| std::env::var(name.to_uppercase())).ok()
}

/// Asks for a secret on the terminal, which does not show it.
fn ask(name: &str) -> anyhow::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let why = format!("-s {name} has no value: set {name} in the environment, or name a file with --secret-file");
        return Err(WrongUsage(why).into());
    }
    eprint!("Secret {name}: ");
    std::io::stderr().flush()?;
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &silent)?;
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    eprintln!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_quotes_and_comments_are_read() {
        let text =
            "# a comment\nA=1\nexport B = two words # said\nC=\"x\\ny\" # quoted\nD='one\ntwo'\n\nE=\nA=2\nF=a=b";
        let values = parse(text).unwrap();
        let expected = [("B", "two words"), ("C", "x\ny"), ("D", "one\ntwo"), ("E", ""), ("A", "2"), ("F", "a=b")];
        let expected: Values = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn what_is_no_value_is_told_by_its_line() {
        assert_eq!(parse("A=1\nnonsense\n"), Err(2));
        assert_eq!(parse("A='open\nB=1\n"), Err(1));
        assert_eq!(parse("two words=1"), Err(1));
    }
}
