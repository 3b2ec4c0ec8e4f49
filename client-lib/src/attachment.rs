//! Attachments: how their bytes are cut and sealed, and every limit of theirs with its reason.
//! SPEC.md, "Attachments".
//!
//! ```text
//! sealed    = nonce (24, random) || XChaCha20-Poly1305(chunk key, nonce, ad, plaintext)
//! ad        = "sotto/v1/chunk" || log id (32) || index (4) || last (1)
//! plaintext = bytes of the attachment || zeros, to exactly a size class
//! ```
//!
//! The index and the mark of the last one are what STREAM (Hoang, Reyhanitabar, Rogaway, Vizár,
//! 2015) has in its nonces; here they are associated data, as the nonces are random: a chunk that
//! is sealed a second time after a crash then never meets its own nonce with other bytes.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sotto_protocol::id::LogId;
use sotto_protocol::limits::SEALED_BYTES_MAX;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::content::misleads;
use crate::random;
use crate::seal::derive::Source;

/// The longest attachment in bytes: an hour of speech, a hundred photos made for a screen. More
/// would keep a phone's line busy for an hour and fill a relay that serves many.
pub const ATTACHMENT_BYTES_MAX: u64 = 64 << 20;
/// The longest name of an attachment in bytes: what file systems take.
pub const ATTACHMENT_NAME_BYTES_MAX: usize = 255;
/// The longest media type in bytes: two names of 63 with a parameter (RFC 6838 advises 64 each).
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Attachments of one conversation that may wait to be sent, each a copy in the vault.
pub const ATTACHMENTS_UNSENT_MAX: usize = 16;
/// Attachments of one conversation that may be wanted at once; they come one after the other.
pub const ATTACHMENTS_WANTED_MAX: usize = 64;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// Bytes of an attachment that one chunk carries.
pub(crate) const CHUNK_BYTES: usize = SEALED_BYTES_MAX - NONCE_BYTES - TAG_BYTES;
/// Chunks of the longest attachment.
pub(crate) const CHUNKS_MAX: u32 = 1_025;
/// Chunks in one append or page: 256 KiB. A relay lets a message take 64 seconds, so lines down to
/// 4 KiB a second will do, and words find their way between two of them.
pub(crate) const CHUNKS_AT_ONCE: u32 = 4;
/// Bytes that the log of an attachment may hold; the same for all, so that it says nothing. Nine
/// tenths of it (the rest is kept for `manage`) take the longest attachment.
pub(crate) const LOG_BYTES_MAX: u64 = 80 << 20;

const _: () = {
    assert!(CHUNKS_MAX as u64 == ATTACHMENT_BYTES_MAX.div_ceil(CHUNK_BYTES as u64));
    assert!(CHUNKS_MAX as u64 * SEALED_BYTES_MAX as u64 <= LOG_BYTES_MAX / 10 * 9);
};

/// `A`: 32 random bytes of one attachment. Whoever has them and the log's id can read it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AttachmentSecret(#[serde(with = "serde_bytes")] [u8; 32]);

impl core::fmt::Debug for AttachmentSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AttachmentSecret(…)")
    }
}

/// A chunk is not what its author sealed at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunk does not open")]
pub(crate) struct Closed;

/// What is derived of `A` for one log.
#[derive(Clone)]
pub(crate) struct AttachmentKeys {
    log: LogId,
    chunk: Zeroizing<[u8; 32]>,
    read: Zeroizing<[u8; 32]>,
}

impl core::fmt::Debug for AttachmentKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AttachmentKeys(…)")
    }
}

impl AttachmentSecret {
    #[cfg(test)]
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn random() -> Result<Self, random::NoRandomness> {
        random::array().map(Self)
    }

    pub(crate) fn keys(&self, log: &LogId) -> AttachmentKeys {
        let source = Source::new(b"sotto/v1/attachment", &self.0);
        let expand = |label: &[u8]| source.key(label, log.as_bytes());
        AttachmentKeys {
            log: *log,
            chunk: expand(b"chunk"),
            read: expand(b"read"),
        }
    }
}

impl AttachmentKeys {
    #[cfg(test)]
    pub(crate) fn chunk_key(&self) -> &[u8; 32] {
        &self.chunk
    }

    /// The grant key of who may read the log.
    pub(crate) fn read_key(&self) -> StaticSecret {
        StaticSecret::from(*self.read)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let key: &[u8; 32] = &self.chunk;
        XChaCha20Poly1305::new(key.into())
    }

