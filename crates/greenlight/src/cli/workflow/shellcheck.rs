//! shellcheck, where it is installed.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use greenlight_workflow::{Script, ScriptChecker, ScriptProblem};
use serde::Deserialize;

/// How many bytes of an answer are read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// What cannot be told of a script whose expressions were replaced: sourced files, constant comparisons, unset variables.
const LEFT_OUT: &str = "SC1091,SC2043,SC2050,SC2154,SC2157,SC2194";

/// The program.
pub struct ShellCheck {
    program: PathBuf,
}

#[derive(Deserialize)]
struct Answer {
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    line: u32,
    column: u32,
    #[serde(rename = "endLine")]
    end_line: u32,
    #[serde(rename = "endColumn")]
    end_column: u32,
    code: u32,
    message: String,
}

impl ShellCheck {
    /// Returns shellcheck if it is in the PATH.
    pub fn installed() -> Option<ShellCheck> {
        let path = std::env::var_os("PATH")?;
        let program =
            std::env::split_paths(&path).map(|folder| folder.join("shellcheck")).find(|file| file.is_file())?;
        Some(ShellCheck { program })
    }

    fn start(&self, shell: &str) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(["--norc", "--format=json1", "--exclude", LEFT_OUT, "--shell", shell, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

impl ScriptChecker for ShellCheck {
    fn check(&self, script: &Script) -> Result<Vec<ScriptProblem>, String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.program.display());
        let mut child = self.start(script.shell).map_err(told)?;
        let mut input = child.stdin.take().expect("it was piped");
        let text = script.text.clone();
        // A program that does not read to the end must not hold up the one that reads its answer.
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let mut answer = Vec::new();
        let output = child.stdout.take().expect("it was piped");
        let read = output.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        child.wait().map_err(told)?;
        read.map_err(told)?;
        // A pipe that broke shows in the answer.
        let _ = writer.join();
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|error| format!("its answer is no JSON: {error}"))?;
        let problem = |comment: Comment| ScriptProblem {
            line: comment.line,
            column: comment.column,
            end_line: comment.end_line,
            end_column: comment.end_column,
            name: format!("SC{}", comment.code),
            message: comment.message,
        };
        Ok(answer.comments.into_iter().map(problem).collect())
    }
}
