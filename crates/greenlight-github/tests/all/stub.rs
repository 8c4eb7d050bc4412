//! A small HTTP server that answers as a test tells it, and writes down what it was sent.
//!
//! A request that GitHub does not describe fails the test, whatever the test is about.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use greenlight_github::client::{Client, Credentials, Settings};
use greenlight_github::secret::Secret;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::description;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Method and path, to be matched on.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What is answered.
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    hangs_up: bool,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Value>) -> Self {
        Self { status, headers: Vec::new(), body: body.into().to_string().into(), hangs_up: false }
    }

    pub fn ok(body: impl Into<Value>) -> Self {
        Self::new(200, body)
    }

    /// GitHub's way to say no.
    pub fn no(status: u16, message: &str) -> Self {
        Self::new(status, serde_json::json!({ "message": message }))
    }

    pub fn raw(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), hangs_up: false }
    }

    /// The connection ends without an answer.
    pub fn nothing() -> Self {
        Self { hangs_up: true, ..Self::raw(0, "") }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The server. It ends with the test.
pub struct Stub {
    pub address: String,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    seen: Mutex<Vec<Seen>>,
    problems: Mutex<Vec<String>>,
    open: AtomicUsize,
    open_most: AtomicUsize,
}

impl Stub {
    pub async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let record = Arc::<Record>::default();
        let (answer, kept) = (Arc::new(answer), record.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), kept.clone()));
            }
        });
        Self { address, record }
    }

    /// Returns a client with a personal token.
    pub fn client(&self) -> Client {
        let credentials = Credentials::Token(Secret::new("ghp_secret").unwrap());
        Client::new(Settings { api_url: self.address.clone(), credentials }).unwrap()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.record.seen.lock().unwrap().clone()
    }

    /// How many requests were waiting for their answers at a time.
    pub fn open_most(&self) -> usize {
        self.record.open_most.load(Ordering::SeqCst)
    }

    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// Returns the body of the one request of this line.
    pub fn body_of(&self, line: &str) -> Value {
        let seen = self.seen();
        let mut found = seen.iter().filter(|seen| seen.line() == line);
        let body = found.next().unwrap_or_else(|| panic!("no {line} in {:?}", self.lines())).body.clone();
        assert!(found.next().is_none(), "more than one {line}");
        body.unwrap_or(Value::Null)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let problems = self.record.problems.lock().unwrap();
        if !std::thread::panicking() {
            assert!(problems.is_empty(), "GitHub would not take this: {problems:?}");
        }
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<impl Fn(&Seen) -> Answer>, record: Arc<Record>) {
    while let Some(seen) = receive(&mut stream).await {
        // Paths of a GitHub Enterprise Server stand below /api/v3.
        let path = seen.path.strip_prefix("/api/v3").unwrap_or(&seen.path);
        if let Some(problem) = description::problem(&seen.method, path, &seen.query, seen.body.as_ref()) {
            record.problems.lock().unwrap().push(problem);
        }
        record.seen.lock().unwrap().push(seen.clone());
        let open = record.open.fetch_add(1, Ordering::SeqCst) + 1;
        record.open_most.fetch_max(open, Ordering::SeqCst);
        // Whoever else has something to send gets the chance to.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        record.open.fetch_sub(1, Ordering::SeqCst);
        let answer = answer(&seen);
        if answer.hangs_up {
            return;
        }
        let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let sent = stream.write_all(head.as_bytes()).await.and(stream.write_all(&answer.body).await);
        if sent.is_err() {
            return;
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = &bytes[end + 4..end + 4 + length];
    let body = (!body.is_empty()).then(|| serde_json::from_slice(body).unwrap());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Seen { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}
