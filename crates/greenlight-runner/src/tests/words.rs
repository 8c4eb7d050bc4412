//! What steps say: lines, commands, masks.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlight_core::port::Reply;
use greenlight_core::run::Conclusion::Failure;
use greenlight_core::time::Timestamp;

use super::{Bench, Done, order, run_steps, succeeded, workflow};
use crate::host::{AnnotationLevel, CheckedOut, CheckoutRequest, JobHost, LogBlock, StepUpdate};
use crate::job_log::JobLog;

#[tokio::test]
async fn a_secret_is_in_no_log_however_it_is_written() {
    let done = run_steps(
        r#"- run: |
    echo "::add-mask::s3cr3t value"
    echo "plain s3cr3t value here"
    echo -n "s3cr"; sleep 0.05; echo "3t value in two writes"
    echo -n 's3cr3t value' | base64
    head -c 200000 /dev/zero | tr '\0' x; echo "s3cr3t value"
    printf 's3cr3t value without end'
- run: echo "s3cr3t value in another step""#,
    )
    .await;
    succeeded(&done);
    // What the script's text shows before the mask is known is the workflow's own text.
    let said = done.place.said(1) + &done.place.log(2);
    assert!(!said.contains("s3cr3t"), "{}", &said[..500]);
    assert!(!said.contains("czNjcjN0IHZhbHVl"));
    assert!(said.starts_with("::add-mask::***\nplain *** here\n*** in two writes\n"), "{}", &said[..200]);
    assert!(said.contains("x***\n*** without end\n"));
}

#[tokio::test]
async fn an_output_with_a_secret_is_left_out() {
    let text = "
on: push
jobs:
  test:
    runs-on: x
    outputs: {bad: '${{ steps.a.outputs.bad }}', good: '${{ steps.a.outputs.good }}'}
    steps:
      - id: a
        run: |
          echo '::add-mask::hunter22'
          echo 'bad=it is hunter22' >> $GITHUB_OUTPUT
          echo 'good=1' >> $GITHUB_OUTPUT
";
    let done = Bench::new().run(order(text)).await;
    succeeded(&done);
    assert_eq!(done.end.outputs, [("good".into(), "1".into())]);
    assert!(done.place.whole().contains("##[warning]Skip output 'bad' since it may contain secret."));
}

#[tokio::test]
async fn commands_are_obeyed_on_both_pipes() {
    let done = run_steps(
        "- id: a
  run: |
    echo '::group::Building'
    echo '::error file=src/a.rs,line=3::broken%0Areally' >&2
    echo '##[warning]careful'
    echo '::notice title=By the way::hello'
    echo '::debug::hidden'
    echo '::endgroup::'
    echo '::set-output name=x::1'
    echo '::unknown::shown'
- run: echo 'x is ${{ steps.a.outputs.x }}'",
    )
    .await;
    succeeded(&done);
    let said = done.place.said(1);
    assert_eq!(
        said,
        "##[group]Building\n##[error]broken\nreally\n##[warning]careful\n##[notice]hello\n##[endgroup]\n::unknown::shown\n"
    );
    assert_eq!(done.place.said(2), "x is 1\n");
    let annotations = done.place.annotations.lock().unwrap();
    assert_eq!(annotations.len(), 3);
    assert_eq!((annotations[0].level, annotations[0].line), (AnnotationLevel::Error, Some(3)));
    assert_eq!(annotations[0].file.as_deref(), Some("src/a.rs"));
    assert_eq!(annotations[2].title.as_deref(), Some("By the way"));
}

#[tokio::test]
async fn commands_rest_between_stop_and_token() {
    let done = run_steps(
        "- run: |
    echo '::stop-commands::pause-me-now'
    echo '::error::not one'
    echo '::pause-me-now::'
    echo '::error::one'",
    )
    .await;
    succeeded(&done);
    let annotations = done.place.annotations.lock().unwrap();
    assert_eq!(annotations.iter().map(|annotation| &*annotation.message).collect::<Vec<_>>(), ["one"]);
}

