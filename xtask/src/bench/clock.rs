//! What steps tell about the time.
//!
//! A job sees no folder but its own, so a step sends its clock to a socket on loopback, a datagram each.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// The most that a step tells.
const TOLD_BYTES_MAX: usize = 512;

/// Listens to what steps tell, until the program ends.
pub struct Clock {
    port: u16,
    lines: Arc<Mutex<String>>,
}

impl Clock {
    /// Begins to listen.
    pub fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        let lines = Arc::new(Mutex::new(String::new()));
        let told = lines.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; TOLD_BYTES_MAX];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                told.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Ok(Self { port, lines })
    }

    /// Returns the file that bash writes to so that it is heard here.
    pub fn target(&self) -> String {
        format!("/dev/udp/127.0.0.1/{}", self.port)
    }

    /// Returns the clock that was told under a name, in milliseconds.
    pub fn of(&self, name: &str) -> Option<f64> {
        told(&self.lines.lock().unwrap_or_else(PoisonError::into_inner), name)
    }
}

/// Returns the clock that stands under a name in these lines, in milliseconds.
pub fn told(lines: &str, name: &str) -> Option<f64> {
    let mut lines = lines.lines().filter_map(|line| line.split_once(' '));
    let seconds = lines.find_map(|(known, clock)| (known == name).then(|| clock.parse::<f64>().ok())?)?;
    Some(seconds * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_tells_is_heard() {
        let clock = Clock::start().unwrap();
        let step = format!("echo \"a 1.5\" >'{}'", clock.target());
        assert!(std::process::Command::new("bash").args(["-c", &step]).status().unwrap().success());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while clock.of("a").is_none() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(clock.of("a"), Some(1500.0));
        assert_eq!(clock.of("b"), None);
    }
}
