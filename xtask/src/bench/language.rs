//! `bench language`: what it costs to understand a workflow, and how much quicker than GitHub's own package that is.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use super::machine::{FOREIGN_LOAD_MAX, Watch};
use super::{EXIT_BUSY, Options, build_executable, figure, figures_of, median};

/// Reading, checking and planning a workflow of 300 lines.
const TYPICAL_MICROS_MAX: f64 = 1_000.0;
/// GitHub's package takes at least so many times as long to read it.
const PACKAGE_RATIO_MIN: f64 = 20.0;
/// Ten thousand expressions through `expr --batch`, from the start of the program to its end.
const BATCH_MILLIS_MAX: f64 = 150.0;
/// Refusing the worst file of a megabyte.
const MEGABYTE_MILLIS_MAX: f64 = 50.0;
/// The same for the worst that is not too large. The bound is our own: what takes long there grows with the square of the file.
const LARGEST_MILLIS_MAX: f64 = 150.0;
/// The most memory while all of it is read, hostile files included.
const MEGABYTES_MAX: f64 = 256.0;

const EXPRESSIONS: usize = 10_000;
const TYPICAL: &str = "crates/greenlight-workflow/benches/typical.yml";

/// Measures and judges.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let program = options.program(root)?;
    let measure = build_executable(root, &["bench", "--package", "greenlight-workflow", "--bench", "language"])?;
    let package = install_package(root)?;
    let asked = expressions();
    let watch = Watch::begin();
    let (mut own, mut read, mut theirs, mut batch) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut figures = BTreeMap::new();
    for _ in 0..options.rounds {
        figures = figures_of(Command::new(&measure).arg("--bench"))?;
        own.push(figure(&figures, "typical_whole_micros")?);
        // What was read is let go as well: the package's figure has its garbage collection in it.
        read.push(figure(&figures, "typical_read_micros")? + figure(&figures, "typical_free_micros")?);
        let answered = figures_of(Command::new(node()).arg(package.join("bench.mjs")).arg(root.join(TYPICAL)))?;
        theirs.push(figure(&answered, "package_micros")?);
        batch.push(batch_millis(&program, &asked)?);
    }
    let foreign = watch.foreign_load();
    let (own, read, theirs, batch) = (median(&own), median(&read), median(&theirs), median(&batch));
    let megabyte = figure(&figures, "megabyte_millis")?;
    let largest = figure(&figures, "largest_millis")?;
    let memory = figure(&figures, "resident_kilobytes")? / 1024.0;
    let lines = figure(&figures, "typical_lines")?;
    let ratio = theirs / read;
    println!("a workflow of {lines} lines read, checked and planned in {own:.0} µs (at most {TYPICAL_MICROS_MAX})");
    println!(
        "read and let go in {read:.0} µs; @actions/workflow-parser takes {theirs:.0} µs: {ratio:.1} times as long (at least {PACKAGE_RATIO_MIN})"
    );
    println!("{EXPRESSIONS} expressions through --batch in {batch:.0} ms (at most {BATCH_MILLIS_MAX})");
    println!(
        "the worst file of a megabyte refused in {megabyte:.1} ms (at most {MEGABYTE_MILLIS_MAX}); the worst that is not too large in {largest:.0} ms (at most {LARGEST_MILLIS_MAX})"
    );
    println!("at most {memory:.0} MB of memory (at most {MEGABYTES_MAX})");
    if foreign > FOREIGN_LOAD_MAX {
        println!("something else kept {foreign:.1} cores busy meanwhile: nothing is judged");
        return Ok(ExitCode::from(EXIT_BUSY));
    }
    let met = own <= TYPICAL_MICROS_MAX
        && ratio >= PACKAGE_RATIO_MIN
        && batch <= BATCH_MILLIS_MAX
        && megabyte <= MEGABYTE_MILLIS_MAX
        && largest <= LARGEST_MILLIS_MAX
        && memory <= MEGABYTES_MAX;
    println!("{}", if met { "all goals met" } else { "a goal was missed" });
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs GitHub's package where the peers have theirs, and returns that folder.
fn install_package(root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let cache = std::env::var_os("PEERS_CACHE").map_or_else(|| root.join("target/peers"), PathBuf::from);
    let folder = cache.join("language");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(root.join("peers/language"))? {
        let file = entry?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    let status = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(folder) } else { Err("npm could not install @actions/workflow-parser".into()) }
}

/// Returns the program that runs JavaScript.
fn node() -> PathBuf {
    std::env::var_os("NODE").map_or_else(|| "node".into(), PathBuf::from)
}

/// Returns ten thousand expressions of the kinds that workflows have, with their contexts.
fn expressions() -> String {
    const KINDS: [&str; 8] = [
        "github.event_name == 'push' && github.ref == 'refs/heads/main'",
        "startsWith(github.ref, 'refs/tags/v') || inputs.publish",
        "format('{0}-{1}', github.workflow, github.event.pull_request.number || github.ref)",
        "contains(needs.*.result, 'failure')",
        "fromJSON(needs.changes.outputs.matrix)[1].os",
        "toJSON(github.event.pull_request)",
        "case(github.actor == 'bot', 'skip', matrix.os == 'linux', 'native', 'cross')",
        "join(github.event.labels.*.name, ', ')",
    ];
    const CONTEXTS: &str = concat!(
        r#"{"github":{"event_name":"push","ref":"refs/heads/main","workflow":"CI","actor":"octocat","event":{"pull_request":{"number":7,"#,
        r#""title":"A change"},"labels":[{"name":"bug"},{"name":"help wanted"}]}},"inputs":{"publish":false},"matrix":{"os":"linux"},"#,
        r#""needs":{"changes":{"result":"success","outputs":{"matrix":"[{\"os\":\"a\"},{\"os\":\"b\"}]"}},"build":{"result":"failure"}}}"#
    );
    let line = |at: usize| format!("{{\"expr\":\"{}\",\"contexts\":{CONTEXTS}}}\n", KINDS[at % KINDS.len()]);
    (0..EXPRESSIONS).map(line).collect()
}

fn batch_millis(program: &Path, asked: &str) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    let mut child =
        Command::new(program).args(["expr", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or("the program has no input")?;
    let asked = asked.to_owned();
    let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()));
    let output = child.wait_with_output()?;
    let millis = began.elapsed().as_secs_f64() * 1e3;
    writer.join().map_err(|_| "the expressions could not be written")??;
    let answers = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    let is_right = output.status.success() && answers == EXPRESSIONS && !contains(&output.stdout, b"\"err\"");
    if is_right { Ok(millis) } else { Err(format!("{answers} answers of {EXPRESSIONS}, not all of them right").into()) }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
