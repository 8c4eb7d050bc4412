//! The tree that YAML becomes: spans, scalars, aliases, and what is refused.

use greenlight_workflow::yaml::{Node, NodeKind, parse};

/// Shows a tree: a line per scalar with its place (that of its tag or anchor, if it has one), its path and its value.
fn show(node: &Node, path: &str, out: &mut Vec<String>) {
    match &node.kind {
        NodeKind::Scalar { value, .. } => {
            out.push(format!("{}:{} {path} {}", node.span.line, node.span.column, value.to_json()));
        }
        NodeKind::Sequence(items) => {
            items.iter().enumerate().for_each(|(at, item)| show(item, &format!("{path}[{at}]"), out));
        }
        NodeKind::Mapping(entries) => {
            for (key, value) in entries {
                show(value, &format!("{path}.{}", key.as_str().unwrap()), out);
            }
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let node = parse(&text).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let mut shown = Vec::new();
        show(&node, "", &mut shown);
        assert_eq!(shown, expected, "{text:?}");
    }
}

#[test]
fn scalars_know_where_they_start() {
    check(
        "plain: a b\nsingle: 'it''s'\ndouble: \"x\\ty\"\nblock: |\n  one\n  two\nfolded: >- # why\n\n  a\n  b\nempty:\nlist:\n  - |\n    x | y\n  - [é, z]\n  -\n",
        &[
            "1:8 .plain \"a b\"",
            "2:9 .single \"it's\"",
            "3:9 .double \"x\\ty\"",
            "4:8 .block \"one\\ntwo\\n\"",
            "7:9 .folded \"\\na b\"",
            "11:7 .empty null",
            "13:5 .list[0] \"x | y\\n\"",
            "15:6 .list[1][0] \"é\"",
            "15:9 .list[1][1] \"z\"",
            "16:5 .list[2] null",
        ],
    );
}

#[test]
fn plain_scalars_mean_what_the_core_schema_says() {
    check(
        "- [true, True, yes, on, 'true', null, ~, NULL, nil]\n- [1, -2, +3, 0x1F, 0o17, 017, 1_000, 1.5, 1., .5, 1e3, .inf, 0b1]\n- [2022-10-26, 1.2.3, 1:30, '', !!str 1, !!int 7]\n",
        &[
            "1:4 [0][0] true",
            "1:10 [0][1] true",
            "1:16 [0][2] \"yes\"",
            "1:21 [0][3] \"on\"",
            "1:25 [0][4] \"true\"",
            "1:33 [0][5] null",
            "1:39 [0][6] null",
            "1:42 [0][7] null",
            "1:48 [0][8] \"nil\"",
            "2:4 [1][0] 1",
            "2:7 [1][1] -2",
            "2:11 [1][2] 3",
            "2:15 [1][3] 31",
            "2:21 [1][4] 15",
            "2:27 [1][5] 17",
            "2:32 [1][6] \"1_000\"",
            "2:39 [1][7] 1.5",
            "2:44 [1][8] 1",
            "2:48 [1][9] 0.5",
            "2:52 [1][10] 1000",
            "2:57 [1][11] null",
            "2:63 [1][12] \"0b1\"",
            "3:4 [2][0] \"2022-10-26\"",
            "3:16 [2][1] \"1.2.3\"",
            "3:23 [2][2] \"1:30\"",
            "3:29 [2][3] \"\"",
            "3:33 [2][4] \"1\"",
            "3:42 [2][5] 7",
        ],
    );
}

#[test]
fn tabs_may_stand_where_nothing_is_indented() {
    check(
        "a:\tb\nc: [\n \td,\n \t{ e: f }\n ]\ng: |\n  \th\n\n  i\tj\n",
        &["1:4 .a \"b\"", "3:3 .c[0] \"d\"", "4:8 .c[1].e \"f\"", "6:4 .g \"\\th\\n\\ni\\tj\\n\""],
    );
}

#[test]
fn names_with_expressions_in_them_are_not_compared() {
    check("a-${{ x }}: 1\na-${{ x }}: 2\n", &["1:13 .a-${{ x }} 1", "2:13 .a-${{ x }} 2"]);
}

#[test]
fn aliases_keep_the_place_of_what_they_name() {
    check(
        "a: &x { k: 1 }\nb: *x\nc: [*x, &y z, *y]\n",
        &["1:12 .a.k 1", "1:12 .b.k 1", "1:12 .c[0].k 1", "3:9 .c[1] \"z\"", "3:9 .c[2] \"z\""],
    );
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let findings = parse(text).unwrap_err();
    let finding = &findings[0];
    assert_eq!(
        format!("{}:{} {}", finding.span.line, finding.span.column, finding.code),
        expected,
        "{}",
        finding.message
    );
}

#[test]
fn what_github_does_not_take_is_refused_where_it_stands() {
    refused("a: 1\nb: 2\nA: 3\n", "3:1 duplicate-key");
    refused("a: 1\n'a': 2\n", "2:1 duplicate-key");
    refused("x: &x {a: 1}\ny:\n  <<: *x\n", "3:3 merge-key");
    refused("a: 1\n---\nb: 2\n", "2:1 several-documents");
    refused("a: *nothing\n", "1:4 unknown-anchor");
    refused("a: &a [1, *a]\n", "1:11 alias-cycle");
    refused("? {a: b}\n: c\n", "1:3 key-not-scalar");
    refused("a: !custom x\n", "1:4 yaml-tag");
    refused("a: [1, 2\nb: 3\n", "1:4 yaml-syntax");
    refused("\n# nothing\n", "1:1 empty-file");
    refused("a:\n  \tb: c\n", "2:1 yaml-syntax");
    refused("a:\n \t- c\n", "2:1 yaml-syntax");
    refused("a: |\n  x\n\t\nb: c\n", "3:1 yaml-syntax");
    refused("a:\n  -\tb: c\n", "2:1 yaml-syntax");
}
