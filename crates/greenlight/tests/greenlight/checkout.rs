//! `actions/checkout` as it is served: every input that the mirror can answer, on the server's own runner and on one elsewhere alike.

use serde_json::{Value, json};

use super::runner::Bench;

/// What both jobs do. Each line that begins with `>` is compared, and is to be there.
const STEPS: &str = r#"
- uses: actions/checkout@v4
  id: plain
- run: |
    echo "> plain ${{ steps.plain.outputs.ref }} ${{ steps.plain.outputs.commit == github.sha }}"
    echo "> head $(git rev-parse HEAD) of $(git rev-list --count HEAD), $(git status --porcelain | wc -l) changed, $(ls)" | tr '\n' ' '; echo
    touch left docs/left
- uses: actions/checkout@v4
  with: { clean: false }
- run: echo "> kept $(ls left docs/left | tr '\n' ' ')"
- uses: actions/checkout@v4
  with: { clean: 'true' }
- run: echo "> cleaned $(ls left docs/left 2>&1 | grep -c cannot)"
- uses: actions/checkout@v4
  with: { path: all, fetch-depth: 0 }
- run: cd all && echo "> all $(git rev-list --count HEAD) commits, tags $(git tag | tr '\n' ' ') branches $(git branch -r | sort | tr '\n' ' ')"
- uses: actions/checkout@v4
  with: { path: two, fetch-depth: 2 }
- run: cd two && echo "> two $(git rev-list --count HEAD)"
- uses: actions/checkout@v4
  with: { path: tags, fetch-tags: true }
- run: cd tags && echo "> tags $(git tag)"
- uses: actions/checkout@v4
  id: tagged
  with: { path: deep/tagged, ref: v1 }
- run: cd deep/tagged && echo "> tagged $(git rev-parse HEAD) ${{ steps.tagged.outputs.ref }} ${{ steps.tagged.outputs.commit }} $(test -e change.txt || echo before)"
- uses: actions/checkout@v4
  with: { path: branch, ref: change }
- run: cd branch && echo "> branch $(git symbolic-ref --short HEAD) $(cat change.txt)"
- uses: actions/checkout@v4
  with: { path: base, ref: '${{ github.event.pull_request.base.sha }}' }
- run: cd base && echo "> base $(git rev-parse HEAD) $(git symbolic-ref -q HEAD || echo detached)"
- uses: actions/checkout@v4
  with: { path: cone, sparse-checkout: docs }
- run: cd cone && echo "> cone $(git ls-files -t | grep -c ^S) left out, $(find . -path ./.git -prune -o -type f -print | sort | tr '\n' ' ')"
- uses: actions/checkout@v4
  with:
    path: picks
    sparse-checkout: |
      /src/
      *.md
    sparse-checkout-cone-mode: false
- run: cd picks && echo "> picks $(find . -path ./.git -prune -o -type f -print | sort | tr '\n' ' ')"
- uses: actions/checkout@v4
  with: { path: mine, token: of-mine, repository: '${{ github.repository }}' }
- run: cd mine && echo "> token $(git config --get-all http.${{ github.server_url }}/.extraheader | grep -c basic)"
- uses: actions/checkout@v4
  with: { path: bare, token: of-mine, persist-credentials: false }
- run: cd bare && echo "> no token $(git config --get-all http.${{ github.server_url }}/.extraheader | grep -c basic)"
- uses: actions/checkout@v4
  id: missing
  continue-on-error: true
  with: { path: missing, ref: nowhere }
- run: echo "> missing ${{ steps.missing.outcome }}"
- uses: actions/checkout@v4
  id: outside
  continue-on-error: true
  with: { path: ../../outside }
- run: echo "> outside ${{ steps.outside.outcome }}"
"#;

/// How many lines are compared.
const LINES: usize = 16;

fn compared(log: &str) -> Vec<String> {
    let said = log.lines().filter_map(|line| Some(line.split_once("> ")?.1.trim_end().to_owned()));
    said.filter(|line| !line.contains("$(") && !line.ends_with('"')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_elsewhere_is_the_same_as_here() {
    let steps: String = STEPS.lines().map(|line| format!("      {line}\n")).collect();
    let job = |name: &str, label: &str| format!("  {name}:\n    runs-on: {label}\n    steps:{steps}");
    let ci = format!("name: CI\non: pull_request\njobs:\n{}{}", job("test", "elsewhere"), job("near", "here"));
    let files = json!({
        "README.md": "hello", "run.sh": "#!/bin/sh\n", "docs/one.txt": "1", "docs/two.md": "2", "src/a/b.rs": "3", "other/c": "4",
        ".github/workflows/ci.yml": ci,
    });
    let bench = Bench::of_files(files, "").await;
    let main = bench.github.get("/git/ref/heads/main").await["object"]["sha"].clone();
    bench.github.call("POST", "/git/refs", json!({ "ref": "refs/tags/v1", "sha": main })).await;
    let (serve, runner, _) = bench.begin().await;
    let run = bench.run().await;
    let (there, here) = (bench.log_of("test").await.unwrap(), bench.log_of("near").await.unwrap());
    assert_eq!(run["conclusion"], "success", "{there}\n{here}");
    let runner_of = |name: &str| {
        let jobs = run["jobs"].as_array().unwrap();
        let job: &Value = jobs.iter().find(|job| job["name"] == name).unwrap();
        job["runner"].as_str().unwrap().to_owned()
    };
    assert!(runner_of("near").starts_with("built-in") && !runner_of("test").starts_with("built-in"), "{run}");
    assert_eq!(compared(&there), compared(&here));
    let said = compared(&there);
    assert_eq!(said.len(), LINES, "{said:#?}");
    let has = |line: &str| assert!(said.iter().any(|said| said == line), "{line} is not among {said:#?}");
    let main = main.as_str().unwrap();
    for line in [
        "kept docs/left left",
        "cleaned 2",
        "two 3",
        "tags v1",
        &format!("base {main} detached"),
        "branch change changed",
        "token 1",
        "no token 0",
        "missing failure",
        "outside failure",
        "picks ./README.md ./docs/two.md ./src/a/b.rs",
        &format!("tagged {main} refs/tags/v1 {main} before"),
    ] {
        has(line);
    }
    bench.end(serve, runner).await;
}
