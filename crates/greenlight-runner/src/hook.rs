//! What actions run before the job's first step and after its last one: pre and post parts.
//!
//! The pre parts run in the order of the steps, the post parts in the reverse order of their main parts. Both see how the whole job
//! stands, and a failure of theirs fails it.

use std::sync::{Arc, PoisonError};

use greenlight_core::run::Conclusion;
use greenlight_workflow::{ActionRuns, Condition, Step, StepKind, evaluate_entries};

use crate::action::written_inputs;
use crate::contexts::{ActionPlace, Frame, Status};
use crate::host::StepState;
use crate::job::JobRun;
use crate::manifest::Inputs;
use crate::shelf::Action;
use crate::step::{At, StepEnd, StepScope};
use crate::stop::Stop;

/// A part of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Pre,
    Main,
    Post,
}

/// A part of an action as it runs.
#[derive(Clone, Copy)]
pub(crate) struct ActionCall<'a> {
    /// Where its step stands.
    pub(crate) frame: &'a Frame,
    /// Its step.
    pub(crate) scope: &'a StepScope<'a>,
    pub(crate) action: &'a Action,
    pub(crate) part: Part,
    pub(crate) inputs: &'a Inputs,
}

impl Action {
    /// Returns what its parts have kept for those that follow.
    pub(crate) fn kept(&self) -> Vec<(String, String)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps something for the parts that follow.
    pub(crate) fn keep(&self, kept: Vec<(String, String)>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

/// A part of an action that runs before or after all steps.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    frame: Arc<Frame>,
    step: Step,
    action: Action,
    key: String,
}

impl Hook {
    pub(crate) fn new(frame: &Arc<Frame>, step: &Step, action: &Action, at: &At) -> Self {
        Self { frame: frame.clone(), step: step.clone(), action: action.clone(), key: at.key.clone() }
    }

    fn condition(&self, part: Part) -> Option<&Condition> {
        match (&self.action.manifest.runs, part) {
            (ActionRuns::Node { pre_if, .. } | ActionRuns::Docker { pre_if, .. }, Part::Pre) => Some(pre_if),
            (ActionRuns::Node { post_if, .. } | ActionRuns::Docker { post_if, .. }, Part::Post) => Some(post_if),
            _ => None,
        }
    }

    fn has(&self, part: Part) -> bool {
        match (&self.action.manifest.runs, part) {
            (ActionRuns::Node { pre, .. }, Part::Pre) => pre.is_some(),
            (ActionRuns::Node { post, .. }, Part::Post) => post.is_some(),
            (ActionRuns::Docker { pre_entrypoint, .. }, Part::Pre) => pre_entrypoint.is_some(),
            (ActionRuns::Docker { post_entrypoint, .. }, Part::Post) => post_entrypoint.is_some(),
            _ => false,
        }
    }
}

impl JobRun {
    /// Remembers the post part of an action, once.
    pub(crate) fn keep_for_the_end(&self, hook: Hook) {
        let mut state = self.state();
        if !state.posts.iter().any(|known| known.key == hook.key) {
            state.posts.push(hook);
        }
    }

    /// Runs the pre parts of all actions that were found.
    pub(crate) async fn run_pre_parts(&self, frame: &Arc<Frame>) {
        let mut hooks = Vec::new();
        self.collect(frame, self.job.steps(), &frame.key, &mut hooks);
        for hook in hooks {
            if hook.has(Part::Post) {
                self.keep_for_the_end(hook.clone());
            }
            self.run_hook(&hook, Part::Pre).await;
        }
    }

    /// Collects what has a pre part, in the order of the steps.
    fn collect(&self, frame: &Arc<Frame>, steps: &[Step], key: &str, hooks: &mut Vec<Hook>) {
        for (position, step) in steps.iter().enumerate() {
            let key = format!("{key}/{position}");
            if let StepKind::Parallel { steps } = &step.kind {
                self.collect(frame, steps, &key, hooks);
            }
            let Some(action) = self.shelf.get(&key) else { continue };
            if let ActionRuns::Composite { steps } = &action.manifest.runs {
                let inner = self.frame_before(frame, step, &action, &key);
                self.collect(&inner, steps, &key, hooks);
            }
            let hook = Hook { frame: frame.clone(), step: step.clone(), action, key };
            if hook.has(Part::Pre) {
                hooks.push(hook);
            }
        }
    }

