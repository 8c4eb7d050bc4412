//! The settings as a user meets them: at the command line.

use std::process::Command;

fn greenlight(dir: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
    command.args(arguments).current_dir(dir);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GREENLIGHT_")) {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_says_everything_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("greenlight.toml"), "lisen = \"x\"\n").unwrap();
    let (code, _, told) = greenlight(dir.path(), &["config", "check"], &[]);
    assert_eq!(code, Some(1));
    assert!(told.contains("greenlight.toml:1: there is no setting lisen; did you mean listen?"), "{told}");
}

#[test]
fn check_says_everything_that_is_wrong_with_a_repository_s_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".greenlight.yml");
    std::fs::write(&file, "merge:\n  wen: green\nenvironments:\n  a: { on: merge }\n").unwrap();
    let (code, told, _) = greenlight(dir.path(), &["config", "check", ".greenlight.yml"], &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("--> .greenlight.yml:2:3") && told.contains("2 |   wen: green\n  |   ^^^"), "{told}");
    assert!(told.contains("did you mean when?") && told.contains("--> .greenlight.yml:4:3"), "{told}");
    assert!(told.ends_with("\n2 errors in .greenlight.yml\n"), "{told}");
    let (code, told, _) = greenlight(dir.path(), &["config", "check", ".greenlight.yml", "--json"], &[]);
    let lines: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len(), &lines[1]["line"]), (Some(1), 2, &serde_json::json!(4)), "{told}");
    std::fs::write(&file, "merge: { when: green }\n").unwrap();
    let (code, told, _) = greenlight(dir.path(), &["config", "check", ".greenlight.yml"], &[]);
    assert_eq!((code, told.trim()), (Some(0), "nothing is wrong with .greenlight.yml"));
    assert_eq!(greenlight(dir.path(), &["config", "check", "nowhere.yml"], &[]).0, Some(4));
}

#[test]
fn without_a_webhook_secret_serve_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("GREENLIGHT_GITHUB__TOKEN", "sesame"), ("GREENLIGHT_GITHUB__REPOSITORIES", "a/b")];
    let (code, _, told) = greenlight(dir.path(), &["serve"], &variables);
    assert_eq!(code, Some(1));
    assert!(told.contains("there is no webhook secret") && !told.contains("sesame"), "{told}");
    assert!(!dir.path().join("data").exists(), "nothing is made before the settings are right");
}

#[test]
fn show_says_where_a_value_comes_from_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("greenlight.toml"), "[github]\ntoken = \"sesame\"\n").unwrap();
    let (code, told, _) = greenlight(dir.path(), &["config", "show", "--origin"], &[("GREENLIGHT_DATA", "elsewhere")]);
    assert_eq!(code, Some(0));
    assert!(told.contains("github.token = (secret)  (greenlight.toml:2)"), "{told}");
    assert!(told.contains("data = elsewhere  ($GREENLIGHT_DATA)") && !told.contains("sesame"), "{told}");
}

#[test]
fn exit_codes_are_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(greenlight(dir.path(), &["no-such-verb"], &[]).0, Some(2));
    let (code, _, told) = greenlight(dir.path(), &["run", "list", "--server", "http://127.0.0.1:9"], &[]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("no server answers at http://127.0.0.1:9"), "{told}");
}
