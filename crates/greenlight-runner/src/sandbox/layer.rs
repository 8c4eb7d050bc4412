//! What is laid over the machine's files so that a job sees its own: each layer over those before it.
//!
//! Where the first process has root's rights it lays them itself ([`lay`]), before it becomes the job's user: `bwrap` reads the table of
//! all mounts again for each. Else `bwrap` is told ([`Layer::words`]). Both come to the same.

use std::ffi::{CString, OsStr, OsString};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, Mode, StatVfsMountFlags, access, statvfs};
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, mount_remount, move_mount, open_tree,
};
use rustix::process::umask;

/// The rights on a folder that only leads somewhere.
const WAY_MODE: u32 = 0o755;

/// What every layer has: no program of another user's rights, no devices.
const ALWAYS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// The devices that every program may use.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What else there is in `/dev`, as every Linux has it.
const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/kcore", "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
];

/// What in `/proc` is the machine's and not a process's: not to be written, whoever could.
const OF_THE_MACHINE: [&str; 4] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"];

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// A `/dev` with what every program may use, and terminals of its own.
    Devices,
    /// A `/proc` with the processes of this namespace.
    Processes,
    /// An empty folder in memory.
    Memory { at: PathBuf, mode: u32, bytes_max: Option<u64> },
    /// A folder, made where there is none.
    Folder { at: PathBuf },
    /// A file or a folder of the machine's, with all that is in it.
    Shown { what: PathBuf, at: PathBuf, how: How },
    /// What was laid there is to be read only from now on.
    Sealed { at: PathBuf },
}

/// How something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// To be read.
    Readable,
    /// To be read, where it is there at all.
    ReadableIfThere,
    /// To be written as well.
    Writable,
}

impl Layer {
    /// Returns it as `bwrap` is told of it.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let words = |words: &[&OsStr]| words.iter().map(OsString::from).collect();
        match self {
            Self::Devices => words(&["--dev".as_ref(), "/dev".as_ref()]),
            Self::Processes => words(&["--proc".as_ref(), "/proc".as_ref()]),
            Self::Memory { at, mode, bytes_max } => {
                let mut told: Vec<OsString> = vec!["--perms".into(), format!("{mode:04o}").into()];
                if let Some(most) = bytes_max {
                    told.extend(["--size".into(), most.to_string().into()]);
                }
                told.extend(["--tmpfs".into(), at.into()]);
                told
            }
            Self::Folder { at } => {
                let mode = format!("{WAY_MODE:04o}");
                words(&["--perms".as_ref(), mode.as_ref(), "--dir".as_ref(), at.as_ref()])
            }
            Self::Shown { what, at, how } => {
                let word = match how {
                    How::Readable => "--ro-bind",
                    How::ReadableIfThere => "--ro-bind-try",
                    How::Writable => "--bind",
                };
                words(&[word.as_ref(), what.as_ref(), at.as_ref()])
            }
            Self::Sealed { at } => words(&["--remount-ro".as_ref(), at.as_ref()]),
        }
    }

    /// Returns it as the runner tells the first process of it: as many fields as [`FIELDS`] says.
    pub(super) fn fields(&self) -> [Vec<u8>; FIELDS] {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let none = Vec::new;
        match self {
            Self::Devices => [b"devices".to_vec(), none(), none(), none()],
            Self::Processes => [b"processes".to_vec(), none(), none(), none()],
            Self::Memory { at, mode, bytes_max } => {
                let most = bytes_max.map_or_else(none, |most| most.to_le_bytes().to_vec());
                [b"memory".to_vec(), bytes(at), mode.to_le_bytes().to_vec(), most]
            }
            Self::Folder { at } => [b"folder".to_vec(), bytes(at), none(), none()],
            Self::Shown { what, at, how } => [b"shown".to_vec(), bytes(at), bytes(what), vec![*how as u8]],
            Self::Sealed { at } => [b"sealed".to_vec(), bytes(at), none(), none()],
        }
    }

    /// Reads what [`Layer::fields`] wrote.
    pub(super) fn read(fields: [Vec<u8>; FIELDS]) -> Option<Self> {
        let [kind, at, third, fourth] = fields;
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        let at = path(at);
        Some(match kind.as_slice() {
            b"devices" => Self::Devices,
            b"processes" => Self::Processes,
            b"memory" => {
                let most = if fourth.is_empty() { None } else { Some(u64::from_le_bytes(fourth.try_into().ok()?)) };
                Self::Memory { at, mode: u32::from_le_bytes(third.try_into().ok()?), bytes_max: most }
            }
            b"folder" => Self::Folder { at },
            b"shown" => {
                let how = [How::Readable, How::ReadableIfThere, How::Writable];
                let how = how.into_iter().find(|how| fourth == [*how as u8])?;
                Self::Shown { what: path(third), at, how }
            }
            b"sealed" => Self::Sealed { at },
            _ => return None,
        })
    }
}

/// How many fields tell of a layer.
pub(super) const FIELDS: usize = 4;

/// Lays them, in this mount namespace, whose files are all read-only so far. To be called with one thread, and with root's rights.
pub(super) fn lay(layers: &[Layer]) -> io::Result<()> {
    let before = umask(Mode::empty());
    let laid = lay_all(layers);
    umask(before);
    laid
}

