//! `--containers`: jobs in containers, against the engine that is there. They need an image: GREENLIGHT_TEST_IMAGE names one with a
//! shell, coreutils and bash.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use greenlight_core::run::Conclusion;
use greenlight_runner::container::Engine;
use greenlight_runner::{IsolationWanted, Stop, container, stop};

use crate::bench::{self, Bench, Test};

/// Names the image that the tests use.
pub const IMAGE: &str = "GREENLIGHT_TEST_IMAGE";

/// The tests.
pub const TESTS: &[(&str, Test)] = &[
    ("a_job_runs_in_its_container", |bench| Box::pin(a_job_runs_in_its_container(bench))),
    ("services_are_waited_for_and_talk_to_each_other", |bench| Box::pin(services_talk(bench))),
    ("a_job_on_the_machine_reaches_its_service_by_a_port", |bench| Box::pin(a_port_is_reached(bench))),
    ("a_service_that_stays_ill_fails_the_job", |bench| Box::pin(an_ill_service(bench))),
    ("a_docker_action_is_built_and_runs_with_its_post_part", |bench| Box::pin(a_docker_action(bench))),
    ("an_image_is_an_action", |bench| Box::pin(an_image_is_an_action(bench))),
    ("a_step_in_a_container_is_cancelled", |bench| Box::pin(a_step_is_cancelled(bench))),
    ("options_that_open_the_machine_are_refused", |bench| Box::pin(options_are_refused(bench))),
    ("what_a_killed_runner_left_is_removed", |bench| Box::pin(a_killed_runner(bench))),
];

/// Says why the tests cannot run, where they cannot.
pub async fn missing() -> Option<String> {
    if std::env::var_os(IMAGE).is_none() {
        return Some(format!("{IMAGE} names no image"));
    }
    Engine::find().await.err().map(|error| error.to_string())
}

fn image() -> String {
    std::env::var(IMAGE).unwrap()
}

async fn a_job_runs_in_its_container(bench: Bench) {
    let bench = bench
        .with_container(&format!("{{image: {}, env: {{INSIDE: yes}}, options: --hostname box --cpus 1}}", image()));
    let done = bench
        .run(
            "- uses: actions/checkout@v4
- id: one
  run: |
    echo \"$INSIDE at $(hostname) in $PWD with $HOME\"
    cat README; echo made > file
    echo word=hello >> $GITHUB_OUTPUT
    echo LATER=yes >> $GITHUB_ENV
    mkdir -p $RUNNER_TEMP/bin && printf '#!/bin/sh\\necho mine\\n' > $RUNNER_TEMP/bin/own && chmod +x $RUNNER_TEMP/bin/own
    echo $RUNNER_TEMP/bin >> $GITHUB_PATH
    test -e /var/run/docker.sock && echo SOCKET
    echo err >&2
- shell: bash
  run: |
    [[ -n $BASH_VERSION ]] && echo \"${{ steps.one.outputs.word }} $LATER $(cat file)\"
    own
    echo \"${{ job.container.id }}\" | grep -q '^[0-9a-f]*$' && echo known
- run: exit 7
  continue-on-error: true
- run: echo \"$SOME $GITHUB_WORKSPACE\"; test -f ${{ github.workspace }}/file && echo there",
        )
        .await;
    bench.succeeded(&done);
    let log = bench.log();
    for line in [
        "yes at box in /__w/demo with /github/home",
        "hello",
        "err",
        "hello yes made",
        "mine",
        "known",
        "##[error]Process completed with exit code 7.",
        "thing /__w/demo",
        "there",
    ] {
        assert!(log.lines().any(|said| said == line), "'{line}' was not said:\n{log}");
    }
    assert!(!log.lines().any(|line| line == "SOCKET"));
    nothing_is_left(&bench).await;
}

/// A service that answers a line with its name, and is healthy once it listens.
fn service(name: &str, peer: &str) -> String {
    let script = format!(
        "sleep 0.3; touch /tmp/up; while true; do getent hosts {peer} > /tmp/peer && touch /tmp/met; sleep 0.1; done"
    );
    format!(
        "{name}: {{image: {}, entrypoint: sh, command: \"-c '{script}'\", volumes: [\"shared:/shared\"], \
         options: '--health-cmd \"test -e /tmp/up && echo {name} >> /shared/names\" --health-interval 1s --health-retries 30'}}",
        image()
    )
}

