//! Letters to one reader: knocks at a door and answers in an inbox, sealed by HPKE (RFC 9180) to a key
//! made for that one purpose. SPEC.md, "Letters".
//!
//! ```text
//! sealed    = enc (32) || ciphertext || tag (16), exactly a size class
//!             base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305
//! info      = "sotto/v1/" and the purpose's name;  aad = log id (32) of the door or inbox
//! plaintext = length (4, big-endian) || slip (CBOR) || zeros
//! ```
//!
//! It names nobody: what is in a letter proves itself (a KeyPackage, a Welcome), or is believed of
//! nobody but of who can read the knock.

use core::convert::Infallible;

use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{CryptoRng, TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::frame::Bytes;
use sotto_protocol::id::{ChainValue, LogId, PublicKey, Signature};
use sotto_protocol::limits::{RUN_BYTES_MAX, SEALED_BYTES_MAX};
use sotto_protocol::size_class::SizeClass;
use zeroize::{Zeroize, Zeroizing};

use super::{
    ConversationSecret, Draw, LENGTH_BYTES, PART_BYTES, Part, Return, RunId, SealError, TAG_BYTES,
};
use crate::desk::ShownBadge;
use crate::mls::{LeafId, LeafKey};
use crate::random;

/// The encapsulated key.
const ENC_BYTES: usize = 32;
/// What a letter's box adds to a slip.
const LETTER_BYTES: usize = ENC_BYTES + TAG_BYTES + LENGTH_BYTES;
/// Bytes of a letter that one entry carries; whole or in parts, the same room is left for the slip.
const PIECE_BYTES: usize = SEALED_BYTES_MAX - LETTER_BYTES - PART_BYTES;
/// Entries of the longest letter.
const PARTS_MAX: usize = RUN_BYTES_MAX / SEALED_BYTES_MAX;

/// What a letter is for; one for the other does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To a door.
    Knock,
    /// To the inbox of who knocked.
    Answer,
    /// To another facilitator, inside the conversation.
    Door,
    /// To the standing inbox of somebody who is added.
    Invite,
    /// In a pool of KeyPackages, to whoever has the inbox's address.
    Package,
    /// In a desk's queue, to its supporters: what a seeker says of what they look for.
    Ticket,
    /// In a ticket's held part, to the supporter who has the lease: how to answer.
    Held,
}

impl Purpose {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Knock => b"sotto/v1/knock",
            Self::Answer => b"sotto/v1/answer",
            Self::Door => b"sotto/v1/door",
            Self::Invite => b"sotto/v1/invite",
            Self::Package => b"sotto/v1/package",
            Self::Ticket => b"sotto/v1/ticket",
            Self::Held => b"sotto/v1/held",
        }
    }
}

/// Where a letter goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address<'a> {
    pub(crate) purpose: Purpose,
    /// The door's or inbox's log.
    pub(crate) log: &'a LogId,
    /// The reader's HPKE public key.
    pub(crate) key: &'a PublicKey,
}

/// One entry's share of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Slip<'a> {
    #[serde(borrow)]
    Part(Part<'a>),
    #[serde(borrow)]
    Whole(Bytes<'a>),
}

/// What somebody says who asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnockBody<'a> {
    /// Who says that they were a member before, and proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) was: Option<Return>,
    /// What they want to be called.
    pub(crate) name: String,
    /// What an organisation says of them, shown at this door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) badge: Option<ShownBadge>,
    /// Where they wait for an answer.
    pub(crate) inbox: LogId,
    /// The HPKE public key that answers are sealed to.
    pub(crate) reply: PublicKey,
    /// Secret grant key (X25519) that may append to the inbox.
    #[serde(with = "serde_bytes")]
    pub(crate) append: [u8; 32],
    /// The public key they would hold `manage` with.
    pub(crate) manage: PublicKey,
    /// A KeyPackage (`MLSMessage` bytes) for this and nothing else.
    #[serde(borrow)]
    pub(crate) package: Bytes<'a>,
}

/// What who knocked is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnswerBody<'a> {
    /// No; nothing more comes.
    No,
    /// Yes.
    #[serde(borrow)]
    Welcome(WelcomeBody<'a>),
}

