//! Actions that are JavaScript.

use std::path::{Path, PathBuf};

use greenlight_workflow::ActionRuns;

use crate::hook::{ActionCall, Part};
use crate::job::{JobRun, RunnerOptions};
use crate::manifest::Inputs;
use crate::process::Program;
use crate::script::shown_entries;
use crate::shelf::Action;
use crate::shell;
use crate::step::{StepEnd, StepScope};

/// The versions that are gone: what asks for them gets the newest that there is.
const OLD_MAX: u32 = 16;

impl JobRun {
    /// Runs one part of a JavaScript action.
    pub(crate) async fn run_node(&self, call: ActionCall<'_>) -> StepEnd {
        let ActionCall { frame, scope, action, part, inputs } = call;
        let ActionRuns::Node { version, main, pre, post, .. } = &action.manifest.runs else {
            return StepEnd::failure(format!("uses {}, which is no JavaScript", action.name));
        };
        let script = match part {
            Part::Pre => pre.as_ref(),
            Part::Main => Some(main),
            Part::Post => post.as_ref(),
        };
        let Some(script) = script else { return StepEnd::success(Vec::new()) };
        let (node, script) = match self.node(*version).and_then(|node| Ok((node, script_of(action, script)?))) {
            Ok(found) => found,
            Err(why) => return StepEnd::failure(why),
        };
        let files = match self.step_files() {
            Ok(files) => files,
            Err(error) => return StepEnd::failure(format!("cannot be given its files: {error}")),
        };
        let mut kept = action.kept();
        let mut env = self.variables(frame, scope, &files, Some(&action.place));
        env.extend(inputs.variables());
        self.add_for_actions(&mut env, &kept);
        self.log.write_behind(scope.at.index, shown(action, part, inputs, scope).as_bytes()).await;
        let folder = self.workspace.workspace.clone();
        let program = Program { path: node, arguments: vec![script.into()], env, folder };
        let end = self.run_program(&self.place, frame, scope, program, files, &mut kept).await;
        action.keep(kept);
        end
    }

    /// Finds the Node for an action: the one that is set for its version, else the one on the path of the machine.
    fn node(&self, version: u32) -> Result<PathBuf, String> {
        node_for(&self.options, version, self.inherited.get("PATH").map(String::as_str).unwrap_or_default())
    }
}

fn node_for(options: &RunnerOptions, version: u32, path: &str) -> Result<PathBuf, String> {
    let newest = || options.nodes.iter().max_by_key(|(version, _)| **version).map(|(_, node)| node);
    let set = options.nodes.get(&version).or_else(|| newest().filter(|_| version <= OLD_MAX));
    set.cloned().or_else(|| shell::find("node", path)).ok_or_else(|| {
        format!(
            "needs Node {version}, and there is none: put `node` on the PATH of the runner, or say in its settings where Node \
             {version} is"
        )
    })
}

/// Returns the script of an action, which must be one of its own files or of the repository that it comes from.
fn script_of(action: &Action, script: &str) -> Result<PathBuf, String> {
    let file = action.place.path.join(Path::new(script));
    if file.is_file() { Ok(file) } else { Err(format!("uses {}, which has no file '{script}'", action.name)) }
}

/// Returns what is shown of an action before it runs.
fn shown(action: &Action, part: Part, inputs: &Inputs, scope: &StepScope<'_>) -> String {
    let word = match part {
        Part::Pre => "Pre run",
        Part::Main => "Run",
        Part::Post => "Post run",
    };
    let given = inputs.values.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value));
    let (with, env) = (shown_entries("with", given), shown_entries("env", scope.env.iter()));
    format!("##[group]{word} {}\n{with}{env}##[endgroup]\n", action.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_the_one_that_is_set_else_the_one_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("node"), "").unwrap();
        let path = folder.path().display().to_string();
        let mut options = RunnerOptions::new("x", "x");
        for version in [16, 20, 24] {
            assert_eq!(node_for(&options, version, &path), Ok(folder.path().join("node")));
        }
        assert!(node_for(&options, 20, "/nowhere").unwrap_err().contains("needs Node 20, and there is none"));
        options.nodes.insert(20, "/opt/node20".into());
        options.nodes.insert(24, "/opt/node24".into());
        assert_eq!(node_for(&options, 20, &path), Ok("/opt/node20".into()));
        assert_eq!(node_for(&options, 16, &path), Ok("/opt/node24".into()));
    }
}
