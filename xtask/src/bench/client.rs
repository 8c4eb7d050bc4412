//! The load: clients that send one delivery after the other over a kept connection.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is sent, but for the delivery's id.
pub struct Request {
    /// The path.
    pub path: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Its signature.
    pub signature: String,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests a second.
    pub rate: f64,
    /// Half of the answers came within this, in milliseconds.
    pub p50: f64,
    /// 99 of 100 answers came within this, in milliseconds.
    pub p99: f64,
}

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// Sends for so long with so many clients. Any answer but a success is an error.
pub fn load(
    address: SocketAddr,
    request: &Arc<Request>,
    clients: usize,
    length: Duration,
) -> Result<Load, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (request, stop) = (request.clone(), stop.clone());
            thread::spawn(move || client(address, &request, &stop).map_err(|error| error.to_string()))
        })
        .collect();
    thread::sleep(length);
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().map_err(|_| "a client panicked")??);
    }
    let passed = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index below the length"
        )]
        let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    };
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let rate = times.len() as f64 / passed;
    Ok(Load { rate, p50: at(0.5), p99: at(0.99) })
}

fn client(address: SocketAddr, request: &Request, stop: &AtomicBool) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut times = Vec::new();
    let mut message = Vec::with_capacity(request.body.len() + 1024);
    let mut answer = vec![0; 16 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        message.clear();
        write!(
            message,
            "POST {} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-GitHub-Event: pull_request\r\n\
             X-GitHub-Delivery: 00000000-0000-4000-8000-{serial:012x}\r\nX-Hub-Signature-256: {}\r\n\r\n",
            request.path,
            request.body.len(),
            request.signature
        )?;
        message.extend_from_slice(&request.body);
        let began = Instant::now();
        stream.write_all(&message)?;
        let read = read_answer(&mut stream, &mut answer)?;
        times.push(began.elapsed());
        let status = &answer[..read.min(12)];
        if !status.starts_with(b"HTTP/1.1 2") {
            return Err(format!("answered {}", String::from_utf8_lossy(&answer[..read.min(200)])).into());
        }
    }
    Ok(times)
}

/// Reads one answer: head and as much body as its length says.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Err("the connection was closed".into());
        }
        filled += read;
        let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|text| text.trim().parse::<usize>().ok());
        if filled >= end + 4 + length.unwrap_or(0) {
            return Ok(filled);
        }
    }
}
