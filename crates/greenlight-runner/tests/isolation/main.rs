//! Jobs in real sandboxes. The program is its own first process there, so it comes with a small harness in place of libtest's.

mod bench;
mod containers;
mod escapes;
#[path = "../order/mod.rs"]
mod order;
mod tries;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlight_core::run::Conclusion;
use greenlight_runner::Isolation;
use greenlight_runner::stop::{Stop, tell};

use bench::{Bench, Test, alive};

const TESTS: &[(&str, Test)] = &[
    ("steps_of_a_job_share_their_sandbox", |bench| Box::pin(steps_of_a_job_share_their_sandbox(bench))),
    ("a_job_sees_its_own_folders_and_nothing_of_the_servers", |bench| Box::pin(a_job_sees_its_own(bench))),
    ("a_job_has_no_rights_and_none_to_get_back", |bench| Box::pin(no_rights(bench))),
    ("exit_codes_signals_and_limits_are_told", |bench| Box::pin(exits_are_told(bench))),
    ("a_cancelled_job_ends_in_order", |bench| Box::pin(a_cancelled_job_ends_in_order(bench))),
    ("nothing_is_alive_or_left_behind_a_job", |bench| Box::pin(nothing_is_left(bench))),
    ("a_checkout_belongs_to_the_job_and_is_not_led_astray", |bench| Box::pin(a_checkout_belongs_to_the_job(bench))),
    ("a_link_in_the_place_of_a_file_of_ours_leads_nowhere", |bench| Box::pin(a_link_leads_nowhere(bench))),
    ("a_demand_that_cannot_be_met_is_refused_by_name", |bench| Box::pin(a_demand_is_refused(bench))),
    ("a_large_environment_reaches_a_step", |bench| Box::pin(a_large_environment(bench))),
    ("a_sandbox_made_ahead_serves_the_next_job_and_goes_with_the_runner", |bench| Box::pin(one_made_ahead(bench))),
    ("a_killed_runner_takes_its_jobs_with_it", |bench| Box::pin(a_killed_runner(bench))),
];

fn main() -> ExitCode {
    if let Some(code) = greenlight_runner::sandbox::init::run_if_asked() {
        return code;
    }
    if let Some(folder) = std::env::var_os(bench::TO_BE_KILLED) {
        return bench::be_killed(Path::new(&folder));
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--cost-of-jobs") => return bench::cost_of_jobs(),
        Some("--cost-of-steps") => return bench::cost_of_steps(),
        _ => {}
    }
    match words.iter().position(|word| word == "--escapes") {
        Some(place) => escapes::run(&words[place + 1..]),
        None => bench::run_all(TESTS, containers::TESTS),
    }
}

async fn steps_of_a_job_share_their_sandbox(bench: Bench) {
    let done = bench
        .run(
            "- run: |
    sleep 6661 & echo $! > $RUNNER_TEMP/pid
    echo GREETING=hello >> $GITHUB_ENV
    echo mine > /tmp/shared
    echo \"me: $(id -un)\"
- run: |
    kill -0 $(cat $RUNNER_TEMP/pid) && echo \"$GREETING, still there\"
    cat /tmp/shared
    tr '\\0' ' ' < /proc/1/cmdline; echo
    ls /proc | grep -c '^[0-9]' > count; [ $(cat count) -lt 12 ] && echo few",
        )
        .await;
    bench.succeeded(&done);
    assert!(bench.log().contains("hello, still there\nmine\n"), "{}", bench.log());
    assert!(bench.log().contains("job-sandbox \nfew\n"), "{}", bench.log());
    if bench.has_a_view() {
        assert!(bench.log().contains("me: runner\n"), "{}", bench.log());
        assert!(!Path::new("/tmp/shared").exists(), "its /tmp is its own");
    }
    assert!(!alive("6661"));
}

async fn a_job_sees_its_own(bench: Bench) {
    let secret = bench.data().join("secret");
    std::fs::write(&secret, "of the server").unwrap();
    let steps = format!(
        "- run: |
    cat {0} 2>&1 && echo READ
    ls {1} 2>&1 | sort
    touch /usr/bin/mine 2>&1 && echo WRITTEN
    touch $HOME/own $RUNNER_TEMP/own $GITHUB_WORKSPACE/own && echo 'writes its own'
    touch $TMPDIR/own && echo 'has a temp'
    true",
        secret.display(),
        bench.work().display(),
    );
    let done = bench.run(&steps).await;
    bench.succeeded(&done);
    let log = bench.log();
    let has = |line: &str| log.lines().any(|said| said == line);
    assert!(!has("READ") && !log.contains("of the server") && !has("WRITTEN"), "{log}");
    assert!(log.contains("writes its own\nhas a temp\n"), "{log}");
}

async fn no_rights(bench: Bench) {
    let done =
        bench.run("- run: grep -E '^(Cap|NoNewPrivs|Groups|Uid|Gid)' /proc/self/status; cat /proc/self/uid_map").await;
    bench.succeeded(&done);
    let log = bench.log();
    let status = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}: {log}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(status("NoNewPrivs"), ["1"]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(set), ["0000000000000000"], "{set}: {log}");
    }
    if bench.has_a_view() {
        assert!(!status("Uid").contains(&"0") && !status("Gid").contains(&"0"), "{log}");
        assert!(!status("Groups").contains(&"0"), "{log}");
    }
}