async fn services_talk(bench: Bench) {
    let services = format!("{{{}, {}}}", service("db", "cache"), service("cache", "db"));
    let bench =
        bench.with_services(&services).with_container(&format!("{{image: {}, volumes: ['shared:/shared']}}", image()));
    let done = bench
        .run(
            "- run: |
    getent hosts db cache | wc -l
    sort -u /shared/names | tr '\\n' ' '; echo
    for n in $(seq 100); do getent hosts db > /dev/null && break; sleep 0.1; done
    echo '${{ job.services.db.id }}' | grep -q . && echo known",
        )
        .await;
    bench.succeeded(&done);
    let log = bench.log();
    for line in ["2", "cache db ", "known"] {
        assert!(log.lines().any(|said| said == line), "'{line}' was not said:\n{log}");
    }
    nothing_is_left(&bench).await;
}

async fn a_port_is_reached(bench: Bench) {
    let script = "use Socket; socket(S, PF_INET, SOCK_STREAM, 6); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1); \
                  bind(S, sockaddr_in(7000, INADDR_ANY)); listen(S, 5); while (accept(C, S)) { print C qq(served\\\\n); close C }";
    let services =
        format!("{{echo: {{image: {}, ports: [7000], entrypoint: perl, command: \"-e '{script}'\"}}}}", image());
    let bench = bench.with_services(&services);
    let done = bench
        .run(
            "- shell: bash
  run: |
    for n in $(seq 50); do
      (exec 3<> /dev/tcp/127.0.0.1/${{ job.services.echo.ports['7000'] }} && cat <&3 | grep served) && break
      sleep 0.1
    done",
        )
        .await;
    bench.succeeded(&done);
    assert!(bench.log().lines().any(|line| line == "served"), "{}", bench.log());
    nothing_is_left(&bench).await;
}

async fn an_ill_service(bench: Bench) {
    let services = format!(
        "{{ill: {{image: {}, entrypoint: sh, command: \"-c 'echo I am ill; exit 3'\", \
         options: '--health-cmd false --health-interval 1s'}}}}",
        image()
    );
    let bench = bench.with_services(&services);
    let done = bench.run("- run: echo never").await;
    assert_eq!(done.conclusion, Conclusion::Failure);
    assert!(done.reason.contains("the service 'ill' ended with exit code 3"), "{}", done.reason);
    assert!(done.reason.contains("I am ill") && !bench.log().contains("never\n"), "{}", done.reason);
    nothing_is_left(&bench).await;
}

async fn a_docker_action(bench: Bench) {
    let steps = "- run: |
    mkdir -p act; cd act
    printf 'FROM IMAGE\\nCOPY entry.sh /entry.sh\\nENV BAKED=in\\nENTRYPOINT [\"sh\", \"/entry.sh\"]\\n' > Dockerfile
    cat > entry.sh <<'END'
    echo \"main $1 $INPUT_WHO $BAKED $FROM_MANIFEST in $PWD with $HOME\"
    echo \"said=$1\" >> \"$GITHUB_OUTPUT\"
    echo made > made-inside
    echo kept=yes >> \"$GITHUB_STATE\"
    test -e /var/run/docker.sock && echo SOCKET; true
    END
    cat > action.yml <<'END'
    name: docked
    inputs: {who: {default: nobody}}
    runs:
      using: docker
      image: Dockerfile
      args: ['hello ${{ inputs.who }}']
      env: {FROM_MANIFEST: yes}
      post-entrypoint: /post.sh
    END
    printf 'COPY post.sh /post.sh\\n' >> Dockerfile
    printf '#!/bin/sh\\necho \"post $STATE_kept\"\\n' > post.sh; chmod +x post.sh
- id: docked
  uses: ./act
  with: {who: mona}
- run: echo \"said ${{ steps.docked.outputs.said }}\"; cat made-inside && echo more >> made-inside && echo 'mine to change'";
    // The workflow's own expressions are not the action's.
    let steps = steps
        .replace("IMAGE", &image())
        .replace("args: ['hello ${{ inputs.who }}']", "args: ['hello ${{ '${{' }} inputs.who }}']");
    let done = bench.run(&steps).await;
    bench.succeeded(&done);
    let log = bench.log();
    for line in [
        "main hello mona mona in yes in /github/workspace with /github/home",
        "said hello mona",
        "made",
        "mine to change",
        "post yes",
    ] {
        assert!(log.lines().any(|said| said == line), "'{line}' was not said:\n{log}");
    }
    assert!(!log.lines().any(|line| line == "SOCKET"));
    nothing_is_left(&bench).await;
}

