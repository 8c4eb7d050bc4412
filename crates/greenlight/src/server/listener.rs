//! Listens, and serves whoever comes. Anybody may come to the public listener: a connection on which nothing is asked is ended, so
//! that those who only stand there do not take the place of those who bring something.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;

/// How long an address that is taken is tried again at start.
const LISTEN_WAIT_MAX: Duration = Duration::from_secs(10);
const LISTEN_WAIT: Duration = Duration::from_millis(50);
/// How long a connection may be there without the head of a request: the first, or another one.
const ASK_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait before the next connection where there is no room for one.
const ROOM_WAIT: Duration = Duration::from_millis(200);

/// Listens at an address. One that is taken is tried again for a while: a server that was killed may have left a child behind
/// that still holds its sockets, until that child begins its own program.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let deadline = tokio::time::Instant::now() + LISTEN_WAIT_MAX;
    let mut is_told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(source) if source.kind() == ErrorKind::AddrInUse && tokio::time::Instant::now() < deadline => {
                if !is_told {
                    let within = LISTEN_WAIT_MAX.as_secs();
                    tracing::warn!(
                        "{address} is taken (is another server running?): it is waited for, {within} s at most"
                    );
                    is_told = true;
                }
                tokio::time::sleep(LISTEN_WAIT).await;
            }
            Err(source) => return Err(StartError::Listen { address, source }),
        }
    }
}

/// Serves until the server stops, and until those that are being answered then are.
pub async fn serve(listener: TcpListener, routes: axum::Router, stop: CancellationToken) {
    serve_each(listener, routes, stop, ASK_WITHIN).await;
}

async fn serve_each(listener: TcpListener, routes: axum::Router, stop: CancellationToken, ask_within: Duration) {
    let connections = TaskTracker::new();
    let mut is_crowded = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                is_crowded = false;
                connections.spawn(answer(stream, routes.clone(), stop.clone(), ask_within));
            }
            Err(error) if is_of_one(error.kind()) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_crowded, true) {
                    tracing::error!("no connection can be taken: {error}");
                }
                tokio::time::sleep(ROOM_WAIT).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// Did a connection go before it was taken?
fn is_of_one(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}

async fn answer(stream: TcpStream, routes: axum::Router, stop: CancellationToken, ask_within: Duration) {
    // Without it an answer in two parts waits for the other side's clock; where it is refused it is only slower.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(ask_within);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!("a connection ended: {error}");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const DEADLINE: Duration = Duration::from_secs(20);
    const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";

    async fn served(ask_within: Duration) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let routes = axum::Router::new().route("/", axum::routing::get(async || "here"));
        (address, stop.clone(), tokio::spawn(serve_each(listener, routes, stop, ask_within)))
    }

    /// Returns all that comes until the connection is ended.
    async fn until_ended(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut text));
        read.await.expect("the connection is ended").unwrap();
        text
    }

    #[tokio::test]
    async fn who_asks_nothing_is_sent_away() {
        let (address, stop, task) = served(SHORT).await;
        for part in [&b""[..], b"POST /webhooks/gi", WHOLE] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(part).await.unwrap();
            let answered = until_ended(stream).await.ends_with("here");
            assert_eq!(answered, part == WHOLE, "{}", String::from_utf8_lossy(part));
        }
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_ends_with_the_server() {
        let (address, stop, task) = served(DEADLINE).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = [0; 512];
        for _ in 0..2 {
            stream.write_all(WHOLE).await.unwrap();
            let length = stream.read(&mut answer).await.unwrap();
            assert!(answer[..length].ends_with(b"here"), "{}", String::from_utf8_lossy(&answer[..length]));
        }
        stop.cancel();
        assert_eq!(until_ended(stream).await, "");
        tokio::time::timeout(DEADLINE, task).await.expect("it ends").unwrap();
    }
}
