//! Files as people write them, right and wrong.

use super::*;

fn fails(text: &str) -> String {
    decode(".greenlight.yml", text).unwrap_err().to_string()
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let config = decode(
        ".greenlight.yml",
        "merge:
  when: green
  method: squash
  require: [greenlight, lint]
environments:
  staging:
    on: merge
    run: { workflow: deploy }
  production:
    after: [staging]
    run: { shell: script/deploy }
    url: https://example.org
notify:
  - { room: deploys, on: [deployment, failure] }
",
    )
    .unwrap();
    let merge = config.merge.unwrap();
    assert_eq!((merge.when, merge.method, merge.require.len()), (MergeWhen::Green, MergeMethod::Squash, 2));
    assert_eq!(config.environments.len(), 2);
    assert!(config.environments[0].on_merge);
    assert_eq!(config.environments[1].provider, Provider::Shell("script/deploy".into()));
    assert_eq!(config.notify[0].on, [NotifyOn::Deployment, NotifyOn::Failure]);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert!(
        fails("merge:\n  wen: green\n").contains(".greenlight.yml:2: unknown key wen in merge; did you mean when?")
    );
}

#[test]
fn several_mistakes_are_told_all_of_them_in_the_order_of_the_file() {
    const TEXT: &str = "notify:
  - { on: failure }
environments:
  staging: { on: merge, run: { } }
  production: { after: [stagin], run: { shel: x } }
  other: { on: merge }
merge:
  wen: green
  method: squish
";
    let findings = check(TEXT).unwrap_err();
    let told: Vec<_> = findings.iter().map(|finding| (finding.span.line, &*finding.message)).collect();
    assert_eq!(
        told,
        [
            (2, "notify names no room"),
            (4, "run of staging names no provider"),
            (5, "after names stagin, and there is no such environment"),
            (5, "unknown key shel in run of production"),
            (6, "environment other does not say what carries it out"),
            (8, "unknown key wen in merge"),
            (9, "merge.method is one of merge, squash, rebase"),
        ]
    );
    assert_eq!(
        fails(TEXT),
        ".greenlight.yml:2: notify names no room; name one of [rooms] in greenlight.toml (and 6 more)"
    );
    let all = explain(".greenlight.yml", TEXT).unwrap();
    assert_eq!(all.matches("--> .greenlight.yml:").count(), 7, "{all}");
    assert!(all.contains("9 |   method: squish\n  |           ^^^^^^\n  = help: did you mean squash?"), "{all}");
    assert_eq!(explain(".greenlight.yml", "merge: { when: green }"), None);
}

#[test]
fn a_circle_is_told_where_it_is_closed() {
    let run = "run: { workflow: deploy }";
    let text = format!(
        "environments:
  first: {{ after: [loop], {run} }}
  staging: {{ {run} }}
  loop:
    {run}
    after: [staging, loop]
"
    );
    let told = |text: &str| {
        let findings = check(text).unwrap_err();
        let told = findings.iter().map(|finding| (finding.span.line, finding.span.column, finding.message.clone()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&text), [(6, 12, "loop waits for itself through after".to_owned())]);
    let text = format!(
        "environments:
  a: {{ {run}, after: b }}
  b: {{ {run}, after: [c] }}
  c: {{ {run}, after: b }}
"
    );
    assert_eq!(told(&text).len(), 1);
    assert!(told(&text)[0].2.starts_with(['b', 'c']), "a is not in the circle: {:?}", told(&text));
}

#[test]
fn what_must_be_green_is_named_not_counted() {
    for text in ["merge: { require: 5 }", "merge: { require: [greenlight, 5] }", "merge: { require: true }"] {
        let said = fails(text);
        assert!(said.contains(".greenlight.yml:1: merge.require is a list of the names of contexts"), "{said}");
    }
    let config = decode(".greenlight.yml", "merge: { require: ['5', lint] }").unwrap();
    assert_eq!(config.merge.unwrap().require, [Context::from("5"), Context::from("lint")]);
}

#[test]
fn a_key_of_a_later_release_is_not_called_unknown() {
    let text = fails("environments:\n  a:\n    run: { workflow: deploy }\n    reviewers: { count: 1 }\n");
    assert!(text.contains("reviewers in environment a is not supported yet"), "{text}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, said) in [
        ("merge: { when: always }", "merge.when is one of green, approved, command"),
        ("environments: { a: { after: [b], run: { shell: x } } }", "there is no such environment"),
        (
            "environments: { a: { after: [b], run: { shell: x } }, b: { after: [a], run: { shell: x } } }",
            "waits for itself",
        ),
        ("environments: { a: { run: { shell: ../x } } }", "inside the repository"),
        ("environments: { '': { run: { shell: x } } }", "1 to 255 characters"),
        ("environments: { a: { on: merge } }", "does not say what carries it out"),
        ("environments: { a: { run: { shell: x, workflow: y } } }", "two providers"),
        ("notify: [{ on: failure }]", "names no room"),
        ("[1, 2]", "the file is a mapping"),
        ("a: &a [*a]", ".greenlight.yml:1"),
    ] {
        let error = fails(text);
        assert!(error.contains(said), "{text}: {error}");
    }
    assert_eq!(decode("x", ""), Ok(Config::default()));
}
