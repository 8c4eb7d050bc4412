//! `uses: actions/checkout`, served by the mirror.

use std::num::NonZeroU32;
use std::sync::Arc;

use greenlight_core::id::Sha;

use crate::contexts::{Frame, Seen};
use crate::host::{AnnotationLevel, CheckoutRequest};
use crate::job::JobRun;
use crate::step::{StepEnd, StepScope};
use crate::stop::{Stop, worse_than};

/// Inputs that change nothing here: a clone of ours has no credentials, no progress and no ownership to be vouched for.
const INDIFFERENT: [&str; 8] = [
    "token",
    "persist-credentials",
    "show-progress",
    "set-safe-directory",
    "github-server-url",
    "ssh-known-hosts",
    "ssh-strict",
    "ssh-user",
];

/// Inputs that ask for what the built-in checkout does not do.
const UNSUPPORTED: [&str; 6] =
    ["submodules", "lfs", "sparse-checkout", "filter", "ssh-key", "sparse-checkout-cone-mode"];

/// What a checkout step asks for, read from its inputs.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    request: CheckoutRequest,
    path: String,
    unknown: Vec<String>,
}

impl JobRun {
    /// Checks the repository out.
    pub(crate) async fn run_checkout(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        inputs: &[(String, String)],
    ) -> StepEnd {
        let asked = match self.asked(inputs) {
            Ok(asked) => asked,
            Err(why) => return StepEnd::failure(why),
        };
        for name in &asked.unknown {
            let why = format!("actions/checkout has no input '{name}'");
            self.complain(scope.at.index, AnnotationLevel::Warning, &why).await;
        }
        // A process of the job that changes a folder into a link meanwhile would lead the checkout out of the workspace.
        self.place.freeze().await;
        let dest = match self.workspace.inside(&asked.path) {
            Ok(dest) => dest,
            Err(why) => {
                // Nothing was made, so there is nothing to be given.
                let _ = self.place.thaw(&self.workspace.workspace).await;
                return StepEnd::failure(format!("has a bad path: {why}"));
            }
        };
        self.told();
        let mut stop = scope.at.stop.clone();
        let known = stop.borrow().clone();
        let host = self.log.host.clone();
        let checkout =
            tokio::time::timeout(scope.time_left().unwrap_or(self.order.timeout), host.checkout(&asked.request, &dest));
        let done = tokio::select! {
            done = checkout => Some(done),
            told = self.stop_unless_it_goes_on(frame, scope, &mut stop, known) => {
                let _: Stop = told;
                None
            }
        };
        if let Err(error) = self.place.thaw(&self.workspace.workspace).await {
            return StepEnd::failure(format!("cannot be given its checkout: {error}"));
        }
        let Some(done) = done else { return StepEnd::cancelled() };
        match done {
            Ok(Ok(done)) => {
                let shown = done.git_ref.as_deref().unwrap_or("detached");
                self.log.line(scope.at.index, &format!("Checked out {} ({shown}) from the mirror", done.sha)).await;
                let git_ref = done.git_ref.as_deref().map_or_else(|| done.sha.to_string(), str::to_owned);
                StepEnd::success(vec![("ref".into(), git_ref), ("commit".into(), done.sha.to_string())])
            }
            Ok(Err(why)) => StepEnd::failure(format!("cannot check out: {why}")),
            Err(_) => StepEnd::failure("cannot check out: it took too long"),
        }
    }

    /// Returns when the step is to stop.
    async fn stop_unless_it_goes_on(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        stop: &mut tokio::sync::watch::Receiver<Stop>,
        mut known: Stop,
    ) -> Stop {
        loop {
            known = worse_than(stop, &known).await;
            let seen: Seen =
                self.contexts.of_step(frame, &scope.step.id, &scope.env, crate::contexts::Status::Cancelled);
            if matches!(known, Stop::Lost(_)) || !scope.step.condition.evaluate(&seen).unwrap_or(false) {
                return known;
            }
        }
    }

    fn asked(&self, inputs: &[(String, String)]) -> Result<Asked, String> {
        let checkout = &self.order.checkout;
        let mut asked = Asked {
            request: CheckoutRequest {
                sha: Some(checkout.sha),
                name: Some(checkout.git_ref.as_str().into()),
                depth: Some(NonZeroU32::MIN),
                clean: true,
            },
            path: String::new(),
            unknown: Vec::new(),
        };
        for (name, value) in inputs {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                _ if value.is_empty() => {}
                "repository" if value.eq_ignore_ascii_case(&self.order.repository) => {}
                "repository" => {
                    return Err(format!(
                        "asks for {value}: this version of Greenlight checks out {} only",
                        self.order.repository
                    ));
                }
                "ref" => by_name(&mut asked.request, value, &checkout.git_ref.to_string(), checkout.sha),
                "path" => asked.path = value.to_owned(),
                "clean" => asked.request.clean = !value.eq_ignore_ascii_case("false"),
                "fetch-depth" => asked.request.depth = depth(value)?,
                "fetch-tags" if value.eq_ignore_ascii_case("false") => {}
                "fetch-tags" => asked.request.depth = None,
                other if INDIFFERENT.contains(&other) => {}
                other if UNSUPPORTED.contains(&other) && value.eq_ignore_ascii_case("false") => {}
                "sparse-checkout-cone-mode" => {}
                other if UNSUPPORTED.contains(&other) => {
                    return Err(format!("asks for {other}, which the built-in checkout cannot do yet"));
                }
                other => asked.unknown.push(other.to_owned()),
            }
        }
        Ok(asked)
    }
}

/// Asks for another ref. The job's own ref is the job's own commit, even if the ref moved on.
fn by_name(request: &mut CheckoutRequest, name: &str, own_ref: &str, own_sha: Sha) {
    if name == own_ref {
        return;
    }
    match Sha::parse(name) {
        Ok(sha) if sha == own_sha => request.name = None,
        Ok(sha) => (request.sha, request.name) = (Some(sha), None),
        Err(_) => (request.sha, request.name) = (None, Some(Arc::from(name))),
    }
}

fn depth(value: &str) -> Result<Option<NonZeroU32>, String> {
    let bad = || format!("has a fetch-depth '{value}', which is no number of commits");
    Ok(NonZeroU32::new(value.parse().map_err(|_| bad())?))
}
