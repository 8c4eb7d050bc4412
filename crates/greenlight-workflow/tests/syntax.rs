//! What is told about a file whose YAML cannot be read, or means nothing to GitHub: where the error comes from, and what else is
//! wrong.

mod told;

use greenlight_workflow::parse_workflow;
use told::{check, job, told};

#[test]
fn yaml_that_means_nothing_to_github_does_not_hide_the_rest() {
    check(
        "x: &x {a: b}\non: push\n<<: *x\n? [a]\n: {b: c}\njobs:\n  a: {runs-on: x, runs-on: y}\n",
        &[
            "1:1 unknown-key: Unexpected value 'x' | known here: concurrency, defaults, description, env, jobs, name, on, permissions, run-name",
            "3:1 merge-key: Merge keys ('<<') are not supported | write the keys out, or give the whole mapping by an alias",
            "4:3 key-not-scalar: A key must be a single value, not a list or a mapping | write a plain name before the colon",
            "7:19 duplicate-key: 'runs-on' is already defined | names that differ only in case or quotes are the same name; remove one of them",
        ],
    );
}

#[test]
fn an_alias_of_nothing_names_the_nearest_anchor() {
    check(
        "on: push\nenv: &common {A: b}\njobs: {a: {runs-on: x, env: *comon, steps: [{run: x}]}}\n",
        &["3:29 unknown-anchor: Unknown anchor 'comon' | did you mean '*common'?"],
    );
    check(
        "on: *push\n",
        &[
            "1:1 missing-key: Required property is missing: jobs | add 'jobs:'",
            "1:5 unknown-anchor: Unknown anchor 'push' | name an anchor, '&name', that stands before the alias",
        ],
    );
    check(
        "on: push\nenv: &common {A: b}\njobs:\n  a:\n    runs-on: x\n    env: *comon\n    steps:\n      - run: *komn\n        runn: y\n",
        &[
            "6:10 unknown-anchor: Unknown anchor 'comon' | did you mean '*common'?",
            "8:14 unknown-anchor: Unknown anchor 'komn' | name an anchor, '&name', that stands before the alias",
            "9:9 unknown-key: Unexpected value 'runn' | did you mean 'run'?",
        ],
    );
}

#[test]
fn a_quote_that_is_not_closed_is_told_where_it_opens() {
    let help = "close it where the text ends; where the text goes on in the next line, indent that line";
    for (text, at) in [
        ("on: push\njobs:\n  a:\n    runs-on: \"ubuntu\n    steps: []\n", "4:14"),
        ("on: push\njobs: {a: {runs-on: x, steps: [{run: 'a}]}}\n", "2:38"),
    ] {
        check(
            text,
            &[&format!("{at} yaml-syntax: The YAML cannot be read: the quote that opens here is not closed | {help}")],
        );
    }
}

#[test]
fn a_script_that_is_not_indented_is_told_at_its_first_line() {
    let told = |line: u32, column: u32, name: &str, what: &str| {
        format!(
            "{line}:{column} yaml-syntax: The YAML cannot be read: this line is not indented deeper than '{name}', so it is no \
             part of its {what} | indent the {what} deeper than `{name}`"
        )
    };
    let steps = |steps: &str| format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}");
    let run = told(7, 9, "run", "script");
    for text in [
        "      - run: |\n        echo bad indent\n      - name: 'foo: bar'\n        run: x\n",
        "      - run: |\n        echo bad indent\n        echo 'foo: bar'\n",
        "      - run: | # why\n        echo bad indent\n\n",
        "      - run: >-\n        echo bad indent\n      - run: |\n          echo\n",
        "      - run: |\n        echo one\n        echo two\n        if: always()\n",
    ] {
        check(&steps(text), &[&run]);
    }
    check(
        &steps("      - env:\n          A: |\n          # none\n          text here\n        run: x\n"),
        &[&told(9, 11, "A", "text")],
    );
    // Where the block has its lines, something else is wrong.
    let other = "      - run: |\n          echo\n        no key\n      - run: x\n";
    assert!(told_of_yaml(&steps(other)).iter().all(|told| !told.contains("deeper")));
}

fn told_of_yaml(text: &str) -> Vec<String> {
    let told = told(text);
    assert!(told.iter().any(|told| told.contains("yaml-syntax")), "{told:#?}");
    told
}

#[test]
fn a_key_without_its_colon_is_told_where_it_stands() {
    check(
        "on: push\njobs:\n  a:\n    runs-on ubuntu-latest\n    steps: [{ run: x }]\n",
        &[
            "4:5 yaml-syntax: The YAML cannot be read: there is no colon behind 'runs-on' | write 'runs-on:' and then its value",
        ],
    );
}

#[test]
fn a_bracket_that_is_not_closed_is_told_where_it_opens() {
    let said = "yaml-syntax: The YAML cannot be read: the bracket that opens here is not closed | close the bracket, or put a \
                comma between its items";
    let jobs = "jobs:\n  a: { runs-on: x, steps: [{ run: 'x ]' }] } # ]\n";
    for (text, at) in [
        (format!("on: [push\n{jobs}"), "1:5"),
        (format!("on:\n  push: {{ branches: [a, 'b]',\n    c }}\n{jobs}"), "2:21"),
        ("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: [a, b\n        name: x\n".to_owned(), "6:14"),
    ] {
        let told = told(&text);
        let of_yaml: Vec<_> = told.iter().filter(|told| told.contains("yaml-syntax")).collect();
        assert_eq!(of_yaml, [&format!("{at} {said}")], "{text}: {told:#?}");
    }
    let closed = "on: [push,\n  a: b: c,\n  d]\njobs: {}\n";
    assert!(told_of_yaml(closed).iter().all(|told| !told.contains("bracket that opens")), "{:#?}", told(closed));
}

