//! A matrix to its combinations: the product of the vectors, without what `exclude` takes out, with what `include` adds.

use std::sync::Arc;

use crate::value::{Object, Value, fold_equals};

/// How many combinations one job may have.
pub(crate) const COMBINATIONS_MAX: usize = 256;

/// How many combinations are looked at before `exclude` has taken out its own.
const PRODUCT_MAX: usize = 4_096;

/// How many items `include` or `exclude` may have.
const FILTERS_MAX: usize = 1_024;

/// How many keys a combination may have.
const KEYS_MAX: usize = 256;

/// One variant of a job.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    originals: Vec<(Arc<str>, Value)>,
    extras: Vec<(Arc<str>, Value)>,
}

impl Combination {
    /// Returns what the `matrix` context is for this variant.
    pub fn value(&self) -> Value {
        Value::Object(Arc::new(Object::new(self.originals.iter().chain(&self.extras).cloned())))
    }

    /// Returns the single values that the variant is called by.
    pub fn leaves(&self) -> Vec<Arc<str>> {
        let mut leaves = Vec::new();
        self.originals.iter().for_each(|(_, value)| collect_leaves(value, &mut leaves));
        leaves
    }

    fn original(&self, key: &str) -> Option<&Value> {
        self.originals.iter().find(|(name, _)| fold_equals(name, key)).map(|(_, value)| value)
    }
}

/// Returns the combinations of a matrix, or GitHub's sentence about what is wrong with it.
pub(crate) fn combinations(matrix: &Value) -> Result<Vec<Combination>, String> {
    let Some(matrix) = matrix.as_object() else {
        return Err("The matrix must be a mapping".into());
    };
    let vectors: Vec<(&str, &[Value])> = matrix
        .iter()
        .filter(|(key, _)| !matches!(*key, "include" | "exclude"))
        .map(|(key, value)| vector(key, value).map(|items| (key, items)))
        .collect::<Result<_, _>>()?;
    check_keys(vectors.len())?;
    let includes = filters(matrix, "include")?;
    let excludes = filters(matrix, "exclude")?;
    if vectors.is_empty() && includes.is_empty() {
        return Err("Matrix must define at least one vector".into());
    }
    let mut combinations = product(&vectors)?;
    exclude(&mut combinations, &excludes, &vectors)?;
    if combinations.len() > COMBINATIONS_MAX {
        return Err(too_many());
    }
    include(&mut combinations, &includes, &vectors);
    if combinations.len() > COMBINATIONS_MAX {
        return Err(too_many());
    }
    Ok(combinations)
}

fn vector<'a>(key: &str, value: &'a Value) -> Result<&'a [Value], String> {
    match value.as_array() {
        Some([]) => Err(format!("Matrix vector '{key}' does not contain any values")),
        Some(items) => Ok(items),
        None => Err(format!("Matrix vector '{key}' must be a list, not '{}'", value.coerce_string())),
    }
}

fn filters<'a>(matrix: &'a Object, key: &str) -> Result<Vec<&'a Object>, String> {
    let value = matrix.get(key).unwrap_or(&Value::Null);
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        value => value.as_array().ok_or_else(|| format!("Matrix {key} must be a list"))?,
    };
    if items.len() > FILTERS_MAX {
        return Err(format!("Matrix {key} has more than {FILTERS_MAX} items"));
    }
    let filter = |item: &'a Value| {
        let filter = item.as_object().ok_or_else(|| format!("An item of matrix {key} must be a mapping"))?;
        check_keys(filter.len())?;
        Ok(filter)
    };
    items.iter().map(filter).collect()
}

fn check_keys(count: usize) -> Result<(), String> {
    if count > KEYS_MAX { Err(format!("A matrix combination has more than {KEYS_MAX} keys")) } else { Ok(()) }
}

/// Returns the product in the order of the keys, the last one moving fastest.
fn product(vectors: &[(&str, &[Value])]) -> Result<Vec<Combination>, String> {
    if vectors.is_empty() {
        return Ok(Vec::new());
    }
    let mut combinations = vec![Combination { originals: Vec::new(), extras: Vec::new() }];
    for (key, items) in vectors {
        if combinations.len().saturating_mul(items.len()) > PRODUCT_MAX {
            return Err(too_many());
        }
        let key: Arc<str> = (*key).into();
        combinations = combinations
            .iter()
            .flat_map(|combination| {
                let key = &key;
                items.iter().map(move |item| {
                    let mut next = combination.clone();
                    next.originals.push((key.clone(), item.clone()));
                    next
                })
            })
            .collect();
    }
    Ok(combinations)
}

fn exclude(
    combinations: &mut Vec<Combination>,
    excludes: &[&Object],
    vectors: &[(&str, &[Value])],
) -> Result<(), String> {
    for filter in excludes {
        if let Some((key, _)) = filter.iter().find(|(key, _)| !is_vector(vectors, key)) {
            return Err(format!("Matrix exclude key '{key}' does not match any key within the matrix"));
        }
        combinations.retain(|combination| !matches_originals(filter, combination));
    }
    Ok(())
}

