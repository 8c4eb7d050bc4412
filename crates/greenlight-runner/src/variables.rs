//! The variables that every step gets, whatever its workflow says.

use std::collections::BTreeMap;

use greenlight_workflow::Value;
use greenlight_workflow::event::GITHUB_VARIABLES;

use crate::contexts::ActionPlace;
use crate::leftovers::MARK;
use crate::workspace::Workspace;

/// What of the server's own environment a job may see: where programs are, how the machine speaks, how it reaches the network.
const INHERITED: [&str; 17] = [
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "USER",
    "LOGNAME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
];

/// Where programs are looked for where nobody says so.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The machine's architecture, in GitHub's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "X64",
        "x86" => "X86",
        "aarch64" => "ARM64",
        "arm" => "ARM",
        other => other,
    }
}

/// Returns what a job inherits of the machine it runs on.
pub(crate) fn inherited(workspace: &Workspace) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> =
        INHERITED.iter().filter_map(|&name| Some((name.to_owned(), std::env::var(name).ok()?))).collect();
    variables.entry("PATH".into()).or_insert_with(|| PATH.into());
    variables.insert("HOME".into(), workspace.home.display().to_string());
    variables.insert("TMPDIR".into(), workspace.temp.display().to_string());
    variables
}

/// Sets the variables that are the same for all steps and that no workflow can change.
pub(crate) fn force(
    variables: &mut BTreeMap<String, String>,
    workspace: &Workspace,
    runner_name: &str,
    is_debugged: bool,
) {
    if is_debugged {
        variables.insert("RUNNER_DEBUG".into(), "1".into());
    }
    variables.entry("CI".into()).or_insert_with(|| "true".into());
    let runner_workspace = workspace.workspace.parent().unwrap_or(&workspace.workspace);
    let forced = [
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GREENLIGHT", "true".to_owned()),
        ("RUNNER_OS", "Linux".to_owned()),
        ("RUNNER_ARCH", architecture().to_owned()),
        ("RUNNER_NAME", runner_name.to_owned()),
        ("RUNNER_ENVIRONMENT", "self-hosted".to_owned()),
        ("RUNNER_TEMP", workspace.temp.display().to_string()),
        ("RUNNER_TOOL_CACHE", workspace.tools.display().to_string()),
        ("RUNNER_WORKSPACE", runner_workspace.display().to_string()),
        (MARK, workspace.root.display().to_string()),
    ];
    variables.extend(forced.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

/// Sets the variables that repeat the `github` context.
pub(crate) fn force_github(variables: &mut BTreeMap<String, String>, github: &Value) {
    for name in GITHUB_VARIABLES {
        let value = github.get(name);
        if value.is_null() {
            // What the workflow set in its place is not GitHub's.
            variables.remove(&format!("GITHUB_{}", name.to_ascii_uppercase()));
        } else if value.is_scalar() {
            variables.insert(format!("GITHUB_{}", name.to_ascii_uppercase()), value.coerce_string().to_string());
        }
    }
}

/// Sets the variables that name the action that runs.
pub(crate) fn force_action(variables: &mut BTreeMap<String, String>, place: &ActionPlace) {
    variables.insert("GITHUB_ACTION_PATH".into(), place.path.display().to_string());
    for (name, value) in [("GITHUB_ACTION_REPOSITORY", &place.repository), ("GITHUB_ACTION_REF", &place.git_ref)] {
        match value {
            Some(value) => variables.insert(name.into(), value.clone()),
            None => variables.remove(name),
        };
    }
}

/// Puts folders before the others of a path, the last one first, each once.
pub(crate) fn prepend(path: &str, folders: &[String]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for folder in folders.iter().rev().map(String::as_str).chain(path.split(':')) {
        if !folder.is_empty() && !all.contains(&folder) {
            all.push(folder);
        }
    }
    all.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_folder_comes_first_and_each_once() {
        let folders = ["/a".to_owned(), "/b".to_owned(), "/a".to_owned()];
        assert_eq!(prepend("/usr/bin:/b:/bin", &folders), "/a:/b:/usr/bin:/bin");
        assert_eq!(prepend("/bin", &[]), "/bin");
    }
}
