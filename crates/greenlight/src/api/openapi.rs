//! `/api/openapi.json`: the description of `/api/v1`, made from one table.

use serde_json::{Map, Value, json};

/// One operation: method, path, summary, what it answers, and the questions behind the `?`.
type Operation = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const PAGE: &[&str] = &["before", "limit"];

const OPERATIONS: &[Operation] = &[
    ("get", "/api/v1/repos", "The repositories that are looked after.", "Repositories", &[]),
    ("get", "/api/v1/runs", "Runs of all repositories, the newest first.", "Runs", PAGE),
    ("get", "/api/v1/deliveries", "Deliveries, the newest first.", "Deliveries", PAGE),
    ("get", "/api/v1/deliveries/{id}", "One delivery with its body.", "DeliveryWhole", &[]),
    ("get", "/api/v1/repos/{owner}/{repo}/runs", "Runs of one repository, the newest first.", "Runs", PAGE),
    ("get", "/api/v1/repos/{owner}/{repo}/runs/{number}", "One run with its jobs and steps.", "Run", &[]),
    (
        "post",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/{wish}",
        "Wishes for a run: rerun, rerun-failed-jobs, cancel or approve.",
        "Answer",
        &[],
    ),
    (
        "post",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{key}/rerun",
        "Run one job again, and what needs it.",
        "Answer",
        &[],
    ),
    (
        "get",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{key}/logs",
        "A job's log, as text; as server-sent events where `text/event-stream` is accepted.",
        "",
        &["from", "follow"],
    ),
    (
        "get",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{key}/summary",
        "The summaries of a job's steps, as the Markdown that they wrote.",
        "",
        &[],
    ),
    (
        "get",
        "/api/v1/repos/{owner}/{repo}/environments",
        "Environments, their locks and deployments.",
        "Environments",
        &[],
    ),
    ("post", "/api/v1/repos/{owner}/{repo}/environments/{name}/unlock", "Frees an environment's lock.", "Answer", &[]),
    ("post", "/api/v1/repos/{owner}/{repo}/sync", "Compares with GitHub now.", "Answer", &[]),
    (
        "get",
        "/api/v1/repos/{owner}/{repo}/why",
        "Why something stands as it does.",
        "Why",
        &["pull", "run", "deployment"],
    ),
    (
        "post",
        "/api/v1/dev/job-env",
        "Makes a job that is no run's, and returns the variables that its actions would have.",
        "Variables",
        &["ref", "base", "run", "untrusted"],
    ),
    ("get", "/api/v1/runners", "The runners on other machines.", "Runners", &[]),
    (
        "post",
        "/api/v1/runners/token",
        "Makes a token with which one runner registers within 15 minutes.",
        "RunnerToken",
        &["labels"],
    ),
    ("post", "/api/v1/runners/{name}/remove", "Takes a runner away: its key opens nothing any more.", "Answer", &[]),
];

/// Returns the description.
pub fn describe() -> Value {
    let mut paths = Map::new();
    for (method, path, summary, answer, questions) in OPERATIONS {
        let operation = operation(path, summary, answer, questions);
        let entry = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
        entry[*method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Greenlight", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn operation(path: &str, summary: &str, answer: &str, questions: &[&str]) -> Value {
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        parts.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": path_schema(name) }));
    let in_query = questions
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "required": false, "schema": query_schema(name) }));
    let good = match answer {
        "" => json!({ "description": "The text.", "content": { "text/plain": { "schema": { "type": "string" } } } }),
        name => {
            json!({ "description": "The answer.", "content": { "application/json": { "schema": reference(name) } } })
        }
    };
    let refused =
        json!({ "description": "Why not.", "content": { "application/json": { "schema": reference("Refused") } } });
    json!({
        "summary": summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": { "200": good, "default": refused },
    })
}

fn path_schema(name: &str) -> Value {
    match name {
        "number" => json!({ "type": "integer" }),
        "wish" => json!({ "enum": ["rerun", "rerun-failed-jobs", "cancel", "approve"] }),
        _ => json!({ "type": "string" }),
    }
}