#[tokio::test]
async fn commands_that_change_later_steps_are_refused() {
    for command in ["::set-env name=X::1", "::add-path::/evil", "::stop-commands::error"] {
        let done = run_steps(&format!("- run: echo '{command}'\n- if: always()\n  run: echo \"X is $X; $PATH\"")).await;
        assert_eq!(done.end.conclusion, Failure, "{command}");
        assert!(!done.place.said(2).contains("/evil") && done.place.said(2).starts_with("X is ;"));
    }
}

#[tokio::test]
async fn ten_annotations_of_a_kind_are_enough() {
    let done = run_steps("- run: for i in $(seq 20); do echo \"::warning::w$i\"; done; echo '::error::e'").await;
    let annotations = done.place.annotations.lock().unwrap();
    let (told, more) = annotations.split_at(11);
    assert_eq!(told.iter().filter(|annotation| annotation.level == AnnotationLevel::Warning).count(), 10);
    assert_eq!(
        more.iter().map(|more| &*more.message).collect::<Vec<_>>(),
        ["10 more warnings of this step stand in its log"]
    );
    assert_eq!(done.place.said(1).lines().count(), 21, "the log has them all");
}

#[tokio::test]
async fn a_line_without_end_is_cut() {
    let done = run_steps("- run: head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after").await;
    succeeded(&done);
    let said = done.place.said(1);
    assert!(said.len() < 1_100_000, "{}", said.len());
    assert!(
        said.ends_with("the line is cut here: it has more than 1048576 bytes)\nafter\n"),
        "{}",
        &said[said.len() - 100..]
    );
}

