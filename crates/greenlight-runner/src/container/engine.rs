//! The engine, spoken with over the Docker API: where it is, and one request after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

/// How large an answer may be that is read as a whole.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// How long an engine may take to say that it is there.
const PING_TIME_MAX: Duration = Duration::from_secs(10);

/// The version of the API that is asked for: Docker 20.10 and Podman 4 speak it.
const VERSION: &str = "v1.41";

/// What went wrong with the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is none.
    #[error(
        "there is no container engine: install Docker, or Podman with its socket (`systemctl enable --now podman.socket`), or set \
         DOCKER_HOST to where one listens; tried {0}"
    )]
    Missing(String),
    /// It does not answer.
    #[error("the container engine cannot be spoken with: {0}")]
    Unreachable(String),
    /// It says no.
    #[error("the container engine refuses ({status}): {message}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// What it says.
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Tcp(String),
}

/// A container engine.
#[derive(Clone, Debug)]
pub struct Engine {
    address: Address,
    name: String,
}

impl Engine {
    /// Finds the engine: `DOCKER_HOST`, then `/var/run/docker.sock`, then Podman's socket.
    pub async fn find() -> Result<Self, EngineError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut tried = Vec::new();
        for address in addresses(variable("DOCKER_HOST").as_deref(), variable("XDG_RUNTIME_DIR").as_deref()) {
            let mut engine = Self { address, name: String::new() };
            let shown = engine.shown();
            match tokio::time::timeout(PING_TIME_MAX, engine.get("/version")).await {
                Ok(Ok(version)) => {
                    let parts = version.get("Components").and_then(Value::as_array);
                    let is_podman = parts.is_some_and(|parts| {
                        parts.iter().any(|part| part["Name"].as_str().is_some_and(|name| name.contains("Podman")))
                    });
                    let version = version["Version"].as_str().unwrap_or_default();
                    engine.name = format!("{} {version}", if is_podman { "Podman" } else { "Docker" });
                    return Ok(engine);
                }
                Ok(Err(error)) => tried.push(format!("{shown} ({error})")),
                Err(_) => tried.push(format!("{shown} (no answer)")),
            }
        }
        Err(EngineError::Missing(tried.join(", ")))
    }

    /// Returns which engine it is and where, in words.
    pub fn told(&self) -> String {
        format!("{} at {}", self.name, self.shown())
    }

    fn shown(&self) -> String {
        match &self.address {
            Address::Unix(path) => format!("unix://{}", path.display()),
            Address::Tcp(host) => format!("tcp://{host}"),
        }
    }

    /// Asks for something.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, EngineError> {
        self.json(Method::GET, path, None).await
    }

    /// Tells it to do something, and returns its answer.
    pub(crate) async fn post(&self, path: &str, body: Option<Value>) -> Result<Value, EngineError> {
        self.json(Method::POST, path, body).await
    }

    /// Removes something. That it is gone already is as good.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), EngineError> {
        match self.json(Method::DELETE, path, None).await {
            Ok(_) | Err(EngineError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, EngineError> {
        let body = body.map(|body| (Bytes::from(body.to_string()), "application/json"));
        let answer = self.ask(method, path, body, &[]).await?;
        let bytes = whole(answer.into_body()).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Tells it to do something, and returns its answer to be read as it comes.
    pub(crate) async fn stream(
        &self,
        path: &str,
        body: Option<(Bytes, &str)>,
        headers: &[(&str, &str)],
    ) -> Result<Incoming, EngineError> {
        self.ask(Method::POST, path, body, headers).await.map(Response::into_body)
    }

    /// Asks for something that is to be read as it comes.
    pub(crate) async fn lines(&self, path: &str) -> Result<Incoming, EngineError> {
        self.ask(Method::GET, path, None, &[]).await.map(Response::into_body)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(Bytes, &str)>,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>, EngineError> {
        let unreachable = |error: &dyn std::fmt::Display| EngineError::Unreachable(error.to_string());
        let mut request = Request::builder().method(method).uri(format!("/{VERSION}{path}")).header("host", "engine");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some((_, kind)) = &body {
            request = request.header("content-type", *kind);
        }
        let request = request.body(Full::new(body.map(|(bytes, _)| bytes).unwrap_or_default()));
        let request = request.map_err(|error| unreachable(&error))?;
        let answer = match &self.address {
            Address::Unix(path) => {
                send(UnixStream::connect(path).await.map_err(|error| unreachable(&error))?, request).await
            }
            Address::Tcp(host) => {
                send(TcpStream::connect(host).await.map_err(|error| unreachable(&error))?, request).await
            }
        };
        let answer = answer.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        if status.is_success() || status.as_u16() == 304 || status.is_informational() {
            return Ok(answer);
        }
        let bytes = whole(answer.into_body()).await?;
        let told: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let message = told["message"].as_str().or_else(|| told["cause"].as_str()).map(str::to_owned);
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
        Err(EngineError::Refused { status: status.as_u16(), message: message.trim().to_owned() })
    }
}

/// One connection per request: they are few, and some of them live as long as a step.
async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // Its end shows in the answer's body.
        let _ = connection.await;
    });
    sender.send_request(request).await
}

