//! What a job sees of the machine: everything to read, nothing to write but its own folders, and what is the server's or a person's
//! not at all.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::User;
use crate::sandbox::layer::{How, Layer};
use crate::workspace::Workspace;

/// Where the first process's program is within a view that stands before it starts.
const PROGRAM: &str = "/run/greenlight-job";

/// The number that the job's user has within its user namespace.
pub(crate) const INNER_ID: u32 = 1001;

/// How large what a job writes into memory (`/run`, `/dev/shm`) may become.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// What `bwrap` makes new.
const NEW: [&str; 7] = [
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--as-pid-1",
    "--die-with-parent",
    "--new-session",
];

/// What `unshare` is told, where there is no `bwrap`.
pub(crate) const NAMESPACES: [&str; 10] = [
    "--user",
    "--map-current-user",
    "--keep-caps",
    "--pid",
    "--fork",
    "--kill-child=KILL",
    "--mount",
    "--mount-proc",
    "--ipc",
    "--uts",
];

/// What runs first in namespaces that `unshare` made: the job's own folder becomes `/tmp` and `/var/tmp`, with the job's other folders
/// in it where they lie there; then all rights over the namespaces are given up. `$0` is that folder, `$1` the job's root.
pub(crate) const SETTLE: &str = r#"set -e
tmp=$0 root=$1; shift
for place in /tmp /var/tmp; do
    case $root in
        "$place"/*) mkdir -p "$tmp/${root#"$place"/}"; mount --rbind "$root" "$tmp/${root#"$place"/}" ;;
    esac
done
mount --rbind "$tmp" /tmp
[ ! -d /var/tmp ] || mount --rbind "$tmp" /var/tmp
[ ! -d /dev/shm ] || mount -t tmpfs -o mode=1777,size=1g tmpfs /dev/shm
exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all -- "$@""#;

/// Returns where people's own files are.
pub(crate) fn homes() -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = ["/root", "/home"].map(PathBuf::from).into();
    let own = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home != Path::new("/"));
    homes.extend(own.filter(|own| !homes.iter().any(|home| own.starts_with(home))));
    homes
}

/// What a job sees.
pub(crate) struct View {
    /// What `bwrap` is told in any case, but for the program to start.
    pub(crate) words: Vec<OsString>,
    /// What is laid over the machine's files.
    pub(crate) layers: Vec<Layer>,
}

/// Returns the view of a job in `bwrap`.
pub(crate) fn bubble(
    workspace: &Workspace,
    (user, inner_id): (Option<User>, Option<u32>),
    hidden: &[PathBuf],
    visible: &[PathBuf],
) -> std::io::Result<View> {
    let mut words: Vec<OsString> = NEW.map(OsString::from).into();
    if user.is_none() {
        let number = INNER_ID.to_string();
        words.extend(["--unshare-user", "--uid", &number, "--gid", &number].map(OsString::from));
    }
    words.extend(["--ro-bind", "/", "/", "--chdir", "/"].map(OsString::from));
    let memory = |at: &str, mode| Layer::Memory { at: at.into(), mode, bytes_max: Some(MEMORY_BYTES_MAX) };
    let shown = |what: &Path, at: &Path, how| Layer::Shown { what: what.into(), at: at.into(), how };
    let mut layers = vec![Layer::Devices, Layer::Processes, memory("/dev/shm", 0o1777)];
    let temps = ["/tmp", "/var/tmp"].map(Path::new).into_iter().filter(|temp| temp.is_dir());
    layers.extend(temps.map(|temp| shown(&workspace.shared_temp(), temp, How::Writable)));
    layers.push(memory("/run", 0o755));
    let mut empty = covered(hidden);
    empty.retain(|path| !path.starts_with("/run"));
    layers.extend(empty.iter().map(|at| Layer::Memory { at: at.clone(), mode: 0o755, bytes_max: None }));
    let readable = outermost(resolver().into_iter().chain(visible.iter().cloned()).chain(on_path(&empty)));
    // What is made on the way somewhere else might be closed to all others.
    let way = way_to(&empty, readable.iter().chain(&workspace.folders()));
    layers.extend(way.into_iter().map(|at| Layer::Folder { at }));
    layers.extend(readable.iter().map(|path| shown(path, path, How::ReadableIfThere)));
    layers.extend(workspace.folders().iter().map(|folder| shown(folder, folder, How::Writable)));
    for file in hidden.iter().filter_map(|path| path.canonicalize().ok()).filter(|path| path.is_file()) {
        if !empty.iter().any(|top| file.starts_with(top)) && !file.starts_with("/run") && !file.starts_with("/tmp") {
            layers.push(shown(Path::new("/dev/null"), &file, How::Readable));
        }
    }
    layers.extend(empty.into_iter().map(|at| Layer::Sealed { at }));
    // Without a user of its own it has this number from `bwrap`.
    let number = user.filter(|_| inner_id.is_none()).map_or(INNER_ID, User::id);
    let names = workspace.write_names(number)?;
    let tables = names.iter().zip(["/etc/passwd", "/etc/group"].map(Path::new));
    layers.extend(tables.map(|(made, table)| shown(made, table, How::Readable)));
    Ok(View { words, layers })
}

/// Returns the layer in which the first process's program is to be found, where layers are laid before it starts, and where.
pub(crate) fn own_program(program: &Path) -> (Layer, PathBuf) {
    (Layer::Shown { what: program.into(), at: PROGRAM.into(), how: How::Readable }, PROGRAM.into())
}

/// May a user without rights have a user namespace of its own?
pub(crate) fn anybody_may_make_namespaces() -> bool {
    let is = |name: &str, value: &str| {
        std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).is_ok_and(|found| found.trim() == value)
    };
    !is("unprivileged_userns_clone", "0") && !is("apparmor_restrict_unprivileged_userns", "1")
}

/// Returns the folders that are shown as empty: each once, none below another, links followed.
fn covered(hidden: &[PathBuf]) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = hidden
        .iter()
        .chain(&homes())
        .filter_map(|path| path.canonicalize().ok())
        .filter(|path| path.is_dir())
        .collect();
    all.sort();
    all.dedup();
    let tops = all.clone();
    all.retain(|path| !tops.iter().any(|top| top != path && path.starts_with(top)));
    // What lies in a temporary folder is not seen anyway.
    all.retain(|path| path != Path::new("/") && path != Path::new("/tmp") && path != Path::new("/var/tmp"));
    all
}

/// Returns each path once, and none that lies below another: what is shown is shown with all that is in it, and each costs a call for
/// every file system of the machine.
fn outermost(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let all: BTreeSet<PathBuf> = paths.collect();
    all.iter().filter(|path| !path.ancestors().skip(1).any(|above| all.contains(above))).cloned().collect()
}

/// Returns the folders on the way from an empty one to what is shown within it, the outer ones first.
fn way_to<'a>(empty: &[PathBuf], shown: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let mut way = BTreeSet::new();
    for path in shown {
        if let Some(top) = empty.iter().find(|top| path.starts_with(top)) {
            let between = path.ancestors().skip(1).take_while(|folder| folder != top);
            way.extend(between.filter(|folder| folder.starts_with(top)).map(Path::to_path_buf));
        }
    }
    way
}

/// Returns the file that names are looked up by, where it is a link into `/run`.
fn resolver() -> Option<PathBuf> {
    Path::new("/etc/resolv.conf").canonicalize().ok().filter(|path| path.starts_with("/run"))
}

/// Returns the folders on the PATH that would be hidden with a home folder: their programs may be run.
fn on_path(empty: &[PathBuf]) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_hidden = |folder: &PathBuf| empty.iter().any(|top| folder.starts_with(top));
    // One that the runner may not look into has no programs for it.
    std::env::split_paths(&path).filter(|folder| is_hidden(folder) && folder.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_into_an_empty_folder_is_made_from_outside_in() {
        let empty = [PathBuf::from("/srv/ci")];
        let shown =
            [PathBuf::from("/srv/ci/jobs/1/demo"), PathBuf::from("/srv/ci/jobs/1/_home"), PathBuf::from("/opt/tool")];
        let way: Vec<_> = way_to(&empty, shown.iter()).into_iter().collect();
        assert_eq!(way, [PathBuf::from("/srv/ci/jobs"), PathBuf::from("/srv/ci/jobs/1")]);
    }

    #[test]
    fn what_lies_in_a_folder_that_is_shown_is_not_shown_again() {
        let paths = ["/srv/rust/bin", "/opt/tools", "/srv/rust", "/opt/tools", "/srv/rust-other"];
        let shown = outermost(paths.map(PathBuf::from).into_iter());
        assert_eq!(shown, ["/opt/tools", "/srv/rust", "/srv/rust-other"].map(PathBuf::from));
    }

    #[test]
    fn a_folder_below_a_hidden_one_is_hidden_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("inner")).unwrap();
        let covered = covered(&[folder.join("inner"), folder.clone(), folder.join("missing")]);
        assert!(covered.contains(&folder) && !covered.contains(&folder.join("inner")));
    }
}