/// Runs a script that waits at each `wait_for NUMBER`, which goes on once what was said by then has these marks this many times.
async fn shown_in_parts(script: &str, marks: &[(&str, usize)]) -> Done {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let indented: String = script.lines().map(|line| format!("    {}\n", line.trim())).collect();
    let steps = format!(
        "- run: |\n    wait_for() {{ until test -e {}/$1; do sleep 0.02; done; }}\n{indented}",
        folder.path().display()
    );
    let look = async {
        for (number, (mark, count)) in marks.iter().enumerate() {
            let deadline = Instant::now() + Duration::from_secs(20);
            while bench.place.said(1).matches(mark).count() < *count {
                assert!(Instant::now() < deadline, "{mark} was not shown: {}", bench.place.whole());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            std::fs::write(folder.path().join((number + 1).to_string()), "").unwrap();
        }
    };
    let (done, ()) = tokio::join!(bench.steps(&steps), look);
    succeeded(&done);
    done
}

#[tokio::test]
async fn of_a_line_that_does_not_end_little_is_held_back() {
    let script = r"echo '::add-mask::hunter22 of the forest'
        for i in $(seq 1000); do printf '%04d%%\r' $i; done; printf 'done hunter22 of '
        wait_for 1
        echo 'the forest ::error::no command'";
    let done = shown_in_parts(script, &[("1000%", 1)]).await;
    let bar: String = (1..=1000).map(|number| format!("{number:04}%\r")).collect();
    assert_eq!(done.place.said(1), format!("::add-mask::***\n{bar}\ndone *** ::error::no command\n"));
    assert!(done.place.annotations.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_line_shown_in_parts_has_all_its_letters_and_is_no_command() {
    let script = r"for i in 1 2 3; do printf 'é%.0s' $(seq 3001); wait_for $i; done; echo ' end'
        echo '::warning::one'
        head -c 6000 /dev/zero | tr '\0' x; wait_for 4; echo '::warning::none'
        head -c 6000 /dev/zero | tr '\0' y; wait_for 5; echo; echo after";
    let marks = [("é", 3001), ("é", 6002), ("é", 9003), ("x", 6000), ("y", 6000)];
    let done = shown_in_parts(script, &marks).await;
    let said = done.place.said(1);
    assert_eq!(said.matches('é').count(), 9003);
    assert!(!said.contains('\u{fffd}') && said.contains(" end\n##[warning]one\nx"), "{said}");
    assert!(said.ends_with("y\nafter\n") && said.contains("x\n::warning::none\n"), "{said}");
    assert_eq!(done.place.annotations.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_one_story_is_told_in_order() {
    let mut bench = Bench::new();
    bench.place = Arc::new(super::Place { story: Some(Mutex::default()), ..super::Place::default() });
    let done = bench.steps("- run: exit 0\n- run: echo said\n- run: exit 3\n- run: echo never").await;
    assert_eq!(done.end.conclusion, Failure);
    let story = done.place.story.as_ref().unwrap().lock().unwrap();
    let place = |word: &str| story.iter().position(|said| said == word).unwrap_or_else(|| panic!("{word}: {story:#?}"));
    let order = [
        "Set up job begins",
        "Set up job ends",
        "Run exit 0 begins",
        "##[group]Run exit 0",
        "Run exit 0 ends",
        "Run echo said begins",
        "##[group]Run echo said",
        "said",
        "Run echo said ends",
        "##[error]Process completed with exit code 3.",
        "Run exit 3 ends",
        "Run echo never ends",
        "Complete job begins",
        "Job failure: step 'Run exit 3' failed with exit code 3",
        "Complete job ends",
    ];
    let places: Vec<usize> = order.iter().map(|word| place(word)).collect();
    assert!(places.is_sorted(), "{story:#?}");
}

#[tokio::test]
async fn a_log_has_an_end_and_the_job_goes_on() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.log_bytes_max = 10_000;
    let order = order(&workflow("- run: for i in $(seq 100); do printf 'x%.0s' $(seq 500); echo; done\n- run: exit 0"));
    let ended = crate::job::run_job(order, bench.place.clone(), bench.stop.subscribe(), &options).await;
    ended.cleanup.finish().await;
    assert_eq!(ended.end.conclusion, greenlight_core::run::Conclusion::Success);
    let whole = bench.place.whole();
    assert!(whole.len() < 11_000 && whole.matches("The log ends here").count() == 1, "{}", whole.len());
}

#[tokio::test]
async fn many_lines_arrive_whole_and_in_order() {
    let done = run_steps("- run: seq 1 200000").await;
    succeeded(&done);
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(done.place.said(1) == expected);
    assert!(done.place.blocks.lock().unwrap().len() < 20_000, "blocks, not lines");
}

#[tokio::test]
async fn large_blocks_commands_secrets_and_an_unended_line_keep_their_order() {
    let done = run_steps(
        "- run: |
    echo '::add-mask::ghs_0123456789abcdef'
    seq 1 100000
    echo '::warning::careful'
    seq 100001 200000 | sed 's/0000$/0000 ghs_0123456789abcdef/'
    printf 'the end of ghs_0123456789abcdef'",
    )
    .await;
    succeeded(&done);
    let numbers = |from: u32, to: u32| (from..=to).map(|number| format!("{number}\n")).collect::<String>();
    let mut expected = format!("::add-mask::***\n{}##[warning]careful\n", numbers(1, 100_000));
    for number in 100_001..=200_000 {
        expected += &if number % 10_000 == 0 { format!("{number} ***\n") } else { format!("{number}\n") };
    }
    assert!(done.place.said(1) == expected + "the end of ***\n");
}

#[tokio::test]
async fn problem_matchers_find_what_tools_print() {
    let matcher = r#"{"problemMatcher": [{"owner": "gcc", "pattern": [{
        "regexp": "^(.*):(\\d+):(\\d+):\\s+(warning|error):\\s+(.*)$",
        "file": 1, "line": 2, "column": 3, "severity": 4, "message": 5}]}]}"#;
    let bench = Bench::new().with_files(&[("gcc.json", matcher), ("src/a.c", "")]);
    let done = bench
        .steps(
            r#"- uses: actions/checkout@v4
- run: echo "::add-matcher::gcc.json"
- run: |
    echo 'src/a.c:3:7: error: no such thing'
    printf '\033[31msrc/missing.c:1:1: warning: careful\033[0m\n'
    echo '::remove-matcher owner=gcc::'
    echo 'src/a.c:4:1: error: not looked at any more'"#,
        )
        .await;
    succeeded(&done);
    assert_eq!(
        done.place.said(3),
        "##[error]src/a.c:3:7: error: no such thing\n##[warning]src/missing.c:1:1: warning: careful\n::remove-matcher \
         owner=gcc::\nsrc/a.c:4:1: error: not looked at any more\n"
    );
    let annotations = done.place.annotations.lock().unwrap();
    assert_eq!(annotations.len(), 2);
    assert_eq!(
        (annotations[0].file.as_deref(), annotations[0].line, annotations[0].column),
        (Some("src/a.c"), Some(3), Some(7))
    );
    assert_eq!((&*annotations[0].message, annotations[0].level), ("no such thing", AnnotationLevel::Error));
    assert_eq!((annotations[1].file.as_deref(), annotations[1].level), (None, AnnotationLevel::Warning));
}

