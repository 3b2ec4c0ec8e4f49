//! The outer box: what every entry of a conversation looks like to the relay. SPEC.md, "Seal".
//!
//! ```text
//! sealed    = nonce (24, random) || XChaCha20-Poly1305(seal key, nonce, ad, plaintext)
//! ad        = "sotto/v1/seal" || log id (32)
//! plaintext = length (4, big-endian) || packet (CBOR) || zeros, to exactly a size class
//! ```
//!
//! It hides tree, credentials and kinds of message; who is in the conversation is MLS's business.

pub(crate) mod derive;
pub(crate) mod letter;
mod packet;
mod secret;

pub(crate) use packet::{
    CommitBody, Envelope, EnvelopeBody, Farewell, Packet, Part, Return, RunId, Seen, SnapshotBody,
    VerdictBody,
};
pub(crate) use secret::{ConversationSecret, Generation};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sotto_protocol::id::LogId;
use sotto_protocol::limits::{RUN_BYTES_MAX, SEALED_BYTES_MAX};
use sotto_protocol::size_class::SizeClass;

use crate::random;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;
/// What the box adds to a packet.
pub(crate) const BOX_BYTES: usize = NONCE_BYTES + TAG_BYTES + LENGTH_BYTES;
/// What a [`Part`] adds to the bytes it carries: map heads, keys, run id, index and count.
const PART_BYTES: usize = 64;
/// Bytes of an envelope that one part of a run carries.
const PART_PAYLOAD_BYTES: usize = SEALED_BYTES_MAX - BOX_BYTES - PART_BYTES;
/// The longest envelope: a full run of parts.
pub(crate) const ENVELOPE_BYTES_MAX: usize =
    (RUN_BYTES_MAX / SEALED_BYTES_MAX) * PART_PAYLOAD_BYTES;

/// Why sealing or opening failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    /// Not sealed under this key for this log, or not padded as it should be.
    #[error("the entry does not open")]
    Closed,
    /// More than a run can carry.
    #[error("too long for one run of entries")]
    TooLong,
    /// The operating system gave no randomness, or an encoder failed.
    #[error("sealing failed")]
    Internal,
}

/// Seals an envelope as one entry, or as a run of entries if it is longer than the largest class.
/// No entry is smaller than `floor`.
pub(crate) fn seal(
    generation: &Generation,
    log: &LogId,
    envelope: &Envelope<'_>,
    floor: SizeClass,
) -> Result<Vec<Vec<u8>>, SealError> {
    seal_drawing(generation, log, envelope, floor, &mut random::fill)
}

/// Where run ids and nonces come from, in this order: from the system, but for golden vectors.
pub(crate) type Draw<'a> = &'a mut dyn FnMut(&mut [u8]) -> Result<(), random::NoRandomness>;

/// [`seal`], with randomness that is given.
pub(crate) fn seal_drawing(
    generation: &Generation,
    log: &LogId,
    envelope: &Envelope<'_>,
    floor: SizeClass,
    draw: Draw<'_>,
) -> Result<Vec<Vec<u8>>, SealError> {
    let whole = encode(&Packet::Whole(envelope.clone()))?;
    if whole.len() + BOX_BYTES <= SEALED_BYTES_MAX {
        return Ok(vec![seal_packet(generation, log, &whole, floor, draw)?]);
    }
    let envelope = encode(envelope)?;
    if envelope.len() > ENVELOPE_BYTES_MAX {
        return Err(SealError::TooLong);
    }
    let mut run = [0; 8];
    draw(&mut run).map_err(|_| SealError::Internal)?;
    let pieces: Vec<_> = envelope.chunks(PART_PAYLOAD_BYTES).collect();
    let count = u16::try_from(pieces.len()).map_err(|_| SealError::TooLong)?;
    let mut entries = Vec::with_capacity(pieces.len());
    for (index, piece) in (0..count).zip(pieces) {
        let part = Packet::Part(Part {
            run: run.into(),
            bytes: piece.into(),
            count,
            index,
        });
        entries.push(seal_packet(generation, log, &encode(&part)?, floor, draw)?);
    }
    Ok(entries)
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, SealError> {
    sotto_protocol::cbor::encode(value).map_err(|_| SealError::Internal)
}

fn seal_packet(
    generation: &Generation,
    log: &LogId,
    packet: &[u8],
    floor: SizeClass,
    draw: Draw<'_>,
) -> Result<Vec<u8>, SealError> {
    let ad = associated_data(log);
    seal_box(generation.seal_key(), &ad, packet, floor, draw)
}

/// Boxes bytes into one entry, no smaller than `floor`.
pub(crate) fn seal_box(
    key: &[u8; 32],
    ad: &[u8],
    packet: &[u8],
    floor: SizeClass,
    draw: Draw<'_>,
) -> Result<Vec<u8>, SealError> {
    let class = SizeClass::holding(packet.len() + BOX_BYTES)
        .ok_or(SealError::TooLong)?
        .max(floor);
    let mut plaintext = Vec::with_capacity(class.bytes());
    let length = u32::try_from(packet.len()).map_err(|_| SealError::TooLong)?;
    plaintext.extend_from_slice(&length.to_be_bytes());
    plaintext.extend_from_slice(packet);
    plaintext.resize(class.bytes() - NONCE_BYTES - TAG_BYTES, 0);
    let mut nonce = [0; NONCE_BYTES];
    draw(&mut nonce).map_err(|_| SealError::Internal)?;
    let boxed = XChaCha20Poly1305::new(key.into())
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: &plaintext,
                aad: ad,
            },
        )
        .map_err(|_| SealError::Internal)?;
    Ok([nonce.as_slice(), &boxed].concat())
}