/// Everything that a newcomer needs beside its own keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WelcomeBody<'a> {
    /// The conversation.
    pub(crate) log: LogId,
    /// The last entry that the author had read, behind which the newcomer begins.
    pub(crate) seq: u64,
    /// `ratchet_tree` (RFC 9420, section 12.4.3.3) of the new epoch.
    #[serde(borrow)]
    pub(crate) tree: Bytes<'a>,
    /// The chain value after `seq`.
    pub(crate) chain: ChainValue,
    /// The fence number of the Commit that lets the newcomer in; up to it everything is skipped.
    pub(crate) fence: u64,
    /// The conversation's present secret.
    pub(crate) secret: ConversationSecret,
    /// The Welcome (`MLSMessage` bytes).
    #[serde(borrow)]
    pub(crate) welcome: Bytes<'a>,
}

/// What somebody finds in their inbox who was added to a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteBody<'a> {
    /// The leaf that chains of vouching begin at.
    pub(crate) founder: LeafId,
    #[serde(borrow)]
    pub(crate) welcome: WelcomeBody<'a>,
}

/// A KeyPackage in a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageBody<'a> {
    /// `MLSMessage` bytes.
    #[serde(borrow)]
    pub(crate) package: Bytes<'a>,
    /// Of the inbox's owner, so that nobody else who has the address can put one in.
    pub(crate) signature: Signature,
}

impl<'a> PackageBody<'a> {
    pub(crate) fn sign(owner: &LeafKey, pool: &LogId, package: &'a [u8]) -> Self {
        Self {
            package: package.into(),
            signature: Signature::new(owner.sign(&Self::signed(pool, package))),
        }
    }

    pub(crate) fn holds(&self, owner: &LeafId, pool: &LogId) -> bool {
        let signed = Self::signed(pool, self.package.as_slice());
        owner.verifies(&signed, self.signature.as_bytes())
    }

    /// `"sotto/v1/package" || pool (32) || SHA-256(package) (32)`.
    fn signed(pool: &LogId, package: &[u8]) -> Vec<u8> {
        let digest = Sha256::digest(package);
        [b"sotto/v1/package".as_slice(), pool.as_bytes(), &digest].concat()
    }
}

/// Seals a letter as one entry, or as a run of entries; none is smaller than `floor`.
pub(crate) fn write(
    to: Address<'_>,
    letter: &[u8],
    floor: SizeClass,
) -> Result<Vec<Vec<u8>>, SealError> {
    let slips = cut(letter, &mut random::fill)?;
    slips.iter().map(|slip| seal(to, slip, floor)).collect()
}

/// Cuts a letter into encoded slips, one for each entry.
pub(crate) fn cut(letter: &[u8], draw: Draw<'_>) -> Result<Vec<Zeroizing<Vec<u8>>>, SealError> {
    cut_into(1, letter, draw)
}

/// [`cut`], into so many slips at least.
pub(crate) fn cut_into(
    least: usize,
    letter: &[u8],
    draw: Draw<'_>,
) -> Result<Vec<Zeroizing<Vec<u8>>>, SealError> {
    let encode = |slip: &Slip<'_>| super::encode(slip).map(Zeroizing::new);
    if letter.len() <= PIECE_BYTES && least <= 1 {
        return Ok(vec![encode(&Slip::Whole(letter.into()))?]);
    }
    let pieces = pieces(least, letter);
    if pieces.len() > PARTS_MAX {
        return Err(SealError::TooLong);
    }
    let mut run = [0; 8];
    draw(&mut run).map_err(|_| SealError::Internal)?;
    let count = u16::try_from(pieces.len()).map_err(|_| SealError::TooLong)?;
    (0..count)
        .zip(pieces)
        .map(|(index, piece)| {
            encode(&Slip::Part(Part {
                run: run.into(),
                bytes: piece.into(),
                count,
                index,
            }))
        })
        .collect()
}

/// Full pieces and what is left; of what would be fewer pieces than are wanted, a byte at least goes into
/// each, so that none is longer than it would be in a longer letter.
fn pieces(least: usize, letter: &[u8]) -> Vec<&[u8]> {
    let count = letter.len().div_ceil(PIECE_BYTES).max(least);
    let mut rest = letter;
    (1..=count)
        .filter_map(|at| {
            let room = rest.len().saturating_sub(count - at);
            let (piece, after) = rest.split_at_checked(room.min(PIECE_BYTES))?;
            rest = after;
            Some(piece)
        })
        .collect()
}

