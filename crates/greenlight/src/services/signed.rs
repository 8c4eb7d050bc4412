//! Addresses that carry their own permission: who has one may send, or fetch, one artifact or cache for a few minutes (S7).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use greenlight_core::time::Timestamp;
use greenlight_store::ObjectRow;

use super::keys::Keys;

/// How long an address can be used. One under which bytes are being sent lives on for as long after each piece.
pub const VALID_FOR: Duration = Duration::from_secs(10 * 60);
/// How many uploads are remembered.
const UPLOADS_MAX: usize = 10_000;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// To fetch.
    Read,
    /// To send.
    Write,
}

impl Permit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Write => "w",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "r" => Some(Self::Read),
            "w" => Some(Self::Write),
            _ => None,
        }
    }
}

/// Returns an address for a row. Everything that matters about the row is in its code: another row does not fit it.
pub fn address(keys: &Keys, base: &str, permit: Permit, row: &ObjectRow, now: Timestamp) -> String {
    let until = (now + VALID_FOR).as_millis();
    let code = URL_SAFE_NO_PAD.encode(keys.code(&parts(permit, row, until).each_ref().map(|part| &part[..])));
    let name = percent_encoding::utf8_percent_encode(&row.at.name, percent_encoding::NON_ALPHANUMERIC);
    format!("{base}/blobs/{}s/{}/{name}?sp={}&se={until}&sig={code}", row.at.kind.as_str(), row.id, permit.as_str())
}

/// What an address says, as it was given.
pub struct Given {
    permit: Permit,
    until: i64,
    code: Vec<u8>,
}

impl Given {
    /// Takes it from a query; nothing where it is none of ours.
    pub fn of(query: &str) -> Option<Self> {
        let found = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        Some(Self {
            permit: Permit::named(&found("sp")?)?,
            until: found("se")?.parse().ok()?,
            code: URL_SAFE_NO_PAD.decode(found("sig")?).ok()?,
        })
    }

    /// Does it permit this, for this row?
    pub fn permits(&self, keys: &Keys, permit: Permit, row: &ObjectRow) -> bool {
        let parts = parts(self.permit, row, self.until);
        self.permit == permit && keys.is_code(&parts.each_ref().map(|part| &part[..]), &self.code)
    }

    /// Is it too old?
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.until
    }
}

fn parts(permit: Permit, row: &ObjectRow, until: i64) -> [Vec<u8>; 10] {
    let at = &row.at;
    [
        b"blob".to_vec(),
        permit.as_str().into(),
        at.kind.as_str().into(),
        row.id.to_be_bytes().into(),
        at.repo.0.to_be_bytes().into(),
        at.run.to_be_bytes().into(),
        at.scope.clone().into(),
        at.name.clone().into(),
        row.owner.clone().into(),
        until.to_be_bytes().into(),
    ]
}

/// What is being sent at the moment.
#[derive(Default)]
pub struct Uploads {
    known: Mutex<HashMap<i64, Upload>>,
}

struct Upload {
    seen_at: Instant,
    bytes: u64,
}

impl Uploads {
    /// Notes that so many bytes came. Returns how many it were since the upload began.
    pub fn came(&self, id: i64, bytes: u64) -> u64 {
        let mut known = self.lock();
        if known.len() >= UPLOADS_MAX {
            known.retain(|_, upload| upload.seen_at.elapsed() < VALID_FOR);
        }
        let upload = known.entry(id).or_insert(Upload { seen_at: Instant::now(), bytes: 0 });
        upload.seen_at = Instant::now();
        upload.bytes += bytes;
        upload.bytes
    }

    /// Was something sent a short while ago?
    pub fn goes_on(&self, id: i64) -> bool {
        self.lock().get(&id).is_some_and(|upload| upload.seen_at.elapsed() < VALID_FOR)
    }

    /// Forgets one that is over.
    pub fn forget(&self, id: i64) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Upload>> {
        self.known.lock().expect("nobody panics while holding the uploads")
    }
}
