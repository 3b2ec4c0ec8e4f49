//! A sealed backup: where its words find it, what is in it, and how it is sealed. SPEC.md, "Backup".
//!
//! ```text
//! master = Argon2id(password = entropy of the words (10), salt = "sotto/v1/words" || identity (32),
//!                   64 MiB, 3 passes, 1 lane, version 0x13, 32 bytes)
//! PRK    = HKDF-Extract-SHA-256(salt = "sotto/v1/backup", ikm = master)
//! root, keeper, seal key = HKDF-Expand-SHA-256(PRK, "root" / "keeper" / "seal", 32)
//! sealed = nonce (24, random) || XChaCha20-Poly1305(seal key, nonce, ad, plaintext)
//! ad     = "sotto/v1/backup" || log id (32)
//! plaintext = length (4, big-endian) || slip (CBOR) || zeros, to exactly a size class
//! ```
//!
//! It holds what is needed to come in again in place of one's own leaf, never the state of a
//! ratchet: nothing in it can be used to encrypt a second time under one key.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::frame::{Grant, Policy};
use sotto_protocol::id::{LogId, RelayIdentity};
use sotto_protocol::limits::TTL_DAYS_MAX;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize as _, Zeroizing};

use super::{BackupLine, ReturnWords, TicketLine};
use crate::error::{Error, ErrorKind, Result};
use crate::seal::derive::Source;
use crate::seal::letter::{self, Letters, Read};
use crate::seal::{BOX_BYTES, Draw, SealError, open_box, seal_box};

/// Argon2id's memory, as of a vault with a passphrase.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// No entry of a backup is smaller: some 25 conversations fit, so that few tell from many.
const FLOOR: SizeClass = SizeClass::K16;
/// Conversations in one backup: so many fit into a run of entries, whatever is in their lines.
pub(crate) const LINES_MAX: usize = 800;
/// Tickets and letters in one backup: more than anybody waits with at a time.
pub(crate) const TICKETS_MAX: usize = 8;
/// Bytes of a backup's log: the last backup, the next one while both are there, and room.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// Everything that return words give on one relay, from one pass of Argon2id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Master(#[serde(with = "serde_bytes")] [u8; 32]);

impl core::fmt::Debug for Master {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Master(…)")
    }
}

/// What is derived from it.
pub(crate) struct BackupKeys {
    pub(crate) root: StaticSecret,
    /// Grant key with every right that a backup needs.
    pub(crate) keeper: StaticSecret,
    seal: Zeroizing<[u8; 32]>,
}

impl core::fmt::Debug for BackupKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("BackupKeys(…)")
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// 32 bytes from what a person knows.
pub(super) fn argon2id(password: &[u8], salt: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
    let fault = || Error::new(ErrorKind::Internal, "words could not be stretched");
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|_| fault())?;
    let mut out = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, out.as_mut())
        .map_err(|_| fault())?;
    Ok(out)
}

impl Master {
    /// Takes 64 MiB and a good part of a second.
    pub(crate) fn stretch(words: &ReturnWords, relay: &RelayIdentity) -> Result<Self> {
        let salt = [b"sotto/v1/words".as_slice(), relay.as_bytes()].concat();
        let master = argon2id(words.entropy().as_slice(), &salt)?;
        Ok(Self(*master))
    }

    #[cfg(test)]
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[cfg(test)]
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn keys(&self) -> BackupKeys {
        let source = Source::new(b"sotto/v1/backup", &self.0);
        let expand = |label: &[u8]| source.key(label, &[]);
        BackupKeys {
            root: StaticSecret::from(*expand(b"root")),
            keeper: StaticSecret::from(*expand(b"keeper")),
            seal: expand(b"seal"),
        }
    }
}

impl BackupKeys {
    pub(crate) fn log(&self) -> LogId {
        LogId::of_root(&public_key(&self.root))
    }

    #[cfg(test)]
    pub(crate) fn seal_key(&self) -> &[u8; 32] {
        &self.seal
    }

    /// The first grants of the log: one key that reads, writes under the fence, trims and deletes.
    pub(crate) fn grants(&self) -> Vec<Grant> {
        vec![Grant {
            key: public_key(&self.keeper),
            ends: None,
            rate: None,
            work: None,
            rights: RIGHTS,
            until_seq: None,
        }]
    }

