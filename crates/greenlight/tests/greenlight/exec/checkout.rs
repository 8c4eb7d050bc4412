//! What `actions/checkout` brings into a job of `exec`: the working tree, or another ref of it.

use super::{Project, Ran};

/// A repository with a tag, another branch, and changes that are not committed; its job checks out with these inputs and runs a script.
fn checked_out(with: &str, script: &str) -> Ran {
    let indented: String = script.lines().map(|line| format!("          {line}\n")).collect();
    let text = format!(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {{ id: co, uses: actions/checkout@v4, with: {{ {with} }} }}\n      - run: |\n          tell() {{ echo \"> $*\"; }}\n          tell $(find . -name .git -prune -o -type f -print | sort)\n{indented}"
    );
    let files =
        [(".github/workflows/ci.yml", &*text), ("src/a", "a"), ("src/deep/b", "b"), ("docs/d.md", "d"), ("top", "t")];
    let project = Project::new(&files);
    project.git(&["tag", "v1"]);
    project.git(&["branch", "other"]);
    for (path, text) in [("src/a", "changed"), ("src/new", "n"), ("docs/new", "n")] {
        std::fs::write(project.path().join(path), text).unwrap();
    }
    let ran = project.run(&[]);
    assert_eq!(ran.code(), 0, "{with}: {}", ran.text());
    ran
}

#[test]
fn a_checkout_is_a_repository_with_the_changes_that_are_there() {
    let ran = checked_out("fetch-depth: 0", "tell $(git describe --tags)\ntell $(git status --short)");
    assert!(ran.has("a | > v1") && ran.has("a | > M src/a ?? docs/new ?? src/new"), "{}", ran.text());
    let all = "a | > ./.github/workflows/ci.yml ./docs/d.md ./docs/new ./src/a ./src/deep/b ./src/new ./top";
    assert!(ran.has(all), "{}", ran.text());
    let script = "tell $(git status --short) ${{ steps.co.outputs.commit == github.sha }}\ntell $(cat src/a)";
    let ran = checked_out("ref: other", script);
    assert!(ran.has("a | > true") && ran.has("a | > a"), "{}", ran.text());
}

#[test]
fn a_checkout_takes_the_chosen_files_only() {
    let ran = checked_out("sparse-checkout: src", "tell $(git status --short)");
    assert!(ran.has("a | > ./src/a ./src/deep/b ./src/new ./top"), "{}", ran.text());
    assert!(ran.has("a | > M src/a ?? src/new"), "{}", ran.text());
    let ran =
        checked_out("sparse-checkout: '*.md', sparse-checkout-cone-mode: false, ref: v1", "tell $(git status --short)");
    assert!(ran.has("a | > ./docs/d.md") && ran.has("a | > "), "{}", ran.text());
}

#[test]
fn a_repository_that_a_job_changed_is_not_obeyed() {
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - run: |\n          printf '#!/bin/sh\\ntouch %s/obeyed\\n' \"$PWD\" > .git/hooks/post-checkout\n          chmod +x .git/hooks/post-checkout\n          git config core.fsmonitor \"touch $PWD/obeyed; false\"\n          touch kept\n      - { uses: actions/checkout@v4, with: { ref: other, clean: false } }\n      - run: test -e kept && test ! -e obeyed && test ! -e .git/hooks/post-checkout && echo sound\n";
    let project = Project::of_workflow(text);
    project.git(&["branch", "other"]);
    let ran = project.run(&[]);
    assert!(ran.has("a | sound"), "{}", ran.text());
}

#[test]
fn a_file_of_secrets_is_no_file_of_a_job() {
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - run: ls -A; test ! -e .secrets && test ! -e my.secrets || test ${{ secrets.ONE }} = two\n";
    let files = [(".github/workflows/ci.yml", text), (".secrets", "ONE=one\n")];
    let project = Project::new(&files);
    assert_eq!(project.run(&[]).code(), 0);
    std::fs::write(project.path().join("my.secrets"), "ONE=three\n").unwrap();
    std::fs::remove_file(project.path().join(".secrets")).unwrap();
    let ran = project.run(&["--secret-file", "my.secrets"]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    assert!(!ran.text().contains("my.secrets\n"), "{}", ran.text());
}
