//! Bytes made small and named: zstd at level 1 with a compressor per thread, SHA-256.
//!
//! Level 1 before storing is no trade-off: fewer bytes through the log and the checkpoint are worth more than the
//! compression costs (performance.md 1).

use std::cell::RefCell;
use std::io;

use aws_lc_rs::digest::{SHA256, digest};
use zstd::bulk::Compressor;

/// What a stored body may unpack to at most: larger than anything that is taken in (a form of 75 MB).
pub const UNPACKED_MAX: usize = 128 << 20;

/// How well bodies are compressed.
const LEVEL: i32 = 1;

/// What every zstd frame begins with; JSON never does.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Names a text by its content.
pub type Digest = [u8; 32];

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// Returns the bytes compressed.
pub fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new(LEVEL)?),
        };
        compressor.compress(bytes)
    })
}

/// Returns what [`pack`] was given, which was `size` bytes long.
pub fn unpack(bytes: &[u8], size: usize) -> io::Result<Vec<u8>> {
    if size > UNPACKED_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than anything that is stored"));
    }
    zstd::bulk::decompress(bytes, size)
}

/// Returns what [`pack`] was given, by the size that the frame itself tells.
pub fn unpack_whole(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let size = zstd::zstd_safe::get_frame_content_size(bytes)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a compressed body"))?;
    unpack(bytes, size)
}

/// Were these bytes compressed?
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Returns the name of a content.
pub fn digest_of(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        for text in ["", "{}", &"abc".repeat(100_000)] {
            let packed = pack(text.as_bytes()).unwrap();
            assert!(is_packed(&packed));
            assert_eq!(unpack_whole(&packed).unwrap(), text.as_bytes());
            assert_eq!(unpack(&packed, text.len()).unwrap(), text.as_bytes());
        }
        assert!(unpack_whole(b"{}").is_err());
        assert!(unpack(&pack(b"abc").unwrap(), UNPACKED_MAX + 1).is_err());
    }
}
