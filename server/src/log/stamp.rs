//! The relay's stamp on an entry, which lets it confirm a report without having kept the entry.
//!
//! ```text
//! stamp = key id (4, big-endian) || first 16 bytes of
//!         HMAC-SHA-256(stamp key, "sotto/v1/stamp" || log id (32) || seq (8) || day (4) || commitment (32))
//! ```
//! The key id is the first day of the period in which the key stamps.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sotto_protocol::id::{Commitment, LogId, Stamp};
use subtle::ConstantTimeEq;

/// Days one stamp key is used.
const PERIOD_DAYS: u32 = 30;
/// Periods that a key is kept after its own: the longest a report may take.
const PERIODS_KEPT: u32 = 3;

/// The period of a day, named by its first day.
pub(crate) const fn period(day: u32) -> u32 {
    day - day % PERIOD_DAYS
}

/// The oldest period whose key is kept.
pub(crate) const fn first_kept(day: u32) -> u32 {
    period(day).saturating_sub(PERIODS_KEPT * PERIOD_DAYS)
}

/// The stamp for an entry.
pub(crate) fn stamp(
    period: u32,
    key: &[u8; 32],
    log: &LogId,
    seq: u64,
    day: u32,
    commitment: &Commitment,
) -> Stamp {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(b"sotto/v1/stamp");
    mac.update(log.as_bytes());
    mac.update(&seq.to_be_bytes());
    mac.update(&day.to_be_bytes());
    mac.update(commitment.as_bytes());
    let tag: [u8; 32] = mac.finalize().into_bytes().into();
    let mut bytes = [0; Stamp::LEN];
    for (to, from) in bytes
        .iter_mut()
        .zip(period.to_be_bytes().iter().chain(&tag))
    {
        *to = *from;
    }
    Stamp::new(bytes)
}

/// The period whose key made a stamp.
pub(crate) fn period_of(stamp: &Stamp) -> u32 {
    stamp
        .as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Compares in constant time.
pub(crate) fn equal(one: &Stamp, other: &Stamp) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
