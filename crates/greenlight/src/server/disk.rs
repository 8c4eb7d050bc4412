//! Watches how full the disk is: new jobs stop first, then deliveries, so that what is stored already stays whole (R19). The jobs that
//! run are ended then, but for deployments: what they leave is removed, and one of them may be what fills it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use greenlight_core::fact::{Click, Fact, Wish};

use super::Shared;

/// How often.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often while it is too full for something.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// From here on no new job starts, in percent.
const JOBS_STOP: u64 = 90;
/// From here on no delivery is taken, in percent.
const INTAKE_STOPS: u64 = 95;
/// However large the disk, with so much room left all goes on.
const ROOM_ENOUGH: u64 = 10 << 30;
/// What is waited for when the disk is full.
const DISK: &str = "disk";

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let mut was_full = false;
    loop {
        let mut pause = LOOK_EVERY;
        if let Ok(found) = rustix::fs::statvfs(&shared.config.data) {
            let (free, whole) = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize);
            let used = (whole - free.min(whole)) * 100 / whole.max(1);
            let used = if free > ROOM_ENOUGH { 0 } else { used };
            judge(&shared, used);
            if std::mem::replace(&mut was_full, used >= INTAKE_STOPS) && !was_full {
                catch_up(&shared).await;
            }
            pause = if used >= JOBS_STOP { LOOK_AGAIN } else { LOOK_EVERY };
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

/// What was refused meanwhile is found by comparing: at once, not when that is due.
async fn catch_up(shared: &Shared) {
    for handle in shared.directory.all() {
        let click = Click { wish: Wish::Sync, by: "the server".into() };
        if let Err(error) = handle.ask(Fact::Click(click)).await {
            tracing::warn!("{} is not compared with GitHub at once: {error}", handle.reference().full_name);
        }
    }
}

fn judge(shared: &Shared, used: u64) {
    shared.door.set_full(used >= INTAKE_STOPS);
    if used >= INTAKE_STOPS {
        shared.pool.cancel_all(&format!("cancelled: the disk of the machine is {INTAKE_STOPS} % full").into());
    }
    shared.jobs_stopped.store(used >= JOBS_STOP, Ordering::Relaxed);
    match used {
        INTAKE_STOPS.. => {
            shared.standing.wait(DISK, format!("it is {INTAKE_STOPS} % full: no delivery is taken until there is room"))
        }
        JOBS_STOP.. => {
            shared.standing.wait(DISK, format!("it is {JOBS_STOP} % full: no new job starts until there is room"))
        }
        _ => shared.standing.clear(DISK),
    }
}
