//! Logs: live, followed, after a crash, finished.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use greenlight_core::id::{AttemptId, JobKey, RepoId, RunNumber};
use greenlight_store::{Blobs, LOG_BYTES_MAX, LogError, LogPage, Logs};
use tempfile::TempDir;

use crate::made;

fn open(directory: &Path) -> Arc<Logs> {
    open_with(directory, LOG_BYTES_MAX)
}

fn open_with(directory: &Path, quota: u64) -> Arc<Logs> {
    let blobs = Blobs::open(&directory.join("blobs")).unwrap();
    Logs::open_with_quota(&directory.join("live"), blobs, quota).unwrap()
}

fn logs() -> (TempDir, Arc<Logs>) {
    let directory = tempfile::tempdir().unwrap();
    let logs = open(directory.path());
    (directory, logs)
}

fn attempt(job: &str) -> AttemptId {
    AttemptId { repo: RepoId(1), run: RunNumber(12), run_attempt: 1, job: JobKey::from(job), tried: 1 }
}

fn texts(page: &LogPage) -> Vec<String> {
    page.lines().map(|line| String::from_utf8_lossy(line.text).into_owned()).collect()
}

/// Lines "from" to "to", as a runner gives them.
fn block(from: u64, to: u64) -> Bytes {
    (from..to).map(|number| format!("line {number}\n")).collect::<String>().into()
}

async fn whole(logs: &Logs, attempt: &AttemptId) -> Vec<String> {
    let mut lines = Vec::new();
    let mut next = 0;
    loop {
        let page = logs.read(attempt, next, 10_000).await.unwrap();
        if page.blocks.is_empty() {
            return lines;
        }
        assert_eq!(page.blocks[0].first_line, next);
        lines.extend(texts(&page));
        next = page.next;
    }
}

#[tokio::test]
async fn a_log_is_read_from_any_line_while_it_grows_and_afterwards() {
    let (directory, logs) = logs();
    let attempt = attempt("test (1, linux/amd64) ../..");
    const LINES: u64 = 200_000;
    let mut lines = 0;
    for (step, from) in (0..LINES).step_by(1000).enumerate() {
        lines =
            logs.append(&attempt, step as u32 / 100, made::at(step as i64), block(from, from + 1000)).await.unwrap();
    }
    assert_eq!(lines, LINES);
    check_any_line(&logs, &attempt, LINES).await;
    let shape = logs.shape(&attempt).await.unwrap().unwrap();
    assert_eq!((shape.lines, shape.steps, shape.finished), (LINES, vec![(0, 0), (1, 100_000)], false));

    logs.finish(&attempt).await.unwrap();
    check_any_line(&logs, &attempt, LINES).await;
    let finished = logs.shape(&attempt).await.unwrap().unwrap();
    assert_eq!((finished.lines, finished.bytes, finished.finished), (LINES, shape.bytes, true));
    assert_eq!(finished.steps, [(0, 0), (1, 100_000)]);
    assert!(logs.read(&attempt, LINES, 10).await.unwrap().finished);
    // Its file is gone, and what is stored is smaller.
    assert_eq!(logs.unfinished().await.unwrap(), []);
    assert_eq!(std::fs::read_dir(directory.path().join("live")).unwrap().count(), 0);

    // A server that starts later reads the same.
    drop(logs);
    let again = open(directory.path());
    check_any_line(&again, &attempt, LINES).await;
    again.finish(&attempt).await.unwrap();
    let late = again.append(&attempt, 0, made::at(0), block(0, 1)).await;
    assert!(matches!(late, Err(LogError::Finished(_))), "{late:?}");
    again.remove(&attempt).await.unwrap();
    assert_eq!(again.shape(&attempt).await.unwrap(), None);
}

