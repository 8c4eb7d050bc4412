//! GitHub's own description as a layer around the emulator: what it answers must be what GitHub says that it answers.
//!
//! A violation turns the answer into a 599 whose body tells it, so that the test that asked fails with the reason.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
};
use jsonschema::{Draft, Registry, Validator};
use serde_json::{Value, json};

const LIMIT: usize = 64 * 1024 * 1024;
const ADDRESS: &str = "http://openapi.invalid/github.json";
/// What the emulator has though GitHub's REST API has not: buttons of its pages, and GraphQL's drafts.
const OURS: [&str; 3] = ["request-action", "ready_for_review", "convert_to_draft"];
/// What GitHub has, but not in the part of its description that is vendored.
const ELSEWHERE: [&str; 3] = ["/repositories/", "/user/emails", "/user/teams"];

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/openapi/github.json.zst");
    let bytes = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let mut root: Value = serde_json::from_slice(&bytes).unwrap();
    nullable(&mut root);
    root
});
static REGISTRY: LazyLock<Registry<'static>> = LazyLock::new(|| {
    Registry::new().draft(Draft::Draft202012).add(ADDRESS, DESCRIPTION.clone()).unwrap().prepare().unwrap()
});
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
static COVERED: LazyLock<Mutex<std::collections::BTreeSet<String>>> = LazyLock::new(Mutex::default);

/// Puts the description around a router.
pub fn watch(router: Router) -> Router {
    router.layer(from_fn(check))
}

/// Returns the operations that were answered with success so far.
pub fn covered() -> Vec<String> {
    COVERED.lock().unwrap().iter().cloned().collect()
}

/// Writes `nullable` of OpenAPI 3.0 as JSON Schema has it.
fn nullable(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(nullable),
        Value::Object(object) => {
            object.values_mut().for_each(nullable);
            // GitHub's alternatives overlap: a plain refusal is also one of rules without the rules.
            if let Some(alternatives) = object.remove("oneOf") {
                object.insert("anyOf".to_owned(), alternatives);
            }
            // An account is a user or an enterprise; in one place the description says that it is both.
            let titles = |value: &Value| {
                value.as_array().map(|list| list.iter().map(|item| item["title"].clone()).collect::<Vec<_>>())
            };
            if object.get("allOf").and_then(titles) == Some(vec![json!("Simple User"), json!("Enterprise")]) {
                let alternatives = object.remove("allOf").unwrap();
                object.insert("anyOf".to_owned(), alternatives);
            }
            if object.get("nullable") == Some(&json!(true)) {
                object.remove("nullable");
                let inner = Value::Object(std::mem::take(object));
                object.insert("anyOf".to_owned(), json!([{"type": "null"}, inner]));
            }
        }
        _ => {}
    }
}

async fn check(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let path = path.strip_prefix("/api/v3").map(str::to_owned).unwrap_or(path);
    let method = request.method().as_str().to_lowercase();
    let api = ["/repos/", "/user", "/orgs/", "/app", "/installation", "/meta", "/rate_limit", "/zen", "/repositories/"];
    if !api.iter().any(|prefix| path.starts_with(prefix)) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let sent = to_bytes(body, LIMIT).await.unwrap();
    let response = next.run(Request::from_parts(parts, Body::from(sent.clone()))).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, LIMIT).await.unwrap();
    match problem(&method, &path, &sent, parts.status.as_u16(), &bytes) {
        None => Response::from_parts(parts, Body::from(bytes)),
        Some(problem) => Response::builder().status(599).body(Body::from(problem)).unwrap(),
    }
}

