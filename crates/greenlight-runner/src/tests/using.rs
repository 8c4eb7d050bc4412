//! Actions: the built-in checkout, and local ones that are made of steps.

use std::num::NonZeroU32;
use std::sync::Arc;

use greenlight_core::id::Sha;
use greenlight_core::port::Reply;
use greenlight_core::run::Conclusion::Failure;

use super::{Bench, run_steps, succeeded};
use crate::source::{ActionFiles, ActionName, ActionSource};

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
async fn a_depth_is_read_as_the_action_reads_it() {
    for (depth, count) in
        [("many", None), ("-3", None), ("0", None), ("'2.9'", Some(2)), ("1e1", Some(10)), ("''", Some(1))]
    {
        let done = run_steps(&format!("- uses: actions/checkout@v4\n  with: {{fetch-depth: {depth}}}")).await;
        succeeded(&done);
        let asked = done.place.checkouts.lock().unwrap()[0].depth;
        assert_eq!(asked, count.and_then(NonZeroU32::new), "{depth}");
    }
}

#[tokio::test]
async fn a_checkout_says_what_it_cannot_do() {
    for (with, why) in [
        ("{repository: other/repo}", "asks for another repository, other/repo"),
        ("{github-server-url: 'https://ghe.example'}", "asks for another server"),
        ("{ssh-key: x}", "asks for an ssh key"),
        ("{lfs: true}", "asks for lfs"),
        ("{path: ../../..}", "is not inside the workspace"),
        ("{submodules: recursive}", "asks for submodules"),
        ("{ref: missing}", "there is no branch or tag 'missing'"),
    ] {
        let done = run_steps(&format!("- uses: actions/checkout@v4\n  with: {with}")).await;
        assert_eq!(done.end.conclusion, Failure);
        assert!(done.end.reason.contains(why), "{}", done.end.reason);
    }
}

#[tokio::test]
async fn a_checkout_takes_some_of_the_files_and_keeps_a_token() {
    let bench = Bench::new();
    bench.place.given.lock().unwrap().secrets = vec![("GITHUB_TOKEN".into(), "ghs_0123456789".into())];
    let done = bench
        .steps(
            "- uses: actions/checkout@v4
  with:
    sparse-checkout: |
      src
      docs
    sparse-checkout-cone-mode: false
    lfs: false
    submodules: false
    filter: 'blob:none'
- run: |
    grep -c 'path = ' .git/config
    grep -o 'AUTHORIZATION: basic .*' $(sed -n 's/.*path = //p' .git/config)
    grep -rl ghs_ . | wc -l
- uses: actions/checkout@v4
  with: {persist-credentials: false, path: bare}
- run: grep -c 'path = ' bare/.git/config || true",
        )
        .await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "1\nAUTHORIZATION: basic ***\n0\n");
    assert_eq!(done.place.said(4), "0\n");
    let checkouts = done.place.checkouts.lock().unwrap();
    let sparse = checkouts[0].sparse.as_ref().unwrap();
    assert_eq!(
        (sparse.patterns.iter().map(|pattern| &**pattern).collect::<Vec<_>>(), sparse.is_cone),
        (vec!["src", "docs"], false)
    );
}

#[tokio::test]
async fn the_action_itself_serves_what_the_mirror_cannot() {
    let action = "
name: checkout
inputs: {repository: {default: x}, submodules: {default: 'false'}}
outputs: {commit: {value: real}}
runs: {using: composite, steps: [{shell: bash, run: 'echo real ${{ inputs.repository }} ${{ inputs.submodules }}'}]}
";
    let bench = Bench::new().with_repositories(&[("actions/checkout/action.yml", action)]);
    let replacing = bench.place.actions.lock().unwrap().clone().unwrap();
    *bench.place.actions.lock().unwrap() = Some(Arc::new(NotReplacing(replacing)));
    let done = bench
        .steps(
            "- uses: actions/checkout@v4
- id: other
  uses: actions/checkout@v4
  with: {repository: octo/other, submodules: recursive}
- run: echo '${{ steps.other.outputs.commit }}'",
        )
        .await;
    succeeded(&done);
    assert!(done.place.log(1).contains("from the mirror"));
    assert!(done.place.log(2).contains("real octo/other recursive\n"), "{}", done.place.log(2));
    assert_eq!(done.place.said(3), "real\n");
    let mut options = bench.options();
    options.built_in_checkout = false;
    let order = super::order(&super::workflow("- uses: actions/checkout@v4"));
    let ended = crate::job::run_job(order, bench.place.clone(), bench.stop.subscribe(), &options).await;
    ended.cleanup.finish().await;
    assert!(bench.place.whole().contains("real x false\n"));
}

/// The same actions, as if they had been fetched.
struct NotReplacing(Arc<dyn ActionSource>);

