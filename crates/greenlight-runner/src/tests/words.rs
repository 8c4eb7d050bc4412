//! What steps say: lines, commands, masks.

use greenlight_core::run::Conclusion::Failure;

use super::{Bench, order, run_steps, succeeded, workflow};
use crate::host::AnnotationLevel;

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
    assert_eq!(done.place.annotations.lock().unwrap().len(), 11);
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
