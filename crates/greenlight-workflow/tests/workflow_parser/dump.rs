//! A workflow in the form in which GitHub's readers write it for their tests.

use greenlight_workflow::{
    CalledWorkflow, Job, JobKind, PermissionLevel, Permissions, Span, Step, StepKind, Template, Tree, TreeKind, Value,
    Workflow,
};
use serde_json::{Map, Value as Json, json};

use crate::case::{newer_scope, number};

pub struct Dump {
    pub with_source: bool,
    pub file: usize,
}

const JOB_KEYS: [&str; 13] = [
    "strategy",
    "continue-on-error",
    "timeout-minutes",
    "cancel-timeout-minutes",
    "container",
    "services",
    "env",
    "environment",
    "concurrency",
    "outputs",
    "defaults",
    "runs-on",
    "snapshot",
];
const STEP_KEYS: [&str; 10] = [
    "name",
    "continue-on-error",
    "timeout-minutes",
    "env",
    "run",
    "uses",
    "with",
    "shell",
    "working-directory",
    "background",
];

impl Dump {
    pub fn document(&self, workflow: &Workflow, called: &[CalledWorkflow], expected: &Json) -> Json {
        let mut out = Map::new();
        for key in ["env", "defaults", "concurrency"] {
            if let Some(tree) = workflow.tree.get(key) {
                out.insert(key.into(), self.tree(tree));
            }
        }
        if let Some(permissions) = &workflow.permissions {
            insert_permissions(&mut out, permissions);
        }
        let inputs = workflow.on.event("workflow_dispatch").map(|event| event.inputs.as_slice()).unwrap_or_default();
        if !inputs.is_empty() && expected.get("events").is_none() {
            let kind = |kind| format!("{kind:?}").to_lowercase();
            let types = inputs.iter().map(|input| (input.name.clone(), json!(kind(input.kind)))).collect();
            out.insert("input-types".into(), Json::Object(types));
        }
        if expected.get("events").is_some() {
            out.insert("events".into(), events(workflow.tree.get("on").unwrap()));
        }
        out.insert("jobs".into(), self.jobs(workflow, called, None));
        if self.with_source && expected.get("file-table").is_some() {
            let paths = std::iter::once(&workflow.path).chain(called.iter().map(|called| &called.workflow.path));
            let mut table: Vec<Json> = paths.map(|path| json!(**path)).collect();
            table.dedup();
            out.insert("file-table".into(), Json::Array(table));
        }
        Json::Object(out)
    }

    fn jobs(&self, workflow: &Workflow, called: &[CalledWorkflow], inherited: Option<&Permissions>) -> Json {
        let jobs = workflow.tree.get("jobs").unwrap().entries();
        let dumped = workflow.jobs.iter().zip(jobs).map(|(job, (key, tree))| {
            let index = called.iter().position(|called| called.job_id == job.id);
            self.job(workflow, job, key, tree, index.map(|at| (at, &called[at])), inherited)
        });
        Json::Array(dumped.collect())
    }

    fn job(
        &self,
        workflow: &Workflow,
        job: &Job,
        key: &Template,
        tree: &Tree,
        called: Option<(usize, &CalledWorkflow)>,
        inherited: Option<&Permissions>,
    ) -> Json {
        let mut out = Map::new();
        let is_call = matches!(job.kind, JobKind::Call { .. });
        out.insert("type".into(), json!(if is_call { "reusableWorkflowJob" } else { "job" }));
        out.insert("id".into(), self.template(key, key.span()));
        let name = job.name.as_ref().map_or(self.template(key, key.span()), |name| self.template(name, name.span()));
        out.insert("name".into(), name);
        out.insert("if".into(), json!({"type": 3, "expr": job.condition.expression().text()}));
        let needs: Vec<Json> = tree
            .get("needs")
            .into_iter()
            .flat_map(|needs| std::iter::once(needs).chain(needs.items()))
            .filter_map(|need| Some(self.template(need.as_template()?, need.span)))
            .collect();
        if is_call || !needs.is_empty() {
            out.insert("needs".into(), Json::Array(needs));
        }
        for key in JOB_KEYS {
            if let Some(value) = tree.get(key) {
                out.insert(key.into(), self.tree(value));
            }
        }
        let permissions = called.and_then(|(_, called)| called.workflow.permissions.as_ref());
        if let Some(permissions) =
            permissions.or(job.permissions.as_ref()).or(workflow.permissions.as_ref()).or(inherited)
        {
            insert_permissions(&mut out, permissions);
        }
        match called {
            None if is_call => {
                out.insert("ref".into(), self.tree(tree.get("uses").unwrap()));
                out.insert("jobs".into(), json!([]));
            }
            None => {
                if let Some(steps) = tree.get("steps") {
                    let steps = job.steps().iter().zip(steps.items());
                    out.insert("steps".into(), steps.map(|(step, tree)| self.step(step, tree)).collect());
                }
            }
            Some((index, called)) => {
                let handed_down = job.permissions.as_ref().or(workflow.permissions.as_ref()).or(inherited);
                self.call(&mut out, tree, index, called, handed_down);
            }
        }
        Json::Object(out)
    }

