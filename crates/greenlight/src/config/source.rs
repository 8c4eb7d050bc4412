//! Where settings come from: the file, the environment, and our defaults. Reads names and texts; [`super::check`] judges values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{self, Form, Kind};
use super::{FILE_NAME, Shown};

/// Most that a settings file may hold.
const FILE_SIZE_MAX: u64 = 1 << 20;
/// What our environment variables begin with.
const PREFIX: &str = "GREENLIGHT_";
/// What the keys of rooms begin with.
const ROOMS: &str = "rooms.";

/// The environment variables, as an argument: `std::env::vars_os` in the program.
pub type Environment = BTreeMap<String, String>;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The settings file.
    File {
        /// Its path.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
        }
    }
}

/// One setting as it was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// The texts: one, or several of a list.
    pub texts: Vec<String>,
    /// The value itself, or the file that holds it.
    pub form: Form,
    /// Where it comes from.
    pub origin: Origin,
}

/// All settings as they were given, by their key.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// By key ("github.token"), whichever form it was given in.
    pub given: BTreeMap<String, Given>,
    /// No file was named, and there is none in this folder.
    pub is_without_file: bool,
    /// There is a file, or one was named, and nothing of it could be read: what is missing may stand there.
    pub is_unread: bool,
}

/// Reads the file and the environment, and tells what is wrong with their names and texts. The environment wins.
pub fn read(file: Option<&Path>, environment: &Environment) -> (Sources, Vec<String>) {
    let mut sources = Sources::default();
    let mut problems = Vec::new();
    let path = file.unwrap_or(Path::new(FILE_NAME));
    match read_text(path) {
        Ok(Some(text)) => sources.take_file(path, &text, &mut problems),
        Ok(None) if file.is_none() => sources.is_without_file = true,
        Ok(None) => {
            sources.is_unread = true;
            problems.push(format!("{}: there is no such file; name another with --config", path.display()));
        }
        Err(problem) => {
            sources.is_unread = true;
            problems.push(problem);
        }
    }
    sources.take_environment(environment, &mut problems);
    (sources, problems)
}

fn read_text(path: &Path) -> Result<Option<String>, String> {
    let told = |what: String| format!("{}: {what}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(format!("cannot be read: {error}"))),
        Ok(found) if found.len() > FILE_SIZE_MAX => return Err(told(format!("is larger than {FILE_SIZE_MAX} bytes"))),
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| told(format!("cannot be read: {error}")))
}

impl Sources {
    /// Returns every setting, as it is shown; `made` tells the defaults that are made at start.
    pub fn shown(&self, made: impl Fn(&str) -> Option<String>) -> Vec<Shown> {
        let mut shown = Vec::new();
        for key in keys::KEYS.iter().filter(|key| !key.name.contains('*')) {
            shown.push(match self.given.get(key.name) {
                Some(given) => show(key.name, key.kind, given),
                None => unset(key.name, key.default.map(str::to_owned).or_else(|| made(key.name))),
            });
        }
        if !self.given.keys().any(|name| name.starts_with(ROOMS)) {
            let rooms = keys::KEYS.iter().filter(|key| key.name.starts_with(ROOMS));
            shown.extend(rooms.map(|key| unset(&key.name.replace('*', "NAME"), None)));
        }
        for (name, given) in self.given.iter().filter(|(name, _)| name.starts_with(ROOMS)) {
            if let Some((key, _)) = keys::find(name) {
                shown.push(show(name, key.kind, given));
            }
        }
        shown
    }

    fn take_file(&mut self, path: &Path, text: &str, problems: &mut Vec<String>) {
        match DeTable::parse(text) {
            Err(error) => {
                let line = error.span().map_or(1, |span| line_at(text, span.start));
                let what = error.message().replace('\n', " ");
                self.is_unread = true;
                problems.push(format!("{}:{line}: this is not TOML: {what}", path.display()));
            }
            Ok(table) => self.take_table(&FileText { path, text }, "", table.get_ref(), problems),
        }
    }

    fn take_table(&mut self, file: &FileText<'_>, prefix: &str, table: &DeTable<'_>, problems: &mut Vec<String>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let line = line_at(file.text, key.span().start);
            let origin = Origin::File { path: file.path.to_owned(), line };
            match value.get_ref() {
                DeValue::Table(inner) if keys::is_section(&name) => {
                    self.take_table(file, &format!("{name}."), inner, problems);
                }
                value => match keys::find(&name) {
                    None => problems.push(unknown(&origin, &name)),
                    Some((known, _)) => match texts_of(value, known.kind) {
                        Ok(texts) => self.take(&name, texts, origin, problems),
                        Err(why) => problems.push(format!("{origin}: {name} must be {why}")),
                    },
                },
            }
        }
    }

    fn take_environment(&mut self, environment: &Environment, problems: &mut Vec<String>) {
        let mut strong = Sources::default();
        for (variable, value) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            let name = variable[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
            let texts = match keys::find(&name).map(|(key, _)| key.kind) {
                Some(Kind::List | Kind::Secrets) => value.split(',').map(|text| text.trim().to_owned()).collect(),
                _ => vec![value.clone()],
            };
            strong.take(&name, texts, Origin::Variable(variable.clone()), problems);
        }
        self.given.extend(strong.given);
    }

    fn take(&mut self, name: &str, texts: Vec<String>, origin: Origin, problems: &mut Vec<String>) {
        let Some((_, form)) = keys::find(name) else {
            problems.push(unknown(&origin, name));
            return;
        };
        let key = if form == Form::File { name.trim_end_matches("_file") } else { name };
        let given = Given { texts, form, origin };
        if let Some(other) = self.given.insert(key.to_owned(), given) {
            problems.push(format!("{}: {key} and {key}_file are both given: keep one", other.origin));
        }
    }
}

struct FileText<'a> {
    path: &'a Path,
    text: &'a str,
}

fn unknown(origin: &Origin, name: &str) -> String {
    match keys::nearest(name) {
        Some(nearest) => format!("{origin}: there is no setting {name}; did you mean {nearest}?"),
        None => format!("{origin}: there is no setting {name}; `greenlight config show` lists them"),
    }
}

fn show(name: &str, kind: Kind, given: &Given) -> Shown {
    let value = match (kind, given.form) {
        (_, Form::File) => format!("(secret, in {})", given.texts.join(", ")),
        (Kind::Secret | Kind::Secrets, Form::Value) => "(secret)".to_owned(),
        (_, Form::Value) => given.texts.join(", "),
    };
    Shown { key: name.to_owned(), value: Some(value), origin: given.origin.clone() }
}

fn unset(name: &str, value: Option<String>) -> Shown {
    Shown { key: name.to_owned(), value, origin: Origin::Default }
}

/// Returns the texts of a value of this kind, or what it must be.
fn texts_of(value: &DeValue<'_>, kind: Kind) -> Result<Vec<String>, &'static str> {
    match (value, kind) {
        (DeValue::String(text), _) => Ok(vec![text.to_string()]),
        (DeValue::Integer(number), Kind::Number) => Ok(vec![number.to_string()]),
        (DeValue::Boolean(switch), Kind::Switch) => Ok(vec![switch.to_string()]),
        (DeValue::Array(items), Kind::List | Kind::Secrets) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                _ => Err("a list of texts, each in quotes"),
            })
            .collect(),
        (_, Kind::List | Kind::Secrets) => Err("a list of texts, each in quotes"),
        (_, Kind::Number) => Err("a whole number"),
        (_, Kind::Switch) => Err("true or false"),
        (_, Kind::Text | Kind::Secret) => Err("one text, in quotes"),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}
