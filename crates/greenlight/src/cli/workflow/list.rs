//! `workflow list`: the workflows of the repository one stands in.

use clap::Args;
use greenlight_workflow::parse_workflow;
use serde_json::json;

use super::source;
use crate::cli::Exit;

#[derive(Debug, Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn perform(list: &List) -> anyhow::Result<Exit> {
    let here = std::env::current_dir()?;
    let files = source::repository(&here).map(|root| source::workflows(&root)).unwrap_or_default();
    let mut listed = Vec::new();
    for file in &files {
        let path = source::shown(file);
        let text = match source::read(file) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("greenlight: {error}");
                listed.push(json!({"path": path, "name": path, "events": [], "errors": 1}));
                continue;
            }
        };
        let parsed = parse_workflow(&path, &text);
        let errors = parsed.findings.iter().filter(|finding| finding.is_error()).count();
        let (name, events) = match &parsed.workflow {
            Some(workflow) => (
                workflow.title().to_owned(),
                workflow.on.events.iter().map(|event| event.name.clone()).collect::<Vec<_>>(),
            ),
            None => (path.clone(), Vec::new()),
        };
        if !list.json {
            let about = match errors {
                0 => events.join(", "),
                1 => "1 error: greenlight workflow check says which".into(),
                count => format!("{count} errors: greenlight workflow check says which"),
            };
            println!("{path}  {name}  {about}");
        }
        listed.push(json!({"path": path, "name": name, "events": events, "errors": errors}));
    }
    if list.json {
        println!("{}", json!({ "workflows": listed }));
    }
    if files.is_empty() {
        eprintln!("greenlight: there is no workflow here");
        return Ok(Exit::Missing);
    }
    Ok(Exit::Done)
}