async fn an_image_is_an_action(bench: Bench) {
    let steps =
        format!("- uses: docker://{}\n  with: {{entrypoint: sh, args: \"-c 'echo from an image; exit 4'\"}}", image());
    let done = bench.run(&steps).await;
    assert!(bench.log().lines().any(|line| line == "from an image"), "{}", bench.log());
    assert!(done.reason.ends_with("failed with exit code 4"), "{}", done.reason);
    nothing_is_left(&bench).await;
}

async fn a_step_is_cancelled(bench: Bench) {
    cancelled(bench, "A: b").await;
    // A shell forgets such a name: the program begins without one, and is found all the same.
    cancelled(Bench::new(IsolationWanted::Auto).await, "A-NAME: 'kept'").await;
}

async fn cancelled(bench: Bench, env: &str) {
    let bench = bench.with_container(&image());
    let steps = format!(
        "- env: {{{env}}}
  run: |
    trap 'echo interrupted; exit 5' INT
    tr '\\0' '\\n' < /proc/$$/environ | grep '^A.*='
    echo ready
    while true; do sleep 0.05; done
- if: always()
  run: echo 'cleaning up'"
    );
    let job = bench.run(&steps);
    let told = async {
        bench.heard("ready").await;
        stop::tell(&bench.stop, Stop::Cancelled("by a person".into()));
    };
    let (done, ()) = tokio::join!(job, told);
    assert_eq!(done.conclusion, Conclusion::Cancelled);
    assert!(bench.log().contains("interrupted\n") && bench.log().contains("cleaning up\n"), "{}", bench.log());
    let (name, value) = env.split_once(": ").expect("it is a name with its value");
    assert!(bench.log().contains(&format!("\n{name}={}\n", value.trim_matches('\''))), "{}", bench.log());
    nothing_is_left(&bench).await;
}

async fn options_are_refused(bench: Bench) {
    for (options, why) in
        [("--privileged", "the option --privileged is not allowed"), ("--pid=host", "--pid is not allowed")]
    {
        let bench = Bench::plain().with_container(&format!("{{image: {}, options: {options}}}", image()));
        let done = bench.run("- run: echo never").await;
        assert!(done.reason.contains(why), "{}", done.reason);
    }
    let bench = bench.with_container(&format!("{{image: {}, volumes: ['/:/host']}}", image()));
    let done = bench.run("- run: echo never").await;
    assert!(done.reason.contains("is a folder of the machine"), "{}", done.reason);
}

async fn a_killed_runner(bench: Bench) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(bench::TO_BE_KILLED, bench.data())
        .env(bench::IN_CONTAINER, image())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    while !bench::alive("6668") {
        assert!(Instant::now() < deadline, "the job never began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(left(&bench.work()).await > 0, "there is something to be removed");
    container::sweep(&bench.work()).await;
    assert_eq!(left(&bench.work()).await, 0);
    let deadline = Instant::now() + Duration::from_secs(5);
    while bench::alive("6668") {
        assert!(Instant::now() < deadline, "the job outlived its runner");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Counts what carries the label of the runner in this folder.
async fn left(work: &Path) -> usize {
    Engine::find().await.unwrap().count_of(work).await
}

async fn nothing_is_left(bench: &Bench) {
    assert_eq!(left(&bench.work()).await, 0, "something of the job's is left in the engine");
    assert_eq!(std::fs::read_dir(bench.work()).unwrap().count(), 0, "no folder is left");
}
