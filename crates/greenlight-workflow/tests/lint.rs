//! Warnings: what is legal but surely wrong, or dangerous.

use greenlight_workflow::{lint_workflow, parse_workflow};

/// Holds the warnings about some jobs, as `line code`, against those expected.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let parsed = parse_workflow("ci.yml", text);
    let workflow = parsed.workflow.unwrap_or_else(|| panic!("{:#?}", parsed.findings));
    let findings = lint_workflow(&workflow);
    assert!(findings.iter().all(|finding| !finding.is_error()));
    let shown: Vec<String> = findings.iter().map(|finding| format!("{} {}", finding.span.line, finding.code)).collect();
    assert_eq!(shown, expected, "{findings:#?}");
}

#[test]
fn needs_and_outputs_that_lead_nowhere_are_told() {
    check(
        "on: push
jobs:
  a:
    runs-on: x
    outputs: { one: '1', two: '2', three: '3' }
    steps: [{ run: x }]
  b:
    needs: a
    runs-on: x
    if: needs.a.outputs.one == '1' && needs.a.reslut == 'success'
    steps: [{ run: 'echo ${{ needs.a.outputs.tow }} ${{ needs.c.result }}' }]
  c:
    needs: [a, b]
    runs-on: x
    steps: [{ run: 'echo ${{ needs.b.result }}' }]
  d:
    needs: [a, b]
    runs-on: x
    steps: [{ run: 'echo ${{ toJSON(needs) }}' }]
",
        &["10 needs-property", "11 output-unknown", "11 needs-missing", "13 needs-unused"],
    );
}

#[test]
fn an_output_that_nobody_uses_is_told() {
    check(
        "on:
  push:
  workflow_call:
    outputs:
      o: { value: '${{ jobs.a.outputs.given }}' }
jobs:
  a:
    runs-on: x
    outputs:
      given: '1'
      idle: '2'
    steps: [{ run: x }]
",
        &["11 output-unused"],
    );
}

#[test]
fn names_of_steps_inputs_and_matrix_keys_are_checked() {
    check(
        "on:
  workflow_dispatch: { inputs: { level: {} } }
jobs:
  a:
    runs-on: x
    strategy: { matrix: { os: [1], include: [{ extra: 1 }] } }
    steps:
      - id: build
        run: x
      - run: echo ${{ steps.biuld.outputs.x }} ${{ steps.build.outputs.y }}
      - run: echo ${{ matrix.os }} ${{ matrix.extra }} ${{ matrix.so }}
      - run: echo ${{ inputs.level }} ${{ inputs.levle }}
  b:
    runs-on: x
    strategy: { matrix: '${{ fromJSON(vars.m) }}' }
    steps: [{ run: 'echo ${{ matrix.anything }}' }]
",
        &["10 step-unknown", "11 matrix-unknown", "12 input-undeclared"],
    );
}

#[test]
fn limits_that_limit_nothing_and_shells_that_nobody_knows_are_told() {
    check(
        "on: push
defaults: { run: { shell: zsh } }
jobs:
  a:
    runs-on: x
    timeout-minutes: 0
    cancel-timeout-minutes: -1
    strategy:
      matrix: { os: [1] }
      max-parallel: 0
    defaults:
      run: { shell: basj }
    steps:
      - run: x
        timeout-minutes: -1
      - run: x
        shell: fish
      - parallel:
          - run: x
            shell: 'perl {0}x'
          - run: x
            shell: perl
  b:
    runs-on: x
    timeout-minutes: ${{ fromJSON('-1') }}
    cancel-timeout-minutes: 0
    strategy: { matrix: { os: [1] }, max-parallel: 1 }
    defaults: { run: { shell: 'zsh -e {0}' } }
    steps:
      - { run: x, shell: pwsh, timeout-minutes: 0 }
      - { run: x, shell: cmd, timeout-minutes: 0.5 }
      - { run: x, shell: Bash }
  c:
    runs-on: x
    strategy: { matrix: { shell: [bash, fish] } }
    defaults: { run: { shell: '${{ matrix.shell }}' } }
    steps: [{ run: x }]
",
        &[
            "2 shell-unknown",
            "6 limit-wrong",
            "7 limit-wrong",
            "10 limit-wrong",
            "12 shell-unknown",
            "15 limit-wrong",
            "17 shell-unknown",
            "22 shell-unknown",
        ],
    );
}