    /// Seals the chunk at `index`; content that is longer than the class holds is refused.
    pub(crate) fn seal(
        &self,
        at: Chunk,
        content: &[u8],
        class: SizeClass,
    ) -> Result<Vec<u8>, Closed> {
        let nonce = random::array().map_err(|_| Closed)?;
        self.seal_under(nonce, at, content, class)
    }

    /// [`AttachmentKeys::seal`], with a nonce that is given: never, but for golden vectors.
    pub(crate) fn seal_under(
        &self,
        nonce: [u8; NONCE_BYTES],
        at: Chunk,
        content: &[u8],
        class: SizeClass,
    ) -> Result<Vec<u8>, Closed> {
        let room = class.bytes() - NONCE_BYTES - TAG_BYTES;
        if content.len() > room {
            return Err(Closed);
        }
        let mut plaintext = Zeroizing::new(Vec::with_capacity(room));
        plaintext.extend_from_slice(content);
        plaintext.resize(room, 0);
        let boxed = self
            .cipher()
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: &plaintext,
                    aad: &at.associated_data(&self.log),
                },
            )
            .map_err(|_| Closed)?;
        Ok([nonce.as_slice(), &boxed].concat())
    }

    /// Opens the chunk at `index`, of which `length` bytes are content and the rest must be zeros.
    pub(crate) fn open(&self, at: Chunk, length: usize, sealed: &[u8]) -> Result<Vec<u8>, Closed> {
        SizeClass::exactly(sealed.len()).ok_or(Closed)?;
        let (nonce, boxed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Closed)?;
        let mut plaintext = self
            .cipher()
            .decrypt(
                &XNonce::from(*nonce),
                Payload {
                    msg: boxed,
                    aad: &at.associated_data(&self.log),
                },
            )
            .map_err(|_| Closed)?;
        let padding = plaintext.get(length..).ok_or(Closed)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Closed);
        }
        plaintext.truncate(length);
        Ok(plaintext)
    }
}

/// Which chunk of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) index: u32,
    pub(crate) is_last: bool,
}

impl Chunk {
    fn associated_data(self, log: &LogId) -> Vec<u8> {
        [
            b"sotto/v1/chunk".as_slice(),
            log.as_bytes(),
            &self.index.to_be_bytes(),
            &[u8::from(self.is_last)],
        ]
        .concat()
    }
}

/// How an attachment of a known length is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    bytes: u64,
}

impl Cut {
    /// Nothing for more than an attachment may have.
    pub(crate) fn of(bytes: u64) -> Option<Self> {
        (bytes <= ATTACHMENT_BYTES_MAX).then_some(Self { bytes })
    }

    /// Chunks with content; an empty attachment has one as well.
    pub(crate) fn filled(self) -> u32 {
        let chunks = self.bytes.div_ceil(CHUNK_BYTES as u64);
        u32::try_from(chunks).unwrap_or(CHUNKS_MAX).max(1)
    }

    /// Chunks in all: the next of 1, 2, 3, 4, 6, 8, 12, 16 and so on, at most [`CHUNKS_MAX`]. What
    /// the relay can tell of a length are 21 steps; at most half is added, a fifth on average.
    pub(crate) fn chunks(self) -> u32 {
        let filled = self.filled();
        let power = filled.next_power_of_two();
        let between = power / 4 * 3;
        let padded = if filled <= between { between } else { power };
        padded.min(CHUNKS_MAX)
    }

    pub(crate) fn chunk(self, index: u32) -> Chunk {
        Chunk {
            index,
            is_last: index + 1 == self.chunks(),
        }
    }

    /// Content of the chunk at `index`, in bytes.
    pub(crate) fn content_of(self, index: u32) -> usize {
        let before = u64::from(index) * CHUNK_BYTES as u64;
        let left = self.bytes.saturating_sub(before);
        usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES))
    }

    /// The class of every chunk: the largest, unless there is only one chunk.
    pub(crate) fn class(self, floor: SizeClass) -> SizeClass {
        if self.chunks() > 1 {
            return SizeClass::K64;
        }
        SizeClass::holding(self.content_of(0) + NONCE_BYTES + TAG_BYTES)
            .unwrap_or(SizeClass::K64)
            .max(floor)
    }
}

/// A name under which an app may save what it got: one part of a path, without tricks.
pub(crate) fn attachment_name_is_fit(name: &str) -> bool {
    let trick = |c: char| c.is_control() || matches!(c, '/' | '\\') || misleads(c);
    !name.trim().is_empty()
        && name.len() <= ATTACHMENT_NAME_BYTES_MAX
        && !matches!(name, "." | "..")
        && !name.chars().any(trick)
}

