//! Reading a step's pipe: to the end of the process that was started, or of all that write into it.

use rustix::io::Errno;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Output, PIPE_BYTES, PIPE_BYTES_LARGE};

/// How much is read of what was written before a process ended: no pipe holds more.
const LEFT_BYTES_MAX: usize = 1 << 20;

/// Reads a pipe into a step's output until all its writers are gone, or until the step's own process ended: what that one
/// wrote is in the pipe then, and what others write later is nobody's line. Returns the pipe where it still has writers.
pub(crate) async fn pump(
    pipe: pipe::Receiver,
    mut output: Output,
    mut ended: oneshot::Receiver<()>,
) -> (Output, Option<pipe::Receiver>) {
    loop {
        output.show_what_is_due().await;
        let has_ended = tokio::select! {
            biased;
            _ = &mut ended => true,
            readable = pipe.readable() => {
                if readable.is_err() {
                    return (output, None);
                }
                false
            }
            () = until(output.due_at()) => continue,
        };
        if has_ended {
            let has_writers = drain(&pipe, &mut output).await;
            return (output, has_writers.then_some(pipe));
        }
        let read = |room: &mut [u8]| pipe.try_read(room).map_err(|error| error.kind());
        let (length, is_over) = output.take_in(|room| fill(room, read)).await;
        if is_over {
            return (output, None);
        }
        if length >= output.pipe_bytes && output.pipe_bytes < PIPE_BYTES_LARGE {
            // A user has only so much room in pipes; where there is none left it stays as it is.
            let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES_LARGE);
            output.pipe_bytes = PIPE_BYTES_LARGE;
        }
    }
}

/// Waits until then; for ever where nothing is due.
async fn until(due_at: Option<Instant>) {
    match due_at {
        Some(due_at) => tokio::time::sleep_until(due_at).await,
        None => std::future::pending().await,
    }
}

/// Reads what is in the pipe now, past what the runtime knows of it. Returns whether the pipe still has writers.
async fn drain(pipe: &pipe::Receiver, output: &mut Output) -> bool {
    let mut left = LEFT_BYTES_MAX;
    while left > 0 {
        let read = |room: &mut [u8]| {
            rustix::io::read(pipe, room).map_err(|error| match error {
                Errno::AGAIN => std::io::ErrorKind::WouldBlock,
                Errno::INTR => std::io::ErrorKind::Interrupted,
                _ => std::io::ErrorKind::Other,
            })
        };
        let (length, is_over) = output.take_in(|room| fill(room, read)).await;
        if is_over {
            return false;
        }
        if length == 0 {
            return true;
        }
        left = left.saturating_sub(length);
    }
    true
}

/// Reads until the block is full or nothing more is there. Returns how much was read and whether that was the end.
fn fill(block: &mut [u8], mut read: impl FnMut(&mut [u8]) -> Result<usize, std::io::ErrorKind>) -> (usize, bool) {
    let mut length = 0;
    while length < block.len() {
        match read(&mut block[length..]) {
            Ok(0) => return (length, true),
            Ok(count) => length += count,
            Err(std::io::ErrorKind::Interrupted) => {}
            Err(std::io::ErrorKind::WouldBlock) => return (length, false),
            Err(_) => return (length, true),
        }
    }
    (length, false)
}

/// Reads and forgets what a process in the background still writes, so that it is not stopped by a broken pipe.
pub(crate) async fn discard(pipe: pipe::Receiver) {
    let mut block = vec![0; PIPE_BYTES];
    while pipe.readable().await.is_ok() {
        match pipe.try_read(&mut block) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}