fn seal(to: Address<'_>, slip: &[u8], floor: SizeClass) -> Result<Vec<u8>, SealError> {
    seal_drawing(to, slip, floor, &mut Drawn::new()?)
}

/// [`seal`], with randomness that is given: 32 bytes, that the ephemeral key is derived from.
fn seal_drawing(
    to: Address<'_>,
    slip: &[u8],
    floor: SizeClass,
    draw: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let class = SizeClass::holding(slip.len() + LETTER_BYTES)
        .ok_or(SealError::TooLong)?
        .max(floor);
    let length = u32::try_from(slip.len()).map_err(|_| SealError::TooLong)?;
    let mut text = Vec::with_capacity(class.bytes());
    text.extend_from_slice(&length.to_be_bytes());
    text.extend_from_slice(slip);
    text.resize(class.bytes() - ENC_BYTES - TAG_BYTES, 0);
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(to.key.as_bytes())
        .map_err(|_| SealError::Closed)?;
    // It fails for a key that no honest reader has: all its shared secrets would be zero.
    let (enc, tag) = hpke::single_shot_seal_inout_detached_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(
        &OpModeS::Base,
        &key,
        to.purpose.info(),
        InOutBuf::from(text.as_mut_slice()),
        to.log.as_bytes(),
        draw,
    )
    .map_err(|_| SealError::Closed)?;
    Ok([enc.to_bytes().as_slice(), &text, tag.to_bytes().as_slice()].concat())
}

/// Opens one entry's share.
fn open(
    secret: &[u8; 32],
    purpose: Purpose,
    log: &LogId,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    SizeClass::exactly(sealed.len()).ok_or(SealError::Closed)?;
    let (enc, boxed) = sealed
        .split_first_chunk::<ENC_BYTES>()
        .ok_or(SealError::Closed)?;
    let (boxed, tag) = boxed
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(SealError::Closed)?;
    let closed = |_| SealError::Closed;
    let key = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret).map_err(closed)?;
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).map_err(closed)?;
    let tag = AeadTag::<ChaCha20Poly1305>::from_bytes(tag).map_err(closed)?;
    let mut text = Zeroizing::new(boxed.to_vec());
    hpke::single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &key,
        &enc,
        purpose.info(),
        InOutBuf::from(text.as_mut_slice()),
        log.as_bytes(),
        &tag,
    )
    .map_err(closed)?;
    let (length, rest) = text
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or(SealError::Closed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::Closed)?;
    let (slip, padding) = rest.split_at_checked(length).ok_or(SealError::Closed)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(SealError::Closed);
    }
    Ok(Zeroizing::new(slip.to_vec()))
}

/// What reading one entry gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Nothing for this reader.
    Junk,
    /// A part of a letter that goes on in the next entry.
    More,
    /// A letter.
    Whole(Zeroizing<Vec<u8>>),
}

/// Reads the letters of one log, entry by entry, and joins runs.
#[derive(Default)]
pub(crate) struct Letters {
    run: Option<OpenRun>,
}

struct OpenRun {
    id: RunId,
    count: u16,
    next: u16,
    bytes: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for Letters {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Letters(…)")
    }
}

impl Letters {
    /// The next entry. A run that is broken off was never whole for anybody.
    pub(crate) fn read(
        &mut self,
        secret: &[u8; 32],
        purpose: Purpose,
        log: &LogId,
        sealed: &[u8],
    ) -> Read {
        let slip = open(secret, purpose, log, sealed).ok();
        self.take(slip.as_deref().map(Vec::as_slice))
    }

