//! One sealed value. It must not decide which keys are alive.
//!
//! ```text
//! value = 1 || generation of the log key (4) || day or 2^32 - 1 (4) || nonce (24)
//!         || XChaCha20-Poly1305(key, nonce, plaintext, associated data = header (9) || caller's)
//! key   = HKDF-SHA-256(ikm = log key, salt = day key or nothing, info = "sotto/at-rest/v1")
//! ```

use bytes::Bytes;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes before the nonce.
const HEADER_BYTES: usize = 9;
const NONCE_BYTES: usize = 24;
const FORMAT: u8 = 1;
/// Stands for "no day": the value lives as long as its log key.
const NO_DAY: u32 = u32::MAX;

/// A secret key.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// Why a value could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Its key was erased, or never was.
    #[error("the key of the value is gone")]
    Erased,
    /// It is not what was sealed.
    #[error("the value does not open")]
    Damaged,
    /// The machine gave no randomness.
    #[error("no randomness for sealing")]
    Random,
}

/// What a header says: the generation of the log key, and the day whose key is needed.
pub(super) fn header(value: &[u8]) -> Option<(u32, Option<u32>)> {
    let (format, rest) = value.split_first()?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let day = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    (*format == FORMAT).then_some((
        u32::from_be_bytes(*generation),
        (day != NO_DAY).then_some(day),
    ))
}

/// The day whose key seals this value, if one does.
#[must_use]
pub fn sealed_day(value: &[u8]) -> Option<u32> {
    header(value)?.1
}

/// The generation of the log key that seals this value.
#[must_use]
pub fn sealed_generation(value: &[u8]) -> Option<u32> {
    Some(header(value)?.0)
}

fn cipher(log: &Secret, day: Option<&Secret>) -> XChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    let salt = day.map(|day| day.as_slice());
    #[expect(
        clippy::expect_used,
        reason = "32 bytes are far below the 8,160 that HKDF-SHA-256 can give"
    )]
    Hkdf::<Sha256>::new(salt, log.as_slice())
        .expand(b"sotto/at-rest/v1", key.as_mut())
        .expect("32 bytes");
    XChaCha20Poly1305::new((&*key).into())
}

/// Seals `plain`; `day` is the number and the key of its day.
pub(super) fn seal(
    generation: u32,
    log: &Secret,
    day: Option<(u32, &Secret)>,
    associated: &[u8],
    plain: &[u8],
) -> Result<Bytes, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
    let mut value = Vec::with_capacity(HEADER_BYTES + NONCE_BYTES + plain.len() + 16);
    value.push(FORMAT);
    value.extend_from_slice(&generation.to_be_bytes());
    value.extend_from_slice(&day.map_or(NO_DAY, |day| day.0).to_be_bytes());
    let aad = [value.as_slice(), associated].concat();
    value.extend_from_slice(&nonce);
    let sealed = cipher(log, day.map(|day| day.1))
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: plain,
                aad: &aad,
            },
        )
        .map_err(|_| SealError::Damaged)?;
    value.extend_from_slice(&sealed);
    Ok(value.into())
}

/// Opens a value whose header names these keys.
pub(super) fn open(
    log: &Secret,
    day: Option<&Secret>,
    associated: &[u8],
    value: &[u8],
) -> Result<Vec<u8>, SealError> {
    let (header, rest) = value
        .split_at_checked(HEADER_BYTES)
        .ok_or(SealError::Damaged)?;
    let (nonce, sealed) = rest
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(SealError::Damaged)?;
    let aad = [header, associated].concat();
    cipher(log, day)
        .decrypt(
            &XNonce::from(*nonce),
            Payload {
                msg: sealed,
                aad: &aad,
            },
        )
        .map_err(|_| SealError::Damaged)
}
