//! `uses: actions/checkout`, served by the mirror. What the mirror has not (other repositories, submodules, large files, keys) is left to the action
//! itself, where there is one.
//!
//! The token that later `git push` calls need stands in a file of the job's temporary folder, which the clone's configuration
//! names: not in the workspace, where it would end up in an artifact.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use greenlight_core::id::Sha;

use crate::contexts::{Frame, Seen};
use crate::host::{AnnotationLevel, CheckoutRequest, Sparse};
use crate::job::JobRun;
use crate::step::{StepEnd, StepScope};
use crate::stop::{Stop, worse_than};
use crate::workspace::write_new;

/// Inputs that change nothing here: a clone from the mirror is whole, quiet, and its owner's.
const INDIFFERENT: [&str; 6] =
    ["show-progress", "set-safe-directory", "ssh-known-hosts", "ssh-strict", "ssh-user", "filter"];

/// What a checkout step asks for, read from its inputs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    request: CheckoutRequest,
    path: String,
    /// Does the clone know a token for what comes later?
    keeps_token: bool,
    token: Option<String>,
    unknown: Vec<String>,
    /// What the mirror cannot give.
    pub(crate) beyond: Option<String>,
}

impl JobRun {
    /// Checks the repository out.
    pub(crate) async fn run_checkout(&self, frame: &Frame, scope: &StepScope<'_>, asked: Asked) -> StepEnd {
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
        let kept = match &done {
            Some(Ok(Ok(_))) if asked.keeps_token => self.keep_token(&dest, asked.token.as_deref()),
            _ => Ok(()),
        };
        if let Err(error) = self.place.thaw(&self.workspace.workspace).await {
            return StepEnd::failure(format!("cannot be given its checkout: {error}"));
        }
        if let Err(error) = kept {
            return StepEnd::failure(format!("cannot keep its token: {error}"));
        }
        let Some(done) = done else { return StepEnd::cancelled() };
        match done {
            Ok(Ok(done)) => {
                let shown = done.git_ref.as_deref().unwrap_or("detached");
                let source = self.log.host.checkout_source();
                self.log.line(scope.at.index, &format!("Checked out {} ({shown}) from {source}", done.sha)).await;
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

    /// Writes the token where git finds it later, outside of the workspace, and masks the form in which it stands there.
    fn keep_token(&self, dest: &Path, token: Option<&str>) -> std::io::Result<()> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(()) };
        let config = dest.join(".git/config");
        let is_plain = |path: &Path| path.symlink_metadata().is_ok_and(|found| !found.is_symlink());
        if !is_plain(&dest.join(".git")) || !is_plain(&config) {
            // A working tree without a repository of its own pushes nothing.
            return Ok(());
        }
        let encoded = STANDARD.encode(format!("x-access-token:{token}"));
        let mut masks = self.log.masks();
        masks.add(token);
        masks.add(&encoded);
        drop(masks);
        let number = self.file_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let file = self.workspace.temp.join(format!("git-credentials-{number}.config"));
        let server = self.contexts.github("server_url").coerce_string();
        let server = if server.is_empty() { "https://github.com" } else { server.trim_end_matches('/') };
        let text = format!("[http \"{server}/\"]\n\textraheader = AUTHORIZATION: basic {encoded}\n");
        write_new(&file, text.as_bytes())?;
        let known = std::fs::read_to_string(&config)?;
        std::fs::write(&config, format!("{known}[include]\n\tpath = {}\n", file.display()))
    }

    /// Reads the inputs of a checkout.
    pub(crate) fn asked(&self, inputs: &[(String, String)]) -> Asked {
        let checkout = &self.order.checkout;
        let token = self.contexts.github("token");
        let mut asked = Asked {
            request: CheckoutRequest {
                sha: Some(checkout.sha),
                name: Some(checkout.git_ref.as_str().into()),
                depth: Some(NonZeroU32::MIN),
                clean: true,
                sparse: None,
            },
            path: String::new(),
            keeps_token: true,
            token: token.as_str().map(str::to_owned),
            unknown: Vec::new(),
            beyond: None,
        };
        let mut is_cone = true;
        let server = self.contexts.github("server_url").coerce_string();
        for (name, value) in inputs {
            let value = value.trim();
            let is_off = value.eq_ignore_ascii_case("false");
            match name.to_ascii_lowercase().as_str() {
                _ if value.is_empty() => {}
                "repository" if value.eq_ignore_ascii_case(&self.order.repository) => {}
                "repository" => asked.beyond = Some(format!("another repository, {value}")),
                "github-server-url"
                    if value.trim_end_matches('/').eq_ignore_ascii_case(server.trim_end_matches('/')) => {}
                "github-server-url" => asked.beyond = Some(format!("another server, {value}")),
                "ref" => by_name(&mut asked.request, value, checkout.git_ref.as_str(), checkout.sha),
                "path" => asked.path = value.to_owned(),
                "clean" => asked.request.clean = !is_off,
                "fetch-depth" => asked.request.depth = depth(value),
                "fetch-tags" if is_off => {}
                "fetch-tags" => asked.request.depth = None,
                "token" => asked.token = Some(value.to_owned()),
                "persist-credentials" => asked.keeps_token = !is_off,
                "sparse-checkout" => {
                    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
                    asked.request.sparse = Some(Sparse { patterns: lines.map(Arc::from).collect(), is_cone });
                }
                "sparse-checkout-cone-mode" => is_cone = !is_off,
                "submodules" | "lfs" if is_off => {}
                "submodules" => asked.beyond = Some("submodules".into()),
                "lfs" => asked.beyond = Some("lfs".into()),
                "ssh-key" => asked.beyond = Some("an ssh key".into()),
                other if INDIFFERENT.contains(&other) => {}
                other => asked.unknown.push(other.to_owned()),
            }
        }
        if let Some(sparse) = &mut asked.request.sparse {
            sparse.is_cone = is_cone;
        }
        asked
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

/// Reads a number of commits as the action does: what is no number, or a negative one, is all of them.
fn depth(value: &str) -> Option<NonZeroU32> {
    // git's own word for all of them; a larger number it does not take.
    let most = f64::from(i32::MAX);
    let count = value.parse::<f64>().ok().filter(|count| count.is_finite() && *count >= 1.0)?.floor().min(most);
    format!("{count}").parse().ok()
}
