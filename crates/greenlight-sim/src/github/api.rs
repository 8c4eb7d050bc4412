//! The fake GitHub's API, git and rooms: what an effect does, and what is answered.

use greenlight_core::effect::{Answer, Dispatch, Effect, Outcome, Refusal};
use greenlight_core::event::{DeploymentState, PullStanding, TestMerge};
use greenlight_core::id::{CommentId, Context, EffectKey, PullNumber, RefName, Sha};
use greenlight_core::shown::{ReportForm, ReportState, ShownDeployment, ShownReport};

use super::{GitHub, Status, US};
use crate::objects::{Index, name};

/// What an effect did, where an invariant wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Did {
    /// Nothing of interest.
    Nothing,
    /// A status was written.
    Wrote(Sha, Context, ShownReport),
    /// A pull request was merged: its base's tip before, and what landed.
    Merged(PullNumber, Index, Index),
    /// A deployment was made.
    Deployed(Sha, EffectKey),
    /// A deployment's state was written.
    ShowedDeployment(usize),
}

impl GitHub {
    /// Would reading the world before another try find that it is done?
    pub fn is_done(&self, dispatch: &Dispatch) -> bool {
        match &dispatch.effect {
            Effect::CreateDeployment { .. } => {
                self.deployments.iter().any(|known| known.snapshot.key.as_ref() == Some(&dispatch.key))
            }
            Effect::Merge { pull, head_sha, .. } => self.pull(*pull).is_some_and(|pull| {
                matches!(pull.standing, PullStanding::Merged { .. }) && name(pull.head) == *head_sha
            }),
            _ => false,
        }
    }

    /// Carries an effect out; reads are as of `at`.
    pub fn perform(&mut self, dispatch: &Dispatch, at: i64) -> (Outcome, Did) {
        match &dispatch.effect {
            Effect::PrepareMerge { pull, head_sha, base_ref } => {
                (self.prepare(*pull, *head_sha, base_ref, at), Did::Nothing)
            }
            Effect::ReadCommit { sha, before, .. } => (self.read_commit(*sha, *before), Did::Nothing),
            Effect::ReadPermission(user) => {
                let known = self.people.iter().find(|(known, _)| known.id == user.id);
                let permission = known.map_or(greenlight_core::event::Permission::None, |(_, permission)| *permission);
                (Outcome::Done(Answer::Permission(permission)), Did::Nothing)
            }
            Effect::ReadPull(number) => match self.read_pull(*number, at) {
                Some(read) => (Outcome::Done(Answer::Pull(Box::new(read))), Did::Nothing),
                None => (Outcome::Refused(Refusal::Gone("there is no such pull request".into())), Did::Nothing),
            },
            Effect::Reconcile { known_open, pulls_since, .. } => {
                let read = self.reconcile(known_open, *pulls_since, at);
                (Outcome::Done(Answer::Reconciled(Box::new(read))), Did::Nothing)
            }
            Effect::Show { sha, context, report, check_run } => {
                self.show(*sha, context, report, *check_run, dispatch.confirm)
            }
            Effect::Comment { pull, mark, body, .. } => (self.write_comment(*pull, mark, body), Did::Nothing),
            Effect::Merge { pull, head_sha, method, .. } => {
                self.merge_call(*pull, *head_sha, *method, dispatch.confirm)
            }
            Effect::CreateDeployment { sha, environment, .. } => {
                self.create_deployment(*sha, environment.as_str(), &dispatch.key, dispatch.confirm)
            }
            Effect::ShowDeployment { id, shown } => self.show_deployment(*id, shown, dispatch.confirm),
            Effect::Tell { .. } => {
                self.room += 1;
                (Outcome::Done(Answer::Nothing), Did::Nothing)
            }
        }
    }

    fn prepare(&mut self, number: PullNumber, head: Sha, base: &RefName, at: i64) -> Outcome {
        let (Some(head), true) = (self.objects.find(head), self.pull(number).is_some()) else {
            return Outcome::Refused(Refusal::Gone("the head is not there".into()));
        };
        let branch = self.branches.iter().position(|branch| branch.name == *base);
        let Some(tip) = branch.and_then(|branch| self.tip_at(branch, at)) else {
            return Outcome::Refused(Refusal::Gone("the base is not there".into()));
        };
        match self.objects.test_merge(tip, head) {
            None => Outcome::Refused(Refusal::Conflict { base_sha: name(tip) }),
            Some(merge) => {
                let files = self.files(merge, Some(tip));
                Outcome::Done(Answer::TestMerge(Box::new(TestMerge { base_sha: name(tip), files })))
            }
        }
    }

    fn read_commit(&self, sha: Sha, before: Option<Sha>) -> Outcome {
        match self.objects.find(sha) {
            Some(index) => {
                let before = before.and_then(|before| self.objects.find(before));
                Outcome::Done(Answer::Commit(Box::new(self.files(index, before))))
            }
            None => Outcome::Refused(Refusal::Gone("there is no such commit".into())),
        }
    }