fn problem(method: &str, path: &str, sent: &[u8], status: u16, bytes: &[u8]) -> Option<String> {
    if OURS.iter().any(|word| path.ends_with(word))
        || ELSEWHERE.iter().any(|word| path.starts_with(word))
        || status == 304
        || status >= 500
    {
        return None;
    }
    let success = (200..300).contains(&status);
    let Some((template, operation)) = find(method, path) else {
        return success.then(|| format!("GitHub has no {method} {path}"));
    };
    let key = template.replace('~', "~0").replace('/', "~1");
    let responses = operation["responses"].as_object().unwrap();
    let Some(described) = responses.get(&status.to_string()) else {
        return success.then(|| {
            format!("GitHub never answers {method} {template} with {status}: {}", String::from_utf8_lossy(bytes))
        });
    };
    if success {
        COVERED.lock().unwrap().insert(format!("{method} {template}"));
        if operation["requestBody"]["content"]["application/json"].is_object() && !sent.is_empty() {
            let pointer = format!("#/paths/{key}/{method}/requestBody/content/application~1json/schema");
            if let Some(problem) = violation(&pointer, sent) {
                return Some(format!("request of {method} {template}: {problem}\n{}", String::from_utf8_lossy(sent)));
            }
        }
    }
    let pointer = match described["$ref"].as_str() {
        Some(reference) => reference.to_owned(),
        None => format!("#/paths/{key}/{method}/responses/{status}"),
    };
    let content = DESCRIPTION.pointer(pointer.trim_start_matches('#')).unwrap();
    if !content["content"]["application/json"]["schema"].is_object() || bytes.is_empty() {
        return None;
    }
    let problem = violation(&format!("{pointer}/content/application~1json/schema"), bytes)?;
    Some(format!("answer {status} of {method} {template}: {problem}\n{}", String::from_utf8_lossy(bytes)))
}

fn violation(pointer: &str, bytes: &[u8]) -> Option<String> {
    let Ok(instance) = serde_json::from_slice::<Value>(bytes) else { return Some("no JSON".to_owned()) };
    let known = VALIDATORS.lock().unwrap().get(pointer).cloned();
    let validator = known.unwrap_or_else(|| {
        let schema = json!({"$ref": format!("{ADDRESS}{}", pointer.replace('{', "%7B").replace('}', "%7D"))});
        let built = jsonschema::options().with_draft(Draft::Draft202012).with_registry(&REGISTRY).build(&schema);
        let built = Arc::new(built.unwrap_or_else(|error| panic!("{pointer}: {error}")));
        VALIDATORS.lock().unwrap().insert(pointer.to_owned(), Arc::clone(&built));
        built
    });
    let problems: Vec<String> = validator
        .iter_errors(&instance)
        .take(5)
        .map(|error| {
            format!("{} at {}", error.to_string().chars().take(400).collect::<String>(), error.instance_path())
        })
        .collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// Finds the operation of a path: the template with the most literal words wins.
fn find(method: &str, path: &str) -> Option<(String, &'static Value)> {
    let words: Vec<&str> = path.split('/').skip(1).collect();
    let paths: &'static serde_json::Map<String, Value> = DESCRIPTION["paths"].as_object()?;
    let candidates = paths.iter().filter(|(template, operations)| {
        operations[method].is_object() && matches(&template.split('/').skip(1).collect::<Vec<_>>(), &words)
    });
    let literal = |template: &str| template.split('/').filter(|word| !word.starts_with('{')).count();
    let (template, operations) = candidates.max_by_key(|(template, _)| literal(template))?;
    Some((template.clone(), &operations[method]))
}

fn matches(template: &[&str], words: &[&str]) -> bool {
    const WITH_SLASHES: [&str; 5] = ["{path}", "{ref}", "{branch}", "{basehead}", "{environment_name}"];
    match (template, words) {
        ([], []) => true,
        ([first, rest @ ..], words) if WITH_SLASHES.contains(first) => {
            (1..=words.len()).any(|taken| matches(rest, &words[taken..]))
        }
        ([first, rest @ ..], [word, words @ ..]) => (first.starts_with('{') || first == word) && matches(rest, words),
        _ => false,
    }
}

#[tokio::test]
async fn an_answer_that_is_not_githubs_is_seen() {
    let good = json!({"sha": "a", "merged": true, "message": "m"}).to_string();
    assert_eq!(problem("put", "/repos/o/r/pulls/1/merge", b"", 200, good.as_bytes()), None);
    let bad = json!({"sha": "a", "merged": "yes", "message": "m"}).to_string();
    assert!(problem("put", "/repos/o/r/pulls/1/merge", b"", 200, bad.as_bytes()).unwrap().contains("merged"));
    assert!(problem("get", "/repos/o/r/unheard-of", b"", 200, b"{}").unwrap().contains("has no"));
    assert!(problem("post", "/repos/o/r/statuses/abc", b"", 207, b"{}").unwrap().contains("never answers"));
}
