//! The table of all settings: name, kind, default.

/// What a setting's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// One text or several.
    List,
    /// A text that is never shown. `NAME_file` names a file that holds it.
    Secret,
    /// One secret or two. `NAME_file` names the files.
    Secrets,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name ("github.token"). In a room's, `*` stands for the room.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its value where nobody says anything.
    pub default: Option<&'static str>,
}

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key { name, kind, default }
}

/// Every setting there is, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("url", Kind::Text, None),
    key("listen", Kind::Text, Some("127.0.0.1:4567")),
    key("data", Kind::Text, Some("data")),
    key("log", Kind::Text, Some("info")),
    key("github.api_url", Kind::Text, Some("https://api.github.com")),
    key("github.token", Kind::Secret, None),
    key("github.app_id", Kind::Number, None),
    key("github.private_key", Kind::Secret, None),
    key("github.webhook_secret", Kind::Secrets, None),
    key("github.repositories", Kind::List, None),
    key("pages.listen", Kind::Text, Some("127.0.0.1:4568")),
    key("pages.url", Kind::Text, None),
    key("runner.slots", Kind::Number, None),
    key("runner.labels", Kind::List, None),
    key("runner.checkout", Kind::Text, Some("built-in")),
    key("runner.node16", Kind::Text, None),
    key("runner.node20", Kind::Text, None),
    key("runner.node24", Kind::Text, None),
    key("actions.url", Kind::Text, None),
    key("actions.offline", Kind::Switch, Some("false")),
    key("actions.pins", Kind::List, None),
    key("services.url", Kind::Text, None),
    key("services.artifact_days", Kind::Number, Some("90")),
    key("services.artifact_gib", Kind::Number, Some("50")),
    key("services.cache_days", Kind::Number, Some("7")),
    key("services.cache_gib", Kind::Number, Some("10")),
    key("runner.isolation", Kind::Text, Some("auto")),
    key("runner.visible", Kind::List, None),
    key("runner.lease_seconds", Kind::Number, Some("60")),
    key("rooms.*.kind", Kind::Text, None),
    key("rooms.*.url", Kind::Secret, None),
    key("rooms.*.secret", Kind::Secret, None),
    key("rooms.*.room", Kind::Text, None),
];

/// Whether a name means a setting itself or the file that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The value.
    Value,
    /// The path of a file with the value.
    File,
}

/// Finds the setting that `name` means ("github.token_file" is the file form of "github.token").
pub fn find(name: &str) -> Option<(&'static Key, Form)> {
    if let Some(key) = KEYS.iter().find(|key| matches(key.name, name)) {
        return Some((key, Form::Value));
    }
    let value = name.strip_suffix("_file")?;
    let key = KEYS.iter().find(|key| matches(key.name, value) && is_secret(key.kind))?;
    Some((key, Form::File))
}

/// Returns the known name that is nearest to `name`, where one is near enough to be meant.
pub fn nearest(name: &str) -> Option<String> {
    let room = name.strip_prefix("rooms.").and_then(|rest| rest.split('.').next()).filter(|room| !room.is_empty());
    let names = KEYS.iter().flat_map(|key| {
        let name = key.name.replace('*', room.unwrap_or("NAME"));
        let file = is_secret(key.kind).then(|| format!("{name}_file"));
        [Some(name), file]
    });
    let names: Vec<String> = names.flatten().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    greenlight_workflow::nearest(name, &names).map(str::to_owned)
}

/// Is this section's name a table of ours, or a part of one?
pub fn is_section(name: &str) -> bool {
    let depth = name.split('.').count();
    KEYS.iter().any(|key| {
        let parts: Vec<&str> = key.name.split('.').collect();
        parts.len() > depth && name.split('.').zip(parts).all(|(given, known)| known == "*" || given == known)
    })
}

fn is_secret(kind: Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::Secrets)
}

fn matches(known: &str, name: &str) -> bool {
    let mut given = name.split('.');
    let same = known.split('.').all(|part| given.next().is_some_and(|given| part == "*" || part == given));
    same && given.next().is_none()
}
