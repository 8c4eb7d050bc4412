//! `options:`, `volumes:` and `ports:`: what a workflow may ask of a container. What is not on the list is refused by name, for an
//! option that the engine knows may open the machine (S9).

use serde_json::{Map, Value, json};

/// What is asked for, as the engine wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) config: Map<String, Value>,
    pub(crate) host: Map<String, Value>,
    /// Variables, as `NAME=value`.
    pub(crate) env: Vec<String>,
}

/// The options that are known, for who wrote another one.
const KNOWN: &str = "--add-host, --cap-drop, --cpus, --cpu-shares, --dns, --entrypoint, --env, --health-cmd, --health-interval, \
                     --health-retries, --health-start-period, --health-timeout, --hostname, --init, --memory, --memory-swap, \
                     --no-healthcheck, --pids-limit, --read-only, --shm-size, --stop-signal, --tmpfs, --ulimit, --user, --workdir";

/// Reads `options:`.
pub(crate) fn read(text: &str) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut health = Map::new();
    let mut words = words(text)?.into_iter().peekable();
    while let Some(word) = words.next() {
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let flag = |value: &mut Option<String>| value.take().is_none_or(|value| value == "true");
        match name.as_str() {
            "--init" => {
                asked.host.insert("Init".into(), flag(&mut value).into());
                continue;
            }
            "--read-only" => {
                asked.host.insert("ReadonlyRootfs".into(), flag(&mut value).into());
                continue;
            }
            "--no-healthcheck" => {
                health.insert("Test".into(), json!(["NONE"]));
                continue;
            }
            _ => {}
        }
        if !is_known(&name) {
            return Err(format!("the option {name} is not allowed; these are: {KNOWN}"));
        }
        let value = value.or_else(|| words.next()).ok_or_else(|| format!("the option {name} wants a value"))?;
        apply(&name, &value, &mut asked, &mut health).map_err(|why| format!("the option {name} {why}"))?;
    }
    if !health.is_empty() {
        asked.config.insert("Healthcheck".into(), Value::Object(health));
    }
    Ok(asked)
}

fn is_known(name: &str) -> bool {
    const SHORT: [&str; 6] = ["-e", "-h", "-m", "-u", "-w", "-c"];
    KNOWN.split(", ").any(|known| known == name) || SHORT.contains(&name)
}

fn apply(name: &str, value: &str, asked: &mut Asked, health: &mut Map<String, Value>) -> Result<(), String> {
    let mut config = |key: &str, value: Value| asked.config.insert(key.into(), value);
    match name {
        "--entrypoint" => drop(config("Entrypoint", json!([value]))),
        "--hostname" | "-h" => drop(config("Hostname", value.into())),
        "--user" | "-u" => drop(config("User", value.into())),
        "--workdir" | "-w" => drop(config("WorkingDir", value.into())),
        "--stop-signal" => drop(config("StopSignal", value.into())),
        "--env" | "-e" => asked.env.push(value.to_owned()),
        "--health-cmd" => drop(health.insert("Test".into(), json!(["CMD-SHELL", value]))),
        "--health-interval" => drop(health.insert("Interval".into(), nanoseconds(value)?.into())),
        "--health-timeout" => drop(health.insert("Timeout".into(), nanoseconds(value)?.into())),
        "--health-start-period" => drop(health.insert("StartPeriod".into(), nanoseconds(value)?.into())),
        "--health-retries" => drop(health.insert("Retries".into(), number(value)?.into())),
        _ => apply_to_host(name, value, &mut asked.host)?,
    }
    Ok(())
}

fn apply_to_host(name: &str, value: &str, host: &mut Map<String, Value>) -> Result<(), String> {
    let mut push = |key: &str, value: Value| {
        if let Value::Array(list) = host.entry(key).or_insert_with(|| json!([])) {
            list.push(value);
        }
    };
    match name {
        "--add-host" => push("ExtraHosts", value.into()),
        "--cap-drop" => push("CapDrop", value.into()),
        "--dns" => push("Dns", value.into()),
        "--ulimit" => {
            let (name, limits) = value.split_once('=').ok_or("wants NAME=SOFT:HARD")?;
            let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
            push("Ulimits", json!({ "Name": name, "Soft": number(soft)?, "Hard": number(hard)? }));
        }
        "--tmpfs" => {
            let (place, options) = value.split_once(':').unwrap_or((value, ""));
            if let Value::Object(places) = host.entry("Tmpfs").or_insert_with(|| json!({})) {
                places.insert(place.to_owned(), options.into());
            }
        }
        "--cpus" => {
            let cpus: f64 = value.parse().map_err(|_| "wants a number".to_owned())?;
            host.insert("NanoCpus".into(), ((cpus * 1e9) as i64).into());
        }
        "--cpu-shares" | "-c" => drop(host.insert("CpuShares".into(), number(value)?.into())),
        "--memory" | "-m" => drop(host.insert("Memory".into(), bytes(value)?.into())),
        "--memory-swap" => drop(host.insert("MemorySwap".into(), bytes(value)?.into())),
        "--pids-limit" => drop(host.insert("PidsLimit".into(), number(value)?.into())),
        "--shm-size" => drop(host.insert("ShmSize".into(), bytes(value)?.into())),
        _ => return Err("is not allowed".into()),
    }
    Ok(())
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("wants a whole number, not `{text}`"))
}

fn bytes(text: &str) -> Result<i64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match lower[digits.len()..].trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(format!("wants a size as 512m, not `{text}`")),
    };
    number(digits)?.checked_mul(1 << shift).ok_or_else(|| format!("wants a smaller size than `{text}`"))
}

