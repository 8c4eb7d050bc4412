//! What a file says beyond its grammar, and what is told about one that says it wrongly: each error with its place, its code
//! and what to do.

mod told;

use greenlight_workflow::{ConcurrencyQueue, Contexts, StepKind, Value, Workflow, parse_action, parse_workflow};
use told::{check, job, told};

#[track_caller]
fn read(text: &str) -> Workflow {
    let parsed = parse_workflow("ci.yml", text);
    parsed.workflow.unwrap_or_else(|| panic!("{:#?}", parsed.findings))
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    check(
        "on: {pusch: }\npermissions: {content: read, issues: admin}\njobs:\n  a:\n    runs-on: x\n    needs: b\n    steps:\n      - runn: x\n      - run: ${{ secret.x }}\n      - &a\n        run: y\n        env: *a\n      - uses: checkout\n",
        &[
            "1:6 unknown-key: Unexpected value 'pusch' | did you mean 'push'?",
            "2:15 unknown-key: Unexpected value 'content' | did you mean 'contents'?",
            "2:38 unexpected-value: Unexpected value 'admin' | expected here: none, read, write",
            "4:3 no-first-job: The workflow must contain at least one job with no dependencies. | remove 'needs' from the job that is to start first",
            "6:12 needs-unknown: Job 'a' depends on unknown job 'b'. | name a job of this workflow",
            "8:9 unknown-key: Unexpected value 'runn' | did you mean 'run'?",
            "8:9 ambiguous-mapping: There's not enough info to determine what you meant. Add one of these properties: parallel, run, shell, uses, with, working-directory | say what it is meant to be by one of these keys",
            "9:18 expression: Unrecognized named-value: 'secret'. Located at position 1 within expression: secret.x | did you mean 'secrets'?",
            "12:14 alias-cycle: The alias stands inside the node that it refers to | write out what is meant here",
            "13:15 uses-syntax: Expected format {owner}/{repo}[/path]@{ref}. Actual 'checkout' | write OWNER/REPO@REF, OWNER/REPO/PATH@REF, ./PATH or docker://IMAGE",
        ],
    );
}

#[test]
fn jobs_that_wait_for_each_other_do_not_hide_what_else_is_wrong() {
    let job = |name: &str, needs: &str| format!("  {name}: {{runs-on: x, needs: {needs}, steps: [{{run: x}}]}}\n");
    let jobs =
        [job("a", "b"), job("b", "[c, e]"), job("c", "A"), job("d", "d"), job("e", "nothere"), job("f", "[E, e]")];
    let circle = |at: &str, job: &str, need: &str, circle: &str| {
        format!(
            "{at} needs-cycle: Job '{job}' depends on job '{need}' which creates a cycle in the dependency graph. | remove one of the needs that lead in a circle: {circle}"
        )
    };
    let expected = [
        "3:3 no-first-job: The workflow must contain at least one job with no dependencies. | remove 'needs' from the job that is to start first".to_owned(),
        circle("3:26", "a", "b", "a → b → c → a"),
        circle("4:27", "b", "c", "b → c → a → b"),
        circle("5:26", "c", "A", "c → a → b → c"),
        circle("6:26", "d", "d", "d → d"),
        "7:26 needs-unknown: Job 'e' depends on unknown job 'nothere'. | name a job of this workflow".to_owned(),
    ];
    assert_eq!(told(&format!("on: push\njobs:\n{}", jobs.concat())), expected);
}

#[test]
fn an_expression_is_pointed_at_inside_its_value() {
    let text = job(
        "    env:\n      A: 'x ${{ a }} ${{ github.ref }} ${{ c }}'\n  b:\n    runs-on: x\n    if: github.ref == 'x' && nope\n    steps:\n      - run: |\n          echo ${{ github.ref }}\n\n          echo ${{ nope.x }}\n          echo ${{ github.ref ${{ x }}\n      - run: >-\n          one\n          ${{ contains('a') }}\n",
    );
    let findings = parse_workflow("ci.yml", &text).findings;
    let shown: Vec<String> = findings
        .iter()
        .map(|found| {
            let (at, value) = (found.span, found.value_span());
            let lines: Vec<&str> = text.lines().collect();
            let line: Vec<char> = lines[at.line as usize - 1].chars().collect();
            let marked: String = line[at.column as usize - 1..at.end_column as usize - 1].iter().collect();
            format!("{}:{} in {}:{} {marked}", at.line, at.column, value.line, value.column)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "7:17 in 7:10 a",
            "7:44 in 7:10 c",
            "10:30 in 10:9 nope",
            "15:20 in 12:14 nope",
            "16:31 in 12:14 ${{",
            "19:15 in 17:14 contains",
        ],
        "{findings:#?}"
    );
}

