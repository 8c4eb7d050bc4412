//! The sample project: a small real one that needs nothing but git and bash, and what its people change in the story.

use serde_json::{Value, json};

/// Who owns the repository.
pub const OWNER: &str = "octocat";
/// The repository.
pub const NAME: &str = "Spoon-Knife";
/// The repository with its owner.
pub const FULL_NAME: &str = "octocat/Spoon-Knife";
/// The environments, in the order in which they follow each other.
pub const ENVIRONMENTS: [&str; 2] = ["staging", "production"];

/// Its files: path, text, and whether they can be run.
const FILES: &[(&str, &str, bool)] = &[
    ("README.md", include_str!("project/README.md"), false),
    ("bin/greet", include_str!("project/bin/greet"), true),
    ("greetings/en", include_str!("project/greetings/en"), false),
    ("greetings/de", include_str!("project/greetings/de"), false),
    ("script/build", include_str!("project/script/build"), true),
    ("script/test", include_str!("project/script/test"), true),
    ("script/deploy", include_str!("project/script/deploy"), true),
    ("test/greetings.sh", include_str!("project/test/greetings.sh"), false),
    ("test/version.sh", include_str!("project/test/version.sh"), false),
    (".github/workflows/ci.yml", include_str!("project/workflows/ci.yml"), false),
    (".github/workflows/deploy.yml", include_str!("project/workflows/deploy.yml"), false),
    (".greenlight.yml", include_str!("project/greenlight.yml"), false),
];

/// A change that somebody proposes.
pub struct Change {
    /// The branch.
    pub branch: &'static str,
    /// The commit's message and the pull request's title.
    pub title: &'static str,
    /// The files.
    pub files: &'static [(&'static str, &'static str)],
}

/// Everything about it is right.
pub const FRENCH: Change = Change {
    branch: "greet-in-french",
    title: "Greet in French",
    files: &[
        ("greetings/fr", "Bonjour, %s !\n"),
        ("test/french.sh", "check \"it greets in French\" \"Bonjour, Mona !\" \"$(bin/greet --in fr Mona)\"\n"),
    ],
};

/// The exclamation mark is missing.
pub const SPANISH: Change = Change {
    branch: "greet-in-spanish",
    title: "Greet in Spanish",
    files: &[
        ("greetings/es", "¡Hola, %s\n"),
        ("test/spanish.sh", "check \"it greets in Spanish\" \"¡Hola, Mona!\" \"$(bin/greet --in es Mona)\"\n"),
    ],
};

/// What mends it.
pub const SPANISH_MENDED: Change = Change {
    branch: SPANISH.branch,
    title: "Say it with an exclamation mark",
    files: &[("greetings/es", "¡Hola, %s!\n")],
};

/// From somebody whom nobody here knows.
pub const KLINGON: Change =
    Change { branch: "greet-in-klingon", title: "Greet in Klingon", files: &[("greetings/tlh", "nuqneH, %s!\n")] };

/// Returns the files as the emulator's seed wants them.
pub fn seed_files() -> Value {
    let file = |text: &str, can_run: bool| match can_run {
        true => json!({"text": text, "mode": "100755"}),
        false => json!(text),
    };
    FILES.iter().map(|(path, text, can_run)| ((*path).to_owned(), file(text, *can_run))).collect()
}