    /// The log's policy: the last backup stays as long as a relay keeps anything.
    pub(crate) const fn policy() -> Policy {
        Policy {
            ttl_days: TTL_DAYS_MAX,
            bytes_max: LOG_BYTES_MAX,
            admit_rights: Rights::NONE,
            ttl_fenced_days: TTL_DAYS_MAX,
        }
    }

    /// A backup as the entries of one append, in this shape.
    pub(crate) fn seal(&self, backup: &Backup, shape: &Shape) -> Result<Vec<Vec<u8>>, SealError> {
        self.seal_drawing(backup, shape, &mut crate::random::fill)
    }

    /// [`BackupKeys::seal`], with randomness that is given.
    pub(crate) fn seal_drawing(
        &self,
        backup: &Backup,
        shape: &Shape,
        draw: Draw<'_>,
    ) -> Result<Vec<Vec<u8>>, SealError> {
        let bytes = sotto_protocol::cbor::encode(backup).map_err(|_| SealError::Internal)?;
        let slips = letter::cut_into(shape.0.len(), &Zeroizing::new(bytes), draw)?;
        let seal = |(slip, floor): (&Zeroizing<Vec<u8>>, &SizeClass)| {
            seal_box(&self.seal, &self.ad(), slip, *floor, draw)
        };
        slips.iter().zip(&shape.0).map(seal).collect()
    }

    /// The newest backup among entries in log order; one that is not whole is none.
    pub(crate) fn newest<'a>(&self, entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Backup> {
        let (ad, mut letters, mut newest) = (self.ad(), Letters::default(), None);
        for sealed in entries {
            let slip = open_box(&self.seal, &ad, sealed).map(Zeroizing::new).ok();
            if let Read::Whole(bytes) = letters.take(slip.as_deref().map(Vec::as_slice))
                && let Ok(backup) = sotto_protocol::cbor::decode::<Backup>(&bytes)
            {
                newest = Some(backup).filter(Backup::is_sound).or(newest);
            }
        }
        newest
    }

    fn ad(&self) -> Vec<u8> {
        [b"sotto/v1/backup".as_slice(), self.log().as_bytes()].concat()
    }
}

/// The lengths of a backup's entries. Both backups of a device have those of the one that holds every
/// conversation, whatever the numbers in them are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape(Vec<SizeClass>);

impl Shape {
    pub(crate) fn of(lines: &[BackupLine], tickets: &[TicketLine]) -> Result<Self> {
        let longest = Longest {
            count: u64::MAX,
            lines,
            minute: u64::MAX,
            writer: serde_bytes::ByteArray::new([0; 16]),
            tickets,
        };
        let too_long = || Error::new(ErrorKind::TooLarge, "a backup is longer than a run");
        let bytes = sotto_protocol::cbor::encode(&longest)
            .map(Zeroizing::new)
            .map_err(|_| Error::new(ErrorKind::Internal, "a backup cannot be encoded"))?;
        let slips = letter::cut(&bytes, &mut crate::random::fill).map_err(|_| too_long())?;
        let class = |slip: &Zeroizing<Vec<u8>>| {
            SizeClass::holding(slip.len() + BOX_BYTES).map(|class| class.max(FLOOR))
        };
        let classes: Option<_> = slips.iter().map(class).collect();
        classes.map(Self).ok_or_else(too_long)
    }
}

/// A [`Backup`] with the longest numbers.
#[derive(Serialize)]
struct Longest<'a> {
    count: u64,
    lines: &'a [BackupLine],
    minute: u64,
    writer: serde_bytes::ByteArray<16>,
    tickets: &'a [TicketLine],
}

/// What a keeper of a backup may do with its log.
const RIGHTS: Rights = Rights::READ
    .union(Rights::APPEND)
    .union(Rights::FENCE)
    .union(Rights::TRIM)
    .union(Rights::MANAGE);

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    /// How many backups this writer wrote before.
    pub(crate) count: u64,
    pub(crate) lines: Vec<BackupLine>,
    /// When it was written, in minutes since 1970-01-01, UTC.
    pub(crate) minute: u64,
    /// Drawn by a device when it begins to keep the backup, so that it knows its own.
    #[serde(with = "serde_bytes")]
    pub(crate) writer: [u8; 16],
    /// Tickets and letters that nobody answered yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tickets: Vec<TicketLine>,
}

impl core::fmt::Debug for Backup {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Backup(…)")
    }
}

