//! The manifest of an action, `action.yml`: what it takes, what it gives, and how it runs.

use std::sync::Arc;

use crate::decode;
use crate::expression::Scope;
use crate::finding::{Finding, point, put_in_order};
use crate::template::{Condition, Template, Tree};
use crate::value::Value;
use crate::workflow::Step;
use crate::{reader, schema, yaml};

/// What became of a manifest.
#[derive(Clone, Debug)]
pub struct ParsedAction {
    /// The manifest, if nothing is wrong with it.
    pub manifest: Option<ActionManifest>,
    /// Everything that is wrong or doubtful, in the order of the file.
    pub findings: Vec<Finding>,
}

/// An action's manifest.
#[derive(Clone, Debug)]
pub struct ActionManifest {
    /// The file's path.
    pub path: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// How it is shown in the marketplace.
    pub branding: Option<Branding>,
    /// What it takes.
    pub inputs: Vec<ActionInput>,
    /// What it gives; only composite actions say how.
    pub outputs: Vec<(String, Option<Template>)>,
    /// How it runs.
    pub runs: ActionRuns,
    /// The whole file as the grammar understood it.
    pub(crate) tree: Tree,
    /// The file itself, for those who point into it.
    pub(crate) text: Arc<str>,
}

/// How an action is shown in the marketplace; nothing here means anything to a runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branding {
    /// The icon's name.
    pub icon: Option<String>,
    /// The colour behind it.
    pub color: Option<String>,
}

/// An input of an action.
#[derive(Clone, Debug)]
pub struct ActionInput {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it should be given.
    pub required: bool,
    /// What it is if it is not given.
    pub default: Option<Template>,
    /// What to say to those who still use it.
    pub deprecation_message: Option<String>,
}

/// How an action runs.
#[derive(Clone, Debug)]
pub enum ActionRuns {
    /// By Node.
    Node {
        /// The version that it asks for.
        version: u32,
        /// The script.
        main: String,
        /// The script that runs before the job's first step.
        pre: Option<String>,
        /// Whether that one runs.
        pre_if: Condition,
        /// The script that runs after the job's last step.
        post: Option<String>,
        /// Whether that one runs.
        post_if: Condition,
    },
    /// In a container.
    Docker {
        /// `Dockerfile`, a path to one, or `docker://image`.
        image: String,
        /// What is started instead of the image's entry point.
        entrypoint: Option<String>,
        /// What it is started with.
        args: Vec<Template>,
        /// Variables inside it.
        env: Vec<(String, Template)>,
        /// What runs before the job's first step.
        pre_entrypoint: Option<String>,
        /// Whether that one runs.
        pre_if: Condition,
        /// What runs after the job's last step.
        post_entrypoint: Option<String>,
        /// Whether that one runs.
        post_if: Condition,
    },
    /// As steps of its own.
    Composite {
        /// The steps.
        steps: Vec<Step>,
    },
    /// By code that GitHub's runner brings itself. No action of the last years does.
    Plugin {
        /// Its name.
        name: String,
    },
}

/// The versions of Node that a manifest may ask for.
const NODE_VERSIONS: [u32; 4] = [12, 16, 20, 24];

/// Reads an action's manifest: everything that is wrong with it, and the manifest if there is no error.
pub fn parse_action(path: &str, text: &str) -> ParsedAction {
    let yaml::Reading { node, mut findings, .. } = yaml::read(text, &yaml::Limits::default());
    let manifest = node.and_then(|node| {
        let tree = reader::read(schema::action(), "action", node, &mut findings);
        let manifest = manifest(path, text, tree, &mut findings);
        manifest.filter(|_| !findings.iter().any(Finding::is_error))
    });
    put_in_order(&mut findings);
    point(&mut findings, text);
    ParsedAction { manifest, findings }
}

