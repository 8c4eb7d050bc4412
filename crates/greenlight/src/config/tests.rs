use super::*;

/// Writes the five lines of the guide and their files, then `more`, and reads them.
fn load(more: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("github.token"), "ghp_sesame\n").unwrap();
    std::fs::write(dir.path().join("webhook.secret"), "It's a Secret to Everybody\n").unwrap();
    let text = format!(
        "url = \"https://ci.example.org\"\n{more}\n[github]\ntoken_file = \"github.token\"\n\
         webhook_secret_file = \"webhook.secret\"\nrepositories = [\"acme/app\"]\n"
    );
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), &environment(variables))
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn problem(result: Result<Config, ConfigError>) -> String {
    result.expect_err("the settings are wrong").problems.join("\n")
}

#[test]
fn five_lines_are_enough() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.url.as_deref(), Some("https://ci.example.org"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:4567");
    assert_eq!(config.pages.listen.to_string(), "127.0.0.1:4568");
    assert_eq!(&*config.github.api_url, "https://api.github.com");
    assert_eq!(config.github.repositories, ["acme/app".into()]);
    assert_eq!(config.github.webhook_secrets[0].expose(), "It's a Secret to Everybody");
    assert!(matches!(&config.github.identity, Identity::Token(token) if token.expose() == "ghp_sesame"));
    assert_eq!(config.data, std::env::current_dir().unwrap().join("data"));
    assert!(config.runner.slots >= 1 && config.runner.labels.contains(&"ubuntu-latest".into()));
}

#[test]
fn a_secret_is_not_printed() {
    let text = format!("{:?}", load("", &[]).unwrap());
    assert!(!text.contains("sesame") && !text.contains("Everybody"), "{text}");
}

#[test]
fn without_a_webhook_secret_it_does_not_start() {
    let variables = [("GREENLIGHT_GITHUB__TOKEN", "t"), ("GREENLIGHT_GITHUB__REPOSITORIES", "a/b")];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, "").unwrap();
    let told = problem(Config::load(Some(&file), &environment(&variables)));
    assert!(told.starts_with("there is no webhook secret") && told.contains("github.webhook_secret_file"), "{told}");
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let told = problem(load("lisen = \"127.0.0.1:1\"", &[]));
    assert!(told.ends_with("greenlight.toml:2: there is no setting lisen; did you mean listen?"), "{told}");
    let told = problem(load("[page]\nlisten = \"127.0.0.1:1\"", &[]));
    assert!(told.contains("there is no setting page"), "{told}");
    let told = problem(load("", &[("GREENLIGHT_GITHUB__TOKEN_FIEL", "x")]));
    assert!(told.contains("did you mean github.token_file?"), "{told}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = load("", &[("GREENLIGHT_LISTEN", "127.0.0.1:9"), ("GREENLIGHT_GITHUB__TOKEN", "other")]).unwrap();
    assert_eq!(config.listen.port(), 9);
    assert!(matches!(&config.github.identity, Identity::Token(token) if token.expose() == "other"));
}

#[test]
fn isolation_is_one_of_three_and_hides_what_settings_come_from() {
    let config = load("[runner]\nisolation = \"required\"\nvisible = [\"/opt/tools\"]", &[]).unwrap();
    assert_eq!(config.runner.isolation, greenlight_runner::IsolationWanted::Required);
    assert!(config.runner.hidden.iter().any(|path| path.ends_with("greenlight.toml")), "{:?}", config.runner.hidden);
    let told = problem(load("[runner]\nisolation = \"yes\"\nvisible = [\"tools\"]", &[]));
    assert!(told.contains("runner.isolation must be auto, required or none, not `yes`"), "{told}");
}

