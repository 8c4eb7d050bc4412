//! The files that the rules look at: what git tracks, and what it would.

use std::path::Path;
use std::process::Command;

use super::rust_source::RustSource;

/// Text above this many bytes is data, not something a person wrote.
const TEXT_SIZE_MAX: usize = 2 * 1024 * 1024;

/// Material of other people, kept as it was found.
const VENDORED: &[&str] =
    &["testdata/conformance/", "testdata/webhooks-examples/", "testdata/webhooks-generated/", "testdata/openapi/"];

/// One file with text in it.
pub struct File {
    /// Relative to the workspace, with forward slashes.
    pub path: String,
    pub text: String,
    /// Present for Rust files.
    pub rust: Option<RustSource>,
}

impl File {
    fn new(path: &str, text: String) -> File {
        let rust = path.ends_with(".rs").then(|| RustSource::new(&text));
        File { path: path.to_owned(), text, rust }
    }

    /// Returns whether the whole path, or its last part, is `name`.
    pub fn is_named(&self, name: &str) -> bool {
        self.path.rsplit('/').next() == Some(name)
    }

    /// Returns the number of the line that `offset` is on, from 1.
    pub fn line_at(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// All files, sorted by path.
pub struct Tree {
    pub files: Vec<File>,
    /// Every path, including those without text.
    pub paths: Vec<String>,
}

impl Tree {
    /// Returns the tree of the files that git tracks, and of new ones that it does not ignore.
    pub fn tracked(root: &Path) -> Result<Tree, String> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git cannot be started: {error}"))?;
        if !listed.status.success() {
            return Err(format!("git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr).trim()));
        }
        let listing =
            String::from_utf8(listed.stdout).map_err(|_| "a tracked path is not UTF-8: rename it".to_owned())?;
        let paths = listing.split('\0').filter(|path| !path.is_empty());
        // A tracked file that is gone from the disk is about to be deleted: nothing to check.
        Ok(Tree::new(paths.filter_map(|path| Some((path, std::fs::read(root.join(path)).ok()?)))))
    }

    /// Returns the tree of the given files.
    pub fn new<'a>(files: impl Iterator<Item = (&'a str, Vec<u8>)>) -> Tree {
        let mut tree = Tree { files: Vec::new(), paths: Vec::new() };
        for (path, content) in files {
            tree.add(path, content);
        }
        tree.files.sort_by(|one, other| one.path.cmp(&other.path));
        tree.paths.sort();
        tree
    }

    /// Returns the Rust files with their parsed text.
    pub fn rust(&self) -> impl Iterator<Item = (&File, &RustSource)> {
        self.files.iter().filter_map(|file| file.rust.as_ref().map(|rust| (file, rust)))
    }

    /// Returns whether `file` belongs to tests as a whole.
    pub fn is_test_file(&self, file: &File) -> bool {
        let is_apart = ["/tests/", "/benches/", "/examples/"].iter().any(|folder| file.path.contains(folder));
        is_apart
            || self
                .rust()
                .any(|(parent, rust)| rust.test_modules().iter().any(|name| is_module(&parent.path, name, &file.path)))
    }

    /// Returns whether there is a file or folder at `path`.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty() || self.paths.iter().any(|known| known == path || known.starts_with(&folder))
    }

    fn add(&mut self, path: &str, content: Vec<u8>) {
        self.paths.push(path.to_owned());
        if content.len() > TEXT_SIZE_MAX || VENDORED.iter().any(|folder| path.starts_with(folder)) {
            return;
        }
        if let Ok(text) = String::from_utf8(content) {
            self.files.push(File::new(path, text));
        }
    }
}

/// Returns whether `path` is the file of module `name` declared in `parent`, or below its folder.
fn is_module(parent: &str, name: &str, path: &str) -> bool {
    let (folder, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    let home = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => parent.trim_end_matches(".rs").to_owned(),
    };
    path == format!("{home}/{name}.rs") || path.starts_with(&format!("{home}/{name}/"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::tree_of;

    #[test]
    fn lines_count_from_one() {
        let tree = tree_of(&[("a.txt", "one\ntwo\n")]);
        assert_eq!(tree.files[0].line_at(0), 1);
        assert_eq!(tree.files[0].line_at(4), 2);
    }

    #[test]
    fn a_file_declared_as_test_module_is_test_code() {
        let tree = tree_of(&[
            ("crates/a/src/lib.rs", "#[cfg(test)]\nmod stories;\nmod real;\n"),
            ("crates/a/src/real.rs", ""),
            ("crates/a/src/stories.rs", ""),
            ("crates/a/src/stories/merge.rs", ""),
            ("crates/a/tests/all.rs", ""),
        ]);
        let test: Vec<_> =
            tree.files.iter().filter(|file| tree.is_test_file(file)).map(|file| file.path.as_str()).collect();
        assert_eq!(test, ["crates/a/src/stories.rs", "crates/a/src/stories/merge.rs", "crates/a/tests/all.rs"]);
    }

    #[test]
    fn folders_exist_through_their_files() {
        let tree = tree_of(&[("docs/dev/a.md", "")]);
        assert!(tree.has("docs/dev") && tree.has("docs/") && tree.has("docs/dev/a.md"));
        assert!(!tree.has("docs/de") && !tree.has("docs/dev/b.md"));
    }

    #[test]
    fn vendored_material_exists_but_is_not_read() {
        let tree = tree_of(&[("testdata/openapi/SOURCE.md", "text")]);
        assert!(tree.has("testdata/openapi/SOURCE.md") && tree.files.is_empty());
    }
}