#[test]
fn keys_that_do_not_go_together_are_named_and_a_list_is_asked_for() {
    let text = "on: push
jobs:
  a:
    runs-on: x
    steps:
      - { id: b, run: x, background: true }
      - cancel: b
        if: always()
  b:
    runs-on: x
    steps:
      run: x
";
    check(
        text,
        &[
            "8:9 unknown-key: Unexpected value 'if' | 'if' and 'cancel' do not go together; remove one of them",
            "12:7 unexpected-mapping: A mapping was not expected | expected here: a list; begin each item of it with '- '",
        ],
    );
}

#[test]
fn a_schedule_says_which_field_is_wrong() {
    let schedule =
        |line: &str| format!("on: {{schedule: [{{{line}}}]}}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
    let wrong = "cron: Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)";
    check(
        &schedule("cron: 0 0 * 13 *"),
        &[&format!(
            "1:24 {wrong} | the month '13' is not understood: write 1 to 12 or JAN to DEC, '*', a range, a list with commas, or a step as '*/2'"
        )],
    );
    check(&schedule("cron: '@daily'"), &[&format!("1:24 {wrong} | GitHub does not know '@daily'; write '0 0 * * *'")]);
    check(
        &schedule("cron: 0 0 31 2 *, timezone: Europe/Berln"),
        &[
            "1:24 cron-never: The day of '0 0 31 2 *' never comes: its months are shorter | name a day that they have",
            "1:46 timezone-unknown: There is no time zone 'Europe/Berln' | did you mean 'Europe/Berlin'?",
        ],
    );
    check(&schedule("cron: 0 0 1 2 *, timezone: europe/berlin"), &[]);
}

#[test]
fn a_mistyped_function_or_type_names_the_one_that_was_meant() {
    let condition = |text: &str| {
        let findings = parse_workflow("ci.yml", &job(&format!("    if: {text}\n"))).findings;
        findings[0].help.clone().unwrap()
    };
    assert_eq!(condition("sucess()"), "did you mean 'success'?");
    assert_eq!(condition("alwys()"), "did you mean 'always'?");
    assert_eq!(condition("${{ cancelld() }}"), "did you mean 'cancelled'?");
    assert_eq!(condition("hashFiles('x') == ''"), "only steps have files that can be hashed");
    let known = condition("something()");
    assert!(known.starts_with("known here: contains, ") && known.contains("always"), "{known}");
    check(
        "on: {issues: {types: open}}\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n",
        &["1:22 unexpected-value: Unexpected value 'open' | did you mean 'opened'?"],
    );
}

#[test]
fn case_does_not_matter_in_what_a_job_needs() {
    let workflow = read(
        "on: push\njobs:\n  Build: {runs-on: x, steps: [{run: x}]}\n  test: {needs: [build, BUILD], runs-on: x, steps: [{run: x}]}\n",
    );
    let needs: Vec<&str> = workflow.job("test").unwrap().needs.iter().map(|need| &**need).collect();
    assert_eq!(needs, ["Build", "Build"]);
}

#[test]
fn a_matrix_that_cannot_be_made_is_told_before_it_runs() {
    let matrix = |text: &str| job(&format!("    strategy:\n      matrix:\n{text}"));
    check(
        &matrix("        os: [a, b]\n        exclude: [{oz: a}, {}]\n        include: [{}]\n"),
        &[
            "9:20 matrix-filter: Matrix exclude key 'oz' does not match any key within the matrix | did you mean 'os'?",
            "9:28 matrix-filter: Matrix exclude filter must not be empty | remove it",
            "10:19 matrix-filter: Matrix include mapping does not contain any values | remove it",
        ],
    );
    check(
        &matrix("        exclude: [{os: a}]\n"),
        &[
            "8:20 matrix-filter: Matrix exclude key 'os' does not match any key within the matrix | only what is a list of its own in the matrix can be excluded",
        ],
    );
    check(
        &matrix("        include: []\n"),
        &["8:9 matrix: Matrix must define at least one vector | give it one list at least, or 'include'"],
    );
    let many = (0..20).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    check(
        &matrix(&format!("        a: [{many}]\n        b: [{many}]\n")),
        &["8:9 matrix: The matrix has more than 256 combinations | use fewer values, or take some out with 'exclude'"],
    );
    check(&matrix("        os: ${{ fromJSON('[]') }}\n        exclude: [{oz: a}]\n"), &[]);
}

#[test]
fn what_a_job_runs_in_and_leaves_behind_is_checked() {
    check(
        &job(
            "    container: docker://\n    services:\n      db: {image: 'docker://'}\n      cache: redis\n    snapshot: {image-name: base, version: 1.2}\n",
        ),
        &[
            "6:16 container-image: Container image cannot be empty | add 'image:'",
            "8:11 container-image: Container image cannot be empty | add 'image:'",
            "10:15 snapshot-version: Expected format '{major-version}.*' Actual '1.2' | write '1.*', for instance",
        ],
    );
    check(
        &job("    snapshot: {image-name: base, if: success()}\n"),
        &[
            "6:38 expression: Unrecognized function: 'success'. Located at position 1 within expression: success() | only the 'if:' of jobs and steps may ask for the status",
        ],
    );
    let workflow =
        read(&job("    container: docker://alpine:3\n    snapshot: {image-name: base, if: github.x == 'y'}\n"));
    let job = workflow.job("a").unwrap();
    let container = job.container.as_ref().unwrap().evaluate(&Contexts::new()).unwrap().unwrap();
    assert_eq!(container.image, "alpine:3");
    let snapshot = job.snapshot.as_ref().unwrap();
    assert_eq!(snapshot.condition.expression().text(), "success() && (github.x == 'y')");
    assert_eq!((snapshot.image_name.source(), snapshot.version.source()), ("base", "1.*"));
}

#[test]
fn a_concurrency_group_has_a_name_of_bounded_length() {
    let group = "g".repeat(401);
    check(
        &job(&format!("    concurrency: {group}\n")),
        &["6:18 concurrency-group: Concurrency group name must be less than 400 characters | choose a shorter name"],
    );
    let workflow = read(&job("    concurrency: {group: g, queue: max}\n"));
    let group = workflow.job("a").unwrap().concurrency.as_ref().unwrap().evaluate(&Contexts::new()).unwrap();
    assert_eq!((group.group.as_str(), group.queue), ("g", ConcurrencyQueue::Max));
}

#[test]
fn an_expression_may_stand_for_a_whole_environment_or_for_defaults() {
    let workflow = read(&job("    environment: ${{ inputs.place }}\n    defaults: {run: '${{ inputs.run }}'}\n"));
    let place = r#"{"place": {"name": "prod", "url": "https://x", "deployment": false}, "run": {"shell": "sh"}}"#;
    let context = Contexts::new().with("inputs", Value::from_json(place).unwrap());
    let job = workflow.job("a").unwrap();
    let environment = job.environment.as_ref().unwrap();
    assert_eq!(environment.evaluate_name(&context).unwrap().as_deref(), Some("prod"));
    assert_eq!(environment.evaluate_url(&context).unwrap().as_deref(), Some("https://x"));
    assert!(!environment.evaluate_deployment(&context).unwrap());
    let defaults = job.defaults.evaluate(&context).unwrap();
    assert_eq!((defaults.shell.as_deref(), defaults.working_directory), (Some("sh"), None));
}

#[test]
fn inputs_and_secrets_say_what_they_are_for() {
    let workflow = read(
        "on:\n  workflow_dispatch:\n    inputs:\n      a: {type: choice, options: [x, y], deprecationMessage: use b}\n      b:\n  workflow_call:\n    inputs:\n      c: {type: number, default: 2, description: how many}\n    secrets:\n      s: {description: a token, required: true}\n      t:\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n",
    );
    let dispatch = workflow.on.event("workflow_dispatch").unwrap();
    assert_eq!(dispatch.inputs[0].options, ["x", "y"]);
    assert_eq!(dispatch.inputs[0].deprecation_message.as_deref(), Some("use b"));
    assert_eq!((dispatch.inputs[1].required, dispatch.inputs[1].default.is_none()), (false, true));
    let call = workflow.on.event("workflow_call").unwrap();
    assert_eq!(call.inputs[0].description.as_deref(), Some("how many"));
    assert_eq!(call.inputs[0].default.as_ref().unwrap().as_literal(), Some(&Value::Number(2.0)));
    assert_eq!((call.secrets[0].description.as_deref(), call.secrets[0].required), (Some("a token"), true));
    assert_eq!((call.secrets[1].description.as_deref(), call.secrets[1].required), (None, false));
}

#[test]
fn steps_side_by_side_are_read_and_checked() {
    let steps = |steps: &str| format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}");
    let workflow = read(&steps(
        "      - {id: server, run: x, background: true}\n      - wait: server\n      - wait-all:\n      - cancel: server\n      - parallel:\n          - run: a\n          - uses: o/r@v1\n",
    ));
    let kinds: Vec<String> = workflow
        .job("a")
        .unwrap()
        .steps()
        .iter()
        .map(|step| match &step.kind {
            StepKind::Run { .. } => format!("run, background: {}", step.background),
            StepKind::Uses { reference, .. } => format!("uses {reference}"),
            StepKind::Wait { targets } => format!("wait {targets:?}"),
            StepKind::WaitAll => "wait-all".into(),
            StepKind::Cancel { target } => format!("cancel {target}"),
            StepKind::Parallel { steps } => format!("parallel {}", steps.len()),
        })
        .collect();
    assert_eq!(kinds, ["run, background: true", "wait [\"server\"]", "wait-all", "cancel server", "parallel 2"]);
    check(
        &steps(
            "      - wait: nobody\n      - wait-all: false\n      - parallel:\n          - {run: a, background: true}\n          - parallel: [{run: b}]\n",
        ),
        &[
            "6:15 step-reference: Step references unknown step ID 'nobody' | name the id of an earlier step that runs in the background",
            "7:19 wait-all: The value of 'wait-all' must be true or omitted | write 'wait-all:' with nothing behind it",
            "9:13 parallel: 'background' is not allowed inside a parallel block. Steps in a parallel block are automatically run as background steps. | move it out of the parallel block",
            "10:13 parallel: Nested 'parallel' blocks are not allowed. | move it out of the parallel block",
        ],
    );
}