#[tokio::test]
async fn a_matcher_that_cannot_be_read_fails_the_step() {
    let done = run_steps("- run: echo '::add-matcher::missing.json'").await;
    assert_eq!(done.end.conclusion, Failure);
    assert!(done.end.reason.contains("Unable to process command '##[add-matcher]missing.json'"), "{}", done.end.reason);
}

#[tokio::test]
async fn debug_and_echo_are_as_they_are_asked_for() {
    let steps = "- run: |
    echo '::debug::hidden?'
    echo '::set-output name=x::1'
    echo '::echo::on'
    echo '::set-output name=y::2'
    echo '::add-mask::hunter22'
    echo '::echo::off'
    echo '::set-output name=z::3'
    echo \"debug ${RUNNER_DEBUG:-no}\"";
    let done = run_steps(steps).await;
    assert_eq!(done.place.said(1), "::set-output name=y::2\n::add-mask::***\ndebug no\n");
    let bench = Bench::new();
    bench.place.given.lock().unwrap().secrets = vec![("ACTIONS_STEP_DEBUG".into(), "true".into())];
    let done =
        bench.steps("- run: |\n    echo '::debug::shown'\n    echo \"debug $RUNNER_DEBUG ${{ runner.debug }}\"").await;
    assert_eq!(done.place.said(1), "##[debug]shown\ndebug 1 1\n");
}

#[tokio::test]
async fn annotations_name_files_of_the_workspace() {
    let done = run_steps(
        r#"- run: |
    echo "::warning file=$GITHUB_WORKSPACE/src/a.rs,line=3,endLine=5,col=2,endColumn=9::range"
    echo "::notice file=/elsewhere/b.rs,line=x::other""#,
    )
    .await;
    let annotations = done.place.annotations.lock().unwrap();
    let first = &annotations[0];
    assert_eq!((first.file.as_deref(), first.line, first.end_line), (Some("src/a.rs"), Some(3), Some(5)));
    assert_eq!((first.column, first.end_column), (Some(2), Some(9)));
    assert_eq!((annotations[1].file.as_deref(), annotations[1].line), (Some("/elsewhere/b.rs"), None));
}

#[tokio::test]
async fn commands_that_set_variables_are_obeyed_where_the_workflow_itself_says_so() {
    let text = "
on: push
jobs:
  test:
    runs-on: x
    env: {ACTIONS_ALLOW_UNSECURE_COMMANDS: 'true'}
    steps:
      - run: |
          echo '::set-env name=X::1'
          echo '::set-env name=LD_PRELOAD::/evil.so'
          echo '::add-path::/opt/tools'
      - run: echo \"$X ${LD_PRELOAD:-none} ${PATH%%:*}\"
";
    let done = Bench::new().run(order(text)).await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "1 none /opt/tools\n");
    let done = run_steps(
        "- run: echo 'ACTIONS_ALLOW_UNSECURE_COMMANDS=true' >> $GITHUB_ENV
- run: echo '::set-env name=X::1'",
    )
    .await;
    assert_eq!(done.end.conclusion, Failure, "a step cannot allow it to later ones");
}

