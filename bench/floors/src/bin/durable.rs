//! `durable FOLDER`: what a sync and a commit cost on the disk below FOLDER.
//!
//! Tells a slow disk from slow code: when a benchmark of intake moves, these figures say whether the floor moved too.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use floors::percentiles::Sample;
use rusqlite::{Connection, params};

/// How long each figure is measured.
const MEASURED_FOR: Duration = Duration::from_secs(3);
/// The body of a common pull request delivery.
const BODY_SIZE: usize = 24 * 1024;
const PAGE_SIZE: usize = 4096;
const PREALLOCATED_PAGES: usize = 1024;
/// An odd number that spreads consecutive ones over the whole range, as random ids are spread.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: durable FOLDER")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    println!("append 4 KiB + fdatasync: {}", appends(folder, PAGE_SIZE)?.summary());
    println!("append 24 KiB + fdatasync: {}", appends(folder, BODY_SIZE)?.summary());
    println!("overwrite 4 KiB + fdatasync: {}", overwrites(folder)?.summary());
    for (size, group) in [(200, 1), (BODY_SIZE, 1), (BODY_SIZE, 16), (BODY_SIZE, 64)] {
        let sample = commits(folder, size, group)?;
        println!("sqlite FULL, {group} rows of {size} B per commit: {}", sample.summary());
    }
    Ok(())
}

fn appends(folder: &Path, size: usize) -> Result<Sample, Box<dyn Error>> {
    let mut file = File::create(folder.join("appended"))?;
    let block = vec![b'x'; size];
    repeated(|_| {
        file.write_all(&block)?;
        Ok(file.sync_data()?)
    })
}

fn overwrites(folder: &Path) -> Result<Sample, Box<dyn Error>> {
    let file = File::create(folder.join("overwritten"))?;
    file.write_all_at(&vec![0; PAGE_SIZE * PREALLOCATED_PAGES], 0)?;
    file.sync_all()?;
    let page = vec![b'x'; PAGE_SIZE];
    repeated(|round| {
        file.write_all_at(&page, (round % PREALLOCATED_PAGES * PAGE_SIZE) as u64)?;
        Ok(file.sync_data()?)
    })
}

fn commits(folder: &Path, size: usize, group: usize) -> Result<Sample, Box<dyn Error>> {
    for ending in ["", "-wal", "-shm"] {
        let path = folder.join(format!("rows.db{ending}"));
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    let mut database = Connection::open(folder.join("rows.db"))?;
    database.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE row(id INTEGER PRIMARY KEY, guid TEXT UNIQUE, body BLOB)",
    )?;
    let body = vec![b'x'; size];
    let mut number = 0_u64;
    repeated(|_| {
        let transaction = database.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO row(guid, body) VALUES (?1, ?2)")?;
            for _ in 0..group {
                number += 1;
                insert.execute(params![format!("{:032x}", number.wrapping_mul(SPREAD)), body])?;
            }
        }
        Ok(transaction.commit()?)
    })
}

fn repeated(mut round: impl FnMut(usize) -> Result<(), Box<dyn Error>>) -> Result<Sample, Box<dyn Error>> {
    let (mut sample, begin) = (Sample::default(), Instant::now());
    while begin.elapsed() < MEASURED_FOR {
        let start = Instant::now();
        round(sample.len())?;
        sample.add(start.elapsed());
    }
    Ok(sample)
}