#[test]
fn a_manifest_is_told_what_is_wrong_with_it() {
    let told = |text: &str| -> Vec<String> {
        let findings = parse_action("action.yml", text).findings;
        findings.iter().map(|found| format!("{}:{} {}", found.span.line, found.span.column, found.message)).collect()
    };
    assert_eq!(told("runs: {using: node14, main: x}\n"), ["1:15 'using: node14' is not supported"]);
    assert_eq!(
        told("inputs: {a: }\noutputs: {b: {valeu: x}}\nruns: {using: NODE20, main: x}\n"),
        ["1:12 Unexpected value ''", "2:15 Unexpected value 'valeu'"]
    );
    assert_eq!(
        told("runs: {using: composite, steps: [{run: x}, {run: y, shell: sh, id: a}, {uses: o/r@v1, id: A}]}\n"),
        [
            "1:34 Required property is missing: shell",
            "1:91 The identifier 'A' may not be used more than once within the same scope."
        ]
    );
}

#[test]
fn keys_that_exclude_each_other_are_named_together() {
    check(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: x\n        uses: a/b@v1\n  b:\n    uses: ./x.yml\n    steps: []\n",
        &[
            "7:9 unknown-key: Unexpected value 'uses' | a step either runs a script ('run') or uses an action ('uses'); remove one of them",
            "10:5 unknown-key: Unexpected value 'steps' | 'steps' and 'uses' do not go together; remove one of them",
        ],
    );
    // What the step is meant to be is told by the key that is refused.
    check(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {run: x, id: b, background: true}\n      - if: always()\n        cancel: b\n      - cancel: b\n        if: always()\n",
        &[
            "8:9 unknown-key: Unexpected value 'cancel' | 'cancel' and 'if' do not go together; remove one of them",
            "10:9 unknown-key: Unexpected value 'if' | 'if' and 'cancel' do not go together; remove one of them",
        ],
    );
}

#[test]
fn an_id_that_cannot_be_is_mended() {
    let jobs = "on: push\njobs:\n  my job: {runs-on: x, steps: [{run: x, id: 1.x}]}\n";
    let help: Vec<String> = told(jobs).iter().map(|told| told.rsplit(" | ").next().unwrap().to_owned()).collect();
    assert_eq!(help, ["write 'my_job', for instance", "write '_1_x', for instance"]);
}

#[test]
fn every_error_says_what_to_do() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance");
    let mut folders = vec![root.join("actionlint"), root.join("schemastore"), root.join("workflow-parser")];
    let (mut helpless, mut errors) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let is_action = path.file_stem().is_some_and(|stem| stem == "action");
            let parsed =
                || if is_action { parse_action("x", &text).findings } else { parse_workflow("x", &text).findings };
            for finding in parsed().into_iter().filter(|finding| finding.is_error()) {
                errors += 1;
                if finding.help.is_none_or(|help| help.is_empty()) {
                    helpless.push(format!("{}: {}", finding.code, finding.message));
                }
            }
        }
    }
    assert!(errors > 500, "hardly any errors: {errors}");
    assert!(helpless.is_empty(), "{helpless:#?}");
}
