//! Day keys, grant proofs and proof of work: pure functions over bytes. SPEC: "Connection".
//!
//! A grant is proved by a MAC that the relay could have computed as well, so a transcript proves
//! nothing to a third party.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey as X25519Public, StaticSecret};

use crate::id::{LogId, Mac, PublicKey, RelayIdentity, RetryId, Signature};

/// Noise (revision 34): pattern NK, Curve25519, ChaChaPoly, SHA-256.
pub const NOISE_PATTERN: &str = "Noise_NK_25519_ChaChaPoly_SHA256";

/// What the relay's identity signs each day: `"sotto/v1/day" || day (4, big-endian) || day key (32)`.
fn day_message(day: u32, key: &PublicKey) -> [u8; 48] {
    let mut message = [0; 48];
    let (label, rest) = message.split_at_mut(12);
    label.copy_from_slice(b"sotto/v1/day");
    let (day_part, key_part) = rest.split_at_mut(4);
    day_part.copy_from_slice(&day.to_be_bytes());
    key_part.copy_from_slice(key.as_bytes());
    message
}

/// Signs a day key with the relay's identity (Ed25519, RFC 8032).
#[must_use]
pub fn sign_day(identity: &SigningKey, day: u32, key: &PublicKey) -> Signature {
    Signature::new(identity.sign(&day_message(day, key)).to_bytes())
}

/// Whether `identity` signed `key` for `day`, by the strict rules of RFC 8032, section 5.1.7.
#[must_use]
pub fn verify_day(
    identity: &RelayIdentity,
    day: u32,
    key: &PublicKey,
    signature: &Signature,
) -> bool {
    let Ok(verifying) = VerifyingKey::from_bytes(identity.as_bytes()) else {
        return false;
    };
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    verifying
        .verify_strict(&day_message(day, key), &signature)
        .is_ok()
}

/// The Noise prologue: `"sotto/v1/connection" || identity (32) || day (4, big-endian)`.
#[must_use]
pub fn prologue(identity: &RelayIdentity, day: u32) -> Vec<u8> {
    let mut bytes = b"sotto/v1/connection".to_vec();
    bytes.extend_from_slice(identity.as_bytes());
    bytes.extend_from_slice(&day.to_be_bytes());
    bytes
}

/// What a grant proof is for; the label keeps a proof for one purpose from serving another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `open`: a grant's key.
    Open,
    /// `create`: the log's root key.
    Create,
    /// `position` and `withdraw`: an entry's owner key.
    Own,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Open => b"sotto/v1/open",
            Self::Create => b"sotto/v1/create",
            Self::Own => b"sotto/v1/own",
        }
    }
}

/// The proof from the shared secret:
/// `HMAC-SHA-256(K, label || handshake hash (32) || log id (32))` with
/// `K = HKDF-SHA-256(ikm = X25519(grant key, day key), salt = grant public key || day public key,
/// info = "sotto/v1/proof")`.
fn proof(
    shared: &[u8; 32],
    grant: &PublicKey,
    day_key: &PublicKey,
    purpose: Purpose,
    handshake_hash: &[u8; 32],
    log: &LogId,
) -> Mac {
    let mut salt = [0; 64];
    let (first, second) = salt.split_at_mut(32);
    first.copy_from_slice(grant.as_bytes());
    second.copy_from_slice(day_key.as_bytes());
    let mut key = zeroize::Zeroizing::new([0; 32]);
    #[expect(
        clippy::expect_used,
        reason = "32 bytes are far below the 8,160 that HKDF-SHA-256 can give"
    )]
    Hkdf::<Sha256>::new(Some(&salt), shared)
        .expand(b"sotto/v1/proof", key.as_mut())
        .expect("32 bytes");
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).expect("any length");
    mac.update(purpose.label());
    mac.update(handshake_hash);
    mac.update(log.as_bytes());
    Mac::new(mac.finalize().into_bytes().into())
}

/// The client's side: proves that it holds `secret` for `log` on this connection.
#[must_use]
pub fn prove(
    secret: &StaticSecret,
    day_key: &PublicKey,
    purpose: Purpose,
    handshake_hash: &[u8; 32],
    log: &LogId,
) -> Mac {
    let grant = PublicKey::new(X25519Public::from(secret).to_bytes());
    let shared = secret.diffie_hellman(&X25519Public::from(*day_key.as_bytes()));
    proof(
        shared.as_bytes(),
        &grant,
        day_key,
        purpose,
        handshake_hash,
        log,
    )
}

