//! Which program runs a script, and how.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A shell: a program, its arguments, and the ending that its scripts have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    program: String,
    arguments: Vec<String>,
    ending: &'static str,
}

/// Why a script cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShellError {
    /// The text names no shell.
    #[error(
        "Invalid shell option '{0}'. Shell must be a valid built-in (bash, sh, python, pwsh) or a format string containing '{{0}}'"
    )]
    Format(String),
    /// The program is not there.
    #[error("the shell '{0}' is not on the PATH of this machine")]
    Missing(String),
}

impl Shell {
    /// Reads `shell:`; where none is written it is bash, or sh on a machine without it.
    pub(crate) fn of(written: Option<&str>, path: &str) -> Result<Self, ShellError> {
        let known = |program: &str, arguments: &[&str], ending| Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            ending,
        };
        Ok(match written {
            None if find("bash", path).is_some() => known("bash", &["-e", "{0}"], ".sh"),
            None | Some("sh") => known("sh", &["-e", "{0}"], ".sh"),
            Some("bash") => known("bash", &["--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"], ".sh"),
            Some("python") => known("python", &["{0}"], ".py"),
            Some(powershell @ ("pwsh" | "powershell")) => known(powershell, &["-command", ". '{0}'"], ".ps1"),
            Some(custom) => Self::custom(custom)?,
        })
    }

    fn custom(written: &str) -> Result<Self, ShellError> {
        let mut words = words(written).into_iter();
        match words.next() {
            Some(program) if words.clone().any(|word| word.contains("{0}")) => {
                let ending = if program == "bash" || program == "sh" { ".sh" } else { "" };
                Ok(Self { program, arguments: words.collect(), ending })
            }
            _ => Err(ShellError::Format(written.to_owned())),
        }
    }

    /// Returns the ending of a script's file.
    pub(crate) fn ending(&self) -> &'static str {
        self.ending
    }

    /// Returns the script as the shell wants it.
    pub(crate) fn script(&self, text: &str) -> String {
        let text = text.replace("\r\n", "\n");
        if self.ending == ".ps1" {
            let after = "if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }";
            return format!("$ErrorActionPreference = 'stop'\n{text}\n{after}\n");
        }
        text
    }

    /// Returns the program by its name alone, and its arguments for a script.
    pub(crate) fn command_by_name(&self, script: &Path) -> (PathBuf, Vec<OsString>) {
        let script = script.display().to_string();
        let arguments = self.arguments.iter().map(|argument| argument.replace("{0}", &script).into());
        (PathBuf::from(&self.program), arguments.collect())
    }

    /// Returns the program and its arguments for a script.
    pub(crate) fn command(&self, script: &Path, path: &str) -> Result<(PathBuf, Vec<OsString>), ShellError> {
        let program = find(&self.program, path).ok_or_else(|| ShellError::Missing(self.program.clone()))?;
        let script = script.display().to_string();
        Ok((program, self.arguments.iter().map(|argument| argument.replace("{0}", &script).into()).collect()))
    }

    /// Returns the command line, as it is shown.
    pub(crate) fn shown(&self, path: &str) -> String {
        let program = find(&self.program, path).unwrap_or_else(|| self.program.clone().into());
        format!("{} {}", program.display(), self.arguments.join(" "))
    }
}

/// Finds a program on a path.
pub(crate) fn find(program: &str, path: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(program))
        .find(|file| file.is_file())
}

/// Splits a command line at blanks that are not within double quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut is_quoted, mut has_word) = (false, false);
    for letter in text.chars() {
        match letter {
            '"' => {
                is_quoted = !is_quoted;
                has_word = true;
            }
            blank if blank.is_whitespace() && !is_quoted => {
                if has_word {
                    words.push(std::mem::take(&mut word));
                }
                has_word = false;
            }
            letter => {
                word.push(letter);
                has_word = true;
            }
        }
    }
    if has_word {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/usr/bin:/bin";

    #[test]
    fn shells_are_called_as_github_calls_them() {
        let shown = |written| Shell::of(written, PATH).unwrap().arguments.join(" ");
        assert_eq!(shown(None), "-e {0}");
        assert_eq!(shown(Some("bash")), "--noprofile --norc -e -o pipefail {0}");
        assert_eq!(shown(Some("sh")), "-e {0}");
        assert_eq!(shown(Some("perl -w \"{0} x\"")), "-w {0} x");
        assert_eq!(Shell::of(None, "/nowhere").unwrap().program, "sh");
    }

    #[test]
    fn powershell_stops_at_errors_and_ends_with_the_last_code() {
        let shell = Shell::of(Some("pwsh"), PATH).unwrap();
        let script = shell.script("Get-Item x\r\nexit");
        assert!(script.starts_with("$ErrorActionPreference = 'stop'\nGet-Item x\nexit\n"), "{script}");
        assert!(script.contains("exit $LASTEXITCODE"));
        assert_eq!((shell.ending(), shell.arguments.join(" ").as_str()), (".ps1", "-command . '{0}'"));
        assert_eq!(Shell::of(Some("powershell"), PATH).unwrap().ending(), ".ps1");
    }

    #[test]
    fn a_shell_without_a_place_for_the_script_is_refused() {
        for written in ["fish", "", "perl -w"] {
            assert_eq!(Shell::of(Some(written), PATH), Err(ShellError::Format(written.into())));
        }
        let missing = Shell::of(Some("no-such-shell {0}"), PATH).unwrap().command(Path::new("x"), PATH);
        assert_eq!(missing, Err(ShellError::Missing("no-such-shell".into())));
    }
}
