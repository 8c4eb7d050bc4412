//! Hostile input: bombs, deep nesting, and files that were damaged at random from a fixed seed. Nothing may panic, and
//! nothing may take long.

use std::time::{Duration, Instant};

use greenlight_workflow::glob::Pattern;
use greenlight_workflow::yaml;
use greenlight_workflow::{
    Contexts, EventFacts, Scope, Value, expand_job, parse_action, parse_expression, parse_workflow,
};

/// How long one hostile file may take, in a debug build on a busy machine. The benchmark holds the release build to less.
const FILE_TIME_MAX: Duration = Duration::from_secs(5);

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < FILE_TIME_MAX, "{what} took {:?}", start.elapsed());
    result
}

fn refused(name: &str, text: &str, code: &str) {
    let parsed = in_time(name, || parse_workflow("x.yml", text));
    assert!(parsed.workflow.is_none(), "{name}");
    let codes: Vec<&str> = parsed.findings.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&code), "{name}: {:?}", &parsed.findings[..parsed.findings.len().min(3)]);
    for finding in parsed.findings.iter().take(10) {
        assert!(finding.render("x.yml", text).contains(&finding.message));
    }
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    refused("billion laughs", &laughs, "too-many-nodes");
    let nest: String = (0..40).map(|level| format!("&a{level} [")).collect();
    refused("anchors around anchors", &format!("{nest}{}", "1,".repeat(20_000)), "yaml-syntax");
    let closed = format!("{nest}{}{}", "1,".repeat(20_000), "]".repeat(40));
    refused("closed anchors around anchors", &closed, "too-many-nodes");
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(400_000), "*a, ".repeat(900));
    refused("a long text many times", &text, "too-large");
    refused("many aliases", &format!("a: &a 1\nb: [{}]\n", "*a, ".repeat(2_000)), "too-many-aliases");
    refused("alias to itself", "a: &a [*a]\n", "alias-cycle");
    refused("alias as its own key", "a: &a {*a : b}\n", "alias-cycle");
    refused("too large", &"# comment\n".repeat(60_000), "file-too-large");
    refused("deep flow", &"[".repeat(100_000), "too-deep");
    refused("deep mappings", &"{a: ".repeat(100_000), "too-deep");
    refused("deep blocks", &(0..400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>(), "too-deep");
    refused("many items", &format!("a: [{}]\n", "1,".repeat(150_000)), "too-many-nodes");
    refused("empty", "", "empty-file");
    refused("two documents", "a: 1\n---\nb: 2\n", "several-documents");
    refused("merge key", "x: &x {a: b}\non: push\ny:\n  <<: *x\n", "merge-key");
    refused("same key in quotes", "on: push\n\"ON\": push\n", "duplicate-key");
    refused("list as key", "? [a, b]\n: c\n", "key-not-scalar");
}

/// The head of a workflow to whose only job steps can be added.
const STEPS: &str = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n";

#[test]
fn long_and_odd_lines_take_no_time() {
    let odd = [
        "a".repeat(500_000),
        " ".repeat(500_000),
        "\t".repeat(100_000),
        "? ".repeat(100_000),
        "- ".repeat(100_000),
        "a: ".repeat(100_000),
        "! ".repeat(100_000),
        "&a ".repeat(100_000),
        "\"\\".repeat(100_000),
        "'".repeat(200_001),
        "|\n".repeat(100_000),
        "%YAML 1.2\n".repeat(20_000),
        "{".repeat(40) + &"a,".repeat(100_000),
        format!("a: {}", "#".repeat(400_000)),
        format!("a: \"{}\"", "\\u0041".repeat(80_000)),
        "a\n".repeat(200_000),
        (0..30_000).map(|line| format!("key{line}: v\n")).collect(),
        (0..30_000).map(|line| format!("- |\n  {line}\n")).collect(),
        "- []#\n".repeat(50_000),
        format!("{}{}", STEPS, "      - run: echo ${{ github.ref }}\n".repeat(10_000)),
        format!("{}{}", STEPS, "      - {run: echo, bad: x, if: 'a b', env: {a: '${{ x }}'}}\n".repeat(6_000)),
        format!("a: {}", "${{ ".repeat(100_000)),
        format!("a: {}", "${{ x }}".repeat(50_000)),
        format!("[{}]", "\ta,".repeat(90_000)),
        format!("[{}]", "é\t[],".repeat(40_000)),
        format!("{}[{}]", "\t".repeat(200_000), "[],".repeat(60_000)),
        format!("{}\t", "- |\n".repeat(90_000)),
        format!("a: {{{}}}", "\t? b\n".repeat(60_000)),
        // Behind an error of syntax every job and every step is read for itself.
        format!("x: y: z\n{}", STEPS.to_owned() + &"      - run: x\n".repeat(30_000)),
        format!(
            "x: y: z\njobs:\n{}",
            (0..8_000)
                .map(|job| format!("  j{job}:\n    runs-on: x\n    steps:\n      - run: x\n"))
                .collect::<String>()
        ),
        format!("x: y: z\njobs:\n{}", "  j:\n    steps:\n      - run: |\n          \ta: [\n".repeat(8_000)),
    ];
    for (number, text) in odd.iter().enumerate() {
        in_time(&format!("odd text {number}"), || {
            let _ = yaml::parse(text);
            let _ = parse_workflow("x.yml", text);
        });
    }
}