    fn show(
        &mut self,
        sha: Sha,
        context: &Context,
        report: &ShownReport,
        check_run: Option<u64>,
        confirm: bool,
    ) -> (Outcome, Did) {
        let place = (sha, context.clone());
        let answer = |id: Option<u64>| Outcome::Done(id.map_or(Answer::Nothing, Answer::CheckRun));
        if confirm
            && let Some(known) = self.statuses.get(&place)
            && is_alike(&known.shown, report)
        {
            return (answer(known.check_run), Did::Nothing);
        }
        let made = match (report.form, check_run.or_else(|| self.statuses.get(&place)?.check_run)) {
            (ReportForm::Status, _) => None,
            (ReportForm::CheckRun, Some(id)) => Some(id),
            (ReportForm::CheckRun, None) => Some(self.next_id()),
        };
        let writes = self.statuses.get(&place).map_or(0, |known| known.writes) + 1;
        self.statuses.insert(place, Status { shown: report.clone(), check_run: made, writes });
        (answer(made), Did::Wrote(sha, context.clone(), report.clone()))
    }

    fn write_comment(&mut self, number: PullNumber, mark: &std::sync::Arc<str>, body: &std::sync::Arc<str>) -> Outcome {
        let id = CommentId(self.next_id());
        let Some(pull) = self.pull_mut(number) else {
            return Outcome::Refused(Refusal::Gone("there is no such pull request".into()));
        };
        match pull.ours.iter_mut().find(|(known, _, _)| known == mark) {
            Some((_, id, text)) => {
                *text = body.clone();
                Outcome::Done(Answer::Comment(*id))
            }
            None => {
                pull.ours.push((mark.clone(), id, body.clone()));
                Outcome::Done(Answer::Comment(id))
            }
        }
    }

    fn merge_call(
        &mut self,
        number: PullNumber,
        head: Sha,
        method: greenlight_core::effect::MergeMethod,
        confirm: bool,
    ) -> (Outcome, Did) {
        let Some(pull) = self.pull(number) else {
            return (Outcome::Refused(Refusal::Gone("there is no such pull request".into())), Did::Nothing);
        };
        if let PullStanding::Merged { commit: Some(sha) } = pull.standing
            && confirm
            && name(pull.head) == head
        {
            let tree = self.objects.find(sha).map_or(Sha::ZERO, |index| self.objects.tree(index));
            return (Outcome::Done(Answer::Merged { sha, tree }), Did::Nothing);
        }
        let required = self.rules.as_ref().is_some_and(|rules| !rules.required.is_empty());
        let green = self.aggregate(head).is_some_and(|shown| shown.state == ReportState::Success);
        if required && !green && pull.standing == PullStanding::Open {
            let text = "Required status check \"greenlight\" is expected.";
            return (Outcome::Refused(Refusal::NotYet(text.into())), Did::Nothing);
        }
        let at = usize::try_from(number.0).expect("it is small") - 1;
        let tip = self.tip(self.pulls[at].base);
        match self.merge(at, Some(head), method, US) {
            Ok(landed) => {
                let answer = Answer::Merged { sha: name(landed), tree: self.objects.tree(landed) };
                (Outcome::Done(answer), Did::Merged(number, tip, landed))
            }
            Err(refusal) => (Outcome::Refused(refusal), Did::Nothing),
        }
    }

    fn create_deployment(&mut self, sha: Sha, environment: &str, key: &EffectKey, confirm: bool) -> (Outcome, Did) {
        if confirm && let Some(known) = self.deployments.iter().find(|known| known.snapshot.key.as_ref() == Some(key)) {
            return (Outcome::Done(Answer::Deployment(Box::new(known.snapshot.clone()))), Did::Nothing);
        }
        let snapshot = self.deploy(sha, environment, Some(key.clone()), US);
        (Outcome::Done(Answer::Deployment(Box::new(snapshot))), Did::Deployed(sha, key.clone()))
    }

    fn show_deployment(
        &mut self,
        id: greenlight_core::id::DeploymentId,
        shown: &ShownDeployment,
        confirm: bool,
    ) -> (Outcome, Did) {
        let at = usize::try_from(id.0).expect("it is small") - 1;
        let Some(known) = self.deployments.get_mut(at) else {
            return (Outcome::Refused(Refusal::Gone("there is no such deployment".into())), Did::Nothing);
        };
        if confirm && known.statuses.last() == Some(shown) {
            return (Outcome::Done(Answer::Nothing), Did::Nothing);
        }
        // GitHub makes the earlier ones of the environment inactive by itself; nobody is told.
        known.statuses.push(shown.clone());
        if shown.state == DeploymentState::Success {
            let environment = known.snapshot.environment.clone();
            for (other, deployed) in self.deployments.iter_mut().enumerate() {
                let stale = other != at && deployed.snapshot.environment == environment;
                let inactive = deployed.statuses.last().filter(|last| stale && last.state == DeploymentState::Success);
                if let Some(inactive) = inactive.cloned() {
                    deployed.statuses.push(ShownDeployment { state: DeploymentState::Inactive, ..inactive });
                }
            }
        }
        (Outcome::Done(Answer::Nothing), Did::ShowedDeployment(at))
    }
}

/// Does GitHub show the same? A status knows no more than four states and a text.
fn is_alike(one: &ShownReport, other: &ShownReport) -> bool {
    one.state == other.state && one.description == other.description && one.link == other.link
}