async fn whole(body: Incoming) -> Result<Bytes, EngineError> {
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| EngineError::Unreachable(error.to_string()))
}

fn addresses(host: Option<&str>, runtime: Option<&str>) -> Vec<Address> {
    let mut addresses = Vec::new();
    if let Some(host) = host {
        match (host.strip_prefix("unix://"), host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://"))) {
            (Some(path), _) => addresses.push(Address::Unix(path.into())),
            (_, Some(host)) => addresses.push(Address::Tcp(host.trim_end_matches('/').to_owned())),
            _ => addresses.push(Address::Unix(host.into())),
        }
        // Who names one means that one.
        return addresses;
    }
    addresses.push(Address::Unix("/var/run/docker.sock".into()));
    if let Some(runtime) = runtime {
        addresses.push(Address::Unix(Path::new(runtime).join("podman/podman.sock")));
    }
    addresses.push(Address::Unix("/run/podman/podman.sock".into()));
    addresses
}

/// Escapes a text for a path or a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::job::pull;
    use super::*;

    #[test]
    fn the_one_that_is_named_is_the_only_one() {
        assert_eq!(addresses(Some("unix:///x/y.sock"), Some("/run/user/1")), [Address::Unix("/x/y.sock".into())]);
        assert_eq!(addresses(Some("tcp://1.2.3.4:5/"), None), [Address::Tcp("1.2.3.4:5".into())]);
        let found = addresses(None, Some("/run/user/1"));
        let paths = ["/var/run/docker.sock", "/run/user/1/podman/podman.sock", "/run/podman/podman.sock"];
        assert_eq!(found, paths.map(|path| Address::Unix(path.into())));
    }

    /// An engine that has no image and gets every one. Returns it, and what it is asked.
    fn generous(folder: &Path) -> (Engine, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let path = folder.join("engine.sock");
        let door = tokio::net::UnixListener::bind(&path).unwrap();
        let (asked, heard) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = door.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let is_pull = request.starts_with(b"POST");
                asked.send(String::from_utf8(request).unwrap()).unwrap();
                let status = if is_pull { "200 OK" } else { "404 Not Found" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (Engine { address: Address::Unix(path), name: String::new() }, heard)
    }

    #[tokio::test]
    async fn credentials_go_to_the_engine_in_their_header_only() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, mut heard) = generous(folder.path());
        let mut pulled = async |credentials| {
            pull(&engine, "ghcr.io/octo/tool:2", credentials).await.unwrap();
            (heard.recv().await.unwrap(), heard.recv().await.unwrap())
        };
        let mona = ("mona".to_owned(), "pass/word+1".to_owned());
        let (looked, asked) = pulled(Some(&mona)).await;
        assert!(looked.starts_with("GET ") && !looked.contains("x-registry-auth"), "{looked}");
        assert!(asked.contains("/images/create?fromImage=ghcr.io%2Focto%2Ftool&tag=2 "), "{asked}");
        let header = asked.lines().find_map(|line| line.strip_prefix("x-registry-auth: ")).unwrap();
        let login: Value = serde_json::from_slice(&URL_SAFE.decode(header).unwrap()).unwrap();
        let expected = json!({ "username": "mona", "password": "pass/word+1", "serveraddress": "ghcr.io" });
        assert_eq!(login, expected);
        let (_, asked) = pulled(None).await;
        assert!(!asked.contains("x-registry-auth"), "{asked}");
    }

    #[tokio::test]
    async fn a_missing_engine_says_how_to_get_one() {
        let engine = Engine { address: Address::Unix("/nowhere".into()), name: String::new() };
        assert!(matches!(engine.get("/version").await, Err(EngineError::Unreachable(_))));
        let told = EngineError::Missing("x".into()).to_string();
        assert!(told.contains("install Docker") && told.contains("podman.socket") && told.contains("DOCKER_HOST"));
    }
}