impl Backup {
    /// Whether it keeps to the limits of the specification.
    pub(crate) fn is_sound(&self) -> bool {
        let is_sound = |line: &BackupLine| {
            (1..=3).contains(&line.secrets.len()) && crate::content::name_is_fit(&line.name)
        };
        let named = |ticket: &TicketLine| crate::content::name_is_fit(&ticket.name);
        let is_short = self.lines.len() <= LINES_MAX && self.tickets.len() <= TICKETS_MAX;
        is_short && self.lines.iter().all(is_sound) && self.tickets.iter().all(named)
    }
}

/// What one of the two backups is to hold.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) lines: Vec<BackupLine>,
    pub(crate) tickets: Vec<TicketLine>,
}

/// What tells whether both backups still say what they should; means nothing beyond this device.
pub(crate) fn digest_of(own: &List, decoy: &List) -> Result<[u8; 32]> {
    let lists = (&own.lines, &own.tickets, &decoy.lines, &decoy.tickets);
    let bytes = sotto_protocol::cbor::encode(&lists)
        .map_err(|_| Error::new(ErrorKind::Internal, "a backup cannot be encoded"))?;
    Ok(Sha256::digest(Zeroizing::new(bytes).as_slice()).into())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::desk::OrganisationId;
    use crate::link::{DoorKeys, DoorLink, RelayAddress};
    use crate::mls::{LeafId, Suite};
    use crate::seal::ConversationSecret;

    pub(crate) fn line(byte: u8, with_door: bool) -> BackupLine {
        let relay = RelayAddress {
            url: "wss://relay.example/".into(),
            identity: RelayIdentity::new([0x31; 32]),
        };
        let founder = LeafId::new([0x32; 32]);
        let door = DoorLink {
            door: LogId::new([0x33; 32]),
            knock: [0x34; 32],
            relay: relay.clone(),
            suite: Suite::Hybrid,
            founder,
            sealing: public_key(&[0x3d; 32].into()),
        };
        let keys = DoorKeys {
            chat: byte == 0,
            keeper: [0x3c; 32],
            opening: [0x3d; 32],
        };
        BackupLine {
            log: LogId::new([byte; 32]),
            seq: 41,
            door: with_door.then_some(door),
            name: "Ana".into(),
            seed: [0x36; 32],
            keeps: with_door.then_some(keys),
            relay,
            manage: [0x37; 32],
            member: [0x38; 32],
            trusts: with_door.then_some(OrganisationId::new([0x3e; 32])),
            founder,
            secrets: vec![ConversationSecret::new([0x39; 32])],
        }
    }

    pub(crate) fn backup(lines: usize) -> Backup {
        Backup {
            count: 3,
            lines: (0..lines)
                .map(|at| line(u8::try_from(at % 200).unwrap(), at % 3 != 1))
                .collect(),
            minute: 28_000_000,
            writer: [0x3a; 16],
            tickets: Vec::new(),
        }
    }

    pub(crate) fn ticket(byte: u8, letter: bool) -> TicketLine {
        let from = line(byte, false);
        TicketLine {
            own: [0x41; 32],
            init: [0x42; 32],
            leaf: [0x43; 32],
            name: from.name,
            seed: [0x44; 32],
            inbox: LogId::new([byte; 32]),
            owner: [0x45; 32],
            place: 7,
            queue: LogId::new([0x46; 32]),
            relay: from.relay,
            reply: [0x47; 32],
            suite: Suite::Hybrid,
            letter,
            manage: [0x48; 32],
            trusts: OrganisationId::new([0x3e; 32]),
            package: vec![0x49; 8],
        }
    }

    /// Every line as long as a line can be.
    fn fullest(lines: usize) -> Backup {
        let mut backup = backup(lines);
        for line in &mut backup.lines {
            *line = self::line(0, true);
            let url = format!("wss://{}", "x".repeat(250));
            line.relay.url.clone_from(&url);
            if let Some(door) = &mut line.door {
                door.relay.url = url;
            }
            line.seq = u64::MAX;
            line.name = "n".repeat(crate::NAME_BYTES_MAX);
            line.secrets = vec![ConversationSecret::new([0x39; 32]); 3];
        }
        let relay = |url: &str| RelayAddress {
            url: url.into(),
            ..line(0, false).relay
        };
        let longest = || TicketLine {
            name: "n".repeat(crate::NAME_BYTES_MAX),
            place: u64::MAX,
            relay: relay(&format!("wss://{}", "x".repeat(250))),
            package: vec![0x49; 3_072],
            ..ticket(1, true)
        };
        Backup {
            count: u64::MAX,
            minute: u64::MAX,
            tickets: if lines == 0 {
                Vec::new()
            } else {
                vec![longest(); TICKETS_MAX]
            },
            ..backup
        }
    }

    fn keys() -> BackupKeys {
        Master::new([7; 32]).keys()
    }

    fn entries_of(backup: &Backup) -> Result<Vec<Vec<u8>>> {
        let shape = Shape::of(&backup.lines, &backup.tickets)?;
        Ok(keys().seal(backup, &shape).unwrap())
    }

    fn newest(keys: &BackupKeys, entries: &[Vec<u8>]) -> Option<Backup> {
        keys.newest(entries.iter().map(Vec::as_slice))
    }

    #[test]
    fn few_conversations_look_like_none() {
        for lines in [0, 1, 20] {
            let sealed = entries_of(&backup(lines)).unwrap();
            let sizes: Vec<_> = sealed.iter().map(Vec::len).collect();
            assert_eq!(sizes, [FLOOR.bytes()], "{lines}");
            assert_eq!(newest(&keys(), &sealed), Some(backup(lines)));
        }
    }

    #[test]
    fn the_most_conversations_fit_into_one_append() {
        let most = fullest(LINES_MAX);
        let sealed = entries_of(&most).unwrap();
        assert!(
            sealed.iter().map(Vec::len).sum::<usize>() <= sotto_protocol::limits::RUN_BYTES_MAX
        );
        assert_eq!(newest(&keys(), &sealed), Some(most));
        let one_more = entries_of(&backup(LINES_MAX + 1)).unwrap();
        assert_eq!(newest(&keys(), &one_more), None, "more than may be in it");
        let waiting = |count: usize| {
            let tickets = vec![ticket(1, false); count];
            let waits = Backup {
                tickets,
                ..backup(1)
            };
            newest(&keys(), &entries_of(&waits).unwrap()) == Some(waits)
        };
        assert!(waiting(TICKETS_MAX) && !waiting(TICKETS_MAX + 1));
        // The bound is no smaller than it has to be by much.
        assert!(entries_of(&fullest(LINES_MAX + LINES_MAX / 5)).is_err());
    }

    #[test]
    fn a_list_goes_as_a_longer_one_does_whatever_is_in_it() {
        for lines in [0, 24, 25, 60, 120, 300, LINES_MAX] {
            let all = fullest(lines);
            let shape = Shape::of(&all.lines, &all.tickets).unwrap();
            let lengths = |backup: &Backup| {
                let sealed = keys().seal(backup, &shape).unwrap();
                assert_eq!(newest(&keys(), &sealed).as_ref(), Some(backup));
                sealed.iter().map(Vec::len).collect::<Vec<_>>()
            };
            let few = Backup {
                count: 0,
                minute: 1,
                ..backup(lines / 7)
            };
            assert_eq!(lengths(&few), lengths(&all), "{lines}");
        }
    }

    #[test]
    fn the_newest_whole_one_counts() {
        let mut entries = entries_of(&backup(1)).unwrap();
        entries.extend(entries_of(&backup(2)).unwrap());
        let long = entries_of(&backup(800)).unwrap();
        assert!(long.len() > 2);
        entries.extend(long[..long.len() - 1].to_vec());
        entries.push(vec![0; FLOOR.bytes()]);
        assert_eq!(newest(&keys(), &entries), Some(backup(2)));
        let others = Master::new([8; 32]).keys();
        assert_eq!(newest(&others, &entries), None);
    }

    #[test]
    fn words_open_one_place_on_each_relay_and_slowly() {
        let words = ReturnWords::of([1; 10]);
        let relay = |byte| RelayIdentity::new([byte; 32]);
        let master = Master::stretch(&words, &relay(1)).unwrap();
        let elsewhere = Master::stretch(&words, &relay(2)).unwrap();
        assert_ne!(master.keys().log(), elsewhere.keys().log());
        let again = Master::stretch(&words.text().parse().unwrap(), &relay(1)).unwrap();
        assert_eq!(master, again);
        assert_eq!(
            format!("{master:?} {:?} {:?}", master.keys(), backup(1)),
            "Master(…) BackupKeys(…) Backup(…)"
        );
    }
}