/// Printable ASCII, as every media type is.
pub(crate) fn media_type_is_fit(media_type: &str) -> bool {
    (1..=MEDIA_TYPE_BYTES_MAX).contains(&media_type.len())
        && media_type.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> AttachmentKeys {
        AttachmentSecret::new([1; 32]).keys(&LogId::new([2; 32]))
    }

    fn cut(bytes: u64) -> Cut {
        Cut::of(bytes).unwrap()
    }

    #[test]
    fn lengths_come_in_few_steps_and_nothing_is_left_out() {
        let mut steps = std::collections::BTreeSet::new();
        for filled in 1..=u64::from(CHUNKS_MAX) {
            for bytes in [
                (filled - 1) * CHUNK_BYTES as u64 + 1,
                (filled * CHUNK_BYTES as u64).min(ATTACHMENT_BYTES_MAX),
            ] {
                let cut = cut(bytes);
                assert_eq!(u64::from(cut.filled()), filled);
                assert!(cut.chunks() >= cut.filled() && cut.chunks() <= CHUNKS_MAX);
                assert!(cut.chunks() * 2 <= cut.filled() * 3, "{filled}");
                let content: usize = (0..cut.chunks()).map(|at| cut.content_of(at)).sum();
                assert_eq!(content as u64, bytes);
                steps.insert(cut.chunks());
            }
        }
        let first: Vec<_> = steps.iter().copied().take(9).collect();
        assert_eq!(first, [1, 2, 3, 4, 6, 8, 12, 16, 24]);
        assert_eq!((steps.len(), steps.last()), (21, Some(&CHUNKS_MAX)));
        assert_eq!((cut(0).filled(), cut(0).chunks()), (1, 1));
        assert_eq!(Cut::of(ATTACHMENT_BYTES_MAX + 1), None);
    }

    #[test]
    fn a_single_chunk_takes_the_smallest_class_and_several_the_largest() {
        let class = |bytes, floor| cut(bytes).class(floor);
        assert_eq!(class(0, SizeClass::K1), SizeClass::K1);
        assert_eq!(class(1_024 - 40, SizeClass::K1), SizeClass::K1);
        assert_eq!(class(1_024 - 39, SizeClass::K1), SizeClass::K2);
        assert_eq!(class(1, SizeClass::K4), SizeClass::K4);
        assert_eq!(class(CHUNK_BYTES as u64, SizeClass::K1), SizeClass::K64);
        assert_eq!(class(CHUNK_BYTES as u64 + 1, SizeClass::K1), SizeClass::K64);
    }

    #[test]
    fn a_chunk_opens_at_its_own_place_only() {
        let at = cut(200_000).chunk(1);
        let sealed = keys().seal(at, b"some bytes", SizeClass::K64).unwrap();
        assert_eq!(sealed.len(), 65_536);
        assert_eq!(keys().open(at, 10, &sealed).unwrap(), b"some bytes");
        let elsewhere = [
            Chunk { index: 2, ..at },
            Chunk {
                is_last: true,
                ..at
            },
        ];
        for place in elsewhere {
            assert_eq!(keys().open(place, 10, &sealed), Err(Closed));
        }
        let other_log = AttachmentSecret::new([1; 32]).keys(&LogId::new([3; 32]));
        let other_secret = AttachmentSecret::new([4; 32]).keys(&LogId::new([2; 32]));
        for keys in [other_log, other_secret] {
            assert_eq!(keys.open(at, 10, &sealed), Err(Closed));
        }
        assert_eq!(keys().open(at, 9, &sealed), Err(Closed), "no zero");
        assert_eq!(keys().open(at, 65_497, &sealed), Err(Closed));
        for place in [0, 30, 65_535] {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert_eq!(keys().open(at, 10, &altered), Err(Closed));
        }
        assert_eq!(keys().open(at, 10, &sealed[..65_000]), Err(Closed));
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for good in ["voice note.ogg", "Фото.jpg", "…", "-rf"] {
            assert!(attachment_name_is_fit(good), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            " ",
            ".",
            "..",
            "../x",
            "a\\b",
            "a\0b",
            "a\u{202e}b",
            &long,
        ] {
            assert!(!attachment_name_is_fit(bad), "{bad}");
        }
        assert!(media_type_is_fit("audio/ogg; codecs=opus"));
        assert!(!media_type_is_fit("") && !media_type_is_fit("audio/ogg\n"));
    }
}
