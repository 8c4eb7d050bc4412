//! What a workflow means: when it runs, which jobs that makes, what its texts and conditions come to, what is said about it.

use greenlight_workflow::{
    ActionRuns, CallRef, CallSecrets, Condition, Context, Contexts, EventFacts, Finding, JobKind, MatrixContext,
    PermissionLevel, Scope, StatusCheck, StepKind, Template, Trigger, UsesRef, Value, Workflow, ancestors,
    evaluate_entries, expand_job, parse_action, parse_workflow, skip_words,
};

#[track_caller]
fn read(text: &str) -> Workflow {
    let parsed = parse_workflow(".github/workflows/ci.yml", text);
    parsed.workflow.unwrap_or_else(|| panic!("{:#?}", parsed.findings))
}

fn with_jobs(on: &str) -> Workflow {
    read(&format!("on:\n{on}\njobs:\n  a:\n    runs-on: x\n    steps: [{{run: x}}]\n"))
}

fn findings(text: &str) -> Vec<Finding> {
    parse_workflow("ci.yml", text).findings
}

fn paths(list: &[&str]) -> Vec<String> {
    list.iter().map(|path| (*path).to_owned()).collect()
}

/// Checks lines of `event key=value …` against `yes` or the reason.
#[track_caller]
fn check_triggers(on: &str, cases: &[(&str, &str)]) {
    let workflow = with_jobs(on);
    for (event, expected) in cases {
        let mut words = event.split(' ');
        let mut facts = EventFacts { name: words.next().unwrap(), ..EventFacts::default() };
        let mut changed = None;
        for word in words {
            let (key, value) = word.split_once('=').unwrap();
            match key {
                "action" => facts.action = Some(value),
                "ref" => facts.git_ref = value,
                "base" => facts.base_branch = Some(value),
                "workflow" => facts.workflow = Some(value),
                "changed" => {
                    changed = Some(paths(&value.split(',').filter(|path| !path.is_empty()).collect::<Vec<_>>()))
                }
                _ => panic!("{key}"),
            }
        }
        facts.changed_paths = changed.as_deref();
        let found = match workflow.triggered_by(&facts) {
            Trigger::Yes => "yes".to_owned(),
            Trigger::No { reason } => reason,
        };
        assert_eq!(found, *expected, "{event}");
    }
}

#[test]
fn pushes_are_filtered_by_branch_tag_and_path() {
    check_triggers(
        "  push:\n    branches: [main, 'releases/**', '!releases/**-alpha']\n    paths: ['src/**', '!**.md']",
        &[
            ("push ref=refs/heads/main changed=src/a.rs", "yes"),
            ("push ref=refs/heads/main", "yes"),
            ("push ref=refs/heads/releases/1 changed=src/a.rs,x.md", "yes"),
            (
                "push ref=refs/heads/releases/1-alpha changed=src/a.rs",
                "the branch 'releases/1-alpha' does not match 'branches' ('main', 'releases/**', '!releases/**-alpha')",
            ),
            ("push ref=refs/heads/main changed=src/a.md", "no changed file matches 'paths' ('src/**', '!**.md')"),
            ("push ref=refs/heads/main changed=", "it runs for changed files only, and no file has changed"),
            ("push ref=refs/tags/v1 changed=src/a.rs", "it runs for branches only, and 'v1' is a tag"),
            ("pull_request action=opened", "it runs on push, not on pull_request"),
        ],
    );
}

#[test]
fn tags_alone_shut_out_branches_and_paths_do_not_look_at_tags() {
    check_triggers(
        "  push:\n    tags-ignore: ['v1*']\n    paths-ignore: [docs/**]",
        &[
            ("push ref=refs/tags/v2 changed=docs/x", "yes"),
            ("push ref=refs/tags/v1.0 changed=src/x", "the tag 'v1.0' matches 'tags-ignore' ('v1*')"),
            ("push ref=refs/heads/main changed=src/x", "it runs for tags only, and 'main' is a branch"),
        ],
    );
    check_triggers(
        "  push:\n    paths-ignore: [docs/**]",
        &[
            ("push ref=refs/tags/v2 changed=docs/x", "yes"),
            ("push ref=refs/heads/main changed=docs/x,src/x", "yes"),
            ("push ref=refs/heads/main changed=docs/x", "all changed files match 'paths-ignore' ('docs/**')"),
        ],
    );
}