fn manifest(path: &str, text: &str, file: Tree, findings: &mut Vec<Finding>) -> Option<ActionManifest> {
    let tree = &file;
    let entries = |key: &str| tree.get(key).map(Tree::entries).unwrap_or_default();
    let runs = runs(tree.get("runs")?, findings)?;
    Some(ActionManifest {
        path: path.into(),
        name: decode::text(tree, "name"),
        description: decode::text(tree, "description"),
        author: decode::text(tree, "author"),
        branding: tree
            .get("branding")
            .map(|tree| Branding { icon: decode::text(tree, "icon"), color: decode::text(tree, "color") }),
        inputs: entries("inputs").iter().map(|(name, tree)| input(name, tree)).collect(),
        outputs: entries("outputs")
            .iter()
            .map(|(name, tree)| (name.source().to_owned(), decode::template(tree, "value")))
            .collect(),
        runs,
        text: text.into(),
        tree: file,
    })
}

fn input(name: &Template, tree: &Tree) -> ActionInput {
    let required = decode::template(tree, "required").and_then(|value| value.as_literal().cloned());
    ActionInput {
        name: name.source().into(),
        description: decode::text(tree, "description"),
        required: required.is_some_and(|value| value == Value::Bool(true) || value.as_str() == Some("true")),
        default: decode::template(tree, "default"),
        deprecation_message: decode::text(tree, "deprecationMessage"),
    }
}

fn runs(tree: &Tree, findings: &mut Vec<Finding>) -> Option<ActionRuns> {
    let text = |key: &str| decode::text(tree, key);
    if let Some(name) = text("plugin") {
        return Some(ActionRuns::Plugin { name });
    }
    let using = tree.get("using")?;
    // GitHub's runner does not look at case here.
    match using.as_str()?.to_ascii_lowercase().as_str() {
        "composite" => {
            let steps = tree.get("steps")?;
            let scope = scope_of("step-if");
            Some(ActionRuns::Composite { steps: decode::step::steps(steps, &scope, findings) })
        }
        "docker" => Some(ActionRuns::Docker {
            image: text("image")?,
            entrypoint: text("entrypoint"),
            args: tree
                .get("args")
                .map(Tree::items)
                .unwrap_or_default()
                .iter()
                .filter_map(Tree::as_template)
                .cloned()
                .collect(),
            env: decode::entries(tree.get("env")),
            pre_entrypoint: text("pre-entrypoint"),
            pre_if: hook_condition(tree, "pre-if", findings),
            post_entrypoint: text("post-entrypoint"),
            post_if: hook_condition(tree, "post-if", findings),
        }),
        other => {
            let version = other.strip_prefix("node").and_then(|version| version.parse().ok());
            let Some(version) = version.filter(|version| NODE_VERSIONS.contains(version)) else {
                findings.push(
                    Finding::error(
                        "action-using",
                        using.span,
                        format!("'using: {}' is not supported", using.as_str()?),
                    )
                    .with_help("use 'composite', 'docker', 'node24', 'node20', 'node16' or 'node12'"),
                );
                return None;
            };
            Some(ActionRuns::Node {
                version,
                main: text("main")?,
                pre: text("pre"),
                pre_if: hook_condition(tree, "pre-if", findings),
                post: text("post"),
                post_if: hook_condition(tree, "post-if", findings),
            })
        }
    }
}

/// Returns the condition of a pre or post step: it is taken as it is written, and always holds where it is not.
fn hook_condition(tree: &Tree, key: &str, findings: &mut Vec<Finding>) -> Condition {
    let Some(template) = decode::template(tree, key) else { return Condition::always() };
    let scope = scope_of("runs-if");
    Condition::exactly(&template, &scope).unwrap_or_else(|error| {
        findings.push(decode::condition_error(&template, error, &scope));
        Condition::always()
    })
}

fn scope_of(name: &str) -> std::sync::Arc<Scope> {
    let schema = schema::action();
    schema.get(schema.named(name)).scope.clone().unwrap_or_default()
}