#[test]
fn needs_of_many_jobs_are_checked_in_time() {
    let mut text = String::from("on: push\njobs:\n");
    for job in 0..250 {
        let needs: Vec<String> = (0..job).map(|need| format!("j{need}")).collect();
        text.push_str(&format!(
            "  j{job}:\n    needs: [{}]\n    runs-on: x\n    steps: [{{run: x}}]\n",
            needs.join(", ")
        ));
    }
    let parsed = in_time("needs", || parse_workflow("x.yml", &text));
    assert!(parsed.workflow.is_some(), "{:?}", parsed.findings.first());
}

#[test]
fn expressions_are_bounded() {
    let scope = Scope::everything();
    let context = Contexts::new().with("github", Value::object([("a", Value::string("x".repeat(1_000)))]));
    let nested_format = (0..40).fold("'y'".to_owned(), |inner, _| format!("format('{{0}}{{0}}{{0}}{{0}}', {inner})"));
    let cases = [
        ("(".repeat(20_000), "depth"),
        ("!".repeat(20_000), "depth"),
        ("github".to_owned() + &".a".repeat(10_000), "depth"),
        ("'x".repeat(10_000), "Unexpected symbol"),
        ("1 == ".repeat(4_000) + "1", ""),
        ("1 || ".repeat(4_000) + "1", ""),
        ("[".repeat(20_000), "Unexpected symbol"),
        ("x".repeat(30_000), "length"),
        (nested_format, "memory"),
        (format!("fromJSON('{}')", "[".repeat(10_000)), "deeper"),
    ];
    for (text, expected) in cases {
        let outcome =
            in_time(&text[..20], || parse_expression(&text, &scope).and_then(|parsed| parsed.evaluate(&context)));
        match outcome {
            Ok(_) => assert_eq!(expected, "", "{}", &text[..20]),
            Err(error) => {
                assert!(!expected.is_empty() && error.message.contains(expected), "{}", &error.message[..100])
            }
        }
    }
}

/// A file with most of the language in it.
const SEED_FILE: &str = include_str!("hostile/seed.yml");

#[test]
fn the_seed_file_is_read() {
    let parsed = parse_workflow("x.yml", SEED_FILE);
    assert!(parsed.workflow.is_some(), "{:#?}", parsed.findings);
}

#[test]
fn damaged_files_never_panic() {
    let mut random = Random(0x5eed_0fab);
    let pieces = [
        "${{",
        "}}",
        "'",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ":",
        "- ",
        "\n",
        "  ",
        "&a ",
        "*a",
        "!!int ",
        "|\n",
        ">-\n",
        "#",
        "%",
        "?",
        "\u{feff}",
        "\0",
        "ß",
        "😀",
        "<<: ",
        "null",
        "success()",
        "matrix",
        "*",
        ",",
        "\t",
        "@",
        "`",
        "---\n",
        "...\n",
    ];
    in_time("damaged files", || {
        for round in 0..400 {
            let mut letters: Vec<char> = SEED_FILE.chars().collect();
            for _ in 0..=random.below(6) {
                damage(&mut letters, &mut random, &pieces);
            }
            let text: String = letters.into_iter().collect();
            exercise(&text, round);
        }
    });
}

