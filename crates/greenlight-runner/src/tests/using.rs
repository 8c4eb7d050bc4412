//! Actions: the built-in checkout, and local ones that are made of steps.

use std::num::NonZeroU32;

use greenlight_core::id::Sha;
use greenlight_core::run::Conclusion::Failure;

use super::{run_steps, succeeded};

/// A local action, as the fake checkout brings it.
pub(super) const GREET: &str = r#"
name: Greet
inputs:
  who: {default: "nobody"}
  how: {default: "${{ github.actor }}"}
outputs:
  said: {value: "${{ steps.say.outputs.said }}"}
runs:
  using: composite
  steps:
    - id: say
      shell: bash
      run: |
        echo "said=hello ${{ inputs.who }} by ${{ inputs.how }}" >> $GITHUB_OUTPUT
        test -f "$GITHUB_ACTION_PATH/action.yml" && echo "in place, MOOD=$MOOD"
    - if: inputs.who == 'error'
      shell: bash
      run: exit 9
    - if: failure()
      shell: bash
      run: echo "inner failure seen"
"#;

#[tokio::test]
async fn a_checkout_fills_the_workspace() {
    let done = run_steps(
        "- uses: actions/checkout@v4
  id: repo
- run: cat README; echo '${{ steps.repo.outputs.ref }} ${{ steps.repo.outputs.commit }}'
- uses: Actions/Checkout@main
  with: {ref: other, path: sub/dir, fetch-depth: 0, token: x, clean: false, nonsense: 1}
- run: cat sub/dir/README",
    )
    .await;
    succeeded(&done);
    let sha = Sha::from_bytes([0xab; 20]);
    assert_eq!(done.place.said(2), format!("hello\nrefs/heads/main {sha}\n"));
    let checkouts = done.place.checkouts.lock().unwrap();
    assert_eq!((checkouts[0].sha, checkouts[0].depth), (Some(sha), NonZeroU32::new(1)));
    assert_eq!(checkouts[0].name.as_deref(), Some("refs/heads/main"));
    assert_eq!((checkouts[1].sha, checkouts[1].name.as_deref()), (None, Some("other")));
    assert_eq!((checkouts[1].depth, checkouts[1].clean), (None, false));
    assert!(done.place.log(3).contains("has no input 'nonsense'"));
}

#[tokio::test]
async fn a_checkout_says_what_it_cannot_do() {
    for (with, why) in [
        ("{repository: other/repo}", "asks for other/repo"),
        ("{path: ../../..}", "is not inside the workspace"),
        ("{submodules: recursive}", "asks for submodules"),
        ("{fetch-depth: many}", "fetch-depth 'many'"),
        ("{ref: missing}", "there is no branch or tag 'missing'"),
    ] {
        let done = run_steps(&format!("- uses: actions/checkout@v4\n  with: {with}")).await;
        assert_eq!(done.end.conclusion, Failure);
        assert!(done.end.reason.contains(why), "{}", done.end.reason);
    }
}

#[tokio::test]
async fn an_action_that_is_not_supported_is_named_before_anything_runs() {
    let done = run_steps("- run: echo never\n- uses: actions/setup-node@v4").await;
    assert_eq!(done.end.conclusion, Failure);
    assert!(done.end.reason.contains("actions/setup-node@v4 is not supported"), "{}", done.end.reason);
    assert!(!done.place.whole().contains("never\n"));
}

#[tokio::test]
async fn a_local_action_runs_its_steps() {
    let done = run_steps(
        "- uses: actions/checkout@v4
- id: greet
  uses: ./.github/actions/greet
  env: {MOOD: good}
  with: {who: you}
- run: echo '${{ steps.greet.outputs.said }}; ${{ steps.say.outputs.said }}'; echo \"MOOD=$MOOD\"
- id: bad
  continue-on-error: true
  uses: ./.github/actions/greet
  with: {who: error}
- run: echo '${{ steps.bad.outcome }} ${{ job.status }}'",
    )
    .await;
    succeeded(&done);
    assert!(done.place.log(2).contains("in place, MOOD=good\n"), "{}", done.place.log(2));
    assert_eq!(done.place.said(3), "hello you by mona; \nMOOD=\n");
    assert!(done.place.log(4).contains("inner failure seen\n"));
    assert_eq!(done.place.said(5), "failure success\n");
}

#[tokio::test]
async fn a_local_action_that_is_not_there_says_what_to_do() {
    let done = run_steps("- uses: ./.github/actions/greet").await;
    assert!(done.end.reason.contains("Did you forget to run actions/checkout"), "{}", done.end.reason);
}
