//! What happened in the lives that were lived: a promise is tested only where its moment came.

/// Something that must have happened in a simulation worth the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Moment {
    /// A pull request was merged by us.
    Merge,
    /// A pull request was merged by hand.
    MergeByHand,
    /// The base moved under a merge, and the pull request was tested again.
    Retest,
    /// What landed was not what was tested, and merging was halted.
    Halt,
    /// A merge was refused by GitHub.
    MergeRefused,
    /// A deployment was made by us.
    Deployment,
    /// A deployment was made by hand.
    DeploymentByHand,
    /// A deployment succeeded.
    DeploymentSuccess,
    /// A deployment ended with nobody knowing how.
    DeploymentUnknown,
    /// A person unlocked an environment.
    Unlock,
    /// An untrusted run was approved and ran.
    UntrustedRun,
    /// A job of the default branch ran for a pull request.
    TargetRun,
    /// A conflict was found.
    Conflict,
    /// A room was told.
    Told,
    /// A run was cancelled by a person.
    Cancel,
    /// A run was run again by a person.
    Rerun,
    /// A job was lost with its runner.
    JobLost,
    /// A job called a workflow, whose jobs were made.
    Called,
    /// A job of a called workflow called another.
    CalledWithin,
    /// A call was over, and handed outputs back.
    CallReturned,
    /// A job waited for its turn in a concurrency group, and got it.
    TurnCame,
    /// A job that waited for its turn gave its place to a newer one.
    TurnTaken,
    /// A job that had its turn was stopped for a newer one.
    TurnStopped,
    /// A schedule came due and was begun.
    CameDue,
    /// It came due while nobody was there, and was begun later.
    CameDueUnseen,
    /// The server crashed before a commit took effect.
    CrashBeforeCommit,
    /// The server crashed after a commit, before it answered.
    CrashAfterCommit,
    /// The server crashed after its answers, before its effects.
    CrashBeforeDispatch,
    /// The server crashed with effects under way.
    CrashInFlight,
    /// The store could not write, before.
    StoreFailedBefore,
    /// The store failed after it had written.
    StoreFailedAfter,
    /// The disk was full for a while.
    DiskFull,
    /// A delivery could not be stored and was not accepted.
    DeliveryRefused,
    /// A webhook was lost.
    WebhookLost,
    /// A webhook came more than once.
    WebhookRepeated,
    /// A webhook came hours late.
    WebhookLate,
    /// One delivery id came with two bodies.
    WebhookForged,
    /// GitHub answered 500 and did nothing.
    ServerError,
    /// GitHub answered 502 and had done it.
    ServerErrorAfter,
    /// GitHub asked to slow down.
    SecondaryLimit,
    /// GitHub refused.
    Unprocessable,
    /// A call timed out and had no effect.
    TimeoutBefore,
    /// A call timed out and had its effect.
    TimeoutAfter,
    /// A read was old.
    StaleRead,
    /// The token was revoked for a while.
    TokenRevoked,
    /// "Not yet": the base was modified, or a required check is expected.
    NotYet,
    /// The default branch was merged into a deployment's ref first (202).
    AutoMerged,
    /// A deployment was refused for now (409).
    DeploymentConflict,
    /// A runner was lost.
    RunnerLost,
    /// A runner came back after its lease had run out.
    RunnerPaused,
    /// A runner was started again without its job, and said so.
    RunnerRestarted,
    /// A runner repeated a report.
    ReportRepeated,
    /// A head was pushed to while its tests ran.
    HeadPushedDuringTest,
    /// A base was pushed to with force.
    BaseForced,
    /// The clock jumped.
    ClockJumped,
    /// A delivery was not signed with a secret of ours.
    DeliveryUnsigned,
    /// The hook's secret was changed, a step further.
    SecretRotated,
}

/// How many moments there are.
pub const MOMENTS: usize = Moment::SecretRotated as usize + 1;

/// How often each moment came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    counts: [u64; MOMENTS],
    /// How many steps there were.
    pub steps: u64,
    /// How many lives.
    pub lives: u64,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { counts: [0; MOMENTS], steps: 0, lives: 0 }
    }
}

impl Coverage {
    /// Counts a moment.
    pub fn saw(&mut self, moment: Moment) {
        self.counts[moment as usize] += 1;
    }

    /// Returns how often a moment came.
    pub fn count(&self, moment: Moment) -> u64 {
        self.counts[moment as usize]
    }

    /// Adds another life's moments.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.steps += other.steps;
        self.lives += other.lives;
    }

    /// Returns all moments with their names, in order.
    pub fn all(&self) -> impl Iterator<Item = (Moment, u64)> {
        ALL.iter().map(|moment| (*moment, self.count(*moment)))
    }

    /// Returns what makes the whole simulation worthless, where something does.
    pub fn complaint(&self) -> Option<String> {
        let never: Vec<_> = self.all().filter(|(_, count)| *count == 0).map(|(moment, _)| moment).collect();
        if !never.is_empty() {
            return Some(format!("these never came: {never:?}; live more seeds, or find out why"));
        }
        let merges = self.count(Moment::Merge);
        (merges * 5 < self.lives).then(|| format!("{merges} merges in {} lives are fewer than one in five", self.lives))
    }
}

const ALL: [Moment; MOMENTS] = {
    use Moment::*;
    [
        Merge,
        MergeByHand,
        Retest,
        Halt,
        MergeRefused,
        Deployment,
        DeploymentByHand,
        DeploymentSuccess,
        DeploymentUnknown,
        Unlock,
        UntrustedRun,
        TargetRun,
        Conflict,
        Told,
        Cancel,
        Rerun,
        JobLost,
        Called,
        CalledWithin,
        CallReturned,
        TurnCame,
        TurnTaken,
        TurnStopped,
        CameDue,
        CameDueUnseen,
        CrashBeforeCommit,
        CrashAfterCommit,
        CrashBeforeDispatch,
        CrashInFlight,
        StoreFailedBefore,
        StoreFailedAfter,
        DiskFull,
        DeliveryRefused,
        WebhookLost,
        WebhookRepeated,
        WebhookLate,
        WebhookForged,
        ServerError,
        ServerErrorAfter,
        SecondaryLimit,
        Unprocessable,
        TimeoutBefore,
        TimeoutAfter,
        StaleRead,
        TokenRevoked,
        NotYet,
        AutoMerged,
        DeploymentConflict,
        RunnerLost,
        RunnerPaused,
        RunnerRestarted,
        ReportRepeated,
        HeadPushedDuringTest,
        BaseForced,
        ClockJumped,
        DeliveryUnsigned,
        SecretRotated,
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_listed_in_its_place() {
        for (at, moment) in ALL.iter().enumerate() {
            assert_eq!(*moment as usize, at);
        }
    }

    #[test]
    fn a_moment_that_never_came_is_a_complaint() {
        let mut coverage = Coverage { lives: 5, ..Coverage::default() };
        assert!(coverage.complaint().is_some());
        for moment in ALL {
            coverage.saw(moment);
        }
        assert_eq!(coverage.complaint(), None);
        coverage.lives = 6;
        assert!(coverage.complaint().is_some_and(|text| text.contains("fewer than one in five")));
    }
}
