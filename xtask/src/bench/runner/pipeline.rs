//! A hundred trivial jobs in `greenlight exec`, in turn with an equal pipeline in npm's `gitlab-ci-local`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::bench::goal::Goal;
use crate::bench::machine::Watch;
use crate::bench::{Options, git, median, scratch};

const JOBS: usize = 100;
/// We are no slower.
const RATIO_MAX: f64 = 1.0;
const PEER: &str = "gitlab-ci-local@4.75.1";
/// It wants a newer Node than Debian 12 has: npm has that as a package like any other.
const NODE_MAJOR: &str = "22";

/// Measures.
pub fn measure(root: &Path, options: &Options, watch: &mut Option<Watch>) -> Result<Vec<Goal>, Box<dyn Error>> {
    let program = options.program(root)?;
    let peer = Peer::install(root)?;
    let folder = scratch("pipeline")?;
    fill(&folder)?;
    *watch = Some(Watch::begin());
    let (mut ours, mut bare, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let mut exec = Command::new(&program);
        ours.push(seconds(exec.args(["exec", "push"]).current_dir(&folder))?);
        let mut exec = Command::new(&program);
        bare.push(seconds(exec.args(["exec", "push", "--isolation", "none"]).current_dir(&folder))?);
        // What an earlier run left is nothing that it needs.
        let _ = fs::remove_dir_all(folder.join(".gitlab-ci-local"));
        theirs.push(seconds(Command::new(&peer.node).arg(&peer.script).current_dir(&folder))?);
    }
    let _ = fs::remove_dir_all(folder);
    let (ours, bare, theirs) = (median(&ours), median(&bare), median(&theirs));
    println!(
        "{JOBS} trivial jobs: exec {ours:.2} s, with --isolation none {bare:.2} s; gitlab-ci-local, which isolates nothing, {theirs:.2} s"
    );
    Ok(vec![Goal::new("100 trivial jobs in exec over gitlab-ci-local", ours / theirs, RATIO_MAX, "times")])
}

struct Peer {
    node: PathBuf,
    script: PathBuf,
}

impl Peer {
    /// Installs it where the peers have their packages.
    fn install(root: &Path) -> Result<Self, Box<dyn Error>> {
        if !Command::new("rsync").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Err("gitlab-ci-local needs rsync: apt-get install rsync".into());
        }
        let cache = std::env::var_os("PEERS_CACHE").map_or_else(|| root.join("target/peers"), PathBuf::from);
        let folder = cache.join("runner");
        fs::create_dir_all(&folder)?;
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let node = format!("node-linux-{architecture}");
        let status = Command::new("npm")
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"])
            .arg("--prefix")
            .arg(&folder)
            .args([PEER, &format!("{node}@{NODE_MAJOR}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("npm could not install {PEER}").into());
        }
        let modules = folder.join("node_modules").canonicalize()?;
        let script = modules.join(".bin/gitlab-ci-local").canonicalize()?;
        Ok(Self { node: modules.join(node).join("bin/node"), script })
    }
}

/// Makes a repository with the same jobs for both.
fn fill(folder: &Path) -> Result<(), Box<dyn Error>> {
    let jobs = |job: &dyn Fn(usize) -> String| (1..=JOBS).map(job).collect::<String>();
    let ours = jobs(&|number| format!("  j{number}:\n    runs-on: ubuntu-latest\n    steps:\n      - run: 'true'\n"));
    fs::create_dir_all(folder.join(".github/workflows"))?;
    fs::write(folder.join(".github/workflows/ci.yml"), format!("on: push\njobs:\n{ours}"))?;
    fs::write(folder.join(".gitlab-ci.yml"), jobs(&|number| format!("j{number}:\n  script: [\"true\"]\n")))?;
    fs::write(folder.join(".gitignore"), ".gitlab-ci-local\n")?;
    let place = folder.display().to_string();
    git(&["init", "--quiet", "--initial-branch", "main", &place])?;
    git(&["-C", &place, "add", "."])?;
    let author = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"];
    git(&[&["-C", &place], &author[..], &["commit", "--quiet", "--message", "jobs"]].concat())?;
    git(&["-C", &place, "remote", "add", "origin", "git@example.org:acme/app.git"])
}

/// Returns how long a program took.
fn seconds(command: &mut Command) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = began.elapsed().as_secs_f64();
    if output.status.success() {
        return Ok(took);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said.lines().rev().take(5).collect::<Vec<_>>().join("\n");
    Err(format!("{command:?} ended with {}: {said}", output.status).into())
}
