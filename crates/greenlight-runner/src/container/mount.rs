//! Which of the job's folders a container sees, and under which names: what the runner says with its own paths is said with theirs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::process::Place;
use crate::workspace::Workspace;

/// Folders by the names that they have inside. Longer paths come first, so that the nearest one counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts {
    folders: Vec<(PathBuf, String)>,
    /// What is only called otherwise.
    names: Vec<(PathBuf, String)>,
    /// Programs of the machine that are put in.
    programs: Vec<(PathBuf, String)>,
}

impl Mounts {
    /// Returns what a job's own container sees.
    pub(crate) fn of_job(workspace: &Workspace) -> Self {
        let mut mounts = Self::default();
        // Each by itself: what a mount lies at cannot be moved away from within, so that the runner's own paths stay what they are.
        let name = workspace.workspace.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        mounts.add(&workspace.workspace, &format!("/__w/{name}"));
        mounts.add(&workspace.temp, "/__w/_temp");
        mounts.names.push((workspace.root.clone(), "/__w".to_owned()));
        mounts.add(&workspace.home, "/github/home");
        mounts.add(&workspace.tools, "/__t");
        mounts.add(&workspace.actions, "/__a");
        mounts
    }

    /// Returns what a Docker action sees.
    pub(crate) fn of_action(workspace: &Workspace) -> Self {
        let mut mounts = Self::default();
        mounts.add(&workspace.workspace, "/github/workspace");
        mounts.add(&workspace.home, "/github/home");
        mounts.add(&workspace.temp, "/github/runner_temp");
        mounts.add(&workspace.tools, "/github/tools");
        mounts.add(&workspace.actions, "/github/actions");
        mounts
    }

    fn add(&mut self, folder: &Path, inside: &str) {
        self.folders.push((folder.to_owned(), inside.to_owned()));
        self.folders.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.as_os_str().len()));
    }

    /// Puts a program of the machine in.
    pub(crate) fn add_program(&mut self, program: &Path, inside: &str) {
        self.programs.push((program.to_owned(), inside.to_owned()));
    }

    /// Returns them as the engine wants them.
    pub(crate) fn binds(&self) -> Vec<String> {
        // Also by the name that it has outside, for what was written down with that.
        let folders = self.folders.iter().flat_map(|(folder, inside)| {
            [format!("{}:{inside}", folder.display()), format!("{0}:{0}", folder.display())]
        });
        let programs = self.programs.iter().map(|(program, inside)| format!("{}:{inside}:ro", program.display()));
        folders.chain(programs).collect()
    }

    /// Returns what a path is called inside; as it is where no folder holds it.
    pub(crate) fn translate(&self, text: &str) -> String {
        for (outside, inside) in self.folders.iter().chain(&self.programs).chain(&self.names) {
            let Some(outside) = outside.to_str() else { continue };
            if let Some(rest) = text.strip_prefix(outside)
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return format!("{inside}{rest}");
            }
        }
        text.to_owned()
    }

    /// Returns what a path that is said inside is called by the runner; as it is where no folder has it.
    pub(crate) fn translate_back(&self, text: &str) -> String {
        let all = self.folders.iter().chain(&self.names);
        let nearest = all.filter_map(|(outside, inside)| {
            let rest = text.strip_prefix(inside.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            Some((inside.len(), format!("{}{rest}", outside.to_str()?)))
        });
        nearest.max_by_key(|(length, _)| *length).map_or_else(|| text.to_owned(), |(_, path)| path)
    }

    /// Returns variables as they are inside: a value that is a path of ours, or a list of such, is translated.
    pub(crate) fn env(&self, env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let translated = env.iter().map(|(name, value)| {
            let value = match name.as_str() {
                "PATH" => value.split(':').map(|part| self.translate(part)).collect::<Vec<_>>().join(":"),
                _ => self.translate(value),
            };
            (name.clone(), value)
        });
        translated.collect()
    }
}

impl Place {
    /// Returns how paths are called there; nothing where they are called as the runner calls them.
    pub(crate) fn mounts(&self) -> Option<&Mounts> {
        match self {
            Self::Bare(_) | Self::Sandbox(_) => None,
            Self::Container(home) => Some(&home.mounts),
            Self::Fresh(fresh) => Some(&fresh.mounts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_names_a_path() {
        let mut mounts = Mounts::default();
        mounts.add(Path::new("/w/1"), "/__w");
        mounts.add(Path::new("/w/1/_home"), "/github/home");
        assert_eq!(mounts.translate("/w/1/demo/x"), "/__w/demo/x");
        assert_eq!(mounts.translate("/w/1/_home"), "/github/home");
        assert_eq!(mounts.translate("/w/12/x"), "/w/12/x");
        assert_eq!(mounts.translate("see /w/1"), "see /w/1");
        for path in ["/w/1/demo/x", "/w/1/_home", "/w/12/x", "relative"] {
            assert_eq!(mounts.translate_back(&mounts.translate(path)), path);
        }
        assert_eq!(mounts.translate_back("/__wide/x"), "/__wide/x");
        let env = BTreeMap::from([("PATH".to_owned(), "/w/1/bin:/usr/bin".to_owned())]);
        assert_eq!(mounts.env(&env)["PATH"], "/__w/bin:/usr/bin");
    }
}
