//! The manifest of an action: found in its folder, read, and its inputs computed.

use std::path::{Path, PathBuf};

use greenlight_workflow::{ActionManifest, ActionRuns, Context, Finding, Value, parse_action};

/// How large a manifest may be.
const MANIFEST_BYTES_MAX: u64 = 512 << 10;

/// The names that a manifest may have.
const FILES: [&str; 2] = ["action.yml", "action.yaml"];

/// What stands in for a manifest: an action may be a Dockerfile alone.
const DOCKERFILE: &str = "Dockerfile";

/// Reads the manifest of the action in `folder`, which a workflow calls `name`. Its files must be below `root`, all links
/// followed. The error is the end of "step 'X' …".
pub(crate) fn read(name: &str, folder: &Path, root: &Path) -> Result<(PathBuf, ActionManifest), String> {
    let unreadable = |error: std::io::Error| format!("uses {name}, whose manifest cannot be read: {error}");
    let root = root.canonicalize().map_err(unreadable)?;
    let find = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    let Some(file) = find(&FILES) else {
        let alone = find(&[DOCKERFILE]).and_then(|_| parse_action(name, DOCKERFILE_ALONE).manifest);
        return alone
            .map(|manifest| (folder.to_owned(), manifest))
            .ok_or_else(|| format!("uses {name}, where there is no action.yml, action.yaml or Dockerfile"));
    };
    let file = file.canonicalize().map_err(unreadable)?;
    if !file.starts_with(&root) {
        return Err(format!("uses {name}, whose manifest is a link that leads out of it"));
    }
    if file.metadata().map_err(unreadable)?.len() > MANIFEST_BYTES_MAX {
        return Err(format!("uses {name}, whose manifest has more than {MANIFEST_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(&file).map_err(unreadable)?;
    let parsed = parse_action(name, &text);
    let why = || {
        parsed.findings.iter().find(|finding| finding.is_error()).map_or_else(
            || format!("uses {name}, which is no action"),
            |finding| format!("uses an action that cannot be read: {}", Finding::summary(finding, name)),
        )
    };
    let manifest = parsed.manifest.clone().ok_or_else(why)?;
    Ok((folder.to_owned(), manifest))
}

/// What an action means that is a Dockerfile and nothing else.
const DOCKERFILE_ALONE: &str = "name: a Dockerfile\nruns: {using: docker, image: Dockerfile}\n";

/// The inputs of one use of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// What the action gets: what it was given, else its defaults; those that it does not know as well.
    pub(crate) values: Vec<(String, String)>,
    /// What is to be said about them.
    pub(crate) warnings: Vec<String>,
}

impl Inputs {
    /// Computes the inputs of an action.
    pub(crate) fn of(
        manifest: &ActionManifest,
        given: Vec<(String, String)>,
        seen: &dyn Context,
    ) -> Result<Self, String> {
        let mut inputs = Self::default();
        for input in &manifest.inputs {
            let own = given.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.name));
            if let (Some(message), Some(_)) = (&input.deprecation_message, own) {
                let warning = format!("Input '{}' has been deprecated with message: {message}", input.name);
                inputs.warnings.push(warning);
            }
            let value = match own {
                Some((_, value)) => value.clone(),
                None => default_of(input, seen)?,
            };
            inputs.values.push((input.name.clone(), value));
        }
        let takes_any = matches!(manifest.runs, ActionRuns::Docker { .. });
        let is_own = |name: &str| {
            let is_dockers = takes_any && ["entrypoint", "args"].iter().any(|known| name.eq_ignore_ascii_case(known));
            is_dockers || manifest.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name))
        };
        let unknown: Vec<&str> = given.iter().map(|(name, _)| name.as_str()).filter(|name| !is_own(name)).collect();
        if !unknown.is_empty() {
            let known: Vec<&str> = manifest.inputs.iter().map(|input| input.name.as_str()).collect();
            let (unknown, known) = (unknown.join("', '"), known.join("', '"));
            inputs.warnings.push(format!("Unexpected input(s) '{unknown}', valid inputs are ['{known}']"));
        }
        let is_missing = |name: &str| !manifest.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name));
        inputs.values.extend(given.into_iter().filter(|(name, _)| is_missing(name)));
        Ok(inputs)
    }

    /// Returns the `inputs` context: only what the manifest knows.
    pub(crate) fn context(&self, manifest: &ActionManifest) -> Value {
        let is_known = |name: &str| manifest.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name));
        let known = self.values.iter().filter(|(name, _)| is_known(name));
        Value::object(known.map(|(name, value)| (name.as_str(), Value::string(value.as_str()))))
    }

    /// Returns the variables that an action reads its inputs from.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.values.iter().map(|(name, value)| {
            let name: String = name.chars().map(|letter| if letter.is_whitespace() { '_' } else { letter }).collect();
            (format!("INPUT_{}", name.to_uppercase()), value.clone())
        })
    }
}

fn default_of(input: &greenlight_workflow::ActionInput, seen: &dyn Context) -> Result<String, String> {
    let value = input.default.as_ref().map(|default| default.evaluate_string(seen)).transpose();
    let value = value.map_err(|error| {
        format!("has an input '{}' whose default cannot be computed: {}", input.name, error.message)
    })?;
    Ok(value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use greenlight_workflow::Contexts;

    use super::*;

    const TEXT: &str = "
name: x
inputs:
  Fetch depth: {default: '1'}
  old: {deprecationMessage: use new}
  fetch-tags: {default: 'no'}
runs: {using: node20, main: x.js}
";

    #[test]
    fn inputs_are_given_by_name_and_warned_about() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("action.yml"), TEXT).unwrap();
        let (_, manifest) = read("octo/x@v1", folder.path(), folder.path()).unwrap();
        let given = vec![("OLD".to_owned(), "1".to_owned()), ("new thing".to_owned(), "2".to_owned())];
        let inputs = Inputs::of(&manifest, given, &Contexts::new()).unwrap();
        let variables: Vec<_> = inputs.variables().collect();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            variables,
            [
                own("INPUT_FETCH_DEPTH", "1"),
                own("INPUT_OLD", "1"),
                own("INPUT_FETCH-TAGS", "no"),
                own("INPUT_NEW_THING", "2")
            ]
        );
        assert_eq!(inputs.warnings.len(), 2, "{:?}", inputs.warnings);
        assert!(inputs.warnings[1].contains("Unexpected input(s) 'new thing', valid inputs are ['Fetch depth'"));
        assert!(inputs.context(&manifest).get("new thing").is_null());
    }

    #[test]
    fn a_manifest_that_leads_elsewhere_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let action = folder.path().join("action");
        std::fs::create_dir(&action).unwrap();
        std::fs::write(folder.path().join("secret"), "name: secret").unwrap();
        assert!(read("./a", &action, &action).unwrap_err().contains("there is no action.yml"));
        std::os::unix::fs::symlink("../secret", action.join("action.yml")).unwrap();
        assert!(read("./a", &action, &action).unwrap_err().contains("leads out of it"));
        std::fs::remove_file(action.join("action.yml")).unwrap();
        std::fs::write(action.join("Dockerfile"), "FROM x").unwrap();
        let (_, manifest) = read("./a", &action, &action).unwrap();
        assert!(matches!(manifest.runs, ActionRuns::Docker { .. }));
    }
}
