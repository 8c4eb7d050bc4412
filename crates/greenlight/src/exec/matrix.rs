//! What `--matrix` asks for, held against the matrices that there are: a slip of the pen must not leave out all legs and end green.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_core::event::CommitFiles;
use greenlight_workflow::{Contexts, Job, Strategy, Tree, TreeKind, expand_job, parse_workflow};

use super::WrongUsage;

/// How many values of a key are named.
const VALUES_NAMED_MAX: usize = 20;

/// Keys with the values that are asked for.
pub type Wanted = Vec<(Arc<str>, Arc<str>)>;

/// Reads `KEY:VALUE`.
pub fn parse(given: &[String]) -> anyhow::Result<Wanted> {
    let one = |text: &String| match text.split_once(':') {
        Some((key, value)) => Ok((key.trim().into(), value.trim().into())),
        None => Err(WrongUsage(format!("--matrix {text}: it should be KEY:VALUE")).into()),
    };
    given.iter().map(one).collect()
}

/// The keys of matrices with their values, as far as the files alone say them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    values: BTreeMap<String, Vec<Arc<str>>>,
    /// Is there a matrix that is known only when what stands before its job is done?
    has_computed: bool,
}

/// Refuses what no leg of any job has.
pub fn check(wanted: &Wanted, files: &CommitFiles) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut known = Known::default();
    let texts = files.workflows.iter().chain(&files.called);
    for workflow in texts.filter_map(|(path, text)| parse_workflow(path, text).workflow) {
        workflow.jobs.iter().for_each(|job| known.add(job));
    }
    match wanted.iter().find(|(key, value)| !known.has(key, value)) {
        Some((key, value)) => Err(WrongUsage(known.explain(key, value)).into()),
        None => Ok(()),
    }
}

impl Known {
    fn add(&mut self, job: &Job) {
        let Some(strategy) = &job.strategy else { return };
        let legs = match is_computed(strategy) {
            true => None,
            false => expand_job(job, &Contexts::new()).ok(),
        };
        let Some(legs) = legs else {
            self.has_computed = true;
            return;
        };
        for (key, value) in legs.iter().filter_map(|leg| leg.matrix.as_object()).flat_map(|matrix| matrix.iter()) {
            let values = self.values.entry(key.to_lowercase()).or_default();
            let value = value.coerce_string();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }

    fn has(&self, key: &str, value: &str) -> bool {
        let values = self.values.get(&key.to_lowercase());
        self.has_computed || values.is_some_and(|values| values.iter().any(|known| **known == *value))
    }

    fn explain(&self, key: &str, value: &str) -> String {
        let all = |(key, values): (&String, &Vec<Arc<str>>)| {
            let named = values.iter().take(VALUES_NAMED_MAX).map(|value| &**value).collect::<Vec<_>>().join(", ");
            let more = if values.len() > VALUES_NAMED_MAX { " and others" } else { "" };
            format!("{key}: {named}{more}")
        };
        let own = self.values.get_key_value(&key.to_lowercase());
        let there = match own {
            Some(own) => all(own),
            None => self.values.iter().map(all).collect::<Vec<_>>().join("; "),
        };
        match there.is_empty() {
            true => format!("--matrix {key}:{value}: no job of this event has a matrix"),
            false => format!("--matrix {key}:{value}: no job of this event has it; there is {there}"),
        }
    }
}

fn is_computed(strategy: &Strategy) -> bool {
    strategy.whole.is_some() || strategy.matrix.as_ref().is_some_and(has_expression)
}

fn has_expression(tree: &Tree) -> bool {
    match &tree.kind {
        TreeKind::Scalar(scalar) => scalar.is_expression(),
        TreeKind::Sequence(items) => items.iter().any(has_expression),
        TreeKind::Mapping(entries) => entries.iter().any(|(key, value)| key.is_expression() || has_expression(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(matrix: &str) -> Known {
        let text = format!(
            "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {{ matrix: {matrix} }}\n    steps: [{{ run: echo }}]\n"
        );
        let workflow = parse_workflow("ci.yml", &text).workflow.unwrap();
        let mut known = Known::default();
        workflow.jobs.iter().for_each(|job| known.add(job));
        known
    }

    #[test]
    fn what_legs_have_is_known() {
        let known = known("{ os: [a, b], N: [1, 2], exclude: [{ os: b }], include: [{ os: c, N: 3.5 }] }");
        assert!(known.has("OS", "a") && known.has("n", "2") && known.has("os", "c") && known.has("n", "3.5"));
        assert!(!known.has("os", "b"), "all its legs are excluded");
        assert_eq!(known.explain("os", "b"), "--matrix os:b: no job of this event has it; there is os: a, c");
        assert_eq!(
            known.explain("x", "b"),
            "--matrix x:b: no job of this event has it; there is n: 1, 2, 3.5; os: a, c"
        );
    }

    #[test]
    fn what_is_computed_may_have_anything() {
        for matrix in ["{ os: ['${{ github.ref }}'] }", "'${{ fromJSON(needs.x.outputs.y) }}'"] {
            assert!(known(matrix).has("os", "b"), "{matrix}");
        }
    }
}
