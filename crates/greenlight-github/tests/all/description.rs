//! GitHub's description of its API, as far as we keep it: which paths there are, and what may be sent there.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let mut description = testdata("openapi/github.json.zst");
    make_nullable(&mut description);
    description
});

/// Reads a compressed JSON file of the test data.
pub fn testdata(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes = zstd::decode_all(file).expect("the file is zstd");
    serde_json::from_slice(&bytes).expect("the file is JSON")
}

/// OpenAPI 3.0 writes "or null" in a way of its own.
fn make_nullable(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(make_nullable),
        Value::Object(fields) => {
            fields.values_mut().for_each(make_nullable);
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                if let Some(kind @ Value::String(_)) = fields.get_mut("type") {
                    *kind = json!([kind.clone(), "null"]);
                }
                if let Some(Value::Array(values)) = fields.get_mut("enum") {
                    values.push(Value::Null);
                }
            }
        }
        _ => {}
    }
}

/// Returns what is wrong with a request, by GitHub's description.
pub fn problem(method: &str, path: &str, query: &str, body: Option<&Value>) -> Option<String> {
    let Some((template, item)) = find(path) else { return Some(format!("GitHub describes no path {path}")) };
    let Some(operation) = item.get(method.to_lowercase()) else {
        return Some(format!("GitHub describes no {method} {template}"));
    };
    let known = parameters(item).chain(parameters(operation)).collect::<Vec<_>>();
    for (name, _) in
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    {
        // GitHub takes these two in every list, and does not describe them everywhere.
        if !known.iter().any(|known| known == name) && !["page", "per_page"].contains(&name) {
            return Some(format!("{method} {template} has no parameter {name}"));
        }
    }
    let body = body?;
    let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else {
        return Some(format!("{method} {template} takes no body"));
    };
    let schema = json!({ "allOf": [schema], "components": DESCRIPTION["components"] });
    let validator = jsonschema::validator_for(&schema).expect("GitHub's schemas are schemas");
    let errors: Vec<String> = validator.iter_errors(body).map(|error| error.to_string()).collect();
    let undescribed = undescribed_field(operation, body).map(|name| format!("it has no field {name}"));
    errors.into_iter().chain(undescribed).next().map(|error| format!("{method} {template}: {error}"))
}

/// A field that GitHub does not describe would be ignored, and we would not notice.
fn undescribed_field(operation: &Value, body: &Value) -> Option<String> {
    let properties = operation.pointer("/requestBody/content/application~1json/schema/properties")?.as_object()?;
    body.as_object()?.keys().find(|name| !properties.contains_key(*name)).cloned()
}

fn parameters(of: &Value) -> impl Iterator<Item = String> + '_ {
    let all = of.get("parameters").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|parameter| {
        let resolved = match parameter.get("$ref").and_then(Value::as_str) {
            Some(reference) => DESCRIPTION.pointer(reference.trim_start_matches('#'))?,
            None => parameter,
        };
        (resolved.get("in")?.as_str()? == "query").then(|| resolved["name"].as_str().unwrap_or("").to_owned())
    })
}

fn find(path: &str) -> Option<(&'static str, &'static Value)> {
    let paths: &'static Map<String, Value> = DESCRIPTION["paths"].as_object().expect("it has paths");
    let fits = |template: &str| {
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), template.split('/').collect());
        ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(ours, theirs)| theirs.starts_with('{') || ours == theirs)
    };
    let found = paths.iter().filter(|(template, _)| fits(template));
    // The one with the fewest placeholders is meant.
    found.min_by_key(|(template, _)| template.matches('{').count()).map(|(template, item)| (template.as_str(), item))
}

#[test]
fn the_check_finds_what_is_wrong() {
    let check = |method, path, query, body: Value| problem(method, path, query, Some(&body)).unwrap_or_default();
    let status = "/repos/o/r/statuses/6113728f27ae82c7b1a177c8d03f9e96e0adf246";
    assert_eq!(check("POST", status, "", json!({"state": "success", "context": "x"})), "");
    assert!(check("POST", status, "", json!({"state": "fine"})).contains("fine"));
    assert!(check("POST", status, "", json!({"state": "success", "contxt": "x"})).contains("no field contxt"));
    assert!(check("DELETE", status, "", json!({})).contains("no DELETE"));
    assert!(check("POST", "/repos/o/r/nothing/here", "", json!({})).contains("no path"));
    assert_eq!(problem("GET", "/repos/o/r/pulls", "state=open&per_page=100", None), None);
    assert!(problem("GET", "/repos/o/r/pulls", "stat=open", None).unwrap().contains("no parameter stat"));
}