fn lay_all(layers: &[Layer]) -> io::Result<()> {
    // What is shown is taken hold of before anything is laid over it.
    let held = layers.iter().map(hold).collect::<io::Result<Vec<_>>>()?;
    for (layer, held) in layers.iter().zip(held) {
        let laid = match layer {
            Layer::Devices => lay_devices(&held),
            Layer::Processes => lay_processes(),
            Layer::Memory { at, mode, bytes_max } => lay_memory(at, *mode, *bytes_max),
            Layer::Folder { at } => make_folder(at),
            Layer::Shown { at, how, .. } => {
                let flags = if *how == How::Writable { ALWAYS } else { ALWAYS | MountFlags::RDONLY };
                held.iter().try_for_each(|held| show(held, at, flags))
            }
            Layer::Sealed { at } => restrict(at, ALWAYS | MountFlags::RDONLY),
        };
        laid.map_err(|error| io::Error::other(format!("{layer:?}: {error}")))?;
    }
    Ok(())
}

/// Takes hold of what a layer shows of the machine.
fn hold(layer: &Layer) -> io::Result<Vec<OwnedFd>> {
    let (shown, may_be_missing) = match layer {
        Layer::Devices => (DEVICES.map(Path::new).to_vec(), false),
        Layer::Shown { what, how, .. } => (vec![what.as_path()], *how == How::ReadableIfThere),
        _ => (Vec::new(), false),
    };
    let mut held = Vec::new();
    for path in shown {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        match open_tree(CWD, path, flags) {
            Ok(tree) => held.push(tree),
            Err(rustix::io::Errno::NOENT) if may_be_missing => {}
            Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
        }
    }
    Ok(held)
}

fn lay_devices(held: &[OwnedFd]) -> io::Result<()> {
    lay_memory(Path::new("/dev"), WAY_MODE, None)?;
    for (device, at) in held.iter().zip(DEVICES) {
        // It is a device, and is to be used as one.
        show(device, Path::new(at), MountFlags::NOSUID)?;
    }
    for (to, at) in LINKS {
        std::os::unix::fs::symlink(to, at)?;
    }
    make_folder(Path::new("/dev/shm"))?;
    make_folder(Path::new("/dev/pts"))?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    Ok(mount("devpts", "/dev/pts", "devpts", flags, c"newinstance,ptmxmode=0666,mode=620")?)
}

fn lay_processes() -> io::Result<()> {
    mount("proc", "/proc", "proc", ALWAYS | MountFlags::NOEXEC, None)?;
    for at in OF_THE_MACHINE.map(Path::new).into_iter().filter(|at| access(*at, Access::WRITE_OK).is_ok()) {
        mount_bind(at, at)?;
        restrict(at, ALWAYS | MountFlags::RDONLY)?;
    }
    Ok(())
}

fn lay_memory(at: &Path, mode: u32, bytes_max: Option<u64>) -> io::Result<()> {
    make_folder(at)?;
    let size = bytes_max.map_or_else(String::new, |most| format!(",size={most}"));
    let options = CString::new(format!("mode={mode:04o}{size}"))?;
    Ok(mount("tmpfs", at, "tmpfs", ALWAYS, options.as_c_str())?)
}

fn show(held: &OwnedFd, at: &Path, flags: MountFlags) -> io::Result<()> {
    make_place(held, at)?;
    let move_flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(held, "", CWD, at, move_flags)?;
    restrict(at, flags)
}

/// Makes what something can be shown at: a folder for a folder, a file for anything else.
fn make_place(held: &OwnedFd, at: &Path) -> io::Result<()> {
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(held.as_fd())?.st_mode);
    if kind.is_dir() {
        return make_folder(at);
    }
    if at.exists() {
        return Ok(());
    }
    at.parent().map_or(Ok(()), make_folder)?;
    std::fs::File::create_new(at).map(drop)
}

fn make_folder(at: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(WAY_MODE).create(at)
}

/// Sets what is forbidden at a mount. What may run there, and how its times are kept, stays as it is on the machine.
fn restrict(at: &Path, flags: MountFlags) -> io::Result<()> {
    let has = statvfs(at)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.into_iter().filter(|(has_it, _)| has.contains(*has_it)).map(|(_, flag)| flag);
    Ok(mount_remount(at, kept.fold(MountFlags::BIND | flags, MountFlags::union), "")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Vec<Layer> {
        let shown = |how| Layer::Shown { what: "/srv/a".into(), at: "/b".into(), how };
        vec![
            Layer::Devices,
            Layer::Processes,
            Layer::Memory { at: "/run".into(), mode: 0o1777, bytes_max: Some(5) },
            Layer::Memory { at: "/srv".into(), mode: 0o755, bytes_max: None },
            Layer::Folder { at: "/srv/x".into() },
            shown(How::Readable),
            shown(How::ReadableIfThere),
            shown(How::Writable),
            Layer::Sealed { at: "/srv".into() },
        ]
    }

    #[test]
    fn a_layer_is_read_as_it_was_told() {
        for layer in layers() {
            assert_eq!(Layer::read(layer.fields()), Some(layer));
        }
        let [kind, at, ..] = layers()[2].fields();
        assert_eq!(Layer::read([kind, at, Vec::new(), Vec::new()]), None);
        assert_eq!(Layer::read([b"else".to_vec(), Vec::new(), Vec::new(), Vec::new()]), None);
    }

    #[test]
    fn bwrap_is_told_the_same() {
        let told: Vec<String> = layers()
            .iter()
            .map(|layer| layer.words().iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "--dev /dev",
            "--proc /proc",
            "--perms 1777 --size 5 --tmpfs /run",
            "--perms 0755 --tmpfs /srv",
            "--perms 0755 --dir /srv/x",
            "--ro-bind /srv/a /b",
            "--ro-bind-try /srv/a /b",
            "--bind /srv/a /b",
            "--remount-ro /srv",
        ];
        assert_eq!(told, expected);
    }
}
