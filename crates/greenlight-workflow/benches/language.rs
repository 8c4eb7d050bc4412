//! What reading, checking and planning a workflow costs, and refusing a hostile one. `cargo xtask bench language` runs it and
//! judges; alone, `cargo bench -p greenlight-workflow` prints the figures as lines `name value`. With the word `typical` behind
//! it only the typical workflow is taken, which is what a profiler wants.

use std::hint::black_box;
use std::time::Instant;

use greenlight_workflow::{Contexts, EventPayload, Permissions, Value, lint_workflow, parse_workflow, plan_run, yaml};

/// How often the typical workflow is taken; the median counts.
const ROUNDS: usize = 400;
/// How often each hostile file is taken.
const HOSTILE_ROUNDS: usize = 5;

const TYPICAL: &str = include_str!("typical.yml");
const PUSH: &str = r#"{"ref":"refs/heads/main","before":"0","repository":{"full_name":"o/r","default_branch":"main"},"sender":{"login":"x"}}"#;

fn main() {
    typical();
    if !std::env::args().any(|argument| argument == "typical") {
        hostile();
    }
    println!("resident_kilobytes {}", resident_kilobytes());
}

/// Reads, checks and plans the typical workflow.
fn typical() {
    let payload = Value::from_json(PUSH).expect("the payload is JSON");
    let event = EventPayload::new("push", payload);
    let changed = ["crates/a/src/lib.rs".to_owned(), "docs/a.md".to_owned()];
    let mut parts: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let parsed = parse_workflow("ci.yml", black_box(TYPICAL));
        let workflow = parsed.workflow.expect("the typical workflow is right");
        let read = began.elapsed();
        let findings = lint_workflow(&workflow);
        let checked = began.elapsed();
        assert!(workflow.triggered_by(&event.facts(Some(&changed))).is_yes(), "a push starts it");
        let context = Contexts::new().with("github", event.github(workflow.title()));
        let plan = plan_run(&workflow, &[], &Permissions::limited_read(), &context);
        assert!(plan.problems.is_empty() && plan.jobs.len() > 10, "{:?}", plan.problems);
        let planned = began.elapsed();
        drop(black_box((findings, plan)));
        let kept = began.elapsed();
        drop(workflow);
        let freed = began.elapsed() - kept;
        let figures = [read, checked - read, planned - checked, planned, freed];
        parts.iter_mut().zip(figures).for_each(|(part, figure)| part.push(figure.as_secs_f64() * 1e6));
    }
    println!("typical_lines {}", TYPICAL.lines().count());
    for (name, mut micros) in ["read", "check", "plan", "whole", "free"].into_iter().zip(parts) {
        println!("typical_{name}_micros {:.0}", median(&mut micros));
    }
}

/// Refuses files of a megabyte, and those that are just not too large, each as bad as it can be.
fn hostile() {
    for (size, of) in [(1 << 20, "megabyte"), (yaml::SIZE_MAX - 64, "largest")] {
        let mut worst: f64 = 0.0;
        for (name, text) in hostile_texts(size) {
            let mut millis = Vec::new();
            for _ in 0..HOSTILE_ROUNDS {
                let began = Instant::now();
                let parsed = parse_workflow("ci.yml", black_box(&text));
                millis.push(began.elapsed().as_secs_f64() * 1e3);
                assert!(parsed.workflow.is_none(), "{name} was not refused");
            }
            let millis = median(&mut millis);
            println!("{of}_{name}_millis {millis:.2}");
            worst = worst.max(millis);
        }
        println!("{of}_millis {worst:.2}");
    }
}

fn hostile_texts(size: usize) -> Vec<(&'static str, String)> {
    let fill = |unit: &str| unit.repeat(size / unit.len());
    let anchors = || {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for at in 1..60 {
            let list = vec![format!("*a{}", at - 1); 10].join(", ");
            text.push_str(&format!("a{at}: &a{at} [{list}]\n"));
        }
        text + &"# fill\n".repeat(size / 7 - 1_000)
    };
    vec![
        ("brackets", fill("[")),
        ("flow", fill("{a: [")),
        ("keys", (0..size / 9).map(|at| format!("k{at:05}: 1\n").chars().take(9).collect::<String>()).collect()),
        ("list", format!("on: push\njobs:\n{}", fill("- a\n"))),
        ("expressions", format!("on: push\nname: \"{}\"\n", fill("${{ a }}"))),
        ("quotes", fill("'a' ")),
        ("tabs", fill("\ta: \t[\n")),
        ("anchors", anchors()),
    ]
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Returns the most memory that this process ever had.
fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
