//! `greenlight config`: what the settings are, where each comes from, and whether they can be used.

use clap::Subcommand;

use super::{Exit, Settings, environment};
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
    /// Check the settings as `serve` would, without starting anything.
    Check {
        #[command(flatten)]
        settings: Settings,
        /// Print the settings and where each value comes from as well.
        #[arg(long)]
        origin: bool,
    },
}

pub fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Show { settings, origin, json } => show(&settings, origin, json),
        Verb::Check { settings, origin } => {
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