/// The relay's side: whether `mac` proves `grant`, in constant time. The relay calls this for
/// unknown logs and unknown keys as well, so that every refusal costs the same.
///
/// A `grant` of low order gives a shared secret that everyone knows and is refused (RFC 7748,
/// section 6.1).
#[must_use]
pub fn verify(
    day_secret: &StaticSecret,
    grant: &PublicKey,
    purpose: Purpose,
    handshake_hash: &[u8; 32],
    log: &LogId,
    mac: &Mac,
) -> bool {
    let day_key = PublicKey::new(X25519Public::from(day_secret).to_bytes());
    let shared = day_secret.diffie_hellman(&X25519Public::from(*grant.as_bytes()));
    let expected = proof(
        shared.as_bytes(),
        grant,
        &day_key,
        purpose,
        handshake_hash,
        log,
    );
    let same: bool = expected.as_bytes().ct_eq(mac.as_bytes()).into();
    same & shared.was_contributory()
}

/// The public half of a secret grant key.
#[must_use]
pub fn public_key(secret: &StaticSecret) -> PublicKey {
    PublicKey::new(X25519Public::from(secret).to_bytes())
}

/// Leading zero bits of
/// `SHA-256("sotto/v1/work" || handshake hash (32) || log id (32) || retry id (16) || nonce (8))`.
///
/// Bound to the connection, so that work cannot be done ahead or sold.
#[must_use]
pub fn work_bits(handshake_hash: &[u8; 32], log: &LogId, retry: &RetryId, nonce: u64) -> u32 {
    let mut hash = Sha256::new();
    hash.update(b"sotto/v1/work");
    hash.update(handshake_hash);
    hash.update(log.as_bytes());
    hash.update(retry.as_bytes());
    hash.update(nonce.to_be_bytes());
    let digest = hash.finalize();
    let mut bits = 0;
    for byte in digest {
        bits += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    bits
}

/// The smallest nonce whose work has at least `bits`; about `2^bits` hashes. The caller keeps
/// `bits` below [`crate::limits::WORK_BITS_MAX`] and the work off any thread that serves people.
#[must_use]
pub fn find_work(handshake_hash: &[u8; 32], log: &LogId, retry: &RetryId, bits: u8) -> u64 {
    let mut nonce = 0;
    while work_bits(handshake_hash, log, retry, nonce) < u32::from(bits) {
        nonce += 1;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: [u8; 32] = [9; 32];

    fn keys() -> (StaticSecret, StaticSecret, LogId) {
        (
            StaticSecret::from([1; 32]),
            StaticSecret::from([2; 32]),
            LogId::new([3; 32]),
        )
    }

    #[test]
    fn a_proof_holds_for_its_key_log_connection_and_purpose_only() {
        let (grant, day, log) = keys();
        let mac = prove(&grant, &public_key(&day), Purpose::Open, &HASH, &log);
        let public = public_key(&grant);
        assert!(verify(&day, &public, Purpose::Open, &HASH, &log, &mac));
        assert!(!verify(&day, &public, Purpose::Create, &HASH, &log, &mac));
        assert!(!verify(&day, &public, Purpose::Open, &[8; 32], &log, &mac));
        assert!(!verify(
            &day,
            &public,
            Purpose::Open,
            &HASH,
            &LogId::new([4; 32]),
            &mac
        ));
        assert!(!verify(
            &day,
            &public_key(&StaticSecret::from([5; 32])),
            Purpose::Open,
            &HASH,
            &log,
            &mac
        ));
        assert!(!verify(
            &StaticSecret::from([6; 32]),
            &public,
            Purpose::Open,
            &HASH,
            &log,
            &mac
        ));
    }

    #[test]
    fn a_key_of_low_order_proves_nothing() {
        let (_, day, log) = keys();
        let zero = PublicKey::new([0; 32]);
        let mac = proof(
            &[0; 32],
            &zero,
            &public_key(&day),
            Purpose::Open,
            &HASH,
            &log,
        );
        assert!(!verify(&day, &zero, Purpose::Open, &HASH, &log, &mac));
    }

    #[test]
    fn a_day_key_is_believed_only_with_its_signature() {
        let identity = SigningKey::from_bytes(&[7; 32]);
        let pinned = RelayIdentity::new(identity.verifying_key().to_bytes());
        let key = PublicKey::new([1; 32]);
        let signature = sign_day(&identity, 20_000, &key);
        assert!(verify_day(&pinned, 20_000, &key, &signature));
        assert!(!verify_day(&pinned, 20_001, &key, &signature));
        assert!(!verify_day(
            &pinned,
            20_000,
            &PublicKey::new([2; 32]),
            &signature
        ));
    }

    #[test]
    fn found_work_is_enough() {
        let retry = RetryId::new([1; 16]);
        let log = LogId::new([3; 32]);
        let nonce = find_work(&HASH, &log, &retry, 8);
        assert!(work_bits(&HASH, &log, &retry, nonce) >= 8);
    }
}