#[test]
fn all_problems_are_told_at_once() {
    let told = problem(load("listen = \"here\"\n[pages]\nlisten = \"0.0.0.0:80\"\n[runner]\nslots = 0", &[]));
    for part in ["listen must be an address", "pages.listen must be a loopback", "runner.slots must be a number from 1"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn problems_come_in_the_order_of_lines() {
    let told = problem(load(
        "listen = \"here\"\nlog = \"loud\"\nulr = \"x\"\n[rooms.x]\nkind = \"slack\"\n[runner]\nslots = 0\nlease_seconds = \"no\"\n[pages]\nlisten = \"0.0.0.0:80\"",
        &[("GREENLIGHT_SERVICES__CACHE_DAYS", "0")],
    ));
    let lines: Vec<Option<&str>> = told
        .lines()
        .map(|line| line.split_once("greenlight.toml:").map(|(_, line)| &line[..line.find(':').unwrap()]))
        .collect();
    let expected = [Some("2"), Some("3"), Some("4"), Some("6"), Some("8"), Some("9"), Some("11"), None];
    assert_eq!(lines, expected, "{told}");
    assert!(told.contains("greenlight.toml:6: rooms.x.url is missing"), "{told}");
}

#[test]
fn what_only_follows_from_a_file_that_cannot_be_read_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    let missing = problem(Config::load(Some(&file), &environment(&[])));
    assert!(missing.contains("there is no such file") && missing.lines().count() == 1, "{missing}");
    std::fs::write(&file, "[github\n").unwrap();
    let broken = problem(Config::load(Some(&file), &environment(&[])));
    assert!(broken.contains("greenlight.toml:1: this is not TOML") && broken.lines().count() == 1, "{broken}");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_where_it_stands() {
    for (text, told) in [
        ("data = 5", "greenlight.toml:2: data must be one text, in quotes"),
        ("data = [\"a\", \"b\"]", "greenlight.toml:2: data must be one text, in quotes"),
        ("data = { a = 1 }", "greenlight.toml:2: data must be one text, in quotes"),
        ("log = \"loud\"", "greenlight.toml:2: log must be error, warn, info, debug or trace"),
        ("log = \"info,greenlight\"", "log must be error"),
        ("[runner]\nslots = 2.5", "greenlight.toml:3: runner.slots must be a whole number"),
        ("[runner]\nslots = [2]", "runner.slots must be a whole number"),
        ("[runner]\nlabels = 3", "greenlight.toml:3: runner.labels must be a list of texts, each in quotes"),
        ("[runner]\nlabels = [3]", "runner.labels must be a list of texts, each in quotes"),
        ("[runner]\nvisible = [\"rel\"]", "greenlight.toml:3: runner.visible must be full paths, and `rel` is none"),
        ("[actions]\noffline = 1", "actions.offline must be true or false"),
        ("[actions]\noffline = \"yes\"", "actions.offline must be true or false, not `yes`"),
    ] {
        let problem = problem(load(text, &[]));
        assert!(problem.contains(told) && problem.lines().count() == 1, "{text}: {problem}");
    }
    let config = load("log = \"info,greenlight=Debug,hyper=off\"\n[actions]\noffline = true", &[]).unwrap();
    assert!(config.actions.offline);
    let both = problem(load("[runner]\nisolation = \"yes\"\nvisible = [\"tools\"]\nslots = 0", &[]));
    assert_eq!(both.lines().count(), 3, "{both}");
}

#[test]
fn a_node_is_named_by_its_full_path() {
    let told = problem(load("[runner]\nnode20 = \"node\"\nnode24 = \"bin/node\"\nlease_seconds = 0", &[]));
    for (line, said) in [
        (3, "runner.node20 must be the full path of a Node, not `node`"),
        (4, "runner.node24 must be the full path of a Node, not `bin/node`"),
        (5, "runner.lease_seconds must be a number"),
    ] {
        assert!(told.contains(&format!("greenlight.toml:{line}: {said}")), "{told}");
    }
    let config = load("[runner]\nnode20 = \"/opt/node20/bin/node\"", &[]).unwrap();
    assert_eq!(config.runner.nodes.get(&20), Some(&PathBuf::from("/opt/node20/bin/node")));
}

#[test]
fn what_is_unknown_hides_nothing_else() {
    let told = problem(load("ulr = \"x\"\nlisten = \"here\"\n[rooms.x]\nkind = \"irc\"\nurl_file = \"nowhere\"", &[]));
    for part in [
        "there is no setting ulr; did you mean url?",
        "listen must be an address",
        "slack, hubot or webhook",
        "nowhere",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn a_secret_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("s");
    std::fs::write(&secret, "sesame").unwrap();
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, "[github]\ntoken_file = \"s\"\nwebhook_secret_file = \"s\"\nrepositories = \"a/b\"").unwrap();
    for (mode, count) in [(0o644, 2), (0o640, 0), (0o600, 0)] {
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = Config::load(Some(&file), &environment(&[])).unwrap().warnings;
        assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
        assert!(warnings.iter().all(|text| text.contains("chmod 600") && !text.contains("sesame")), "{warnings:?}");
    }
}

#[test]
fn two_webhook_secrets_live_side_by_side() {
    let config = load("", &[("GREENLIGHT_GITHUB__WEBHOOK_SECRET", "old, new")]).unwrap();
    assert_eq!(config.github.webhook_secrets, [Secret::new("old").unwrap(), Secret::new("new").unwrap()]);
    assert!(problem(load("", &[("GREENLIGHT_GITHUB__WEBHOOK_SECRET", "a,b,c")])).contains("one secret, or two"));
}

#[test]
fn rooms_are_read() {
    let config = load(
        "[rooms.deploys]\nkind = \"webhook\"\nurl = \"https://chat.example.org/in\"\nsecret = \"s\"\n\
         [rooms.ops]\nkind = \"hubot\"\nurl = \"http://127.0.0.1:9/\"\nroom = \"#ops\"",
        &[("GREENLIGHT_ROOMS__TALK__KIND", "slack"), ("GREENLIGHT_ROOMS__TALK__URL", "https://hooks.example.com/x")],
    )
    .unwrap();
    assert_eq!(config.rooms.len(), 3);
    assert!(matches!(&config.rooms[&"ops".into()].kind, RoomKind::Hubot { room } if &**room == "#ops"));
    assert!(
        problem(load("[rooms.x]\nkind = \"irc\"\nurl = \"https://a.example\"", &[]))
            .contains("slack, hubot or webhook")
    );
}

#[test]
fn a_value_and_its_file_exclude_each_other() {
    let told = problem(load("[rooms.x]\nkind = \"slack\"\nurl = \"https://a.example\"\nurl_file = \"u\"", &[]));
    assert!(told.contains("keep one"), "{told}");
}

#[test]
fn what_is_shown_says_where_it_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, "listen = \"127.0.0.1:1\"\n[github]\ntoken = \"sesame\"").unwrap();
    let shown = show(Some(&file), &environment(&[("GREENLIGHT_PAGES__URL", "https://p.example")])).unwrap();
    let of = |key: &str| shown.iter().find(|shown| shown.key == key).unwrap();
    assert_eq!(of("listen").origin, Origin::File { path: file.clone(), line: 1 });
    assert_eq!(of("pages.url").origin, Origin::Variable("GREENLIGHT_PAGES__URL".into()));
    assert_eq!(of("data").origin, Origin::Default);
    assert_eq!(of("github.token").value.as_deref(), Some("(secret)"));
    assert_eq!(of("url").value, None);
    assert!(of("runner.slots").value.as_deref().unwrap().parse::<usize>().unwrap() >= 1);
    assert!(of("runner.labels").value.as_deref().unwrap().contains("ubuntu-latest"));
    assert_eq!(of("rooms.NAME.kind").origin, Origin::Default);
}
