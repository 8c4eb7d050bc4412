//! What people do: everything that GitHub and our pages allow, at the worst moments too.

use greenlight_core::effect::{MergeMethod, Reply};
use greenlight_core::event::{PullStanding, Verdict, Verdicts};
use greenlight_core::fact::{Again, Click, Fact, Wish};
use greenlight_core::id::{EnvironmentName, JobKey, RunNumber};

use super::{Event, World};
use crate::coverage::Moment;
use crate::github::{ADMIN, LINTER, READER, STRANGER, WRITERS};
use crate::invariant::Checked;
use crate::objects::{CI, CONFIG, DEPLOY, Files, PATHS, SOURCE, is_broken, name};
use crate::sources::{CI_BROKEN, CI_GOOD, CI_NESTED, CONFIG_BROKEN, STILL};

/// How many pull requests are open at most.
const OPEN_MAX: usize = 6;

impl World {
    /// Somebody does something, and somebody will again.
    pub fn person(&mut self) -> Checked {
        let wait = if self.rng.chance(150) { self.rng.between(1, 1500) } else { self.rng.between(1000, 90_000) };
        self.at(wait, Event::Person);
        if self.github.sources.lint {
            self.lint();
        }
        match self.rng.below(100) {
            0..17 => self.open_pull(),
            17..27 => self.push_to_head(),
            27..31 => self.push_to_main(),
            31..37 => self.mend_main(),
            37 => self.force_main(),
            38..40 => self.close_or_reopen(),
            40..42 => self.draft(),
            42..60 => self.review(),
            60..76 => self.comment(),
            76..78 => self.label(),
            78 => self.retarget(),
            79..81 => self.merge_by_hand(),
            81..84 => self.deploy_by_hand(),
            84..89 => return self.unlock(),
            89..92 => return self.rerun(),
            92..95 => return self.cancel(),
            95 => return self.approve_on_page(),
            96..98 => return self.resume_merging(),
            98 => return self.click("sync", Wish::Sync).map(|_| ()),
            _ => self.rename_or_delete(),
        }
        Ok(())
    }

    fn some_open(&mut self) -> Option<usize> {
        let open = self.github.open();
        self.rng.pick(&open).copied()
    }

    fn writer(&mut self) -> usize {
        *self.rng.pick(&[ADMIN, WRITERS[0], WRITERS[1]]).expect("there are three")
    }

    /// Changes a source file; sometimes so that the tests break.
    fn change(&mut self, mut files: Files) -> Files {
        let broken = self.rng.chance(120);
        match self.rng.below(60) {
            2 if self.github.sources.ticks => files[DEPLOY] = if files[DEPLOY] == STILL { 0 } else { STILL },
            0 => files[CONFIG] = if self.rng.chance(300) { CONFIG_BROKEN } else { 2 },
            1 => {
                let nested = self.rng.between(i64::from(CI_NESTED), i64::from(CI_GOOD) - 1);
                files[CI] = match self.rng.below(10) {
                    0..3 => CI_BROKEN,
                    3..6 => u16::try_from(nested).expect("there are few"),
                    _ => 3,
                };
            }
            _ => {
                let at = SOURCE + self.rng.below(PATHS - SOURCE);
                files[at] = self.github.version(broken);
            }
        }
        files
    }

    fn open_pull(&mut self) {
        if self.github.open().len() >= OPEN_MAX {
            return self.push_to_head();
        }
        let base = usize::from(self.rng.chance(80));
        let tip = self.github.tip(base);
        let files = self.change(self.github.objects.get(tip).files);
        let skips = self.rng.chance(20);
        let head = self.github.objects.commit([Some(tip), None], files, skips);
        let fork = self.rng.chance(250);
        let author = match self.rng.below(10) {
            0..8 if !fork => self.writer(),
            0..4 => READER,
            4..8 => STRANGER,
            _ => READER,
        };
        let branch = (!fork).then(|| self.github.create_branch(head, author));
        let draft = self.rng.chance(60);
        let at = self.github.open_pull(author, head, branch, base, draft);
        let number = at + 1;
        self.trace.line(|| {
            let from = if fork { " from a fork" } else { "" };
            format!("person {author} opens #{number} at {}{from}", name(head).short())
        });
    }