    fn call(
        &self,
        out: &mut Map<String, Json>,
        tree: &Tree,
        index: usize,
        called: &CalledWorkflow,
        inherited: Option<&Permissions>,
    ) {
        out.insert("ref".into(), self.tree(tree.get("uses").unwrap()));
        let inside = Dump { with_source: self.with_source, file: self.file + index + 1 };
        let declared = called.workflow.tree.get("on").and_then(|on| on.get("workflow_call"));
        let definitions = [("input-definitions", "inputs"), ("secret-definitions", "secrets"), ("outputs", "outputs")];
        for (name, key) in definitions {
            if let Some(tree) = declared.and_then(|declared| declared.get(key)) {
                out.insert(name.into(), inside.tree(tree));
            }
        }
        if let Some(with) = tree.get("with") {
            out.insert("input-values".into(), self.tree(with));
        }
        match tree.get("secrets") {
            Some(secrets) if secrets.as_str() == Some("inherit") => {
                out.insert("inherit-secrets".into(), json!(true));
            }
            Some(secrets) => {
                out.insert("secret-values".into(), self.tree(secrets));
            }
            None => {}
        }
        for key in ["env", "defaults", "concurrency"] {
            if let Some(tree) = called.workflow.tree.get(key) {
                out.insert(format!("embedded-{key}"), inside.tree(tree));
            }
        }
        out.insert("jobs".into(), inside.jobs(&called.workflow, &called.calls, inherited));
    }

    fn step(&self, step: &Step, tree: &Tree) -> Json {
        let mut out = Map::new();
        out.insert("id".into(), json!(*step.id));
        for key in STEP_KEYS {
            if let Some(value) = tree.get(key) {
                out.insert(key.into(), self.tree(value));
            }
        }
        let synthetic = |name: &str| step.name.is_none().then(|| json!(name));
        let (key, value, name) = match &step.kind {
            StepKind::Wait { targets } => ("wait", json!(targets), synthetic("Wait")),
            StepKind::WaitAll => ("wait-all", json!(true), synthetic("Wait for all")),
            StepKind::Cancel { target } => ("cancel", json!(target), synthetic("Cancel")),
            _ => ("if", json!({"type": 3, "expr": step.condition.expression().text()}), None),
        };
        out.insert(key.into(), value);
        if let Some(name) = name {
            out.insert("name".into(), name);
        }
        Json::Object(out)
    }

    fn tree(&self, tree: &Tree) -> Json {
        let (kind, key, items) = match &tree.kind {
            TreeKind::Scalar(template) => return self.template(template, tree.span),
            TreeKind::Sequence(items) => (1, "seq", items.iter().map(|item| self.tree(item)).collect()),
            TreeKind::Mapping(entries) => {
                let pair = |(key, value): &(Template, Tree)| json!({"Key": self.template(key, key.span()), "Value": self.tree(value)});
                (2, "map", entries.iter().map(pair).collect())
            }
        };
        self.token(kind, tree.span, key, Json::Array(items))
    }

    fn template(&self, template: &Template, span: Span) -> Json {
        let Some(value) = template.as_literal() else {
            return if template.is_insert() {
                self.token(4, span, "directive", json!("insert"))
            } else {
                self.token(3, span, "expr", json!(template.expression_text()))
            };
        };
        let (kind, key, value) = match value {
            Value::Null => (7, "null", Json::Null),
            Value::Bool(truth) => (5, "bool", json!(truth)),
            Value::Number(value) => (6, "num", number(*value)),
            text => (0, "lit", json!(*text.coerce_string())),
        };
        if self.with_source { self.token(kind, span, key, value) } else { value }
    }

    fn token(&self, kind: u32, span: Span, key: &str, value: Json) -> Json {
        let mut token = Map::new();
        token.insert("type".into(), json!(kind));
        if self.with_source {
            token.insert("file".into(), json!(self.file));
            token.insert("line".into(), json!(span.line));
            token.insert("col".into(), json!(span.column));
        }
        if kind != 7 {
            token.insert(key.into(), value);
        }
        Json::Object(token)
    }
}

fn insert_permissions(out: &mut Map<String, Json>, permissions: &Permissions) {
    let levels: Map<String, Json> = permissions
        .iter()
        .filter(|(scope, level)| *level != PermissionLevel::None && !newer_scope(scope))
        .map(|(scope, level)| (scope.to_owned(), json!(level.as_str())))
        .collect();
    out.insert("permissions".into(), Json::Object(levels));
}

/// Returns the triggers as the TypeScript reader writes them.
fn events(on: &Tree) -> Json {
    let mut out = Map::new();
    let names = std::iter::once(on).chain(on.items()).filter_map(Tree::as_str);
    out.extend(names.map(|name| (name.to_owned(), json!({}))));
    for (name, event) in on.entries() {
        out.insert(name.source().to_owned(), plain(event, name.source()));
    }
    Json::Object(out)
}

fn plain(tree: &Tree, key: &str) -> Json {
    let is_filter = matches!(key, "types" | "workflows" | "names" | "versions")
        || key.starts_with("branches")
        || key.starts_with("tags")
        || key.starts_with("paths");
    match &tree.kind {
        TreeKind::Scalar(template) => match template.as_literal().unwrap() {
            Value::Null => json!({}),
            Value::Bool(truth) => json!(truth),
            Value::Number(value) => number(*value),
            text if is_filter => json!([*text.coerce_string()]),
            text => json!(*text.coerce_string()),
        },
        TreeKind::Sequence(items) => items.iter().map(|item| plain(item, "")).collect(),
        TreeKind::Mapping(entries) => {
            entries.iter().map(|(key, value)| (key.source().to_owned(), plain(value, key.source()))).collect()
        }
    }
}
