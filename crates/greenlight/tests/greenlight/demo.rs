//! The demo, as a newcomer starts it: processes of their own, real git, real sockets.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::server::until;

/// How long the whole story may take in a debug build on a busy machine.
const STORY_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take by the emulator's clock, from the first start to the judgement.
const STORY_LENGTH_MAX: i64 = 30_000;

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
    command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until it ends; one that does not is killed, and what it said is in the panic.
fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + STORY_WITHIN;
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut out).unwrap_or_default().into_bytes());
    let errors = std::thread::spawn(move || std::io::read_to_string(&mut err).unwrap_or_default().into_bytes());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the demo did not end; it said:\n{}", String::from_utf8_lossy(&reader.join().unwrap()));
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    };
    Output { status, stdout: reader.join().unwrap(), stderr: errors.join().unwrap() }
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_whole_story_comes_and_the_emulated_github_agrees() {
    let output = ended(demo(&["--once", "--fast", "--json"]).spawn().unwrap());
    let told = || format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", told());
    let lines = lines(&output);
    let judge = &lines.last().unwrap()["judge"];
    assert_eq!(judge["ok"], true, "{}", told());
    assert!(judge["elapsed_ms"].as_i64().unwrap() <= STORY_LENGTH_MAX, "{judge}");

    let steps: Vec<&str> = judge["steps"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for step in [
        "1 a branch is pushed",
        "1 the webhook pull_request opened arrives",
        "1 pending is shown",
        "1 the job build succeeds",
        "1 the job test succeeds",
        "1 the logs can be read",
        "1 success is shown",
        "1 the pull request is merged",
        "1 staging shows queued",
        "1 staging shows in_progress",
        "1 staging shows success",
        "1 production shows success",
        "1 the room is told of production",
        "2 failure is shown",
        "2 the webhook pull_request synchronize arrives",
        "2 the room is told of production",
        "3 it waits for an approval",
    ] {
        assert!(steps.contains(&step), "{step}: {steps:#?}");
    }
    let said = |kind: &str, words: &str| {
        lines.iter().any(|line| line["kind"] == kind && line["text"].as_str().is_some_and(|text| text.contains(words)))
    };
    assert!(said("log", "ok 8 - what is tested is what was built"), "an output went from one job to the next");
    assert!(said("log", "not ok 9 - it greets in Spanish") && said("note", "#2 is not merged"), "it says why");
    assert!(said("webhook", "signed webhook pull_request opened arrives"));
    assert!(said("deploy", "https://production.spoon-knife.example/"));
}

#[test]
fn a_server_that_is_killed_on_the_way_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stage = dir.path().join("demo");
    let arguments = ["--once", "--fast", "--json", "--restart-killed", "--dir"];
    let child = demo(&arguments).arg(&stage).spawn().unwrap();
    // The first job that is under way is as good a moment as any.
    let work = stage.join("server/work");
    wait_for(|| std::fs::read_dir(&work).is_ok_and(|entries| entries.flatten().next().is_some()));
    kill(&stage.join("serve.pid"));
    let output = ended(child);
    let judge = lines(&output).pop().unwrap();
    assert!(output.status.success(), "{judge:#}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(judge["judge"]["restarts"].as_u64().unwrap() >= 1, "{judge}");
}

/// What the demo prints at its end, done as it is printed: a clone, a push, a pull request over the API; and one by the form of the page.
#[tokio::test]
async fn a_newcomer_can_play_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut playing = Playing(demo(&["--fast", "--dir"]).arg(dir.path().join("demo")).spawn().unwrap());
    let invitation = invitation(&mut playing.0);
    let line = |what: &str| invitation.iter().map(|line| line.trim()).find(|line| line.contains(what)).unwrap();
    let paste: Vec<&str> =
        ["export TOKEN=", "export GIT_CONFIG_COUNT", "git clone", "git switch", "git push"].map(line).into();
    let me = ["AUTHOR", "COMMITTER"].iter().flat_map(|who| {
        [(format!("GIT_{who}_NAME"), "newcomer"), (format!("GIT_{who}_EMAIL"), "newcomer@example.com")]
    });
    let script = format!("set -euo pipefail\n{}", paste.join("\n"));
    let pasted = Command::new("bash").args(["-c", &script]).current_dir(dir.path()).envs(me).output().unwrap();
    assert!(pasted.status.success(), "{script}\n{}", String::from_utf8_lossy(&pasted.stderr));

    // The tests do without curl.
    let token = line("export TOKEN=").rsplit('=').next().unwrap().to_owned();
    let (before, body) = line("/pulls -d '").split_once(" -d '").unwrap();
    let pulls = before.rsplit(' ').next().unwrap().to_owned();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |request: reqwest::RequestBuilder| -> Value {
        let answer = request.header("Authorization", format!("Bearer {token}")).header("User-Agent", "x").send().await;
        serde_json::from_str(&answer.unwrap().text().await.unwrap()).unwrap()
    };
    let opened = ask(http.post(&pulls).body(body.trim_end_matches('\'').to_owned())).await;
    let number = opened["number"].as_u64().unwrap_or_else(|| panic!("{opened}"));
    until(&format!("#{number} is merged"), async || {
        (ask(http.get(format!("{pulls}/{number}"))).await["merged"] == true).then_some(())
    })
    .await;

    let page = line("the emulated GitHub, with a form").split(' ').next().unwrap().to_owned();
    assert!(http.get(&page).send().await.unwrap().text().await.unwrap().contains("<form"));
    let form = "as=octocat&path=greetings%2Fda&content=Hej%2C+%25s%21%0A&branch=by-form&title=By+form";
    let sent = http.post(format!("{page}/change")).header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(sent.body(form).send().await.unwrap().status(), 200, "it leads to the pull request's page");
    until("the one by form is merged", async || {
        (ask(http.get(format!("{pulls}/{}", number + 1))).await["merged"] == true).then_some(())
    })
    .await;
    let demo = rustix::process::Pid::from_child(&playing.0);
    rustix::process::kill_process(demo, rustix::process::Signal::INT).unwrap();
    wait_for(|| is_gone(demo));
}

