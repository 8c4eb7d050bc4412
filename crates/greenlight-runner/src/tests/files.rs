//! The files that steps write.

use greenlight_core::run::Conclusion::{Failure, Success};

use super::{run_steps, succeeded};

#[tokio::test]
async fn the_path_grows_at_its_front() {
    let done = run_steps(
        r#"- run: |
    mkdir a b
    printf '#!/bin/sh\necho from a\n' > a/tool; printf '#!/bin/sh\necho from b\n' > b/tool; chmod +x a/tool b/tool
    echo "$PWD/a" >> $GITHUB_PATH
    echo "$PWD/b" >> $GITHUB_PATH
- run: tool"#,
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "from b\n");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_the_step_and_only_that() {
    let done = run_steps(
        "- run: echo 'nonsense' >> $GITHUB_OUTPUT
- if: always()
  run: |
    printf 'X<<END\\nnever ends\\n' >> $GITHUB_ENV
- if: always()
  run: echo fine",
    )
    .await;
    assert_eq!(done.place.conclusions(), [Failure, Failure, Success]);
    assert!(done.place.log(1).contains("Invalid format 'nonsense'"), "{}", done.place.log(1));
    assert!(done.place.log(2).contains("Matching delimiter not found 'END'"), "{}", done.place.log(2));
}

#[tokio::test]
async fn files_are_read_after_a_failed_step_too() {
    let done = run_steps(
        "- id: a
  run: |
    echo 'x=1' >> $GITHUB_OUTPUT
    exit 1
- if: always()
  run: echo 'x is ${{ steps.a.outputs.x }}'",
    )
    .await;
    assert_eq!(done.place.said(2), "x is 1\n");
}

#[tokio::test]
async fn some_variables_are_refused_and_the_rest_goes_on() {
    let done = run_steps(
        "- run: |
    echo 'LD_PRELOAD=/evil.so' >> $GITHUB_ENV
    echo 'NODE_OPTIONS=--require=/evil.js' >> $GITHUB_ENV
    echo 'GOOD=yes' >> $GITHUB_ENV
- run: echo \"$GOOD $LD_PRELOAD $NODE_OPTIONS\"",
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "yes  \n");
    let annotations = done.place.annotations.lock().unwrap();
    assert_eq!(annotations.len(), 2);
    assert!(annotations[0].message.contains("LD_PRELOAD"));
}

#[tokio::test]
async fn a_summary_is_masked_and_bounded() {
    let done = run_steps(
        "- run: |
    echo '::add-mask::hunter22'
    echo '# It is hunter22' >> $GITHUB_STEP_SUMMARY
- run: head -c 1048577 /dev/zero | tr '\\0' x > $GITHUB_STEP_SUMMARY",
    )
    .await;
    succeeded(&done);
    assert_eq!(*done.place.summaries.lock().unwrap(), [(1, "# It is ***\n".to_owned())]);
    assert!(done.place.log(2).contains("summary of this step is not shown"), "{}", done.place.log(2));
}
