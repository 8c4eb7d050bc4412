//! `uses:`: which actions this version runs, and how.

use greenlight_workflow::{Template, UsesRef, evaluate_entries};

use crate::contexts::Frame;
use crate::job::JobRun;
use crate::step::{StepEnd, StepScope};

/// The action that is served by the built-in checkout.
const CHECKOUT: (&str, &str) = ("actions", "checkout");

/// Says which actions this version does not run.
pub(crate) fn check(reference: &UsesRef) -> Result<(), String> {
    match reference {
        UsesRef::Local(_) => Ok(()),
        reference if is_checkout(reference) => Ok(()),
        other => Err(format!(
            "the action {other} is not supported by this version of Greenlight: it runs scripts, actions/checkout and local \
             actions that are made of steps"
        )),
    }
}

fn is_checkout(reference: &UsesRef) -> bool {
    let UsesRef::Repository { owner, repo, path, .. } = reference else { return false };
    owner.eq_ignore_ascii_case(CHECKOUT.0) && repo.eq_ignore_ascii_case(CHECKOUT.1) && path.is_empty()
}

impl JobRun {
    /// Runs an action.
    pub(crate) async fn run_action(
        &mut self,
        frame: &mut Frame,
        scope: &StepScope<'_>,
        reference: &UsesRef,
        with: &[(String, Template)],
    ) -> StepEnd {
        let inputs = match evaluate_entries(with, &scope.seen) {
            Ok(inputs) => inputs,
            Err(error) => return StepEnd::failure(format!("has inputs that cannot be computed: {}", error.message)),
        };
        match reference {
            UsesRef::Local(path) => self.run_composite(frame, scope, path, inputs).await,
            reference if is_checkout(reference) => self.run_checkout(frame, scope, &inputs).await,
            other => match check(other) {
                Err(why) => StepEnd::failure(why),
                Ok(()) => StepEnd::success(Vec::new()),
            },
        }
    }
}