#[test]
fn pull_requests_have_default_types_and_their_base_counts() {
    check_triggers(
        "  pull_request:\n    branches: [main]\n  issues:\n  workflow_run:\n    workflows: [Build]\n    types: completed",
        &[
            ("pull_request action=opened base=main", "yes"),
            ("pull_request action=synchronize base=main ref=refs/pull/1/merge", "yes"),
            ("pull_request action=opened base=dev", "the branch 'dev' does not match 'branches' ('main')"),
            (
                "pull_request action=closed base=main",
                "it runs on pull_request of the types opened, synchronize, reopened, not closed",
            ),
            ("issues action=labeled", "yes"),
            ("workflow_run action=completed workflow=Build", "yes"),
            ("workflow_run action=completed workflow=Test", "it follows the workflows 'Build', not 'Test'"),
            (
                "workflow_run action=requested workflow=Build",
                "it runs on workflow_run of the types completed, not requested",
            ),
        ],
    );
}

const MATRIX: &str = "on: push
jobs:
  first:
    runs-on: x
    outputs: { list: '${{ steps.a.outputs.list }}' }
    steps: [{ id: a, run: x }]
  build:
    needs: first
    name: Build
    runs-on: ['${{ matrix.os }}', fast]
    strategy:
      fail-fast: false
      max-parallel: 3
      matrix:
        os: [linux, mac]
        version: ${{ fromJSON(needs.first.outputs.list) }}
        exclude: [{ os: mac, version: 2 }]
    env: { OS: '${{ matrix.os }}', N: '${{ strategy.job-index }}/${{ strategy.job-total }}' }
    steps: [{ run: x }]
  named:
    needs: build
    name: On ${{ matrix.os }}
    runs-on: x
    strategy: { matrix: { os: [a, a] } }
    steps: [{ run: x }]
";