async fn exits_are_told(bench: Bench) {
    let done = bench.run("- run: exit 3").await;
    assert!(done.reason.ends_with("failed with exit code 3"), "{}", done.reason);
    let done = bench.run("- run: kill -9 $$").await;
    assert!(done.reason.ends_with("was ended by signal 9"), "{}", done.reason);
    let done = bench.run("- timeout-minutes: 0.005\n  run: sleep 6662").await;
    assert!(done.reason.contains("took longer than"), "{}", done.reason);
    assert!(!alive("6662"));
    let done = bench.run("- run: /\n  shell: /nowhere/shell {0}").await;
    assert!(done.reason.contains("cannot be started"), "{}", done.reason);
}

async fn a_cancelled_job_ends_in_order(bench: Bench) {
    let job = bench.run(
        "- run: |
    trap 'echo interrupted; exit 5' INT
    setsid sleep 6663 &
    echo ready
    while true; do sleep 0.01; done
- if: always()
  run: echo 'cleaning up'",
    );
    let stop = async {
        bench.heard("ready").await;
        tell(&bench.stop, Stop::Cancelled("by a person".into()));
    };
    let (done, ()) = tokio::join!(job, stop);
    assert_eq!(done.conclusion, Conclusion::Cancelled);
    assert!(bench.log().contains("interrupted\n") && bench.log().contains("cleaning up\n"), "{}", bench.log());
    assert!(!alive("6663"));
}

async fn nothing_is_left(bench: Bench) {
    let done = bench
        .run(
            "- run: |
    (setsid env -i sh -c 'cd /; sleep 6664' > /dev/null 2>&1 &)
    nohup sleep 6665 > /dev/null 2>&1 &
    mkdir -p a/b && chmod 500 a/b a; touch /tmp/left /dev/shm/left
    sleep 6666 > /dev/null 2>&1 & disown
    echo started",
        )
        .await;
    bench.succeeded(&done);
    for mark in ["6664", "6665", "6666"] {
        assert!(!alive(mark), "sleep {mark} is still there");
    }
    assert_eq!(std::fs::read_dir(bench.work()).unwrap().count(), 0, "no folder is left");
    assert!(!Path::new("/tmp/left").exists() && !Path::new("/dev/shm/left").exists());
}

async fn a_checkout_belongs_to_the_job(bench: Bench) {
    let victim = bench.data().join("victim");
    std::fs::create_dir(&victim).unwrap();
    let steps = format!(
        "- uses: actions/checkout@v4
- run: |
    echo changed > README && touch new && echo 'it is mine'
    ln -s {0} inside
    (while true; do mkdir -p way; rmdir way 2>/dev/null && ln -s {0} way; rm -f way; done) > /dev/null 2>&1 &
- uses: actions/checkout@v4
  continue-on-error: true
  with: {{path: way, clean: false}}
- uses: actions/checkout@v4
  continue-on-error: true
  with: {{path: inside, clean: false}}
- run: echo 'goes on'",
        victim.display()
    );
    let done = bench.run(&steps).await;
    bench.succeeded(&done);
    assert!(bench.log().contains("it is mine\n") && bench.log().contains("goes on\n"), "{}", bench.log());
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0, "the checkout was led out of the workspace");
}

async fn a_link_leads_nowhere(bench: Bench) {
    let victim = bench.data().join("victim");
    std::fs::write(&victim, "kept").unwrap();
    let steps = format!(
        "- run: |
    cd $RUNNER_TEMP
    for n in 2 3 4; do for f in env output path state step_summary; do ln -s {0} _${{f}}_$n; done; ln -s {0} _step_$n.sh; done
- run: echo second
- run: rm -f $GITHUB_ENV; ln -s {0} $GITHUB_ENV
  continue-on-error: true
- run: echo third",
        victim.display()
    );
    let done = bench.run(&steps).await;
    bench.succeeded(&done);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
}

async fn a_demand_is_refused(bench: Bench) {
    let demand = "- run: echo ran\n  env: {A: b}";
    let bench = bench.with(Arc::new(Isolation::none())).with_env("GREENLIGHT_ISOLATION: required");
    let done = bench.run(demand).await;
    assert_eq!(done.conclusion, Conclusion::Failure);
    assert!(done.reason.contains("job 'test' demands isolation"), "{}", done.reason);
    assert!(!bench.log().contains("ran\n"));
}

async fn one_made_ahead(bench: Bench) {
    let isolation = Arc::new(Isolation::clone(&bench.isolation()).keeping_a_spare());
    let bench = bench.with(isolation.clone());
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut ahead = None;
    loop {
        let done = bench.run("- run: |\n    pwd; ls -A\n    sleep 6669 &").await;
        bench.succeeded(&done);
        assert!(!alive("6669"), "nothing of it is left");
        let served = |ahead: &std::path::PathBuf| bench.log().contains(&format!("\n{}\n", ahead.display()));
        if ahead.as_ref().is_some_and(served) {
            break;
        }
        // It may still be in the making when the next job comes, which makes its own then.
        assert!(Instant::now() < deadline, "none was served: {}", bench.log());
        ahead = Some(bench.made_ahead().await);
    }
    isolation.close().await;
    assert_eq!(std::fs::read_dir(bench.work()).unwrap().count(), 0, "it is thrown away with the runner");
}

async fn a_large_environment(bench: Bench) {
    let steps = "- run: |
    for n in 1 2 3 4 5 6; do echo \"BIG$n=$(head -c 120000 /dev/zero | tr '\\0' x)\" >> $GITHUB_ENV; done
- run: echo \"${#BIG1} ${#BIG6}\"";
    let done = bench.run(steps).await;
    bench.succeeded(&done);
    assert!(bench.log().contains("120000 120000\n"));
}

async fn a_killed_runner(bench: Bench) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .env(bench::TO_BE_KILLED, bench.data())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !alive("6667") {
        assert!(Instant::now() < deadline, "the job never began");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while alive("6667") {
        assert!(Instant::now() < deadline, "the job outlived its runner");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