#[test]
fn text_that_anybody_can_write_is_no_code() {
    check(
        "on: [issues, pull_request_target]
jobs:
  a:
    runs-on: x
    env: { TITLE: '${{ github.event.issue.title }}' }
    steps:
      - run: echo \"$TITLE\" ${{ github.event.issue.number }} ${{ github.event.pull_request.base.ref }}
      - run: echo '${{ github.event.issue.title }}'
      - run: echo '${{ format('{0}', github.head_ref || 'x') }}'
      - run: echo '${{ toJSON(github.event.commits) }}'
      - run: echo '${{ contains(github.event.comment.body, 'x') }}'
      - uses: actions/github-script@0123456789012345678901234567890123456789
        with:
          script: |
            console.log('${{ github.event.comment.body }}')
      - uses: actions/checkout@0123456789012345678901234567890123456789
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: echo '::set-output name=x::y'
",
        &[
            "8 script-injection",
            "9 script-injection",
            "10 script-injection",
            "15 script-injection",
            "18 untrusted-checkout",
            "19 old-command",
        ],
    );
}

#[test]
fn what_can_change_under_ones_feet_is_told() {
    check(
        "on: push
jobs:
  a:
    runs-on: x
    steps:
      - uses: actions/checkout@v4
      - uses: actions/checkout@0123456789012345678901234567890123456789
      - uses: ./local
      - uses: docker://alpine:3
      - uses: docker://alpine@sha256:0123
      - parallel:
          - uses: o/r/path@main
  b:
    uses: o/r/.github/workflows/x.yml@v1
",
        &["6 action-not-pinned", "9 image-not-pinned", "12 action-not-pinned", "14 action-not-pinned"],
    );
}

#[test]
fn patterns_that_match_nothing_are_told() {
    check(
        "on:
  push:
    branches: [refs/heads/main, main, 'a b']
    paths: ['./src/**', src/, 'src/**']
  pull_request:
    branches: ['!main']
    paths-ignore: ['!x']
jobs: { a: { runs-on: x, steps: [{ run: x }] } }
",
        &[
            "3 pattern-matches-nothing",
            "3 pattern-matches-nothing",
            "4 pattern-matches-nothing",
            "4 pattern-matches-nothing",
            "6 pattern-matches-nothing",
        ],
    );
    check(
        "on:
  push:
    branches:
      - 'a['
      - 'x[z-a]'
      - '**\\'
      - '+a'
      - a~b
      - a..b
      - ./x
      - right/**
    tags: ['[']
jobs: { a: { runs-on: x, steps: [{ run: x }] } }
",
        &[
            "4 pattern-wrong",
            "5 pattern-wrong",
            "6 pattern-wrong",
            "7 pattern-wrong",
            "8 pattern-matches-nothing",
            "9 pattern-matches-nothing",
            "10 pattern-matches-nothing",
            "12 pattern-wrong",
        ],
    );
}

#[test]
fn a_mistyped_part_of_github_is_told() {
    check(
        "on: push
jobs:
  a:
    runs-on: x
    if: github.event_nam == 'push'
    steps:
      - run: |
          echo ${{ github.ref }}
          echo ${{ github.reff }} ${{ github.repositoryUrl }} ${{ github.brand_new }}
",
        &["5 github-unknown", "9 github-unknown"],
    );
}

#[test]
fn what_could_be_read_of_a_wrong_workflow_is_looked_at() {
    let text = "on: push
jobs:
  a:
    runs-on: x
    needs: nobody
    outputs: { o: x }
    steps:
      - id: one
        runn: x
      - run: echo ${{ steps.tow.outputs.x }} ${{ inputs.x }}
  b:
    runs-on: x
    steps:
      - id: one
        run: echo ${{ github.event.issue.title }} ${{ steps.tow.outputs.x }}
      - uses: a/b@v1
";
    let parsed = parse_workflow("ci.yml", text);
    assert!(parsed.workflow.is_none());
    let findings = greenlight_workflow::lint_draft(&parsed.draft.unwrap());
    let shown: Vec<String> = findings.iter().map(|finding| format!("{} {}", finding.span.line, finding.code)).collect();
    assert_eq!(shown, ["15 script-injection", "15 step-unknown", "16 action-not-pinned"], "{findings:#?}");
}