    /// Whether the last entry read began a letter of several.
    pub(crate) fn has_just_begun(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.next == 1)
    }

    /// The next entry's slip, if it opened.
    pub(crate) fn take(&mut self, slip: Option<&[u8]>) -> Read {
        let run = self.run.take();
        match slip.map(sotto_protocol::cbor::decode::<Slip<'_>>) {
            None | Some(Err(_)) => Read::Junk,
            Some(Ok(Slip::Whole(bytes))) => Read::Whole(Zeroizing::new(bytes.as_slice().to_vec())),
            Some(Ok(Slip::Part(part))) => self.join(run, &part),
        }
    }

    fn join(&mut self, run: Option<OpenRun>, part: &Part<'_>) -> Read {
        let begun = match run {
            Some(run) if part.index > 0 => run,
            _ => OpenRun {
                id: part.run,
                count: part.count,
                next: 0,
                bytes: Zeroizing::default(),
            },
        };
        let fits = begun.id == part.run
            && begun.count == part.count
            && begun.next == part.index
            && usize::from(part.count) <= PARTS_MAX
            && part.index < part.count;
        if !fits {
            return Read::Junk;
        }
        let mut run = begun;
        run.bytes.extend_from_slice(part.bytes.as_slice());
        run.next += 1;
        if run.next == run.count {
            return Read::Whole(run.bytes);
        }
        self.run = Some(run);
        Read::More
    }
}

/// The randomness of one letter: `SHA-256(seed || counter)`, block by block. The library wants a
/// source that cannot fail, so what can fail is drawn before.
struct Drawn {
    seed: Zeroizing<[u8; 32]>,
    count: u64,
}

impl Drawn {
    fn new() -> Result<Self, SealError> {
        let seed = random::array().map_err(|_| SealError::Internal)?;
        Ok(Self {
            seed: Zeroizing::new(seed),
            count: 0,
        })
    }

    fn block(&mut self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(*self.seed);
        hash.update(self.count.to_be_bytes());
        self.count += 1;
        hash.finalize().into()
    }

    fn fixed<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let mut block = self.block();
            for (to, from) in chunk.iter_mut().zip(&block) {
                *to = *from;
            }
            block.zeroize();
        }
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.fixed()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.fixed()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
pub(crate) mod tests {
    use sotto_protocol::proof::public_key;
    use x25519_dalek::StaticSecret;

    use super::*;

    /// The same 32 bytes for whoever asks.
    struct Given([u8; 32]);

    impl TryRng for Given {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            panic!("only an ephemeral key is drawn")
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            panic!("only an ephemeral key is drawn")
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Given {}

    /// The ephemeral secret key that these 32 bytes lead to (`DeriveKeyPair`, RFC 9180, 7.1.3).
    pub(crate) fn ephemeral(ikm: &[u8; 32]) -> [u8; 32] {
        let (secret, _) = <X25519HkdfSha256 as Kem>::derive_keypair(ikm);
        secret.to_bytes().into()
    }

    /// One entry of a letter, and what is in it.
    pub(crate) struct Written {
        pub(crate) slip: Vec<u8>,
        pub(crate) sealed: Vec<u8>,
    }

    /// The entries of a letter, with a run id and an ephemeral key that are
    /// given.
    pub(crate) fn write_under(
        to: Address<'_>,
        letter: &[u8],
        floor: SizeClass,
        (run, ikm): (u8, [u8; 32]),
    ) -> Vec<Written> {
        let mut draw = |bytes: &mut [u8]| {
            bytes.fill(run);
            Ok(())
        };
        let slips = cut(letter, &mut draw).unwrap();
        let written = |slip: &Zeroizing<Vec<u8>>| Written {
            slip: slip.to_vec(),
            sealed: seal_drawing(to, slip, floor, &mut Given(ikm)).unwrap(),
        };
        slips.iter().map(written).collect()
    }

    const SECRET: [u8; 32] = [7; 32];
    const LOG: LogId = LogId::new([1; 32]);

    fn key() -> PublicKey {
        public_key(&StaticSecret::from(SECRET))
    }

    fn written(letter: &[u8], floor: SizeClass) -> Vec<Vec<u8>> {
        let key = key();
        let to = Address {
            purpose: Purpose::Answer,
            log: &LOG,
            key: &key,
        };
        write(to, letter, floor).unwrap()
    }

    fn read_all(entries: &[Vec<u8>]) -> Vec<Read> {
        let mut letters = Letters::default();
        entries
            .iter()
            .map(|entry| letters.read(&SECRET, Purpose::Answer, &LOG, entry))
            .collect()
    }

    fn whole(letter: &[u8]) -> Read {
        Read::Whole(Zeroizing::new(letter.to_vec()))
    }