async fn check_any_line(logs: &Logs, attempt: &AttemptId, lines: u64) {
    for from in [0, 1, 999, 1000, 54_321, lines / 2, lines - 1500, lines - 1] {
        let page = logs.read(attempt, from, 3).await.unwrap();
        let expected: Vec<String> = (from..lines.min(from + 3)).map(|number| format!("line {number}")).collect();
        assert_eq!(texts(&page), expected);
        assert_eq!(page.next, lines.min(from + 3));
        let line = page.lines().next().unwrap();
        assert_eq!((line.number, line.at), (from, made::at(from as i64 / 1000)));
        assert_eq!(u64::from(line.step), from / 100_000);
    }
    assert!(logs.read(attempt, lines, 3).await.unwrap().blocks.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_see_every_line_once_and_a_slow_one_holds_nobody_up() {
    let (_directory, logs) = logs();
    let attempt = attempt("test");
    const LINES: u64 = 100_000;
    // They come before the first line; one of them reads only when everything is over.
    let mut slow = logs.follow(&attempt, 0).await.unwrap();
    let mut followers = Vec::new();
    for from in [0, 5, 60_000] {
        let mut follower = logs.follow(&attempt, from).await.unwrap();
        followers.push(tokio::spawn(async move {
            let mut expected = from;
            while let Some(page) = follower.next().await.unwrap() {
                for line in page.lines() {
                    assert_eq!((line.number, line.text), (expected, format!("line {expected}").as_bytes()));
                    expected += 1;
                }
            }
            expected
        }));
    }
    for from in (0..LINES).step_by(250) {
        logs.append(&attempt, 0, made::at(0), block(from, from + 250)).await.unwrap();
    }
    logs.finish(&attempt).await.unwrap();
    for follower in followers {
        assert_eq!(follower.await.unwrap(), LINES);
    }
    let mut seen = 0;
    while let Some(page) = slow.next().await.unwrap() {
        assert_eq!(page.blocks[0].first_line, seen);
        seen = page.next;
    }
    assert_eq!((seen, slow.line()), (LINES, LINES));
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_kill_and_can_be_finished() {
    let (directory, logs) = logs();
    let (torn, whole_one) = (attempt("torn"), attempt("whole"));
    for attempt in [&torn, &whole_one] {
        logs.append(attempt, 0, made::at(0), block(0, 5000)).await.unwrap();
        logs.append(attempt, 1, made::at(1), block(5000, 5001)).await.unwrap();
    }
    drop(logs);
    // The kill came in the middle of a write.
    let live = directory.path().join("live");
    let files: Vec<_> = std::fs::read_dir(&live).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    let again = open(directory.path());
    assert_eq!(again.unfinished().await.unwrap(), [torn.clone(), whole_one.clone()]);
    for file in &files {
        let length = std::fs::metadata(file).unwrap().len();
        if std::fs::read(file).unwrap()[..200].windows(4).any(|part| part == b"torn") {
            std::fs::File::options().write(true).open(file).unwrap().set_len(length - 3).unwrap();
        }
    }
    assert_eq!(whole(&again, &torn).await.len(), 5000);
    assert_eq!(whole(&again, &whole_one).await.len(), 5001);
    // It goes on where it stopped, and what the sender repeats is there once.
    assert_eq!(again.append_from(&torn, 4990, 1, made::at(2), block(4990, 5010)).await.unwrap(), 5010);
    let expected: Vec<String> = (0..5010).map(|number| format!("line {number}")).collect();
    assert_eq!(whole(&again, &torn).await, expected);
    again.finish(&torn).await.unwrap();
    assert_eq!(whole(&again, &torn).await, expected);
    assert_eq!(again.unfinished().await.unwrap(), [whole_one]);
}

#[tokio::test]
async fn a_sender_that_repeats_itself_changes_nothing_and_one_that_skips_is_told() {
    let (_directory, logs) = logs();
    let attempt = attempt("test");
    assert_eq!(logs.append_from(&attempt, 0, 0, made::at(0), block(0, 10)).await.unwrap(), 10);
    assert_eq!(logs.append_from(&attempt, 0, 0, made::at(0), block(0, 10)).await.unwrap(), 10);
    assert_eq!(logs.append_from(&attempt, 4, 0, made::at(0), block(4, 7)).await.unwrap(), 10);
    assert_eq!(logs.append_from(&attempt, 8, 0, made::at(0), block(8, 12)).await.unwrap(), 12);
    let gap = logs.append_from(&attempt, 20, 0, made::at(0), block(20, 21)).await;
    assert!(matches!(gap, Err(LogError::Gap { expected: 12, .. })), "{gap:?}");
    let expected: Vec<String> = (0..12).map(|number| format!("line {number}")).collect();
    assert_eq!(whole(&logs, &attempt).await, expected);
}

#[tokio::test]
async fn a_log_that_is_too_long_says_so_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let logs = open_with(directory.path(), 1 << 20);
    let attempt = attempt("loud");
    for from in (0..1_000_000).step_by(10_000) {
        assert_eq!(
            logs.append_from(&attempt, from, 0, made::at(0), block(from, from + 10_000)).await.unwrap(),
            from + 10_000
        );
    }
    let check = async |logs: &Logs| {
        let lines = whole(logs, &attempt).await;
        let shape = logs.shape(&attempt).await.unwrap().unwrap();
        assert!(shape.bytes <= (1 << 20) + 200, "{shape:?}");
        assert_eq!(shape.lines, lines.len() as u64);
        let (notice, kept) = lines.split_last().unwrap();
        assert!(notice.contains("longer than 1 MiB"), "{notice}");
        assert!(kept.iter().enumerate().all(|(number, line)| *line == format!("line {number}")));
    };
    check(&logs).await;
    drop(logs);
    let again = open_with(directory.path(), 1 << 20);
    check(&again).await;
    again.finish(&attempt).await.unwrap();
    check(&again).await;
}

#[tokio::test]
async fn an_attempt_that_printed_nothing_is_finished_too() {
    let (_directory, logs) = logs();
    let attempt = attempt("silent");
    assert_eq!(logs.shape(&attempt).await.unwrap(), None);
    let page = logs.read(&attempt, 0, 10).await.unwrap();
    assert_eq!((page.blocks.len(), page.finished), (0, false));
    let mut follower = logs.follow(&attempt, 0).await.unwrap();
    let followed = tokio::spawn(async move { follower.next().await.unwrap() });
    logs.finish(&attempt).await.unwrap();
    assert_eq!(followed.await.unwrap(), None);
    assert!(logs.read(&attempt, 0, 10).await.unwrap().finished);
}

#[tokio::test]
async fn text_that_is_no_utf_8_and_lines_without_an_end_are_kept() {
    let (_directory, logs) = logs();
    let attempt = attempt("bytes");
    logs.append(&attempt, 0, made::at(0), Bytes::from_static(b"\xff\xfe\n\n")).await.unwrap();
    logs.append(&attempt, 0, made::at(0), Bytes::from_static(b"no end")).await.unwrap();
    logs.append(&attempt, 0, made::at(0), Bytes::new()).await.unwrap();
    let page = logs.read(&attempt, 0, 10).await.unwrap();
    assert_eq!(page.lines().map(|line| line.text.to_vec()).collect::<Vec<_>>(), [&b"\xff\xfe"[..], b"", b"no end"]);
}

#[tokio::test]
async fn a_crash_after_the_blob_and_before_the_end_of_the_file_is_mended() {
    let (directory, logs) = logs();
    let attempt = attempt("test");
    logs.append(&attempt, 0, made::at(0), block(0, 100)).await.unwrap();
    let live = std::fs::read_dir(directory.path().join("live")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read(&live).unwrap();
    logs.finish(&attempt).await.unwrap();
    drop(logs);
    std::fs::write(&live, text).unwrap();

    let again = open(directory.path());
    assert_eq!(again.unfinished().await.unwrap(), std::slice::from_ref(&attempt));
    assert_eq!(whole(&again, &attempt).await.len(), 100);
    again.finish(&attempt).await.unwrap();
    assert_eq!(again.unfinished().await.unwrap(), []);
    assert_eq!(whole(&again, &attempt).await.len(), 100);
}

#[tokio::test]
async fn a_long_log_is_packed_while_it_grows_and_a_crash_costs_nothing() {
    const LINES: u64 = 100_000;
    let expected: Vec<String> = (0..LINES).map(|number| format!("line {number}")).collect();
    for is_killed in [false, true] {
        let (directory, logs) = logs();
        let (live, attempt) = (directory.path().join("live"), attempt("long"));
        // One block in the middle is longer than what is packed at once.
        for (step, from, to) in [(0, 0, 30_000), (1, 30_000, 95_000), (2, 95_000, LINES - 1)] {
            logs.append(&attempt, step, made::at(0), block(from, to)).await.unwrap();
        }
        let packed = packed_in(&live).expect("a part is packed");
        assert!(std::fs::metadata(&packed).unwrap().len() > 0);
        let logs = if is_killed { open(directory.path()) } else { logs };
        assert_eq!(logs.unfinished().await.unwrap(), std::slice::from_ref(&attempt));
        logs.append(&attempt, 3, made::at(1), block(LINES - 1, LINES)).await.unwrap();
        assert_eq!(packed_in(&live).is_none(), is_killed, "what a crash left is thrown away");
        logs.finish(&attempt).await.unwrap();
        assert_eq!(std::fs::read_dir(&live).unwrap().count(), 0);
        assert_eq!(whole(&logs, &attempt).await, expected);
        let shape = logs.shape(&attempt).await.unwrap().unwrap();
        assert_eq!((shape.lines, shape.steps), (LINES, vec![(0, 0), (1, 30_000), (2, 95_000), (3, LINES - 1)]));
        assert_eq!(shape.bytes, expected.iter().map(|line| line.len() as u64 + 1).sum::<u64>());
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_packed_ahead_is_packed_at_its_end() {
    let (directory, logs) = logs();
    let (live, attempt) = (directory.path().join("live"), attempt("test"));
    logs.append(&attempt, 0, made::at(0), block(0, 1)).await.unwrap();
    let file = std::fs::read_dir(&live).unwrap().next().unwrap().unwrap().path();
    let in_the_way = file.with_extension("packed");
    std::fs::create_dir(&in_the_way).unwrap();
    logs.append(&attempt, 0, made::at(0), block(1, 60_000)).await.unwrap();
    std::fs::remove_dir(&in_the_way).unwrap();
    logs.append(&attempt, 0, made::at(0), block(60_000, 100_000)).await.unwrap();
    logs.finish(&attempt).await.unwrap();
    assert_eq!(whole(&logs, &attempt).await.len(), 100_000);
    assert_eq!(logs.shape(&attempt).await.unwrap().unwrap().lines, 100_000);
}

/// Returns the part of a live log that is packed already.
fn packed_in(live: &Path) -> Option<std::path::PathBuf> {
    let mut paths = std::fs::read_dir(live).unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "packed"))
}

#[tokio::test]
async fn whoever_follows_a_log_that_is_removed_comes_to_its_end() {
    let (_directory, logs) = logs();
    let attempt = attempt("test");
    logs.append(&attempt, 0, made::at(0), block(0, 10)).await.unwrap();
    let mut follower = logs.follow(&attempt, 10).await.unwrap();
    let followed = tokio::spawn(async move { follower.next().await.unwrap() });
    tokio::task::yield_now().await;
    logs.remove(&attempt).await.unwrap();
    assert_eq!(followed.await.unwrap(), None);
    assert_eq!(logs.shape(&attempt).await.unwrap(), None);
}