#[tokio::test]
async fn every_secret_is_masked_before_it_reaches_anybody() {
    let bench = Bench::new();
    let given = crate::host::Given {
        secrets: vec![("KEY".into(), "sup3r secret/value".into()), ("GITHUB_TOKEN".into(), "ghs_0123456789".into())],
        action_env: vec![("ACTIONS_RUNTIME_TOKEN".into(), "runtime-token-1".into())],
        step_env: vec![("ACTIONS_ID_TOKEN_REQUEST_TOKEN".into(), "id-token-22".into())],
        ..crate::host::Given::default()
    };
    *bench.place.given.lock().unwrap() = given;
    let done = bench
        .steps(
            r#"- name: uses sup3r secret/value
  env: {KEY: "${{ secrets.KEY }}"}
  run: |
    echo "key $KEY token ${{ github.token }} ${{ secrets.GITHUB_TOKEN == github.token }}"
    printf '%s' "$KEY" | base64; printf '%s' "$KEY" | od -An -tx1 | tr -d ' \n'; echo
    echo "id $ACTIONS_ID_TOKEN_REQUEST_TOKEN runtime ${ACTIONS_RUNTIME_TOKEN:-none}; runtime-token-1"
    printf 'sup3r sec'; sleep 0.05; printf 'ret/va'; sleep 0.05; echo 'lue'
    echo "::error title=sup3r secret/value,file=sup3r secret/value::it was sup3r%20secret/value, sup3r secret/value"
    echo "sup3r secret/value" >> $GITHUB_STEP_SUMMARY"#,
        )
        .await;
    succeeded(&done);
    let whole = done.place.whole();
    assert_eq!(
        done.place.said(1),
        "key *** token *** true\n***\n***\nid *** runtime none; ***\n***\n##[error]it was ***, ***\n"
    );
    let annotations = format!("{:?}", done.place.annotations.lock().unwrap());
    let updates = format!("{:?}", done.place.updates.lock().unwrap());
    let summaries = format!("{:?}", done.place.summaries.lock().unwrap());
    for said in [&whole, &annotations, &updates, &summaries] {
        for secret in ["sup3r secret/value", "ghs_0123456789", "runtime-token-1", "id-token-22"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

/// A place that takes its time over what is written behind.
#[derive(Default)]
struct Slow(Mutex<Vec<String>>);

impl JobHost for Slow {
    fn checkout<'a>(&'a self, _: &'a CheckoutRequest, _: &'a Path) -> Reply<'a, Result<CheckedOut, String>> {
        Box::pin(async { Err("nothing is checked out here".into()) })
    }

    fn step(&self, _: StepUpdate) -> Reply<'_, ()> {
        Box::pin(async {})
    }

    fn log(&self, block: LogBlock) -> Reply<'_, ()> {
        Box::pin(async move {
            let text = String::from_utf8_lossy(&block.text).into_owned();
            if text.starts_with("behind") {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
            self.0.lock().unwrap().push(text);
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

#[tokio::test]
async fn nothing_passes_what_is_written_behind() {
    let place = Arc::new(Slow::default());
    let log = JobLog::new(place.clone(), 1 << 20);
    log.write_behind(0, b"behind: the header\n").await;
    log.write_behind(1, b"behind: what runs\n").await;
    assert!(place.0.lock().unwrap().is_empty(), "nobody waited for it");
    tokio::join!(log.write(1, b"it says\n"), log.write(2, b"another says\n"));
    let said = place.0.lock().unwrap().clone();
    assert_eq!(said[..2], ["behind: the header\n", "behind: what runs\n"]);
    assert_eq!(said.len(), 4, "{said:?}");
}
