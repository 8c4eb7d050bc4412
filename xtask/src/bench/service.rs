//! A program that is measured: started with a folder of its own, stopped and waited for when it goes out of scope.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a program may take to accept connections.
const START_MAX: Duration = Duration::from_secs(20);
/// Lines of a profile that are printed.
const PROFILE_LINES: usize = 40;

/// A program under measurement.
pub struct Service {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    folder: PathBuf,
    /// How long it took from its start to its first accepted connection.
    pub started_in: Duration,
}

impl Service {
    /// Starts a program; `configure` gets its folder and the command.
    pub fn start(
        program: &Path,
        address: SocketAddr,
        configure: impl FnOnce(&Path, &mut Command) -> Result<(), Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!("greenlight-bench-{}-{}", std::process::id(), address.port()));
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(program);
        command
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("stderr"))?);
        configure(&folder, &mut command)?;
        let began = Instant::now();
        let child = command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let mut service = Self { child, address, folder, started_in: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > START_MAX || service.child.try_wait()?.is_some() {
                let said = fs::read_to_string(service.folder.join("stderr")).unwrap_or_default();
                return Err(format!("{} does not listen: {said}", program.display()).into());
            }
            sleep(Duration::from_millis(1));
        }
        service.started_in = began.elapsed();
        Ok(service)
    }

    /// Prints where its CPU time goes for so long, where perf is there.
    pub fn print_profile(&self, length: Duration) -> Result<(), Box<dyn Error>> {
        let data = self.folder.join("perf.data");
        let (pid, seconds) = (self.child.id().to_string(), length.as_secs().max(1).to_string());
        let mut record = Command::new("perf");
        record.args(["record", "--quiet", "-e", "cpu-clock", "-F", "499", "-p", &pid, "-o"]).arg(&data);
        let recorded = record.args(["--", "sleep", &seconds]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !recorded.is_ok_and(|status| status.success()) {
            println!("no profile: perf is not there, or may not look at other processes");
            return Ok(());
        }
        let mut report = Command::new("perf");
        report.args(["report", "--stdio", "--no-children", "-g", "none", "--sort", "comm,dso,sym", "-i"]).arg(&data);
        let output = report.stderr(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).take(PROFILE_LINES) {
            println!("{line}");
        }
        Ok(())
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the resident memory, in MB.
    pub fn resident_megabytes(&self) -> f64 {
        self.megabytes("VmRSS:")
    }

    /// Returns the most memory that was resident since the peak was forgotten, in MB.
    pub fn peak_megabytes(&self) -> f64 {
        self.megabytes("VmHWM:")
    }

    /// Lets the peak of the memory begin anew.
    pub fn forget_peak(&self) -> std::io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
    }

    fn megabytes(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; what matters is that it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns an address on the loopback that nobody listens on.
pub fn free_address() -> Result<SocketAddr, Box<dyn Error>> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Builds a workspace's binary in a release build and returns its path.
pub fn build(root: &Path, manifest: &str, package: &str, binary: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args([
        "build",
        "--release",
        "--quiet",
        "--manifest-path",
        manifest,
        "--package",
        package,
        "--bin",
        binary,
    ]);
    if !command.status()?.success() {
        return Err(format!("{binary} does not build").into());
    }
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => root.join(manifest).parent().map_or_else(|| root.to_path_buf(), Path::to_path_buf).join("target"),
    };
    // It is started from other folders.
    Ok(target.join("release").join(binary).canonicalize()?)
}
