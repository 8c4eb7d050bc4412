//! Plans of runs: the jobs of a workflow and of those it calls, with what is known of them before anything has run.

use greenlight_workflow::{
    CallRules, CalledFile, Contexts, EventPayload, Permissions, RunPlan, Value, Workflow, parse_workflow, plan_run,
    resolve_calls,
};

fn read(path: &str, text: &str) -> Workflow {
    let parsed = parse_workflow(path, text);
    parsed.workflow.unwrap_or_else(|| panic!("{:#?}", parsed.findings))
}

/// Plans a workflow that may call others, with `needs` as JSON.
fn plan(text: &str, called: &[(&str, &str)], needs: &str) -> RunPlan {
    let workflow = read(".github/workflows/ci.yml", text);
    let source = |_: &str, reference: &greenlight_workflow::CallRef| {
        let found = called.iter().find(|(path, _)| *path == reference.to_string());
        found.map(|(path, text)| CalledFile { path: (*path).into(), text: (*text).into() }).into()
    };
    let calls = resolve_calls(&workflow, &CallRules::default(), &source);
    assert!(calls.findings.iter().all(|found| !found.finding.is_error()), "{:#?}", calls.findings);
    let event = EventPayload::new("push", Value::from_json(r#"{"ref":"refs/heads/main"}"#).unwrap());
    let context = Contexts::new()
        .with("github", event.github("ci"))
        .with("needs", Value::from_json(needs).unwrap())
        .with("vars", Value::from_json(r#"{"list":"[1,2]"}"#).unwrap());
    plan_run(&workflow, &calls.called, &Permissions::limited_read(), &context)
}

#[track_caller]
fn check(plan: &RunPlan, expected: &[&str]) {
    let shown: Vec<String> = plan
        .jobs
        .iter()
        .map(|job| {
            let runs = job.runs.map_or("?".to_owned(), |runs| runs.to_string());
            let group = job.concurrency.as_ref().map_or(String::new(), |group| format!(" in {}", group.group));
            let labels = job.runner.as_ref().map_or(String::new(), |runner| format!(" on {}", runner.labels.join("+")));
            let open = job.open.as_ref().map_or(String::new(), |open| format!("; {open}"));
            format!("{}: {} runs={runs}{labels}{group}{open}", job.variant.key, job.variant.name)
        })
        .collect();
    assert_eq!(shown, expected, "{:#?}", plan.problems);
}

#[test]
fn jobs_have_variants_names_runners_and_groups() {
    let plan = plan(
        "on: push
run-name: of ${{ github.ref_name }}
concurrency: { group: 'ci-${{ github.ref }}', cancel-in-progress: true }
jobs:
  a:
    name: Build ${{ matrix.os }}
    strategy: { matrix: { os: [linux, mac], n: '${{ fromJSON(vars.list) }}', exclude: [{ os: mac, n: 1 }] } }
    runs-on: [self-hosted, '${{ matrix.os }}']
    steps: [{ run: x }]
  b:
    if: github.ref == 'refs/heads/other'
    needs: []
    runs-on: x
    concurrency: deploy
    environment: production
    steps: [{ run: x }]
  c: { needs: a, runs-on: x, steps: [{ run: x }] }
",
        &[],
        "{}",
    );
    check(
        &plan,
        &[
            "a (linux, 1): Build linux runs=true on self-hosted+linux",
            "a (linux, 2): Build linux runs=true on self-hosted+linux",
            "a (mac, 2): Build mac runs=true on self-hosted+mac",
            "b: b runs=false on x in deploy",
            "c: c runs=? on x",
        ],
    );
    assert_eq!(plan.name.as_deref(), Some("of main"));
    assert_eq!(plan.concurrency.as_ref().map(|group| group.group.as_str()), Some("ci-refs/heads/main"));
    assert_eq!(plan.jobs[3].environment.as_deref(), Some("production"));
}

const DYNAMIC: &str = "on: push
jobs:
  a: { runs-on: x, outputs: { m: '[]' }, steps: [{ run: x }] }
  b:
    needs: a
    strategy: { matrix: { n: '${{ fromJSON(needs.a.outputs.m) }}' } }
    runs-on: x-${{ needs.a.outputs.m }}
    steps: [{ run: x }]
  c: { needs: b, runs-on: x, if: always(), steps: [{ run: x }] }
";

#[test]
fn a_matrix_from_outputs_is_open_until_they_are_there() {
    check(
        &plan(DYNAMIC, &[], "{}"),
        &["a: a runs=true on x", "b: b runs=?; its matrix comes from 'a', which has not run", "c: c runs=true on x"],
    );
    check(
        &plan(DYNAMIC, &[], r#"{"a":{"result":"success","outputs":{"m":"[7,8]"}}}"#),
        &[
            "a: a runs=true on x",
            "b (7): b (7) runs=true on x-[7,8]",
            "b (8): b (8) runs=true on x-[7,8]",
            "c: c runs=true on x",
        ],
    );
    let failed = plan(DYNAMIC, &[], r#"{"a":{"result":"failure","outputs":{"m":"[7]"}},"b":{"result":"skipped"}}"#);
    assert_eq!(failed.jobs.iter().map(|job| job.runs).collect::<Vec<_>>(), [Some(true), Some(false), Some(true)]);
}

#[test]
fn called_workflows_bring_their_jobs() {
    let plan = plan(
        "on: push
permissions: { contents: write, issues: read }
jobs:
  call:
    name: Call
    strategy: { matrix: { env: [one, two] } }
    uses: ./.github/workflows/called.yml
    with: { to: '${{ matrix.env }}' }
    secrets: inherit
  remote: { uses: o/r/.github/workflows/x.yml@v1 }
",
        &[
            (
                "./.github/workflows/called.yml",
                "on: { workflow_call: { inputs: { to: { type: string, required: true }, loud: { type: boolean } } } }
permissions: { contents: read }
jobs:
  first:
    runs-on: ${{ inputs.to }}
    if: inputs.loud
    concurrency: group-${{ inputs.to }}
    steps: [{ run: x }]
  second: { needs: first, uses: ./.github/workflows/deep.yml }
",
            ),
            (
                "./.github/workflows/deep.yml",
                "on: workflow_call\njobs: { deep: { name: 'Deep ${{ matrix.env }}', runs-on: x, steps: [{ run: x }] } }\n",
            ),
            (
                "o/r/.github/workflows/x.yml@v1",
                "on: workflow_call\njobs: { far: { runs-on: x, steps: [{ run: x }] } }\n",
            ),
        ],
        "{}",
    );
    check(
        &plan,
        &[
            "call (one): Call (one) runs=true",
            "call (one) / first: Call (one) / first runs=false on one in group-one",
            "call (one) / second: Call (one) / second runs=?",
            "call (one) / second / deep: Call (one) / second / Deep  runs=? on x",
            "call (two): Call (two) runs=true",
            "call (two) / first: Call (two) / first runs=false on two in group-two",
            "call (two) / second: Call (two) / second runs=?",
            "call (two) / second / deep: Call (two) / second / Deep  runs=? on x",
            "remote: remote runs=true",
            "remote / far: remote / far runs=true on x",
        ],
    );
    let level = |at: usize, scope: &str| plan.jobs[at].permissions.get(scope).as_str();
    assert_eq!((level(0, "contents"), level(1, "contents"), level(1, "issues")), ("write", "read", "none"));
    assert_eq!((level(3, "contents"), level(9, "issues")), ("read", "read"));
    assert_eq!(plan.jobs[3].caller.as_deref(), Some("call (one) / second"));
}

#[test]
fn a_run_has_at_most_so_many_jobs() {
    let items: Vec<String> = (0..200).map(|at| at.to_string()).collect();
    let list = items.join(",");
    let text = format!(
        "on: push\njobs:\n  a: {{ strategy: {{ matrix: {{ n: [{list}] }} }}, runs-on: x, steps: [{{ run: x }}] }}\n  b: {{ strategy: {{ matrix: {{ n: [{list}] }} }}, runs-on: x, steps: [{{ run: x }}] }}\n"
    );
    let plan = plan(&text, &[], "{}");
    assert!(plan.problems.iter().any(|problem| problem.message.contains("a run may have 256 jobs, this one has 400")));
}

#[test]
fn what_is_wrong_with_a_job_is_told() {
    let plan = plan(
        "on: push\njobs:\n  a: { runs-on: '${{ vars.none }}', steps: [{ run: x }] }\n  b: { strategy: { matrix: '${{ vars.list }}' }, runs-on: x, steps: [{ run: x }] }\n",
        &[],
        "{}",
    );
    let told: Vec<String> = plan.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["job 'a': a label in 'runs-on' is empty", "job 'b': The matrix must be a mapping"]);
}

#[test]
fn what_a_run_alone_knows_leaves_a_group_open() {
    let text = "on: push
concurrency: ci-${{ github.workflow }}-${{ github.head_ref || github.run_id }}
jobs:
  a: { runs-on: x, concurrency: 'a-${{ github.run_number }}', steps: [{ run: x }] }
  b: { runs-on: x, concurrency: 'b-${{ github.ref_name || github.run_id }}', steps: [{ run: x }] }
";
    let plan = plan(text, &[], "{}");
    let open = "its group has the run's own number or id in it, which is known once there is a run";
    assert_eq!((plan.concurrency.is_none(), plan.open.as_deref()), (true, Some(open)));
    check(&plan, &[&format!("a: a runs=true on x; {open}"), "b: b runs=true on x in b-main"]);
}

#[test]
fn a_condition_that_no_job_can_change_is_known_before_they_run() {
    let called = "on: workflow_call
jobs:
  one: { runs-on: x, steps: [{ run: x }] }
  two: { if: false, runs-on: x, steps: [{ run: x }] }
";
    let text = "on: push
jobs:
  a: { runs-on: x, steps: [{ run: x }] }
  b: { needs: a, if: github.event_name == 'release', runs-on: x, steps: [{ run: x }] }
  c: { needs: a, if: needs.a.result == 'success', runs-on: x, steps: [{ run: x }] }
  d: { needs: a, uses: ./.github/workflows/called.yml }
  e: { if: false, uses: ./.github/workflows/called.yml }
";
    check(
        &plan(text, &[("./.github/workflows/called.yml", called)], "{}"),
        &[
            "a: a runs=true on x",
            "b: b runs=false on x",
            "c: c runs=? on x",
            "d: d runs=?",
            "d / one: d / one runs=? on x",
            "d / two: d / two runs=false on x",
            "e: e runs=false",
            "e / one: e / one runs=false on x",
            "e / two: e / two runs=false on x",
        ],
    );
}

#[test]
fn calls_go_as_deep_as_the_edition_of_github_allows() {
    let caller =
        |at: usize| format!("on: [push, workflow_call]\njobs: {{ a: {{ uses: ./.github/workflows/{at}.yml }} }}\n");
    let problem = |levels: usize, rules: &CallRules| {
        let workflow = read(".github/workflows/ci.yml", &caller(2));
        let source = |_: &str, reference: &greenlight_workflow::CallRef| {
            let path = reference.to_string();
            let level: usize = path.rsplit('/').next().unwrap().trim_end_matches(".yml").parse().unwrap();
            let last = "on: workflow_call\njobs: { a: { runs-on: x, steps: [{ run: x }] } }\n".to_owned();
            let text = if level < levels { caller(level + 1) } else { last };
            Some(CalledFile { path, text }).into()
        };
        let calls = resolve_calls(&workflow, rules, &source);
        calls.findings.iter().find(|found| found.finding.is_error()).map(|found| found.finding.message.clone())
    };
    let (com, server) = (CallRules::default(), CallRules::enterprise_server());
    assert_eq!((problem(10, &com), problem(4, &server)), (None, None));
    assert_eq!(problem(11, &com).unwrap(), "Nested reusable workflow depth exceeded 9.");
    assert_eq!(problem(5, &server).unwrap(), "Nested reusable workflow depth exceeded 3.");
}

#[test]
fn what_comes_from_a_matrix_that_is_not_known_is_left_open() {
    let text = "on: push
jobs:
  a:
    runs-on: x
    outputs: { list: '${{ steps.x.outputs.x }}' }
    steps: [{ id: x, run: x }]
  b:
    needs: a
    strategy: { matrix: { path: '${{ fromJSON(needs.a.outputs.list) }}' } }
    runs-on: ${{ fromJSON(matrix.path).os }}
    environment: npm-${{ matrix.path }}
    concurrency: publish-${{ fromJSON(matrix.path).name }}
    steps: [{ run: x }]
";
    let found = plan(text, &[], "{}");
    check(&found, &["a: a runs=true on x", "b: b runs=?; its matrix comes from 'a', which has not run"]);
    assert_eq!((&found.jobs[1].environment, found.problems.len()), (&None, 0));
}
