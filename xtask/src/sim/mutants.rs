//! Planted bugs: each is a patch against the core, named after what it brings back (F…, S… of the reliability page; K… of the clock).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cargo;

/// Where the seeds begin: three different starts.
const STARTS: [u64; 3] = [0, 1_000_000, 2_000_000];
/// How many seeds a bug may hide in.
const SEEDS_MAX: u64 = 1000;
/// How many steps each seed has.
const STEPS: u64 = 2000;
/// The crates that are copied.
const COPIED: [&str; 3] = ["greenlight-core", "greenlight-workflow", "greenlight-sim"];

/// Plants the bugs. Returns whether each was found, and nothing else was.
pub fn run(root: &Path, names: &[String]) -> Result<bool, String> {
    let patches = patches(root, names)?;
    let copy = root.join("target/mutants");
    lay_out(root, &copy)?;
    let sound = build(root, &copy, "sound")?;
    let mut furthest = [0; STARTS.len()];
    let mut all_found = true;
    for patch in &patches {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        apply(&copy, patch, false)?;
        let mutated = build(root, &copy, &name);
        apply(&copy, patch, true)?;
        let program = mutated.map_err(|problem| format!("{name} does not build: {problem}"))?;
        let mut found = Vec::new();
        for (start, furthest) in STARTS.iter().zip(&mut furthest) {
            let seed = first_failure(&program, *start, SEEDS_MAX)?;
            if let Some((seed, _)) = &seed {
                *furthest = u64::max(*furthest, seed - start + 1);
            }
            found.push(seed);
        }
        all_found &= found.iter().all(Option::is_some);
        println!("  {name}: {}", told(&found));
    }
    Ok(all_found & is_sound(&sound, furthest)?)
}

/// Lives the seeds that found the bugs without any bug.
fn is_sound(program: &Path, furthest: [u64; STARTS.len()]) -> Result<bool, String> {
    let mut sound = true;
    for (start, count) in STARTS.iter().zip(furthest) {
        match first_failure(program, *start, count)? {
            None => println!("  without a bug: {count} seeds from {start} pass"),
            Some((seed, what)) => {
                sound = false;
                println!("  without a bug: seed {seed} fails by {what}: cargo xtask sim --seed {seed} --steps {STEPS}");
            }
        }
    }
    Ok(sound)
}

fn told(found: &[Option<(u64, String)>]) -> String {
    let one = |(start, seed): (&u64, &Option<(u64, String)>)| match seed {
        Some((seed, what)) => format!("{} seeds from {start} ({what})", seed - start + 1),
        None => format!("NOT FOUND within {SEEDS_MAX} seeds from {start}"),
    };
    STARTS.iter().zip(found).map(one).collect::<Vec<_>>().join(", ")
}

/// Returns the first seed that fails, and by what.
fn first_failure(program: &Path, start: u64, count: u64) -> Result<Option<(u64, String)>, String> {
    let output = Command::new(program)
        .args(["--first", "--steps", &STEPS.to_string(), "--seeds", &format!("{start}..{}", start + count)])
        .output()
        .map_err(|problem| format!("{} cannot be started: {problem}", program.display()))?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace();
    match (words.next().and_then(|seed| seed.parse().ok()), words.next()) {
        (Some(seed), what) => Ok(Some((seed, what.unwrap_or_default().to_owned()))),
        (None, _) => Err(format!("the simulation ended without a word: {}", output.status)),
    }
}

/// Returns the patches, all or those that are named.
fn patches(root: &Path, names: &[String]) -> Result<Vec<PathBuf>, String> {
    let folder = root.join("mutants");
    let entries = fs::read_dir(&folder).map_err(|problem| format!("{} cannot be read: {problem}", folder.display()))?;
    let mut patches: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .filter(|path| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            names.is_empty() || names.iter().any(|name| stem == *name || stem.starts_with(&format!("{name}-")))
        })
        .collect();
    patches.sort();
    if patches.is_empty() {
        return Err(format!("there is no such patch in {}", folder.display()));
    }
    Ok(patches)
}

