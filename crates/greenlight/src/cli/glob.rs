//! `greenlight glob`: whether names pass the patterns of a filter, and which pattern decided.

use clap::{Args, ValueEnum};
use greenlight_workflow::glob::Patterns;
use serde_json::json;

use super::{Exit, input};

/// How many bytes of names are read from standard input.
const NAMES_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Args)]
pub struct Glob {
    /// What the names are: a branch or tag may be given as a full ref, a path with a leading `./`.
    #[arg(long, value_enum, default_value_t = Kind::Path)]
    kind: Kind,
    /// A pattern, with --pattern before each; of those that match the last one decides.
    #[arg(long = "pattern", value_name = "PATTERN", required = true, allow_hyphen_values = true)]
    patterns: Vec<String>,
    /// The names; `-` reads them from standard input, one a line.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Branch,
    Path,
}

pub fn perform(glob: &Glob) -> anyhow::Result<Exit> {
    let patterns = Patterns::new(&glob.patterns);
    for pattern in patterns.iter() {
        if let Some(problem) = pattern.problem() {
            eprintln!("greenlight: the pattern '{}' is none: {problem}", pattern.text());
        }
    }
    for name in glob.inputs.iter().filter(|name| name.starts_with('!')) {
        eprintln!("greenlight: '{name}' is taken as a name; write --pattern before each pattern");
    }
    let mut results = Vec::new();
    let mut all = true;
    for name in names(&glob.inputs)? {
        let deciding = patterns.deciding(compared(glob.kind, &name));
        let matches = deciding.is_some_and(|pattern| !pattern.is_negative());
        all &= matches;
        let pattern = deciding.map(|pattern| pattern.text().to_owned());
        if glob.json {
            results.push(json!({"input": name, "matches": matches, "pattern": pattern}));
            continue;
        }
        match (matches, pattern) {
            (true, Some(pattern)) => println!("{name}: matches ({pattern})"),
            (_, Some(pattern)) => println!("{name}: does not match ({pattern} takes it back)"),
            (_, None) => println!("{name}: does not match"),
        }
    }
    if glob.json {
        println!("{}", json!({"results": results}));
    }
    Ok(if all { Exit::Done } else { Exit::Failed })
}

fn names(inputs: &[String]) -> Result<Vec<String>, input::InputError> {
    let mut names = Vec::new();
    for name in inputs {
        if name == input::STANDARD_INPUT {
            let text = input::text(input::STANDARD_INPUT.as_ref(), NAMES_BYTES_MAX)?;
            names.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        } else {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// Returns the name as filters see it.
fn compared(kind: Kind, name: &str) -> &str {
    match kind {
        Kind::Branch => name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name),
        Kind::Path => name.strip_prefix("./").unwrap_or(name),
    }
}
