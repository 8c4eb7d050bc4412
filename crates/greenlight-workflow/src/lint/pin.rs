//! Actions, workflows and images of others that can change under one's feet.

use crate::finding::{Finding, Span};
use crate::template::Tree;
use crate::workflow::{CallRef, Step, StepKind, UsesRef};

pub(super) fn check_step(step: &Step, tree: Option<&Tree>, findings: &mut Vec<Finding>) {
    let StepKind::Uses { reference, .. } = &step.kind else { return };
    let span = tree.and_then(|tree| tree.get("uses")).map_or(step.span, |uses| uses.span);
    match reference {
        UsesRef::Repository { git_ref, .. } => check_ref(&reference.to_string(), git_ref, "action", span, findings),
        UsesRef::Docker(image) if !image.contains("@sha256:") => {
            let message = format!("The image '{image}' is not pinned to a digest: what it is can change at any time");
            let help = "write docker://IMAGE@sha256:DIGEST";
            findings.push(Finding::warning("image-not-pinned", span, message).with_help(help));
        }
        UsesRef::Docker(_) | UsesRef::Local(_) | UsesRef::SameRepository(_) => {}
    }
}

pub(super) fn check_call(uses: &CallRef, span: Span, findings: &mut Vec<Finding>) {
    if let CallRef::Repository { git_ref, .. } = uses {
        check_ref(&uses.to_string(), git_ref, "workflow", span, findings);
    }
}

fn check_ref(reference: &str, git_ref: &str, what: &str, span: Span, findings: &mut Vec<Finding>) {
    if is_commit(git_ref) {
        return;
    }
    let message = format!(
        "The {what} '{reference}' is not pinned to a full commit: whoever can move '{git_ref}' can run code here"
    );
    let help = format!("write the commit's 40 digits behind the '@', with '{git_ref}' as a comment");
    findings.push(Finding::warning("action-not-pinned", span, message).with_help(help));
}

/// Says whether a ref is a full commit id, of either length that git has.
fn is_commit(git_ref: &str) -> bool {
    matches!(git_ref.len(), 40 | 64) && git_ref.bytes().all(|byte| byte.is_ascii_hexdigit())
}
