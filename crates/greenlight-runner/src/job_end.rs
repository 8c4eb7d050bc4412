//! The end of a job: its outputs, its address, its conclusion and the reason for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use greenlight_core::effect::JobEnd;
use greenlight_core::run::Conclusion;

use crate::contexts::{Frame, Status};
use crate::host::{AnnotationLevel, StepState};
use crate::job::JobRun;
use crate::step::At;
use crate::stop::Stop;

/// How many bytes a job's outputs have together.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

type Outputs = Vec<(Arc<str>, Arc<str>)>;

/// Ends a job whose steps are over.
pub(crate) async fn end(run: JobRun, frame: &Frame, is_late: &AtomicBool) -> JobEnd {
    let started_at = run.now();
    let at = At { index: run.next_index(), key: String::new(), stop: run.stop.clone(), deadline: None };
    run.tell_of(&at, "Complete job", StepState::Running { started_at }).await;
    let told = run.told();
    let outputs = match outputs(&run, frame, at.index).await {
        Ok(outputs) => outputs,
        Err(why) => {
            run.complain(at.index, AnnotationLevel::Error, &why).await;
            let mut state = run.state();
            state.reason.get_or_insert(why);
            if state.status == Status::Success {
                state.status = Status::Failure;
            }
            Vec::new()
        }
    };
    let environment_url = environment_url(&run, frame, at.index).await;
    let (conclusion, reason) = conclusion(&run, &told, is_late.load(Ordering::Relaxed));
    let reason = run.log.masked(&reason);
    let shown = reason.strip_prefix(&format!("{}: ", conclusion.as_result())).unwrap_or(&reason);
    run.log.line(at.index, &format!("Job {}: {shown}", conclusion.as_result())).await;
    let completed_at = run.now();
    let (outcome, started_at) = (Conclusion::Success, Some(started_at));
    let state = StepState::Completed { outcome, conclusion: outcome, started_at, completed_at };
    run.tell_of(&at, "Complete job", state).await;
    JobEnd { conclusion, reason: reason.into(), outputs, environment_url }
}

fn conclusion(run: &JobRun, told: &Stop, is_late: bool) -> (Conclusion, String) {
    let because = |stop: &Stop| stop.reason().map_or_else(|| "told to stop".to_owned(), ToString::to_string);
    let state = run.state();
    match state.status {
        Status::Cancelled if is_late => (Conclusion::TimedOut, because(told)),
        Status::Cancelled => (Conclusion::Cancelled, because(told)),
        Status::Failure => (Conclusion::Failure, state.reason.clone().unwrap_or_else(|| "a step failed".into())),
        Status::Success => (Conclusion::Success, "all steps succeeded".into()),
    }
}

/// Evaluates the job's outputs. Empty ones are left out, and so are those that hold a secret.
async fn outputs(run: &JobRun, frame: &Frame, index: u32) -> Result<Outputs, String> {
    let env = run.state().env.clone();
    let seen = run.contexts.of_step(frame, "", &env, run.status());
    let mut outputs = Vec::new();
    let mut bytes = 0;
    for (name, template) in &run.job.outputs {
        let value = template
            .evaluate_string(&seen)
            .map_err(|error| format!("output '{name}' cannot be computed: {}", error.message))?;
        let has_secret = run.log.masks().has_secret(&value);
        if has_secret {
            let why = format!("Skip output '{name}' since it may contain secret.");
            run.complain(index, AnnotationLevel::Warning, &why).await;
        } else if !value.is_empty() {
            bytes += name.len() + value.len();
            outputs.push((Arc::from(name.as_str()), Arc::from(value)));
        }
    }
    if bytes > OUTPUT_BYTES_MAX {
        return Err(format!("the job's outputs have {bytes} bytes; at most {OUTPUT_BYTES_MAX} are taken"));
    }
    Ok(outputs)
}

/// Returns where what the job deployed is: `environment.url`, else what a step set as `environment_url`.
async fn environment_url(run: &JobRun, frame: &Frame, index: u32) -> Option<Arc<str>> {
    let written = run.job.environment.as_ref().and_then(|environment| environment.url.as_ref());
    let env = run.state().env.clone();
    let seen = run.contexts.of_step(frame, "", &env, run.status());
    let url = match written.map(|url| url.evaluate_string(&seen)) {
        Some(Err(error)) => {
            let why = format!("environment.url cannot be computed: {}", error.message);
            run.complain(index, AnnotationLevel::Warning, &why).await;
            None
        }
        Some(Ok(url)) if !url.is_empty() => Some(url),
        _ => run.state().environment_url.clone(),
    }?;
    let has_secret = run.log.masks().has_secret(&url);
    (!has_secret).then(|| url.into())
}
