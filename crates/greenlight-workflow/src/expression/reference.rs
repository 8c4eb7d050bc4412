//! What an expression refers to, as far as its text tells: the paths that it takes into contexts, and those of them whose
//! text may come out again. Nothing is evaluated.

use super::{Expression, Function, Node, Step};
use crate::value::{Value, fold_equals};

/// A path into a context: `needs.build.outputs.x`. A part that is known only when it is evaluated, or that stands for all
/// there are (`*`), is left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    parts: Vec<Option<Box<str>>>,
    /// Whether it is written out with all that is in it, as `toJSON` does.
    whole: bool,
}

impl Reference {
    /// Returns the context's name.
    pub fn context(&self) -> &str {
        self.part(0).unwrap_or_default()
    }

    /// Returns one part of the path, the context being the first; None where it is left open or the path is shorter.
    pub fn part(&self, at: usize) -> Option<&str> {
        self.parts.get(at)?.as_deref()
    }

    /// Returns how many parts the path has.
    pub fn depth(&self) -> usize {
        self.parts.len()
    }

    /// Says whether the parts agree with this path as far as both go; `*` in it is any name.
    pub fn agrees_with(&self, path: &str) -> bool {
        self.parts
            .iter()
            .zip(path.split('.'))
            .all(|(part, wanted)| wanted == "*" || part.as_deref().is_none_or(|part| fold_equals(part, wanted)))
    }

    /// Says whether the text at this path comes with it: it leads there, or it is written out whole and leads to a part of
    /// the way.
    pub fn brings(&self, path: &str) -> bool {
        self.agrees_with(path) && (self.whole || self.parts.len() >= path.split('.').count())
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            formatter.write_str(if at > 0 { "." } else { "" })?;
            formatter.write_str(part.as_deref().unwrap_or("*"))?;
        }
        Ok(())
    }
}

impl Expression {
    /// Returns all references that it makes, each as long as it goes.
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        collect(&self.inner.root, &mut found);
        found
    }

    /// Returns the references whose text may be part of its value: not those that are only compared or searched.
    pub fn yielded_references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        collect_yielded(&self.inner.root, false, &mut found);
        found
    }

    /// Says whether it makes a reference into the context of this name.
    pub fn refers_to(&self, context: &str) -> bool {
        let mut found = false;
        self.inner.root.walk(&mut |node| found |= matches!(node, Node::Named(name) if fold_equals(name, context)));
        found
    }
}

/// Returns the path that leads to this node, if it starts at a named value.
fn path(node: &Node) -> Option<Vec<Option<Box<str>>>> {
    let (name, steps) = match node {
        Node::Named(name) => (name, [].as_slice()),
        Node::Path { base, steps } => match &**base {
            Node::Named(name) => (name, steps.as_slice()),
            _ => return None,
        },
        _ => return None,
    };
    let part = |step: &Step| match step {
        Step::Property(name) => Some((**name).into()),
        Step::Index(Node::Literal(Value::String(key))) => Some((**key).into()),
        Step::Index(_) | Step::Star => None,
    };
    Some(std::iter::once(Some((**name).into())).chain(steps.iter().map(part)).collect())
}

fn collect(node: &Node, found: &mut Vec<Reference>) {
    let parts = path(node);
    let is_path = parts.is_some();
    found.extend(parts.map(|parts| Reference { parts, whole: false }));
    match node {
        Node::Literal(_) | Node::Named(_) => {}
        Node::Path { base, steps } => {
            if !is_path {
                collect(base, found);
            }
            steps.iter().filter_map(Step::index).for_each(|index| collect(index, found));
        }
        Node::Not(base) => collect(base, found),
        Node::And(items) | Node::Or(items) | Node::Call { arguments: items, .. } => {
            items.iter().for_each(|item| collect(item, found));
        }
        Node::Compare { first, rest } => {
            collect(first, found);
            rest.iter().for_each(|(_, item)| collect(item, found));
        }
    }
}

fn collect_yielded(node: &Node, whole: bool, found: &mut Vec<Reference>) {
    if let Some(parts) = path(node) {
        found.push(Reference { parts, whole });
        return;
    }
    match node {
        Node::Literal(_) | Node::Named(_) | Node::Not(_) | Node::Compare { .. } => {}
        Node::Path { base, .. } => collect_yielded(base, true, found),
        // Of `a && b` the first comes out only where it counts as false, and then it has no text.
        Node::And(items) => items.last().into_iter().for_each(|item| collect_yielded(item, whole, found)),
        Node::Or(items) => items.iter().for_each(|item| collect_yielded(item, whole, found)),
        Node::Call { function, arguments } => match function {
            Function::Format => arguments.iter().for_each(|item| collect_yielded(item, whole, found)),
            Function::ToJson | Function::FromJson | Function::Join => {
                arguments.iter().for_each(|item| collect_yielded(item, true, found));
            }
            Function::Case => {
                let last = arguments.len().saturating_sub(1);
                let values = arguments.iter().enumerate().filter(|(at, _)| at % 2 == 1 || *at == last);
                values.for_each(|(_, item)| collect_yielded(item, whole, found));
            }
            _ => {}
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Scope, parse_expression};

    #[track_caller]
    fn check(text: &str, all: &[&str], yielded: &[&str]) {
        let expression = parse_expression(text, &Scope::everything()).unwrap();
        let shown = |found: Vec<super::Reference>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(expression.references()), all, "{text}");
        assert_eq!(shown(expression.yielded_references()), yielded, "{text}");
    }

    #[test]
    fn references_go_as_far_as_the_text_tells() {
        check("needs.build.outputs['x']", &["needs.build.outputs.x"], &["needs.build.outputs.x"]);
        check(
            "github.event.commits.*.message",
            &["github.event.commits.*.message"],
            &["github.event.commits.*.message"],
        );
        check("env[matrix.name].x", &["env.*.x", "matrix.name"], &["env.*.x"]);
        check("fromJSON(vars.x).y == github.ref", &["vars.x", "github.ref"], &[]);
        check(
            "contains(github.head_ref, 'x') && vars.a || vars.b",
            &["github.head_ref", "vars.a", "vars.b"],
            &["vars.a", "vars.b"],
        );
        check("case(vars.p == 1, vars.a, vars.b)", &["vars.p", "vars.a", "vars.b"], &["vars.a", "vars.b"]);
    }

    #[test]
    fn a_reference_brings_what_it_leads_to() {
        let brings = |text: &str, path: &str| {
            let expression = parse_expression(text, &Scope::everything()).unwrap();
            expression.yielded_references().iter().any(|reference| reference.brings(path))
        };
        assert!(brings("GitHub.Event.issue.TITLE", "github.event.issue.title"));
        assert!(brings("github.event.commits[0].message", "github.event.commits.*.message"));
        assert!(brings("toJSON(github.event)", "github.event.issue.title"));
        assert!(!brings("github.event", "github.event.issue.title"));
        assert!(!brings("github.event.issue.number", "github.event.issue.title"));
        assert!(!brings("startsWith(github.head_ref, 'x')", "github.head_ref"));
    }
}