/// Opens an entry; the bytes are a [`Packet`] that is still to be decoded.
pub(crate) fn open(
    generation: &Generation,
    log: &LogId,
    sealed: &[u8],
) -> Result<Vec<u8>, SealError> {
    open_box(generation.seal_key(), &associated_data(log), sealed)
}

/// Opens what [`seal_box`] made.
pub(crate) fn open_box(key: &[u8; 32], ad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    SizeClass::exactly(sealed.len()).ok_or(SealError::Closed)?;
    let (nonce, boxed) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(SealError::Closed)?;
    let mut plaintext = XChaCha20Poly1305::new(key.into())
        .decrypt(
            &XNonce::from(*nonce),
            Payload {
                msg: boxed,
                aad: ad,
            },
        )
        .map_err(|_| SealError::Closed)?;
    let (length, rest) = plaintext
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or(SealError::Closed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::Closed)?;
    let (_, padding) = rest.split_at_checked(length).ok_or(SealError::Closed)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(SealError::Closed);
    }
    plaintext.drain(..LENGTH_BYTES);
    plaintext.truncate(length);
    Ok(plaintext)
}

fn associated_data(log: &LogId) -> Vec<u8> {
    [b"sotto/v1/seal".as_slice(), log.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation() -> (Generation, LogId) {
        let log = LogId::new([7; 32]);
        (ConversationSecret::new([1; 32]).generation(&log), log)
    }

    fn envelope(bytes: &[u8]) -> Envelope<'_> {
        Envelope {
            body: EnvelopeBody::Message(bytes.into()),
            seen: Seen::default(),
        }
    }

    #[test]
    fn entries_are_exactly_a_size_class_at_every_boundary() {
        let (generation, log) = generation();
        let overhead = encode(&Packet::Whole(envelope(&[]))).unwrap().len() + BOX_BYTES;
        for class in SizeClass::ALL {
            for (less, expected) in [(8, class), (0, class)] {
                let text = vec![1; class.bytes() - overhead - 8 - less];
                let entries = seal(&generation, &log, &envelope(&text), SizeClass::K1).unwrap();
                assert_eq!(entries.len(), 1);
                assert_eq!(SizeClass::exactly(entries[0].len()), Some(expected));
            }
        }
    }

    #[test]
    fn a_run_is_cut_and_each_piece_opens() {
        let (generation, log) = generation();
        let text = vec![5; 300_000];
        let entries = seal(&generation, &log, &envelope(&text), SizeClass::K1).unwrap();
        let mut joined = Vec::new();
        for entry in &entries {
            let packet = open(&generation, &log, entry).unwrap();
            let Packet::Part(part) = sotto_protocol::cbor::decode(&packet).unwrap() else {
                panic!("a part")
            };
            joined.extend_from_slice(part.bytes.as_slice());
        }
        let back: Envelope<'_> = sotto_protocol::cbor::decode(&joined).unwrap();
        assert_eq!(back, envelope(&text));
    }

    #[test]
    fn a_mebibyte_fits_and_more_is_refused() {
        let (generation, log) = generation();
        assert!(
            seal(
                &generation,
                &log,
                &envelope(&vec![0; 1 << 20]),
                SizeClass::K1
            )
            .is_ok()
        );
        let more = vec![0; ENVELOPE_BYTES_MAX];
        assert_eq!(
            seal(&generation, &log, &envelope(&more), SizeClass::K1),
            Err(SealError::TooLong)
        );
    }

    #[test]
    fn another_log_key_or_byte_does_not_open() {
        let (generation, log) = generation();
        let mut entry = seal(&generation, &log, &envelope(b"x"), SizeClass::K1)
            .unwrap()
            .remove(0);
        assert!(open(&generation, &log, &entry).is_ok());
        assert_eq!(
            open(&generation, &LogId::new([8; 32]), &entry),
            Err(SealError::Closed)
        );
        let other = ConversationSecret::new([2; 32]).generation(&log);
        assert_eq!(open(&other, &log, &entry), Err(SealError::Closed));
        entry[1000] ^= 1;
        assert_eq!(open(&generation, &log, &entry), Err(SealError::Closed));
    }

    #[test]
    fn padding_that_is_not_zero_is_refused() {
        let (generation, log) = generation();
        let mut plaintext = vec![0; 1024 - NONCE_BYTES - TAG_BYTES];
        *plaintext.last_mut().unwrap() = 1;
        let boxed = XChaCha20Poly1305::new(generation.seal_key().into())
            .encrypt(
                &XNonce::from([3; 24]),
                Payload {
                    msg: &plaintext,
                    aad: &associated_data(&log),
                },
            )
            .unwrap();
        assert_eq!(
            open(&generation, &log, &[[3; 24].as_slice(), &boxed].concat()),
            Err(SealError::Closed)
        );
    }

    #[test]
    fn the_floor_is_kept() {
        let (generation, log) = generation();
        let entries = seal(&generation, &log, &envelope(b"x"), SizeClass::K4).unwrap();
        assert_eq!(entries[0].len(), 4096);
    }
}