    fn push_to_head(&mut self) {
        let Some(at) = self.some_open() else { return };
        let pull = &self.github.pulls[at];
        let (head, author, base) = (pull.head, pull.author, pull.base);
        self.coverage.saw(Moment::HeadPushedDuringTest);
        let tip = self.github.tip(base);
        let update = self.rng.chance(350);
        let (parents, files) = match self.github.objects.merged(tip, head) {
            Some(files) if update => ([Some(head), Some(tip)], files),
            _ if self.rng.chance(300) => ([Some(tip), None], self.change(self.github.objects.get(tip).files)),
            _ => ([Some(head), None], self.change(self.github.objects.get(head).files)),
        };
        self.github.push_change(at, files, parents, false, author);
        let to = self.github.pulls[at].head;
        self.trace.line(|| format!("person {author} pushes {} to #{}", name(to).short(), at + 1));
    }

    fn push_to_main(&mut self) {
        let base = usize::from(self.rng.chance(150));
        let tip = self.github.tip(base);
        let files = self.change(self.github.objects.get(tip).files);
        let skips = self.rng.chance(30);
        let commit = self.github.objects.commit([Some(tip), None], files, skips);
        self.github.move_branch(base, Some(commit), ADMIN);
        self.trace.line(|| format!("the admin pushes {} to branch {base}", name(commit).short()));
    }

    /// Somebody mends what is broken on main, so that life goes on.
    fn mend_main(&mut self) {
        let tip = self.github.tip(0);
        let mut files = self.github.objects.get(tip).files;
        if !is_broken(&files) && files[CONFIG] != CONFIG_BROKEN && files[CI] != CI_BROKEN {
            return;
        }
        for version in &mut files[SOURCE..] {
            *version &= !1;
        }
        if files[CONFIG] == CONFIG_BROKEN {
            files[CONFIG] = 0;
        }
        if files[CI] == CI_BROKEN {
            files[CI] = 0;
        }
        let commit = self.github.objects.commit([Some(tip), None], files, false);
        self.github.move_branch(0, Some(commit), ADMIN);
        self.trace.line(|| format!("the admin mends main with {}", name(commit).short()));
    }

    /// Nothing comes due by the clock any more.
    pub fn stop_the_clock(&mut self) {
        if !self.github.sources.ticks {
            return;
        }
        let tip = self.github.tip(0);
        let mut files = self.github.objects.get(tip).files;
        if files[DEPLOY] == STILL {
            return;
        }
        files[DEPLOY] = STILL;
        let commit = self.github.objects.commit([Some(tip), None], files, false);
        self.github.move_branch(0, Some(commit), ADMIN);
        self.trace.line(|| format!("the admin stops the clock with {}", name(commit).short()));
        self.send_hooks();
    }

    fn force_main(&mut self) {
        let tip = self.github.tip(0);
        let Some(back) = self.github.objects.get(tip).parents[0] else { return };
        self.coverage.saw(Moment::BaseForced);
        self.github.move_branch(0, Some(back), ADMIN);
        self.trace.line(|| format!("the admin forces main back to {}", name(back).short()));
    }

    fn close_or_reopen(&mut self) {
        let at = self.rng.below(self.github.pulls.len());
        let Some(pull) = self.github.pulls.get(at) else { return };
        let open = match pull.standing {
            PullStanding::Open => false,
            PullStanding::Closed => true,
            PullStanding::Merged { .. } => return,
        };
        let author = pull.author;
        self.github.set_open(at, open, author);
        self.trace.line(|| format!("#{} is {}", at + 1, if open { "reopened" } else { "closed" }));
    }

    fn draft(&mut self) {
        let Some(at) = self.some_open() else { return };
        let draft = !self.github.pulls[at].draft;
        let author = self.github.pulls[at].author;
        self.github.set_draft(at, draft, author);
        self.trace.line(|| format!("#{} is {}", at + 1, if draft { "a draft" } else { "ready" }));
    }