    #[test]
    fn a_letter_opens_for_its_reader_purpose_and_log_only() {
        let entry = written(b"come in", SizeClass::K1).remove(0);
        let read = |secret: &[u8; 32], purpose, log: &LogId, entry: &[u8]| {
            Letters::default().read(secret, purpose, log, entry)
        };
        assert_eq!(
            read(&SECRET, Purpose::Answer, &LOG, &entry),
            whole(b"come in")
        );
        assert_eq!(read(&[8; 32], Purpose::Answer, &LOG, &entry), Read::Junk);
        assert_eq!(read(&SECRET, Purpose::Knock, &LOG, &entry), Read::Junk);
        let other = LogId::new([2; 32]);
        assert_eq!(read(&SECRET, Purpose::Answer, &other, &entry), Read::Junk);
        for at in [0, 31, 32, 500, 1_007, 1_008, 1_023] {
            let mut altered = entry.clone();
            altered[at] ^= 1;
            assert_eq!(read(&SECRET, Purpose::Answer, &LOG, &altered), Read::Junk);
        }
        assert_eq!(
            read(&SECRET, Purpose::Answer, &LOG, &entry[..1_000]),
            Read::Junk
        );
    }

    #[test]
    fn letters_are_size_classes_and_not_below_the_floor() {
        for length in [0, 1, 960, 970, 1_024, 3_000, PIECE_BYTES] {
            let entries = written(&vec![1; length], SizeClass::K1);
            assert_eq!(entries.len(), 1, "{length}");
            assert!(SizeClass::exactly(entries[0].len()).is_some());
            assert_eq!(read_all(&entries), [whole(&vec![1; length])]);
        }
        assert_eq!(written(b"no", SizeClass::K4)[0].len(), 4_096);
    }

    #[test]
    fn a_long_letter_is_a_run_and_a_broken_run_is_junk() {
        let letter: Vec<u8> = (0..200_000_u32).map(|n| n.to_be_bytes()[3]).collect();
        let entries = written(&letter, SizeClass::K1);
        assert_eq!(entries.len(), 4);
        let read = read_all(&entries);
        assert_eq!(read[..3], [Read::More, Read::More, Read::More]);
        assert_eq!(read[3], whole(&letter));
        let mut gap = entries.clone();
        gap.remove(1);
        assert!(read_all(&gap).iter().all(|read| *read != whole(&letter)));
        // Another letter in between ends the run, and is read.
        let mut other = entries;
        other.insert(2, written(b"hm", SizeClass::K1).remove(0));
        let read = read_all(&other);
        assert_eq!(read[2], whole(b"hm"));
        assert!(!read.contains(&whole(&letter)));
    }

    #[test]
    fn a_letter_of_more_than_a_run_is_refused() {
        let key = key();
        let to = Address {
            purpose: Purpose::Answer,
            log: &LOG,
            key: &key,
        };
        let long = vec![0; PARTS_MAX * PIECE_BYTES + 1];
        assert_eq!(write(to, &long, SizeClass::K1), Err(SealError::TooLong));
    }

    #[test]
    fn a_reply_key_that_nobody_can_hold_is_refused() {
        let zero = PublicKey::new([0; 32]);
        let to = Address {
            purpose: Purpose::Answer,
            log: &LOG,
            key: &zero,
        };
        assert_eq!(write(to, b"x", SizeClass::K1), Err(SealError::Closed));
    }

    #[test]
    fn bodies_survive_strict_coding() {
        let knock = KnockBody {
            was: None,
            name: "Ann".into(),
            badge: None,
            inbox: LOG,
            reply: key(),
            append: [3; 32],
            manage: key(),
            package: vec![4; 9].into(),
        };
        let bytes = sotto_protocol::cbor::encode(&knock).unwrap();
        assert_eq!(
            sotto_protocol::cbor::decode::<KnockBody<'_>>(&bytes).unwrap(),
            knock
        );
        let welcome = AnswerBody::Welcome(WelcomeBody {
            log: LOG,
            seq: 4,
            tree: vec![1].into(),
            chain: ChainValue::new([2; 32]),
            fence: 3,
            secret: ConversationSecret::new([5; 32]),
            welcome: vec![6].into(),
        });
        for answer in [welcome, AnswerBody::No] {
            let bytes = sotto_protocol::cbor::encode(&answer).unwrap();
            assert_eq!(
                sotto_protocol::cbor::decode::<AnswerBody<'_>>(&bytes).unwrap(),
                answer
            );
        }
    }
}