/// An include adds its other keys to each combination that its matrix keys match; one that matches none is a combination of
/// its own. It may change what another include added, never what the vectors gave.
fn include(combinations: &mut Vec<Combination>, includes: &[&Object], vectors: &[(&str, &[Value])]) {
    let from_vectors = combinations.len();
    let mut own = Vec::new();
    for include in includes {
        let filter = Object::new(
            include.iter().filter(|(key, _)| is_vector(vectors, key)).map(|(key, value)| (key, value.clone())),
        );
        let extras = || include.iter().filter(|(key, _)| !is_vector(vectors, key));
        let mut is_matched = false;
        for combination in
            combinations[..from_vectors].iter_mut().filter(|combination| matches_originals(&filter, combination))
        {
            is_matched = true;
            for (key, value) in extras() {
                match combination.extras.iter_mut().find(|(name, _)| fold_equals(name, key)) {
                    Some((_, old)) => *old = value.clone(),
                    None => combination.extras.push((key.into(), value.clone())),
                }
            }
        }
        if !is_matched {
            let originals = include.iter().map(|(key, value)| (key.into(), value.clone())).collect();
            own.push(Combination { originals, extras: Vec::new() });
        }
    }
    combinations.extend(own);
}

fn is_vector(vectors: &[(&str, &[Value])], key: &str) -> bool {
    vectors.iter().any(|(name, _)| fold_equals(name, key))
}

fn matches_originals(filter: &Object, combination: &Combination) -> bool {
    filter.iter().all(|(key, wanted)| combination.original(key).is_some_and(|value| matches(wanted, value)))
}

/// Says whether a value has what a filter wants, leaf by leaf.
fn matches(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Object(wanted), Value::Object(_)) => wanted.iter().all(|(key, wanted)| matches(wanted, value.get(key))),
        (Value::Array(wanted), Value::Array(items)) => {
            wanted.len() <= items.len() && wanted.iter().zip(items.iter()).all(|(wanted, item)| matches(wanted, item))
        }
        (wanted, value) => wanted.loosely_equals(value),
    }
}

fn collect_leaves(value: &Value, leaves: &mut Vec<Arc<str>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_leaves(item, leaves)),
        Value::Object(object) => object.iter().for_each(|(_, item)| collect_leaves(item, leaves)),
        scalar => {
            let text = scalar.coerce_string();
            if !text.is_empty() {
                leaves.push(text);
            }
        }
    }
}

fn too_many() -> String {
    format!("The matrix has more than {COMBINATIONS_MAX} combinations")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(matrix: &str, expected: &[&str]) {
        let combinations = combinations(&Value::from_json(matrix).unwrap()).unwrap();
        let shown: Vec<String> = combinations.iter().map(|combination| combination.value().to_json()).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_last_key_moves_fastest_and_excludes_match_loosely() {
        check(
            r#"{"a":[1,2],"b":["x","y"],"exclude":[{"a":"1","b":"X"}]}"#,
            &[r#"{"a":1,"b":"y"}"#, r#"{"a":2,"b":"x"}"#, r#"{"a":2,"b":"y"}"#],
        );
    }

    #[test]
    fn the_documentation_s_include_example() {
        check(
            r#"{"fruit":["apple","pear"],"animal":["cat","dog"],"include":[{"color":"green"},
                {"color":"pink","animal":"cat"},{"fruit":"apple","shape":"circle"},{"fruit":"banana"},
                {"fruit":"banana","animal":"cat"}]}"#,
            &[
                r#"{"fruit":"apple","animal":"cat","color":"pink","shape":"circle"}"#,
                r#"{"fruit":"apple","animal":"dog","color":"green","shape":"circle"}"#,
                r#"{"fruit":"pear","animal":"cat","color":"pink"}"#,
                r#"{"fruit":"pear","animal":"dog","color":"green"}"#,
                r#"{"fruit":"banana"}"#,
                r#"{"fruit":"banana","animal":"cat"}"#,
            ],
        );
    }

    #[test]
    fn a_filter_matches_the_beginning_of_a_list() {
        check(r#"{"a":[["x","y"],["z"]],"exclude":[{"a":["x"]}]}"#, &[r#"{"a":["z"]}"#]);
    }

    #[test]
    fn includes_alone_are_a_list_and_nested_filters_match_partly() {
        check(r#"{"include":[{"a":1},{"b":2}]}"#, &[r#"{"a":1}"#, r#"{"b":2}"#]);
        check(
            r#"{"os":[{"name":"linux","arch":"x"},{"name":"mac","arch":"arm"}],"exclude":[{"os":{"name":"LINUX"}}]}"#,
            &[r#"{"os":{"name":"mac","arch":"arm"}}"#],
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| combinations(&Value::from_json(text).unwrap()).unwrap_err();
        assert_eq!(error(r#"{"os":[]}"#), "Matrix vector 'os' does not contain any values");
        assert_eq!(
            error(r#"{"os":[1],"exclude":[{"x":1}]}"#),
            "Matrix exclude key 'x' does not match any key within the matrix"
        );
        let many: Vec<String> = (0..20).map(|at| at.to_string()).collect();
        assert!(error(&format!(r#"{{"a":[{0}],"b":[{0}]}}"#, many.join(","))).contains("more than 256"));
        let keys: Vec<String> = (0..300).map(|key| format!(r#""k{key}":1"#)).collect();
        assert!(error(&format!(r#"{{"a":[1],"include":[{{{}}}]}}"#, keys.join(","))).contains("256 keys"));
        let items = vec!["{}"; 2_000].join(",");
        assert!(error(&format!(r#"{{"a":[1],"exclude":[{items}]}}"#)).contains("1024 items"));
        let huge: Vec<String> = ('a'..='z').map(|key| format!(r#""{key}":[{}]"#, many.join(","))).collect();
        assert!(error(&format!("{{{}}}", huge.join(","))).contains("more than 256"));
    }
}
