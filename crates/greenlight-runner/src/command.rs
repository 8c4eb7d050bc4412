//! Workflow commands: lines of a step's output that speak to the runner.
//!
//! `::name key=value,key=value::data` at the start of a line, or the older `##[name key=value;key=value]data` anywhere in one.

/// A command, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its name, lower case.
    pub(crate) name: String,
    /// Its properties, in order.
    pub(crate) properties: Vec<(String, String)>,
    /// What comes after it.
    pub(crate) data: String,
}

impl Command {
    /// Returns a property that is not empty.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        let mut named = self.properties.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Reads a line; nothing where it is no command. The name may be one that nobody knows.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let start = line.trim_start();
        match start.strip_prefix("::") {
            Some(rest) => Self::parse_new(rest),
            None => Self::parse_old(line),
        }
    }

    fn parse_new(rest: &str) -> Option<Self> {
        let (head, data) = rest.split_once("::")?;
        Self::of(head, ',', data, &[("%2C", ","), ("%3A", ":")], &[])
    }

    fn parse_old(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("##[")?;
        let (head, data) = rest.split_once(']')?;
        Self::of(head, ';', data, &[("%3B", ";"), ("%5D", "]")], &[("%3B", ";"), ("%5D", "]")])
    }

    fn of(
        head: &str,
        between: char,
        data: &str,
        in_property: &[(&str, &str)],
        in_data: &[(&str, &str)],
    ) -> Option<Self> {
        let head = head.trim();
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return None;
        }
        let properties = properties.split(between).filter_map(|pair| pair.split_once('='));
        Some(Self {
            name: name.to_ascii_lowercase(),
            properties: properties.map(|(key, value)| (key.trim().to_owned(), unescaped(value, in_property))).collect(),
            data: unescaped(data, in_data),
        })
    }
}

/// Takes back what the toolkit escapes. `%25` comes last, so that an escaped escape stays one.
fn unescaped(text: &str, more: &[(&str, &str)]) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut text = text.replace("%0D", "\r").replace("%0A", "\n");
    for (from, to) in more {
        text = text.replace(from, to);
    }
    text.replace("%25", "%")
}

/// May this token stop commands? A word that is a command itself would start them again by accident.
pub(crate) fn is_stop_token(token: &str) -> bool {
    const NAMES: [&str; 17] = [
        "add-mask",
        "add-matcher",
        "add-path",
        "debug",
        "echo",
        "endgroup",
        "error",
        "group",
        "notice",
        "pause-logging",
        "remove-matcher",
        "save-state",
        "set-env",
        "set-output",
        "stop-commands",
        "warning",
        "internal-set-repo-path",
    ];
    !token.is_empty() && !NAMES.iter().any(|name| name.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, properties: &[(&str, &str)], data: &str) -> Option<Command> {
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        Some(Command { name: name.into(), properties: properties.iter().map(own).collect(), data: data.into() })
    }

    #[test]
    fn commands_are_read_in_both_forms() {
        assert_eq!(Command::parse("::Debug::hello"), command("debug", &[], "hello"));
        assert_eq!(
            Command::parse("  ::error file=a%2Cb.rs,line=3,title=::100%25 broken%0Areally"),
            command("error", &[("file", "a,b.rs"), ("line", "3"), ("title", "")], "100% broken\nreally")
        );
        assert_eq!(
            Command::parse("text ##[warning line=1;file=x]careful"),
            command("warning", &[("line", "1"), ("file", "x")], "careful")
        );
        assert_eq!(Command::parse("::set-output name=x::a%250Ab"), command("set-output", &[("name", "x")], "a%0Ab"));
    }

    #[test]
    fn other_lines_are_no_commands() {
        for line in ["plain", "a ::debug::b", "::no end", ":: ::x", "std::vec::Vec", "##[open", "::a b c"] {
            assert_eq!(Command::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_commands_name_stops_no_commands() {
        assert!(is_stop_token("abc123"));
        assert!(!is_stop_token("") && !is_stop_token("Error") && !is_stop_token("pause-logging"));
    }
}
