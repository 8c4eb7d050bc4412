//! `logs SECRETS OUT PROGRAM [ARGUMENT…]`: a program's output to a file, by blocks of whole lines.
//!
//! The floor for a step's log: one clock and one search of the secrets for each block, each line stamped, zstd at level 1.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aho_corasick::{AhoCorasick, MatchKind};

/// How much is read at once, at most.
const BLOCK: usize = 256 << 10;

/// What stands in a secret's place.
const MASK: &[u8] = b"***";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [secrets, out, program, rest @ ..] = arguments.as_slice() else {
        return Err("usage: logs SECRETS OUT PROGRAM [ARGUMENT…]".into());
    };
    let secrets = std::fs::read_to_string(secrets)?;
    let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(secrets.lines())?;
    let began = Instant::now();
    let mut child = Command::new(program).args(rest).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("the program has no output")?;
    let mut packed = zstd::Encoder::new(File::create(out)?, 1)?;
    packed.include_checksum(true)?;
    let lines = copy(output, &search, &mut packed)?;
    packed.finish()?;
    if !child.wait()?.success() {
        return Err(format!("{program} failed").into());
    }
    println!("seconds {:.4}\nlines {lines}", began.elapsed().as_secs_f64());
    Ok(())
}

/// Copies block by block, and returns how many lines there were.
fn copy(mut from: impl Read, search: &AhoCorasick, to: &mut impl Write) -> std::io::Result<u64> {
    let (mut block, mut filled, mut lines) = (vec![0; BLOCK], 0, 0);
    let (mut masked, mut stamped) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK * 2));
    loop {
        let count = from.read(&mut block[filled..])?;
        filled += count;
        let whole = match memchr::memrchr(b'\n', &block[..filled]) {
            Some(end) => end + 1,
            None if count == 0 || filled == block.len() => filled,
            None => continue,
        };
        let stamp = stamp();
        mask(search, &block[..whole], &mut masked);
        stamped.clear();
        let mut place = 0;
        for end in memchr::memchr_iter(b'\n', &masked) {
            stamped.extend_from_slice(stamp.as_bytes());
            stamped.extend_from_slice(&masked[place..=end]);
            place = end + 1;
            lines += 1;
        }
        if place < masked.len() {
            stamped.extend_from_slice(stamp.as_bytes());
            stamped.extend_from_slice(&masked[place..]);
        }
        to.write_all(&stamped)?;
        block.copy_within(whole..filled, 0);
        filled -= whole;
        if count == 0 {
            return Ok(lines);
        }
    }
}

fn mask(search: &AhoCorasick, text: &[u8], masked: &mut Vec<u8>) {
    masked.clear();
    let mut place = 0;
    for secret in search.find_iter(text) {
        masked.extend_from_slice(&text[place..secret.start()]);
        masked.extend_from_slice(MASK);
        place = secret.end();
    }
    masked.extend_from_slice(&text[place..]);
}

/// Returns the time as RFC 3339 writes it, with milliseconds and a blank.
fn stamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z ",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    )
}

/// Returns the date of a day since 1970, by counting years from a March on.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!([0, 59, 11_016, 20_454].map(civil), [(1970, 1, 1), (1970, 3, 1), (2000, 2, 29), (2026, 1, 1)]);
    }

    #[test]
    fn each_line_is_stamped_and_secrets_are_masked() {
        let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(["hunter2"]).unwrap();
        let mut out = Vec::new();
        assert_eq!(copy(&b"it is hunter2\nb\nc"[..], &search, &mut out).unwrap(), 2);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().filter_map(|line| line.split_once(' ')).map(|(_, line)| line).collect();
        assert_eq!(lines, ["it is ***", "b", "c"]);
    }
}