/// Lays a small workspace out below `target/`: the crates as they are, with the workspace's own table of dependencies.
fn lay_out(root: &Path, copy: &Path) -> Result<(), String> {
    let told = |problem: io::Error| format!("{} cannot be laid out: {problem}", copy.display());
    if copy.join("crates").exists() {
        fs::remove_dir_all(copy.join("crates")).map_err(told)?;
    }
    for name in COPIED {
        copy_folder(&root.join("crates").join(name), &copy.join("crates").join(name)).map_err(told)?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(told)?;
    fs::write(copy.join("Cargo.toml"), small_manifest(&manifest)).map_err(told)?;
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).map_err(told)?;
    Ok(())
}

/// Returns the workspace's manifest with the copied crates as its only members.
fn small_manifest(manifest: &str) -> String {
    let mut lines = Vec::new();
    let mut skips = false;
    for line in manifest.lines() {
        let key = line.split('=').next().unwrap_or_default().trim();
        match key {
            "members" => lines.push("members = [\"crates/*\"]"),
            "exclude" | "default-members" => skips = !line.trim_end().ends_with(']'),
            _ if skips => skips = line.trim() != "]",
            _ => lines.push(line),
        }
    }
    lines.join("\n") + "\n"
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        // Tests and examples are not needed, and some are large; a bench is named in its manifest.
        let skipped = ["tests", "examples"].iter().any(|name| entry.file_name() == *name);
        if entry.file_type()?.is_dir() {
            if !skipped {
                copy_folder(&entry.path(), &target)?;
            }
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Applies a patch to the copied core, or takes it back. One that does not apply is a failure: the core moved on.
fn apply(copy: &Path, patch: &Path, back: bool) -> Result<(), String> {
    let mut command = Command::new("patch");
    command.current_dir(copy.join("crates/greenlight-core/src")).args([
        "-p1",
        "--quiet",
        "--no-backup-if-mismatch",
        "-i",
    ]);
    command.arg(patch);
    if back {
        command.arg("-R");
    }
    let output = command.output().map_err(|problem| format!("patch cannot be started: {problem}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{} does not apply to the core any more; make it anew:\n{}",
            patch.display(),
            String::from_utf8_lossy(&output.stdout)
        )),
    }
}

/// Builds the copied simulation and keeps the program under a name of its own.
fn build(root: &Path, copy: &Path, name: &str) -> Result<PathBuf, String> {
    let target = root.join("target/mutants/target");
    let status = Command::new(cargo())
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", &target)
        // Built often and run shortly.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
        .args(["build", "--quiet", "--release", "--offline", "--package", "greenlight-sim"])
        .status()
        .map_err(|problem| format!("cargo cannot be started: {problem}"))?;
    if !status.success() {
        return Err("the copy below target/mutants does not build".to_owned());
    }
    let programs = target.join("programs");
    let kept = programs.join(name);
    let told = |problem: io::Error| format!("{} cannot be kept: {problem}", kept.display());
    fs::create_dir_all(&programs).map_err(told)?;
    fs::copy(target.join("release/greenlight-sim"), &kept).map_err(told)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_manifest_has_only_the_copied_crates() {
        let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\", \"xtask\"]\nexclude = [\"x\"]\n\
            default-members = [\n    \"crates/greenlight\",\n]\n\n[workspace.package]\nedition = \"2024\"\n";
        let small = small_manifest(manifest);
        assert_eq!(
            small,
            "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n\n[workspace.package]\nedition = \"2024\"\n"
        );
    }

    #[test]
    fn what_was_found_is_told_with_its_number_of_seeds() {
        let found = [Some((4, "I13".to_owned())), None, Some((2_000_000, "I2".to_owned()))];
        assert_eq!(
            told(&found),
            "5 seeds from 0 (I13), NOT FOUND within 1000 seeds from 1000000, 1 seeds from 2000000 (I2)"
        );
    }
}