#[test]
fn a_matrix_from_another_job_s_output_becomes_jobs() {
    let workflow = read(MATRIX);
    let needs = Value::from_json(r#"{"first":{"result":"success","outputs":{"list":"[1, 2]"}}}"#).unwrap();
    let context = Contexts::new().with("needs", needs);
    let build = workflow.job("build").unwrap();
    let plans = expand_job(build, &context).unwrap();
    let shown: Vec<String> =
        plans.iter().map(|plan| format!("{} | {} | {}", plan.key, plan.name, plan.matrix.to_json())).collect();
    assert_eq!(
        shown,
        [
            r#"build (linux, 1) | Build (linux, 1) | {"os":"linux","version":1}"#,
            r#"build (linux, 2) | Build (linux, 2) | {"os":"linux","version":2}"#,
            r#"build (mac, 1) | Build (mac, 1) | {"os":"mac","version":1}"#,
        ]
    );
    assert_eq!((plans[2].index, plans[2].total, plans[2].fail_fast, plans[2].max_parallel), (2, 3, false, Some(3)));
    let inside = MatrixContext::new(&context, &plans[2]);
    assert_eq!(build.runs_on.evaluate(&inside).unwrap().labels, ["mac", "fast"]);
    let env = evaluate_entries(&build.env, &inside).unwrap();
    assert_eq!(env, [("OS".to_owned(), "mac".to_owned()), ("N".to_owned(), "2/3".to_owned())]);

    let named = expand_job(workflow.job("named").unwrap(), &context).unwrap();
    let shown: Vec<(&str, &str)> = named.iter().map(|plan| (plan.key.as_str(), plan.name.as_str())).collect();
    assert_eq!(shown, [("named (a)", "On a"), ("named (a) #2", "On a")]);
    assert_eq!(ancestors(&workflow, "named"), ["first".into(), "build".into()]);
}

#[test]
fn what_is_wrong_with_a_matrix_is_said_when_it_is_known() {
    let workflow = read(MATRIX);
    let needs = Value::from_json(r#"{"first":{"outputs":{"list":"[]"}}}"#).unwrap();
    let error = expand_job(workflow.job("build").unwrap(), &Contexts::new().with("needs", needs)).unwrap_err();
    assert_eq!(error.to_string(), "job 'build': Matrix vector 'version' does not contain any values");
    assert_eq!(error.span.line, 12);
}

#[test]
fn a_condition_asks_for_success_unless_it_asks_for_the_status_itself() {
    let scope = Scope::everything();
    let holds = |text: &str, status: StatusCheck| {
        let context = Contexts::new().with("github", Value::object([("ref", "main")])).with_status(status);
        Condition::parse(text, &scope).unwrap().evaluate(&context).unwrap()
    };
    for (text, success, failure, cancelled) in [
        ("", true, false, false),
        ("github.ref == 'MAIN'", true, false, false),
        ("${{ github.ref == 'main' }}", true, false, false),
        ("always()", true, true, true),
        ("failure()", false, true, false),
        ("!cancelled()", true, true, false),
        ("github.ref == 'always()'", false, false, false),
        ("contains('x', format('{0}', failure())) || true", true, true, true),
        ("${{ github.ref }} == 'nothing'", true, false, false),
    ] {
        let found =
            [StatusCheck::SUCCESS, StatusCheck::FAILURE, StatusCheck::CANCELLED].map(|status| holds(text, status));
        assert_eq!(found, [success, failure, cancelled], "{text}");
    }
    assert!(Condition::always().evaluate(&Contexts::new().with_status(StatusCheck::CANCELLED)).unwrap());
}

#[test]
fn jobs_can_be_asked_for_by_id() {
    struct Jobs;
    impl Context for Jobs {
        fn named(&self, _: &str) -> Value {
            Value::Null
        }
        fn status_of(&self, job_ids: &[String]) -> StatusCheck {
            if job_ids == ["a", "b"] { StatusCheck::FAILURE } else { StatusCheck::SUCCESS }
        }
    }
    let condition = Condition::parse("failure('a', 'b') && success()", &Scope::everything()).unwrap();
    assert!(condition.evaluate(&Jobs).unwrap());
}

#[test]
fn a_template_that_is_one_expression_keeps_its_type() {
    let scope = Scope::everything();
    let context = Contexts::new().with("github", Value::from_json(r#"{"n":1.50,"list":[1],"s":"a'b"}"#).unwrap());
    let value = |text: &str| Template::parse(text, &scope).unwrap().evaluate(&context).unwrap().to_json();
    assert_eq!(value("${{ github.n }}"), "1.5");
    assert_eq!(value("${{ github.list }}"), "[1]");
    assert_eq!(value(" ${{ github.n }}"), "\" 1.5\"");
    assert_eq!(value("v${{ github.n }} ${{ github.s }} {0}"), "\"v1.5 a'b {0}\"");
    assert_eq!(value("${{ '{{ kept }}' }}"), "\"{{ kept }}\"");
    assert_eq!(value("${{ format('}}{0}', 1) }}"), "\"}1\"");
    let text = Template::parse("it's {${{ github.n }}}", &scope).unwrap().expression_text();
    assert_eq!(text, "format('it''s {{{0}}}', github.n)");
}

#[test]
fn entries_take_in_an_inserted_object() {
    let workflow = read(
        "on: push\nenv:\n  A: '1'\n  ${{ insert }}: ${{ fromJSON('{\"B\":2,\"C\":\"x\"}') }}\njobs:\n  a:\n    runs-on: x\n    env: ${{ fromJSON('{\"D\":true}') }}\n    steps: [{run: x}]\n",
    );
    let pairs = |entries: Vec<(String, String)>| {
        entries.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(pairs(evaluate_entries(&workflow.env, &Contexts::new()).unwrap()), ["A=1", "B=2", "C=x"]);
    assert_eq!(pairs(evaluate_entries(&workflow.jobs[0].env, &Contexts::new()).unwrap()), ["D=true"]);
}

#[test]
fn steps_have_ids_and_names() {
    let workflow = read(
        "on: push
jobs:
  a:
    runs-on: x
    steps:
      - uses: actions/checkout@v4
      - run: |

          make test
          make more
      - uses: actions/checkout@v4
        name: Again ${{ github.ref }}
      - id: own
        run: echo ${{ steps.x.outputs.y }}
      - uses: ./.github/actions/x
      - uses: docker://alpine:3.8
",
    );
    let context = Contexts::new().with("github", Value::object([("ref", "main")]));
    let shown: Vec<String> = workflow.jobs[0]
        .steps()
        .iter()
        .map(|step| format!("{} {} {}", step.id, step.explicit_id, step.display_name(&context)))
        .collect();
    assert_eq!(
        shown,
        [
            "__actions_checkout false Run actions/checkout@v4",
            "__run false Run make test",
            "__actions_checkout_2 false Again main",
            "own true Run echo ",
            "__self false Run ./.github/actions/x",
            "__alpine_3_8 false Run docker://alpine:3.8",
        ]
    );
    let reference = match &workflow.jobs[0].steps()[0].kind {
        StepKind::Uses { reference, .. } => reference.clone(),
        other => panic!("{other:?}"),
    };
    let git_ref = "v4".to_owned();
    let expected =
        UsesRef::Repository { owner: "actions".into(), repo: "checkout".into(), path: String::new(), git_ref };
    assert_eq!(reference, expected);
}

#[test]
fn requirements_come_to_what_they_say() {
    let workflow = read(
        "on: push
permissions: { contents: read }
concurrency: deploy-${{ github.ref }}
jobs:
  a:
    runs-on: { group: big, labels: [x, y] }
    permissions: write-all
    environment: { name: '${{ inputs.env || ''staging'' }}', url: 'https://x' }
    concurrency: { group: g, cancel-in-progress: true, queue: max }
    container: { image: 'node:${{ github.ref }}', ports: [80], env: { A: b } }
    services:
      db: postgres
      none: { image: '${{ inputs.missing }}' }
    timeout-minutes: 5
    steps: [{ run: x }]
  b:
    uses: o/r/.github/workflows/x.yml@v1
    with: { n: 1 }
    secrets: inherit
",
    );
    let context = Contexts::new().with("github", Value::object([("ref", "20")]));
    let job = &workflow.jobs[0];
    let request = job.runs_on.evaluate(&context).unwrap();
    assert_eq!(
        (request.group.as_deref(), request.labels.as_slice()),
        (Some("big"), ["x".to_owned(), "y".to_owned()].as_slice())
    );
    assert_eq!(workflow.permissions.as_ref().unwrap().get("contents"), PermissionLevel::Read);
    assert_eq!(workflow.permissions.as_ref().unwrap().get("issues"), PermissionLevel::None);
    assert_eq!(job.permissions.as_ref().unwrap().get("id-token"), PermissionLevel::Write);
    assert_eq!(workflow.concurrency.as_ref().unwrap().evaluate(&context).unwrap().group, "deploy-20");
    let group = job.concurrency.as_ref().unwrap().evaluate(&context).unwrap();
    assert!(group.cancel_in_progress && format!("{:?}", group.queue) == "Max");
    assert_eq!(job.environment.as_ref().unwrap().evaluate_name(&context).unwrap().as_deref(), Some("staging"));
    let container = job.container.as_ref().unwrap().evaluate(&context).unwrap().unwrap();
    assert_eq!((container.image.as_str(), container.ports.as_slice()), ("node:20", ["80".to_owned()].as_slice()));
    let services = job.services.as_ref().unwrap().evaluate(&context).unwrap();
    assert_eq!(
        services.iter().map(|(name, spec)| format!("{name}={}", spec.image)).collect::<Vec<_>>(),
        ["db=postgres"]
    );
    assert_eq!(job.timeout_minutes.as_ref().unwrap().evaluate_number(&context).unwrap(), 5.0);
    match &workflow.jobs[1].kind {
        JobKind::Call { uses: CallRef::Repository { path, .. }, secrets: CallSecrets::Inherit, .. } => {
            assert_eq!(path, ".github/workflows/x.yml");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn findings_name_the_nearest_known_name() {
    let text = "on:\n  pul_request:\njobs:\n  a:\n    runs_on: x\n    need: [b]\n    steps:\n      - run: echo ${{ githb.ref }}\n";
    let shown: Vec<String> = findings(text)
        .iter()
        .map(|finding| {
            format!(
                "{}:{} {} / {}",
                finding.span.line,
                finding.span.column,
                finding.message,
                finding.help.as_deref().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "2:3 Unexpected value 'pul_request' / did you mean 'pull_request'?",
            "5:5 Unexpected value 'runs_on' / did you mean 'runs-on'?",
            "5:5 Required property is missing: runs-on / add 'runs-on:'",
            "6:5 Unexpected value 'need' / did you mean 'needs'?",
            "8:23 Unrecognized named-value: 'githb'. Located at position 1 within expression: githb.ref / did you mean 'github'?",
        ]
    );
}

#[test]
fn a_condition_that_always_holds_is_a_warning_only() {
    let text = "on: push\njobs:\n  a:\n    if: ${{ github.ref }} == 'x'\n    runs-on: x\n    steps: [{run: x}]\n";
    let parsed = parse_workflow("ci.yml", text);
    assert!(parsed.workflow.is_some());
    assert_eq!(parsed.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["condition-always-true"]);
}

#[test]
fn what_github_ignores_is_a_warning_only() {
    let text = "on:\n  workflow_dispatch:\n    input: {}\n    inputs:\n      a: { type: choice, options: [x], default: y }\njobs:\n  a:\n    runs-on: x\n    steps: [{run: x}]\n";
    let parsed = parse_workflow("ci.yml", text);
    assert!(parsed.workflow.is_some());
    assert_eq!(
        parsed.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        ["ignored-key", "input-default"]
    );
}

#[test]
fn too_many_findings_are_cut() {
    let keys: String = (0..2_000).map(|at| format!("wrong{at}: x\n")).collect();
    let found = findings(&keys);
    assert_eq!(found.len(), 500);
    assert_eq!(found[499].help.as_deref(), Some("and 1502 more findings"));
}

#[test]
fn aliases_stand_for_what_they_name() {
    let workflow = read(
        "on: push\njobs:\n  a: &job\n    runs-on: x\n    env: &env { A: one }\n    steps: [{run: x, env: *env}]\n  b: *job\n",
    );
    assert_eq!(workflow.jobs[1].env[0].1.as_str(), Some("one"));
    assert_eq!(workflow.jobs[1].steps()[0].env[0].0, "A");
}

#[test]
fn skip_words_are_those_of_the_documentation() {
    for (message, expected) in [
        ("fix: x [skip ci]", Some("[skip ci]")),
        ("[actions skip] y", Some("[actions skip]")),
        ("fix\n\nbody\n\nskip-checks: true\n", Some("skip-checks: true")),
        ("fix\n\n\nskip-checks:true", Some("skip-checks:true")),
        ("skip-checks: true is what you write", None),
        ("fix the [skip] ci words", None),
    ] {
        assert_eq!(skip_words(message), expected, "{message}");
    }
}

#[test]
fn action_manifests_of_every_kind_are_read() {
    let node = parse_action(
        "action.yml",
        "name: n\ninputs:\n  a: { default: '${{ github.token }}', required: true }\noutputs: { o: { description: d } }\nruns: { using: node24, main: dist/index.js, post: dist/post.js, post-if: success() }\n",
    );
    let manifest = node.manifest.unwrap();
    assert_eq!(manifest.inputs[0].default.as_ref().unwrap().source(), "${{ github.token }}");
    let context = Contexts::new().with_status(StatusCheck::FAILURE);
    match manifest.runs {
        ActionRuns::Node { version: 24, pre: None, pre_if, post: Some(_), post_if, .. } => {
            assert!(pre_if.evaluate(&context).unwrap());
            assert!(!post_if.evaluate(&context).unwrap());
        }
        other => panic!("{other:?}"),
    }
    let composite = parse_action(
        "action.yml",
        "runs:\n  using: composite\n  steps:\n    - run: echo ${{ inputs.x }}\n      shell: bash\n    - uses: actions/cache@v4\n",
    );
    assert!(
        matches!(composite.manifest.unwrap().runs, ActionRuns::Composite { steps } if &*steps[1].id == "__actions_cache")
    );
    let docker =
        parse_action("action.yml", "runs: { using: docker, image: Dockerfile, args: ['-x', '${{ inputs.y }}'] }\n");
    assert!(matches!(docker.manifest.unwrap().runs, ActionRuns::Docker { args, .. } if args.len() == 2));
    let wrong = parse_action("action.yml", "runs:\n  using: node24\n  main: x\n  steps: []\n");
    assert!(wrong.manifest.is_none() && wrong.findings[0].message == "Unexpected value 'steps'");
}
