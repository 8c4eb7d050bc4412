//! `greenlight config`: what the settings are, where each comes from, and whether they can be used.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use greenlight_core::config as core_config;
use greenlight_workflow::yaml::SIZE_MAX;

use super::{Exit, Settings, environment, input};
use crate::config::{self, Config};

/// What stands for a value that nobody says, where there is no default.
const NOT_SET: &str = "(not set)";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print every setting. Secrets are only said to be there.
    Show {
        #[command(flatten)]
        settings: Settings,
        /// Tell where each value comes from.
        #[arg(long)]
        origin: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the settings as `serve` would, without starting anything; or a repository's `.greenlight.yml`.
    Check {
        /// A `.greenlight.yml` to check in place of the settings; `-` is standard input.
        #[arg(value_name = "FILE", conflicts_with_all = ["config", "origin"])]
        file: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
        /// Print the settings and where each value comes from as well.
        #[arg(long)]
        origin: bool,
        /// Print what is wrong with the file as JSON.
        #[arg(long, requires = "file")]
        json: bool,
    },
}

pub fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Show { settings, origin, json } => show(&settings, origin, json),
        Verb::Check { file: Some(file), json, .. } => check_file(&file, json),
        Verb::Check { settings, origin, .. } => {
            let config = Config::load(settings.config.as_deref(), &environment())?;
            for warning in &config.warnings {
                eprintln!("warning: {warning}");
            }
            if origin {
                show(&settings, true, false)?;
            }
            println!("the settings can be used");
            Ok(Exit::Done)
        }
    }
}

/// Tells everything that is wrong with a `.greenlight.yml`.
fn check_file(file: &Path, json: bool) -> anyhow::Result<Exit> {
    let text = input::text(file, SIZE_MAX as u64)?;
    let name = file.display().to_string();
    let findings = core_config::check(&text).err().unwrap_or_default();
    for finding in &findings {
        match json {
            true => println!(
                "{}",
                serde_json::json!({
                    "file": name, "line": finding.span.line, "column": finding.span.column, "code": finding.code,
                    "message": finding.message, "help": finding.help,
                })
            ),
            false => println!("{}", finding.render(&name, &text)),
        }
    }
    if !findings.is_empty() {
        if !json {
            let count = findings.len();
            println!("{count} {} in {name}", if count == 1 { "error" } else { "errors" });
        }
        return Ok(Exit::Failed);
    }
    if !json {
        println!("nothing is wrong with {name}");
    }
    Ok(Exit::Done)
}

fn show(settings: &Settings, origin: bool, json: bool) -> anyhow::Result<Exit> {
    let shown = config::show(settings.config.as_deref(), &environment())?;
    for setting in shown {
        let (key, given, from) = (&setting.key, &setting.value, setting.origin.to_string());
        let value = given.as_deref().unwrap_or(NOT_SET);
        match (json, origin) {
            (true, _) => println!("{}", serde_json::json!({"key": key, "value": given, "origin": from})),
            (false, true) => println!("{key} = {value}  ({from})"),
            (false, false) => println!("{key} = {value}"),
        }
    }
    Ok(Exit::Done)
}
