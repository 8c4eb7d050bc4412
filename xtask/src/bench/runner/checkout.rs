//! A checkout from the mirror, after the first, in turn with a shallow clone of the same repository from where the mirror comes from.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::bench::clock::Clock;
use crate::bench::goal::Goal;
use crate::bench::machine::Watch;
use crate::bench::site::{Profile, Site, until};
use crate::bench::{Options, git, median, scratch};

/// A second checkout over a shallow clone.
const RATIO_MAX: f64 = 0.25;
const FOLDERS: u32 = 300;
const FILES_PER_FOLDER: u32 = 10;
/// How many lines a file has, at least, and how many more at most.
const LINES: (u32, u32) = (20, 600);
const BRANCH: &str = "tree";

/// Measures.
pub fn measure(root: &Path, options: &Options, watch: &mut Option<Watch>) -> Result<Vec<Goal>, Box<dyn Error>> {
    let program = options.program(root)?;
    let clock = Clock::start()?;
    let site = Site::start(&program, Profile::Ghes, &json!({ "README.md": "Nothing yet.\n" }), "")?;
    let folder = scratch("checkout")?;
    let sha = push_repository(&site, &folder.join("made.git"), &clock.target())?;
    let first = checked_out(&site, &clock, BRANCH)?;
    *watch = Some(Watch::begin());
    let (mut ours, mut clones) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        clones.push(cloned(&site, &folder.join("clone"))?);
        let branch = format!("{BRANCH}-{round}");
        site.point(&branch, &sha)?;
        ours.push(checked_out(&site, &clock, &branch)?);
    }
    drop(site);
    let _ = fs::remove_dir_all(folder);
    let (ours, clone) = (median(&ours), median(&clones));
    println!(
        "checkout of {} files: {ours:.0} ms from the mirror (the first {first:.0} ms), git clone --depth 1 {clone:.0} ms",
        FOLDERS * FILES_PER_FOLDER
    );
    Ok(vec![Goal::new("a second checkout over git clone --depth 1", ours / clone, RATIO_MAX, "times")])
}

/// Waits for the run of a branch, and returns how long its checkout took: from the end of the step before to the next one's beginning.
fn checked_out(site: &Site, clock: &Clock, branch: &str) -> Result<f64, Box<dyn Error>> {
    let told =
        |when: &str| until(&format!("{branch} {when} its checkout"), || Ok(clock.of(&format!("{branch}/{when}"))));
    let took = -told("before")? + told("after")?;
    until("the run", || Ok(site.all_runs_are_over()?.then_some(())))?;
    Ok(took)
}

fn cloned(site: &Site, dest: &Path) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    let (url, place) = (site.clone_url(), dest.display().to_string());
    git(&["clone", "--quiet", "--depth", "1", "--branch", BRANCH, &url, &place])?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    fs::remove_dir_all(dest)?;
    Ok(took)
}

/// Makes a repository of a few thousand files with a workflow, and pushes it. Returns its commit.
fn push_repository(site: &Site, made: &Path, clock: &str) -> Result<String, Box<dyn Error>> {
    let place = made.display().to_string();
    git(&["init", "--quiet", "--bare", &place])?;
    let mut import = Command::new("git")
        .args(["-C", &place, "fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut input = import.stdin.take().ok_or("git fast-import has no input")?;
    let wrote = input.write_all(stream(clock).as_bytes());
    drop(input);
    if !import.wait()?.success() {
        return Err("git fast-import failed".into());
    }
    wrote?;
    let refspec = format!("{BRANCH}:refs/heads/{BRANCH}");
    git(&["-C", &place, "-c", "http.postBuffer=268435456", "push", "--quiet", &site.push_url(), &refspec])?;
    let output = Command::new("git").args(["-C", &place, "rev-parse", BRANCH]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Returns what git's fast-import makes the repository of.
fn stream(clock: &str) -> String {
    let tell = |when: &str| format!("echo \"$GITHUB_REF_NAME/{when} $EPOCHREALTIME\" >'{clock}'");
    let workflow = format!(
        "on:\n  push:\n    branches: ['{BRANCH}*']\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: {}\n      \
         - uses: actions/checkout@v4\n      - run: {}\n",
        tell("before"),
        tell("after")
    );
    let mut stream =
        format!("commit refs/heads/{BRANCH}\ncommitter bench <bench@example.org> 1700000000 +0000\ndata 5\nfiles\n");
    add(&mut stream, ".github/workflows/checkout.yml", &workflow);
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for folder in 0..FOLDERS {
        for file in 0..FILES_PER_FOLDER {
            let text = noise.text();
            add(&mut stream, &format!("crates/part-{}/src/area_{folder}/file_{file}.rs", folder % 20), &text);
        }
    }
    stream
}

fn add(stream: &mut String, path: &str, text: &str) {
    // Writing to a string does not fail.
    let _ = write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len());
}

/// Numbers that look like chance and are the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 32) % u64::from(below)).unwrap_or(0)
    }

    /// Returns a text that compresses about as a program's does.
    fn text(&mut self) -> String {
        const WORDS: [&str; 12] = [
            "let",
            "self",
            "return",
            "match",
            "value",
            "Result<Vec<u8>, Error>",
            "for",
            "impl",
            "=>",
            "{",
            "}",
            "// because",
        ];
        let lines = LINES.0 + self.next(LINES.1) * self.next(100) / 100;
        let mut text = String::new();
        for _ in 0..lines {
            for _ in 0..1 + self.next(7) {
                let word = WORDS[self.next(12) as usize];
                let _ = write!(text, "    {word} name_{:x}", self.next(4096));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_the_same_every_time() {
        let made = stream("/dev/null");
        assert_eq!(made, stream("/dev/null"));
        assert!(made.len() > 10 << 20 && made.len() < 60 << 20, "{}", made.len());
    }
}
