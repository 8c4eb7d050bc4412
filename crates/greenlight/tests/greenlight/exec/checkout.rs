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
    let commit = ["-c", "user.name=Mona", "-c", "user.email=mona@example.com", "commit", "--quiet", "--allow-empty"];
    for message in ["second", "third"] {
        project.git(&[&commit[..], &["-m", message]].concat());
    }
    project.git(&["tag", "v2"]);
    project.git(&["branch", "other", "v1"]);
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
    assert!(ran.has("a | > v2") && ran.has("a | > M src/a ?? docs/new ?? src/new"), "{}", ran.text());
    let all = "a | > ./.github/workflows/ci.yml ./docs/d.md ./docs/new ./src/a ./src/deep/b ./src/new ./top";
    assert!(ran.has(all), "{}", ran.text());
    let script =
        "tell $(git status --short) $(git rev-parse HEAD | grep -c ${{ steps.co.outputs.commit }})\ntell $(cat src/a)";
    let ran = checked_out("ref: other", script);
    assert!(ran.has("a | > 1") && ran.has("a | > a"), "{}", ran.text());
}

#[test]
fn a_checkout_is_as_deep_and_of_the_ref_that_was_asked_for() {
    let script = "tell $(git rev-list --count HEAD) $(git branch --show-current) $(git tag) $(git branch -r)";
    for (with, line) in [
        ("fetch-depth: 1", "1 main origin/main"),
        ("fetch-depth: 2", "2 main origin/main"),
        ("fetch-depth: -3", "3 main v1 v2 origin/main origin/other"),
        ("fetch-depth: all", "3 main v1 v2 origin/main origin/other"),
        ("fetch-tags: true", "3 main v1 v2 origin/main origin/other"),
        ("ref: other", "1 other origin/other"),
        ("ref: refs/heads/other", "1 other origin/other"),
        ("ref: v2, fetch-depth: 2", "2 v2"),
        ("ref: refs/tags/v1", "1 v1"),
    ] {
        let ran = checked_out(with, script);
        assert!(ran.has(&format!("a | > {line}")), "{with}: {}", ran.text());
    }
    let ran = checked_out("ref: v1", "tell $(git describe --tags) ${{ steps.co.outputs.ref }}");
    assert!(
        ran.has("a | > v1 refs/tags/v1") && ran.text().contains("(refs/tags/v1) from this folder"),
        "{}",
        ran.text()
    );
}

#[test]
fn a_job_without_walls_reaches_no_repository_of_the_user_s() {
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n        with: { fetch-depth: 0 }\n      - run: |\n          echo \"> $(git remote get-url origin) $(git remote get-url --push origin)\"\n          echo \"> $(ls .git/objects/info | grep -c alternates) $(find .git/objects -type f -links +1 | wc -l)\"\n          git config --unset-all remote.origin.url; git push origin HEAD:refs/heads/evil || echo '> refused'\n          grep -r \"$USERS\" .git || echo '> nothing names it'\n        env: { USERS: '${{ vars.USERS }}' }\n";
    let project = Project::of_workflow(text);
    let users = format!("USERS={}", project.path().display());
    let ran = project.run(&["--isolation", "none", "--repository", "octo/demo", "--var", &users]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    let url = "https://github.com/octo/demo";
    for line in [&format!("{url} {url}"), "0 0", "refused", "nothing names it"] {
        assert!(ran.has(&format!("a | > {line}")), "{line}: {}", ran.text());
    }
    let branches = std::process::Command::new("git").arg("-C").arg(project.path()).args(["branch", "-a"]).output();
    assert_eq!(String::from_utf8_lossy(&branches.unwrap().stdout), "* main\n");
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