/// Reads a length of time as Go writes it: `10s`, `1m30s`, `500ms`.
fn nanoseconds(text: &str) -> Result<i64, String> {
    let bad = || format!("wants a time as 10s, not `{text}`");
    let mut rest = text;
    let mut all = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.').len();
        let count: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
        let (unit, size) = units.into_iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(bad)?;
        all += count * size;
        rest = &rest[unit.len()..];
    }
    Ok(all as i64)
}

/// Reads `volumes:`. Named volumes and unnamed ones become the job's own; a folder of the machine is refused.
pub(crate) fn volume(text: &str, job: &str) -> Result<(Option<String>, String), String> {
    let (source, rest) = match text.split_once(':') {
        Some((source, rest)) => (Some(source), rest),
        None => (None, text),
    };
    let inside = rest.split(':').next().unwrap_or_default();
    if !inside.starts_with('/') || inside == "/" {
        return Err(format!("the volume `{text}` does not say where it is to be inside"));
    }
    let Some(source) = source else { return Ok((None, inside.to_owned())) };
    let is_name = source.starts_with(|first: char| first.is_ascii_alphanumeric())
        && source.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !is_name {
        return Err(format!(
            "the volume `{text}` is a folder of the machine, which no container may see; name a volume, as `data:{inside}`"
        ));
    }
    let name = format!("{job}-{source}");
    Ok((Some(name.clone()), format!("{name}:{rest}")))
}

/// Reads `ports:`, as `8080`, `80:8080` or `80:8080/udp`. Returns the port inside with its protocol, and the one outside, if it is said.
pub(crate) fn port(text: &str) -> Result<(String, Option<u16>), String> {
    let bad = || format!("the port `{text}` is not written as 8080, 80:8080 or 80:8080/udp");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (outside, inside) = match ports.rsplit_once(':') {
        Some((outside, inside)) => (Some(outside), inside),
        None => (None, ports),
    };
    let inside: u16 = inside.parse().map_err(|_| bad())?;
    let outside = outside.map(|outside| outside.parse().map_err(|_| bad())).transpose()?;
    if !["tcp", "udp"].contains(&protocol) {
        return Err(bad());
    }
    Ok((format!("{inside}/{protocol}"), outside))
}

/// Splits as a shell would: blanks, single and double quotes, backslashes.
pub(crate) fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut has_word) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None | Some('"'), '\\') => {
                word.extend(letters.next());
                has_word = true;
            }
            (Some(_), letter) => word.push(letter),
            (None, '"' | '\'') => {
                quote = Some(letter);
                has_word = true;
            }
            (None, letter) if letter.is_whitespace() => {
                if std::mem::take(&mut has_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, letter) => {
                word.push(letter);
                has_word = true;
            }
        }
    }
    if quote.is_some() {
        return Err(format!("a quote is not closed in `{text}`"));
    }
    if has_word {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_reaches_the_engine() {
        let asked = read(
            r#"--cpus 1.5 -m 512m --health-cmd "pg_isready -U x" --health-interval 1m30s --health-retries=5 -e A=b --user 1001:121
               --tmpfs /run:size=1m --ulimit nofile=1:2 --init"#,
        )
        .unwrap();
        let host = json!({ "NanoCpus": 1_500_000_000, "Memory": 512 << 20, "Tmpfs": { "/run": "size=1m" },
            "Ulimits": [{ "Name": "nofile", "Soft": 1, "Hard": 2 }], "Init": true });
        assert_eq!(Value::Object(asked.host), host);
        let health = json!({ "Test": ["CMD-SHELL", "pg_isready -U x"], "Interval": 90_000_000_000_i64, "Retries": 5 });
        assert_eq!(Value::Object(asked.config), json!({ "User": "1001:121", "Healthcheck": health }));
        assert_eq!(asked.env, ["A=b"]);
    }

    #[test]
    fn what_opens_the_machine_is_refused_by_name() {
        for option in [
            "--privileged",
            "--pid=host",
            "--pid host",
            "--network host",
            "--net=host",
            "-v /:/host",
            "--volume=/var/run/docker.sock:/var/run/docker.sock",
            "--mount type=bind,src=/,dst=/host",
            "--cap-add SYS_ADMIN",
            "--device /dev/sda",
            "--security-opt seccomp=unconfined",
            "--userns=host",
            "--ipc=host",
            "--uts=host",
            "--cgroup-parent x",
            "--volumes-from x",
            "--env-file /etc/passwd",
            "-p 1:1",
            "image",
        ] {
            let why = read(option).unwrap_err();
            assert!(why.contains("is not allowed"), "{option}: {why}");
        }
        assert!(read("--memory").unwrap_err().contains("wants a value"));
        assert!(read("--health-interval soon").unwrap_err().contains("wants a time"));
        assert!(read("-e 'x").unwrap_err().contains("a quote is not closed"));
    }

    #[test]
    fn volumes_are_the_jobs_own_and_ports_are_read() {
        assert_eq!(volume("data:/var/data:ro", "j").unwrap(), (Some("j-data".into()), "j-data:/var/data:ro".into()));
        assert_eq!(volume("/var/data", "j").unwrap(), (None, "/var/data".into()));
        for bad in
            ["/etc:/host", "../x:/y", "./x:/y", "~/x:/y", "x:y", "/var/run/docker.sock:/var/run/docker.sock", "a:/"]
        {
            assert!(volume(bad, "j").is_err(), "{bad}");
        }
        assert_eq!(port("5432").unwrap(), ("5432/tcp".into(), None));
        assert_eq!(port("80:8080/udp").unwrap(), ("8080/udp".into(), Some(80)));
        assert!(port("http").is_err() && port("0.0.0.0:80:80").is_err() && port("70000").is_err());
    }
}