impl ActionSource for NotReplacing {
    fn find<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, String>> {
        self.0.find(name)
    }
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_checkout_is_taken() {
    let action = "name: mine\nruns: {using: composite, steps: [{shell: bash, run: echo my own checkout}]}";
    let done = Bench::new()
        .with_repositories(&[("actions/checkout/action.yml", action)])
        .steps("- uses: actions/checkout@v4")
        .await;
    succeeded(&done);
    assert!(done.place.log(1).contains("my own checkout\n") && done.place.checkouts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_action_that_cannot_be_had_is_named_before_anything_runs() {
    let done = run_steps("- run: echo never\n- uses: actions/setup-node@v4").await;
    assert_eq!(done.end.conclusion, Failure);
    assert!(done.end.reason.contains("actions/setup-node@v4 comes from a repository"), "{}", done.end.reason);
    assert!(!done.place.whole().contains("never\n"));
    let bench = Bench::new().with_repositories(&[("octo/empty/README", "")]);
    let done = bench.steps("- run: echo never\n- uses: octo/empty@v1").await;
    assert!(done.end.reason.contains("octo/empty@v1, where there is no action.yml"), "{}", done.end.reason);
    let done = bench.steps("- run: echo never\n- uses: octo/missing@v1").await;
    assert!(done.end.reason.contains("octo/missing@v1 was never fetched"), "{}", done.end.reason);
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

#[tokio::test]
async fn actions_within_actions_end_at_ten() {
    let bench =
        Bench::new().with_files(&[("loop/action.yml", "name: l\nruns: {using: composite, steps: [{uses: ./loop}]}")]);
    let done = bench.steps("- uses: actions/checkout@v4\n- uses: ./loop").await;
    assert_eq!(done.end.conclusion, Failure);
    assert!(
        done.place.log(2).contains("is the 10th action within another, which is too deep"),
        "{}",
        done.place.log(2)
    );
    let deep: Vec<(String, String)> = (1..=9)
        .map(|n| {
            let inner =
                if n == 9 { "{run: echo deepest, shell: bash}".to_owned() } else { format!("{{uses: ./a{}}}", n + 1) };
            (format!("a{n}/action.yml"), format!("name: a\nruns: {{using: composite, steps: [{inner}]}}"))
        })
        .collect();
    let files: Vec<(&str, &str)> = deep.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let done = Bench::new().with_files(&files).steps("- uses: actions/checkout@v4\n- uses: ./a1").await;
    succeeded(&done);
    assert!(done.place.log(2).contains("deepest\n"));
}

#[tokio::test]
async fn an_action_of_a_repository_may_use_others() {
    let outer = r#"
name: Outer
inputs: {who: {required: true}}
outputs: {said: {value: "${{ steps.inner.outputs.said }} from ${{ github.action_ref }}"}}
runs:
  using: composite
  steps:
    - id: inner
      uses: octo/tools/inner@v2
      with: {who: "${{ inputs.who }}"}
    - id: broken
      shell: bash
      continue-on-error: true
      run: exit 3
    - shell: bash
      run: |
        echo "broken is ${{ steps.broken.outcome }}, ${{ steps.broken.conclusion }}"
        echo "$GITHUB_ACTION_REPOSITORY $GITHUB_ACTION_REF $FROM_CALLER ${INPUT_WHO:-no input}"
        echo "FROM_ACTION=yes" >> $GITHUB_ENV
        cat "$GITHUB_ACTION_PATH/data"
"#;
    let inner = r#"
name: Inner
inputs: {who: {default: nobody}}
outputs: {said: {value: "${{ steps.x.outputs.said }}"}}
runs:
  using: composite
  steps: [{id: x, shell: sh, run: 'echo "said=hello ${{ inputs.who }}" >> $GITHUB_OUTPUT'}]
"#;
    let bench = Bench::new().with_repositories(&[
        ("octo/outer/action.yml", outer),
        ("octo/outer/data", "data of the action\n"),
        ("octo/tools/inner/action.yaml", inner),
    ]);
    let done = bench
        .steps(
            "- id: outer
  uses: octo/outer@v1
  env: {FROM_CALLER: caller}
  with: {who: you, nonsense: 1}
- run: echo \"${{ steps.outer.outputs.said }}; $FROM_ACTION; ${FROM_CALLER:-gone}; ${{ steps.inner.outcome }}\"",
        )
        .await;
    succeeded(&done);
    let log = done.place.log(1);
    assert!(log.contains("broken is failure, success\nocto/outer v1 caller no input\ndata of the action\n"), "{log}");
    assert!(log.contains("Unexpected input(s) 'nonsense', valid inputs are ['who']"), "{log}");
    assert_eq!(done.place.said(2), "hello you from v1; yes; gone; \n");
    assert!(done.place.log(0).contains("Action octo/tools@v2 comes from"), "{}", done.place.log(0));
}

#[tokio::test]
async fn a_job_cannot_change_an_action_for_the_next_one() {
    let action = "name: x\nruns: {using: composite, steps: [{shell: bash, run: 'cat $GITHUB_ACTION_PATH/data; echo evil > $GITHUB_ACTION_PATH/data'}]}";
    let bench = Bench::new().with_repositories(&[("octo/x/action.yml", action), ("octo/x/data", "good\n")]);
    for _ in 0..2 {
        let done = bench.steps("- uses: octo/x@v1").await;
        succeeded(&done);
        assert!(!done.place.whole().contains("evil\n"), "{}", done.place.whole());
    }
}

#[tokio::test]
async fn the_repositorys_own_actions_are_those_of_the_workflows_commit() {
    let action = "name: x\nruns: {using: composite, steps: [{shell: bash, run: echo own action}]}";
    let done =
        Bench::new().with_repositories(&[("octo/demo/tools/x/action.yml", action)]).steps("- uses: $/tools/x").await;
    succeeded(&done);
    assert!(done.place.log(1).contains("own action\n"));
    assert!(done.place.log(0).contains(&format!("octo/demo@{}", "ab".repeat(20))), "{}", done.place.log(0));
}