/// A demo that ends with its test, whatever becomes of that.
struct Playing(Child);

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads what the demo prints until it has said what a newcomer can try.
fn invitation(child: &mut Child) -> Vec<String> {
    let out = child.stdout.take().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    // It goes on reading, so that the demo is never stopped by a full pipe.
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(out)).map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let (deadline, mut said) = (Instant::now() + STORY_WITHIN, Vec::new());
    while !said.iter().any(|line: &String| line.contains("/reviews -d ")) {
        let left = deadline.saturating_duration_since(Instant::now());
        said.push(lines.recv_timeout(left).unwrap_or_else(|_| panic!("it said no more than\n{}", said.join("\n"))));
    }
    said
}

#[test]
fn nothing_is_left_running_when_the_demo_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let stage = dir.path().join("demo");
    let mut child = demo(&["--fast", "--dir"]).arg(&stage).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let files: Vec<PathBuf> = ["emulate.pid", "serve.pid"].iter().map(|name| stage.join(name)).collect();
    wait_for(|| files.iter().all(|file| process(file).is_some()));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(|| files.iter().all(|file| process(file).is_none_or(is_gone)));
}

/// Tokens and repositories do not stay where nobody is any more, and a demo that cannot begin leaves nothing.
#[test]
fn what_a_killed_demo_left_is_removed_by_the_next() {
    let below = tempfile::tempdir().unwrap();
    let names = || std::fs::read_dir(below.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut child = demo(&["--fast"]).env("TMPDIR", below.path()).spawn().unwrap();
    wait_for(|| names().iter().any(|stage| process(&stage.join("serve.pid")).is_some()));
    let stages = names();
    let servers: Vec<_> =
        ["emulate.pid", "serve.pid"].iter().filter_map(|name| process(&stages[0].join(name))).collect();
    // One that is alive is left alone. Its ports are taken, so the other ends at once, and says so.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = port.local_addr().unwrap().port().to_string();
    let next = || {
        let began = Instant::now();
        let output = demo(&["--port", &taken]).env("TMPDIR", below.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(&format!("the port {taken} is taken")), "{told}");
        assert!(began.elapsed() < Duration::from_secs(8), "it does not wait for the port");
    };
    next();
    assert_eq!(names(), stages);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(|| servers.iter().all(|server| is_gone(*server)));
    next();
    assert_eq!(names(), Vec::<PathBuf>::new());
}

/// Is nothing left of a process but what its parent has not looked at yet?
fn is_gone(process: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    let is_dead = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    is_dead || rustix::process::test_kill_process(process).is_err()
}

fn wait_for(is_there: impl Fn() -> bool) {
    let deadline = Instant::now() + STORY_WITHIN;
    while !is_there() {
        assert!(Instant::now() < deadline, "it did not come about");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn process(file: &std::path::Path) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(std::fs::read_to_string(file).ok()?.trim().parse().ok()?)
}

fn kill(file: &std::path::Path) {
    rustix::process::kill_process(process(file).unwrap(), rustix::process::Signal::KILL).unwrap();
}