    /// Returns what the steps of an action see before it runs. Inputs that cannot be computed yet are empty.
    fn frame_before(&self, frame: &Arc<Frame>, step: &Step, action: &Action, key: &str) -> Arc<Frame> {
        let env = self.state().env.clone();
        let seen = self.contexts.of_hook(frame, &step.id, &env, self.status());
        let given = evaluate_entries(written_inputs(&step.kind), &seen).unwrap_or_default();
        let inputs = Inputs::of(&action.manifest, given, &seen).unwrap_or_default().context(&action.manifest);
        let own = evaluate_entries(&step.env, &seen).unwrap_or_default();
        let place: Option<ActionPlace> = Some(action.place.clone());
        Arc::new(Frame::new(key.to_owned(), inputs, place, own.into_iter().collect(), frame.depth + 1))
    }

    /// Runs the post parts, the last one first.
    pub(crate) async fn run_post_parts(&self) {
        loop {
            let hook = self.state().posts.pop();
            let Some(hook) = hook else { return };
            self.run_hook(&hook, Part::Post).await;
        }
    }

    async fn run_hook(&self, hook: &Hook, part: Part) {
        if !hook.has(part) {
            return;
        }
        let frame = &hook.frame;
        let told = self.told();
        let mut env = self.state().env.clone();
        env.extend(frame.env.iter().cloned());
        let status = self.status();
        let seen = self.contexts.of_hook(frame, &hook.step.id, &env, status);
        let word = if part == Part::Pre { "Pre" } else { "Post" };
        let name = format!("{word} {}", hook.step.display_name(&seen));
        let at = At { index: self.next_index(), key: hook.key.clone(), stop: self.stop.clone(), deadline: None };
        let own_env = evaluate_entries(&hook.step.env, &seen)
            .map_err(|error| format!("failed: its env cannot be computed: {}", error.message));
        let runs = own_env.and_then(|own| {
            env.extend(own);
            let seen = seen.with_env(&env);
            let holds = hook.condition(part).map_or(Ok(true), |condition| condition.evaluate(&seen));
            let holds = if matches!(told, Stop::Lost(_)) { Ok(false) } else { holds };
            holds.map(|holds| (holds, seen)).map_err(|error| {
                format!("failed: its {}-if cannot be computed: {}", word.to_lowercase(), error.message)
            })
        });
        let started_at = self.now();
        let (end, may_fail, started_at) = match runs {
            Ok((false, _)) => (StepEnd::new(Conclusion::Skipped), false, None),
            Ok((true, seen)) => {
                self.tell_of(&at, &name, StepState::Running { started_at }).await;
                let mut scope = StepScope { step: &hook.step, at: at.clone(), seen, env, timeout: None };
                let (end, may_fail) = match self.bounds(&mut scope) {
                    Ok(may_fail) => (self.run_part(hook, &scope, part).await, may_fail),
                    Err(why) => (StepEnd::failure(why), false),
                };
                (self.complained(&at, end).await, may_fail, Some(started_at))
            }
            Err(why) => {
                self.tell_of(&at, &name, StepState::Running { started_at }).await;
                (self.complained(&at, StepEnd::failure(why)).await, false, Some(started_at))
            }
        };
        let conclusion = end.conclusion(may_fail);
        let completed = StepState::Completed { outcome: end.outcome, conclusion, started_at, completed_at: self.now() };
        self.tell_of(&at, &name, completed).await;
        self.let_hook_count(&name, end, conclusion);
    }

    async fn run_part(&self, hook: &Hook, scope: &StepScope<'_>, part: Part) -> StepEnd {
        let inputs = match Self::inputs(&hook.action, written_inputs(&hook.step.kind), scope) {
            Ok(inputs) => inputs,
            Err(why) => return StepEnd::failure(why),
        };
        let call = ActionCall { frame: &hook.frame, scope, action: &hook.action, part, inputs: &inputs };
        match hook.action.manifest.runs {
            ActionRuns::Docker { .. } => self.run_docker(call).await,
            _ => self.run_node(call).await,
        }
    }

    /// Lets the end of a part count for the whole job, even where its action is within another.
    fn let_hook_count(&self, name: &str, end: StepEnd, conclusion: Conclusion) {
        let mut state = self.state();
        state.env.extend(end.env);
        state.paths.extend(end.paths);
        if conclusion == Conclusion::Failure {
            if state.status == Status::Success {
                state.status = Status::Failure;
            }
            let why = end.reason.as_deref().unwrap_or("failed");
            state.reason.get_or_insert_with(|| format!("step '{name}' {why}"));
        }
    }
}