    fn review(&mut self) {
        let Some(at) = self.some_open() else { return };
        if self.rng.chance(100) {
            let reviews = self.github.pulls[at].reviews.len();
            if reviews > 0 {
                let review = self.rng.below(reviews);
                self.github.dismiss(at, review);
                self.trace.line(|| format!("a review of #{} is dismissed", at + 1));
            }
            return;
        }
        let by = match self.rng.below(10) {
            0 => READER,
            1 => STRANGER,
            _ => self.writer(),
        };
        let verdict = match self.rng.below(10) {
            0 => Verdict::ChangesRequested,
            1 => Verdict::Commented,
            _ => Verdict::Approved,
        };
        // Some look at what was there before the last push.
        let commit = if self.rng.chance(150) {
            let head = self.github.pulls[at].head;
            self.github.objects.get(head).parents[0].unwrap_or(head)
        } else {
            self.github.pulls[at].head
        };
        self.github.review(at, by, verdict, commit);
        self.trace.line(|| format!("person {by} reviews #{} at {}: {verdict:?}", at + 1, name(commit).short()));
    }

    fn comment(&mut self) {
        let Some(at) = self.some_open() else { return };
        let head = self.github.pulls[at].head;
        let untrusted = !self.github.is_trusted(&self.github.pulls[at]);
        let by = if self.rng.chance(200) { STRANGER } else { self.writer() };
        let kind = if untrusted && self.rng.chance(600) { 8 } else { self.rng.below(10) };
        let text = match kind {
            0..4 => "/merge".to_owned(),
            4 => "/retest".to_owned(),
            5 => "/cancel".to_owned(),
            6 => "Looks good.".to_owned(),
            7 => {
                let old = self.github.objects.get(head).parents[0].unwrap_or(head);
                format!("/ok-to-test {}", name(old))
            }
            _ => format!("/ok-to-test {}", name(head)),
        };
        self.github.say(at, by, &text);
        self.trace.line(|| format!("person {by} says {text} on #{}", at + 1));
    }

    fn label(&mut self) {
        let Some(at) = self.some_open() else { return };
        self.github.label(at, WRITERS[0]);
        self.trace.line(|| format!("#{} gets a label", at + 1));
    }

    fn retarget(&mut self) {
        let Some(at) = self.some_open() else { return };
        let base = 1 - self.github.pulls[at].base;
        self.github.retarget(at, base, WRITERS[0]);
        self.checks.reports.retargets += 1;
        self.trace.line(|| format!("#{} is against branch {base} now", at + 1));
    }

    fn merge_by_hand(&mut self) {
        let Some(at) = self.some_open() else { return };
        let by = self.writer();
        if self.github.merge(at, None, MergeMethod::Merge, by).is_ok() {
            self.coverage.saw(Moment::MergeByHand);
            self.trace.line(|| format!("person {by} merges #{} by hand", at + 1));
        }
    }

    fn deploy_by_hand(&mut self) {
        let sha = name(self.github.tip(0));
        let environment = *self.rng.pick(&["staging", "production", "elsewhere"]).expect("there are three");
        let by = if self.rng.chance(100) { self.github.people.len() - 1 } else { WRITERS[0] };
        self.coverage.saw(Moment::DeploymentByHand);
        let made = self.github.deploy(sha, environment, None, by);
        self.trace.line(|| format!("person {by} makes deployment {} of {} to {environment}", made.id, sha.short()));
    }

    fn lint(&mut self) {
        let Some(at) = self.some_open() else { return };
        let sha = name(self.github.pulls[at].head);
        let verdict = match self.rng.below(10) {
            0 => Verdicts::NotSuccess,
            1 => Verdicts::Pending,
            _ => Verdicts::Success,
        };
        self.github.judge(sha, "lint", verdict);
        self.trace.line(|| format!("person {LINTER} says lint {verdict:?} of {}", sha.short()));
    }