fn query_schema(name: &str) -> Value {
    match name {
        "before" => json!({ "type": "string" }),
        "ref" | "base" | "labels" => json!({ "type": "string" }),
        "follow" | "untrusted" => json!({ "type": "boolean" }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 100 }),
        _ => json!({ "type": "integer", "minimum": 0 }),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Fields of one schema: a name, and its type; a `?` at the end for what may be null, `[]` in front for a list.
fn schemas() -> Value {
    let line: &[&str] = &[
        "repository:string",
        "number:integer",
        "attempt:integer",
        "name:string",
        "workflow:string",
        "event:string",
        "subject:string",
        "pull:integer?",
        "head_sha:string",
        "state:string",
        "conclusion:string?",
        "reason:string",
        "created_at:string",
        "ended_at:string?",
    ];
    let delivery: &[&str] =
        &["place:integer", "id:string", "event:string", "received_at:string", "state:string", "reason:string"];
    let run: Vec<&str> =
        [line, &["sha:string", "needs_approval:boolean", "problem:string?", "config_problem:string?"]].concat();
    let run = [&run[..], &["config_findings:string?", "concurrency:string?", "jobs:[]Job"]].concat();
    json!({
        "Answer": schema(&["message:string"]),
        "Refused": schema(&["message:string", "documentation_url:string", "status:string"]),
        "Repositories": schema(&["repositories:[]Repository"]),
        "Repository": schema(&[
            "id:integer", "full_name:string", "default_branch:string", "trouble:string?", "config_problem:string?",
            "warning:string?",
        ]),
        "Runs": schema(&["runs:[]RunLine", "next:string?"]),
        "RunLine": schema(line),
        "Run": schema(&run),
        "Job": schema(&[
            "key:string", "name:string", "context:string", "state:string", "reason:string", "labels:[]string", "runner:string?",
            "attempt:integer", "tried:integer", "started_at:string?", "ended_at:string?", "environment_url:string?", "steps:[]Step",
            "annotations:[]Annotation", "summaries:[]Summary",
        ]),
        "Annotation": schema(&[
            "step:integer", "level:string", "message:string", "title:string?", "file:string?", "line:integer?", "end_line:integer?",
            "column:integer?", "end_column:integer?",
        ]),
        "Summary": schema(&["step:integer", "size:integer"]),
        "Step": schema(&[
            "number:integer", "name:string", "state:string", "outcome:string?", "started_at:string?", "ended_at:string?", "line:integer?",
        ]),
        "Deliveries": schema(&["deliveries:[]Delivery", "next:string?"]),
        "Delivery": schema(delivery),
        "DeliveryWhole": schema(&[delivery, &["body:string"]].concat()),
        "Environments": schema(&[
            "repository:string", "config_problem:string?", "config_findings:string?", "environments:[]Environment", "wishes:[]Wish",
        ]),
        "Environment": schema(&[
            "name:string", "sentence:string", "live_sha:string?", "locked_by:integer?", "lock_kept:string?", "deployments:[]Deployment",
        ]),
        "Deployment": schema(&[
            "id:integer", "environment:string", "sha:string", "state:string", "sentence:string", "creator:string", "run:integer?",
            "url:string?", "seen_at:string",
        ]),
        "Wish": schema(&["environment:string", "sha:string", "pull:integer", "state:string", "sentence:string"]),
        "Variables": json!({
            "type": "object",
            "properties": { "variables": { "type": "object", "additionalProperties": { "type": "string" } } },
            "required": ["variables"],
        }),
        "Runners": schema(&["runners:[]Runner"]),
        "Runner": schema(&["name:string", "labels:[]string", "registered_at:string", "seen_at:string"]),
        "RunnerToken": schema(&["token:string", "labels:[]string", "expires_at:string"]),
        "Why": schema(&["about:string", "sentences:[]string", "config_findings:string?"]),
    })
}

fn schema(fields: &[&str]) -> Value {
    let fields = fields.iter().filter_map(|field| field.split_once(':'));
    let properties: Map<String, Value> = fields.clone().map(|(name, kind)| (name.to_owned(), typed(kind))).collect();
    let required: Vec<&str> = fields.map(|(name, _)| name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn typed(kind: &str) -> Value {
    if let Some(kind) = kind.strip_prefix("[]") {
        return json!({ "type": "array", "items": typed(kind) });
    }
    match kind.strip_suffix('?') {
        Some(kind) => json!({ "type": [kind, "null"] }),
        None if kind.starts_with(|first: char| first.is_ascii_uppercase()) => reference(kind),
        None => json!({ "type": kind }),
    }
}