#[test]
fn a_tab_is_told_where_it_stands() {
    let said =
        "The YAML cannot be read: a tab stands where only blanks can indent | put blanks in the place of the tab";
    check("on: push\njobs:\n\ta:\n", &[&format!("3:1 yaml-syntax: {said}")]);
    check("on: push\njobs:\n  a:\n  \truns-on: x\n", &[&format!("4:3 yaml-syntax: {said}")]);
}

#[test]
fn an_error_of_syntax_does_not_hide_what_is_wrong_in_other_jobs() {
    let codes = |text: &str| -> Vec<String> {
        let findings = parse_workflow("ci.yml", text).findings;
        findings.iter().map(|finding| format!("{} {}", finding.span.line, finding.code)).collect()
    };
    let jobs = "on: {pusch: }
jobs:
  a:
    runs_on: x
    needs: b
    steps: [{ run: x }]
  b: # why
    runs-on: x
    steps:
      - run: echo: x
        runn: &text y
  c:
    needs: [a, b]
    runs-on: x
    env: *text
    steps: [{ uses: nothing }]
";
    let expected = ["1 unknown-key", "4 unknown-key", "4 missing-key", "10 yaml-syntax", "16 uses-syntax"];
    assert_eq!(codes(jobs), expected);
    // A key of the file; the only job; a cause that stands elsewhere: nothing is invented.
    assert_eq!(
        codes("on: push\nenv:\n  A: b: c\njobs:\n  a: {runs_on: x}\n"),
        ["3 yaml-syntax", "5 ambiguous-mapping", "5 unknown-key"]
    );
    assert_eq!(codes("on: push\njobs:\n  a:\n    runs-on: x: y\n"), ["4 yaml-syntax"]);
    let unclosed = "on: push\njobs:\n  a:\n    runs-on: [x\n    steps: []\n  b:\n    runs_on: x\n";
    assert_eq!(codes(unclosed).iter().filter(|code| code.ends_with("yaml-syntax")).count(), 1);
    let quote = "on: push\njobs:\n  a:\n    name: 'x\n    runs-on: x\n  b:\n    name: 'y'\n    runs_on: x\n";
    assert!(codes(quote).iter().any(|code| code.ends_with("yaml-syntax")), "{:?}", codes(quote));
}

/// A job or step whose own lines cannot be read is wrong wherever it stands.
#[test]
fn errors_of_syntax_do_not_hide_each_other() {
    let lines = |text: &str| -> Vec<String> {
        let findings = parse_workflow("ci.yml", text).findings;
        findings.iter().map(|finding| format!("{} {}", finding.span.line, finding.code)).collect()
    };
    let text = "on: push
jobs:
  a:
    runs-on: x
    steps:
      - run: echo: x
      - run: right
      - name: 'not closed
        run: x
      - run: |
          a: b: c
        env: [a
  b:
    runs-on: y: z
    steps:
      - run: x
  c:
    runs_on: x
    steps: [{ run: x }]
  d:
    runs-on: x
    steps:
      - uses: a/b@v1: x
";
    let expected =
        ["6", "8", "12", "14", "23"].map(|line| format!("{line} yaml-syntax")).into_iter().collect::<Vec<_>>();
    let found = lines(text);
    assert_eq!(found.iter().filter(|line| line.ends_with("yaml-syntax")).cloned().collect::<Vec<_>>(), expected);
    assert!(found.contains(&"18 unknown-key".to_owned()), "{found:?}");
    // What an error has brought out of its place is not taken for jobs and steps.
    for (text, expected) in [
        (
            "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n  cat: <<EOF: x\n  b: c: d\n  - e: f: g\n  EOF\n",
            "7 yaml-syntax",
        ),
        (
            "on: push\njobs:\n  a:\n    runs-on: x: y\n  b: {\n    runs-on: x, steps: [{ run: x }]\n  }\n  c:\n    runs-on: [\n      x,\n    ]\n    steps: [{ run: x }]\n",
            "4 yaml-syntax",
        ),
        (
            "on: push\njobs:\n  a:\n    runs-on: x: y\n  b:\n    runs-on: x\n    env: *known\n    steps:\n      - &step\n        run: x\n      - *step\n      - run: |\n          \tx: y: z\n",
            "4 yaml-syntax",
        ),
    ] {
        let found = lines(text);
        assert_eq!(found.iter().filter(|line| line.ends_with("yaml-syntax")).collect::<Vec<_>>(), [expected], "{text}");
    }
}

#[test]
fn a_condition_that_yaml_takes_for_a_tag_is_told_so() {
    check(
        &job("    if: !cancelled() && x\n"),
        &[
            "6:9 yaml-tag: Unexpected tag '!cancelled()' | in YAML '!' begins a tag: put the whole expression between '${{' and '}}'",
        ],
    );
}

#[test]
fn what_aliases_repeat_is_told_once() {
    check(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps: &steps\n      - runn: x\n        run: y\n  b: { runs-on: x, steps: *steps }\n",
        &["6:9 unknown-key: Unexpected value 'runn' | did you mean 'run'?"],
    );
    let message = "The workflow must contain at least one job with no dependencies.";
    check("on: push\njobs: {}\n", &[&format!("2:7 no-first-job: {message} | add a job")]);
}
