//! Whoever started us, where we are to end with them: they hold the other end of our standard input.

use std::io::Read as _;

use tokio::sync::oneshot;

/// Waits until the standard input is closed; for ever where nobody asked to.
pub async fn gone(is_watched: bool) {
    if !is_watched {
        return std::future::pending().await;
    }
    let (sender, closed) = oneshot::channel();
    // Nothing but its end can interrupt a read, so that the thread is left to the end of the program.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut ignored = [0; 512];
        while matches!(input.read(&mut ignored), Ok(1..)) {}
        // Where nobody waits any more, we are ending already.
        let _ending = sender.send(());
    });
    // Both outcomes mean that the thread has ended.
    let _closed = closed.await;
}