    fn rename_or_delete(&mut self) {
        if self.rng.chance(300) {
            let to = format!("octocat/spoon-{}", self.rng.below(100));
            self.github.rename(&to);
            return self.trace.line(|| format!("the repository is {to} now"));
        }
        let used: Vec<_> = self.github.open().iter().filter_map(|at| self.github.pulls[*at].branch).collect();
        let unused: Vec<_> = (2..self.github.branches.len())
            .filter(|at| self.github.branches[*at].tip.is_some() && !used.contains(at))
            .collect();
        if let Some(at) = self.rng.pick(&unused).copied() {
            self.github.move_branch(at, None, ADMIN);
            self.trace.line(|| format!("branch {at} is deleted"));
        }
    }

    fn click(&mut self, what: &'static str, wish: Wish) -> Result<bool, crate::invariant::Violation> {
        let reply = self.step(Some(Fact::Click(Click { by: "alice".into(), wish: wish.clone() })))?;
        self.trace.line(|| format!("alice clicks {what} ({wish:?}): {reply:?}"));
        Ok(matches!(reply, Some(Reply::Granted(_))))
    }

    fn unlock(&mut self) -> Checked {
        let Some(environment) = self.rng.pick(&self.github.sources.environments).copied() else { return Ok(()) };
        self.unlocking = Some(environment);
        let done = self.click("unlock", Wish::Unlock(EnvironmentName::from(environment)));
        self.unlocking = None;
        if done? {
            self.coverage.saw(Moment::Unlock);
        }
        Ok(())
    }

    fn some_run(&mut self) -> Option<RunNumber> {
        let last = self.cell.as_ref()?.repository().meta().last_run;
        if last == 0 {
            return None;
        }
        let back = u64::try_from(self.rng.below(8)).expect("it is small");
        Some(RunNumber(last.saturating_sub(back).max(1)))
    }

    fn rerun(&mut self) -> Checked {
        let Some(number) = self.some_run() else { return Ok(()) };
        let again = self.some_part(number);
        if self.click("re-run", Wish::Rerun(number, again))? {
            self.coverage.saw(Moment::Rerun);
        }
        Ok(())
    }

    /// Returns what of a run somebody wants to see again.
    fn some_part(&mut self, number: RunNumber) -> Again {
        let keys: Vec<JobKey> = match self.cell.as_ref().and_then(|cell| cell.repository().runs.get(&number)) {
            Some(run) => run.jobs.iter().map(|job| job.key.clone()).collect(),
            None => Vec::new(),
        };
        match self.rng.below(4) {
            0 | 1 => Again::All,
            2 => Again::Failed,
            _ => self.rng.pick(&keys).cloned().map_or(Again::All, Again::Job),
        }
    }

    fn cancel(&mut self) -> Checked {
        let Some(number) = self.some_run() else { return Ok(()) };
        if self.click("cancel", Wish::Cancel(number))? {
            self.coverage.saw(Moment::Cancel);
        }
        Ok(())
    }

    fn approve_on_page(&mut self) -> Checked {
        let Some(number) = self.some_run() else { return Ok(()) };
        self.note_approval(number);
        self.click("approve", Wish::Approve(number)).map(|_| ())
    }

    /// Somebody signed in lets this run's head start.
    fn note_approval(&mut self, number: RunNumber) {
        let Some(run) = self.run(number) else { return };
        let suite = run.suite.clone();
        let pull = match &suite.subject {
            greenlight_core::run::Subject::Pull(number, _) => *number,
            greenlight_core::run::Subject::PullAction(number, _, _) => *number,
            _ => return,
        };
        let head = self.github.objects.find(suite.head_sha);
        if let (Some(pull), Some(head)) = (self.github.pull_mut(pull), head) {
            pull.approved.push(head);
        }
    }

    fn resume_merging(&mut self) -> Checked {
        let halted = self.cell.as_ref().and_then(|cell| {
            cell.repository().branches.values().find(|branch| branch.halted.is_some()).map(|branch| branch.name.clone())
        });
        match halted {
            Some(branch) => self.click("resume", Wish::ResumeMerging(branch)).map(|_| ()),
            None => Ok(()),
        }
    }
}