fn damage(letters: &mut Vec<char>, random: &mut Random, pieces: &[&str]) {
    let at = random.below(letters.len());
    let end = (at + random.below(40)).min(letters.len());
    match random.below(4) {
        0 => {
            letters.drain(at..end);
        }
        1 => {
            let copied: Vec<char> = letters[at..end].to_vec();
            let target = random.below(letters.len());
            letters.splice(target..target, copied);
        }
        2 => letters[at] = pieces[random.below(pieces.len())].chars().next().unwrap(),
        _ => {
            letters.splice(at..at, pieces[random.below(pieces.len())].chars());
        }
    }
}

/// Does with a file whatever can be done with it.
fn exercise(text: &str, round: usize) {
    let parsed = parse_workflow("x.yml", text);
    for finding in &parsed.findings {
        finding.render("x.yml", text);
    }
    let _ = parse_action("action.yml", text);
    if let Ok(node) = yaml::parse(text) {
        assert!(node.span.line > 0, "round {round}");
    }
    let Some(workflow) = parsed.workflow else { return };
    let changed = ["src/main.rs".to_owned()];
    let facts =
        EventFacts { name: "push", git_ref: "refs/heads/main", changed_paths: Some(&changed), ..EventFacts::default() };
    let _ = workflow.triggered_by(&facts);
    let context = Contexts::new().with("github", Value::object([("ref", Value::string("refs/heads/main"))]));
    for job in &workflow.jobs {
        let _ = job.condition.evaluate(&context);
        let _ = job.runs_on.evaluate(&context);
        let _ = expand_job(job, &context);
        for step in job.steps() {
            step.display_name(&context);
        }
    }
}

#[test]
fn random_expressions_and_patterns_never_panic() {
    let mut random = Random(7);
    let words = [
        "github",
        ".",
        "a",
        "*",
        "[",
        "]",
        "(",
        ")",
        "'x'",
        "1",
        "-1",
        "0x",
        "==",
        "!",
        "&&",
        "||",
        "<",
        ">=",
        ",",
        "format",
        "fromJSON",
        "toJSON",
        "'{0}{1}'",
        "'{'",
        "contains",
        "join",
        "case",
        "true",
        "null",
        " ",
        "é",
        "'",
        "hashFiles",
    ];
    let json_words = [
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\\", "u00", "\\ud83d", "\\ude00", "1", "-", ".5", "e9", "true",
        "null", "é", " ", "\n", "\t", "\"\":",
    ];
    let scope = Scope::everything();
    let context = Contexts::new().with("github", Value::from_json(r#"{"a":[1,{"a":"b"}],"x":"y"}"#).unwrap());
    in_time("random expressions", || {
        for _ in 0..20_000 {
            let text: String = (0..random.below(12)).map(|_| words[random.below(words.len())]).collect();
            if let Ok(expression) = parse_expression(&text, &scope) {
                let _ = expression.evaluate(&context);
            }
            Pattern::new(&text).matches("a/b/c");
            let json: String = (0..random.below(10)).map(|_| json_words[random.below(json_words.len())]).collect();
            if let Ok(value) = Value::from_json(&json) {
                assert_eq!(Value::from_json(&value.to_json()).unwrap(), value, "{json}");
            }
        }
    });
}

/// A generator of numbers that depend on nothing but its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

#[test]
fn needs_of_everything_take_no_time() {
    let all: Vec<String> = (0..256).map(|id| format!("j{id}")).collect();
    for circles in [true, false] {
        let job = |at: usize| {
            let needs = if circles { &all[..] } else { &all[..at] };
            format!("  j{at}: {{runs-on: x, needs: [{}], steps: [{{run: x}}]}}\n", needs.join(", "))
        };
        let text = format!("on: push\njobs:\n{}", (0..256).map(job).collect::<String>());
        let start = std::time::Instant::now();
        let parsed = greenlight_workflow::parse_workflow("ci.yml", &text);
        let warnings = match (&parsed.workflow, &parsed.draft) {
            (Some(workflow), _) => greenlight_workflow::lint_workflow(workflow),
            (None, Some(draft)) => greenlight_workflow::lint_draft(draft),
            (None, None) => Vec::new(),
        };
        assert_eq!(parsed.workflow.is_none(), circles);
        assert!(warnings.is_empty() && start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
