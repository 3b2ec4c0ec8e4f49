//! What a desk's office did and counted, in records of which each names the one before. SPEC.md, "Audit".
//!
//! ```text
//! start = SHA-256("sotto/v1/audit" || organisation key (32) || desk (1))
//! hash  = SHA-256("sotto/v1/audit-record" || record (CBOR))
//! head  = Ed25519(organisation, "sotto/v1/audit-head" || organisation key (32) || desk (1) || number (8) || day (4) || hash (32))
//! ```
//!
//! No record is of one conversation, and none holds a number that the [numbers](super::numbers) hide.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use sotto_protocol::cbor;
use sotto_protocol::id::Signature;

use super::address::{OrganisationId, OrganisationKey};
use super::numbers::Period;
use crate::error::{Error, ErrorKind, Result};

/// Days for which numbers and records are kept: a year, and what a report of it takes.
pub(crate) const KEPT_DAYS: u32 = 400;
/// Records that are kept, whatever their days: some for each day, and as many exports.
pub(crate) const RECORDS_MAX: usize = 4_096;
/// What the first record's `before` is made with.
const START: &[u8] = b"sotto/v1/audit";
const RECORD: &[u8] = b"sotto/v1/audit-record";
const HEAD: &[u8] = b"sotto/v1/audit-head";

/// A hash of a record, or what stands before the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditHash([u8; 32]);

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// This is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 digits of base 16")]
pub struct BadHash;

impl FromStr for AuditHash {
    type Err = BadHash;

    fn from_str(text: &str) -> core::result::Result<Self, BadHash> {
        bytes_of(text).map(Self).ok_or(BadHash)
    }
}

/// Bytes from lower-case digits of base 16.
fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes().chunks_exact(2);
    let is_plain = |one: u8| one.is_ascii_digit() || (b'a'..=b'f').contains(&one);
    if text.len() != 2 * N || !text.bytes().all(is_plain) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl Serialize for AuditHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> core::result::Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for AuditHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> core::result::Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(de::Error::custom);
        }
        serde_bytes::ByteArray::<32>::deserialize(deserializer)
            .map(|bytes| Self(bytes.into_array()))
    }
}

/// What was looked at or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exported {
    /// The numbers.
    Numbers,
    /// The audit itself.
    Audit,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditWhat {
    /// So many devices are in the team no more: they left, or were removed.
    Gone(u64),
    /// A period is over: claims, letters, calls, who left, and how it was.
    Period(Period),
    /// Somebody at the office took something out.
    Exported(Exported),
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// The relay's day, in days since 1970-01-01, UTC.
    pub day: u32,
    /// Which of the organisation's desks.
    pub desk: u8,
    /// What it says.
    pub what: AuditWhat,
    /// The hash of the record before.
    pub before: AuditHash,
    /// Counts up from 1.
    pub number: u64,
}

impl AuditRecord {
    /// What the next record names it by.
    #[must_use]
    pub fn hash(&self) -> AuditHash {
        // A record of ours can be encoded; one that could not names nothing.
        let bytes = cbor::encode(self).unwrap_or_default();
        AuditHash(hash(&[RECORD, &bytes]))
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

impl AuditHash {
    /// What stands before the first record of a desk.
    #[must_use]
    pub fn start(organisation: &OrganisationId, desk: u8) -> Self {
        Self(hash(&[START, organisation.as_bytes(), &[desk]]))
    }
}

/// How far the records of a desk went when something was exported, signed by its organisation.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// The last record's.
    pub(crate) day: u32,
    /// The last record's.
    pub(crate) hash: AuditHash,
    /// The last record's.
    pub(crate) number: u64,
    pub(crate) signature: Signature,
}

impl fmt::Debug for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditHead({}, {})", self.number, self.hash)
    }
}

impl AuditHead {
    /// Up to this record, which is the last one.
    pub(crate) fn sign(key: &OrganisationKey, last: &AuditRecord) -> Self {
        let mut head = Self {
            day: last.day,
            hash: last.hash(),
            number: last.number,
            signature: Signature::new([0; 64]),
        };
        head.signature = Signature::new(key.sign(&head.signed(&key.id(), last.desk)));
        head
    }

    /// As somebody kept it elsewhere.
    ///
    /// # Errors
    /// [`BadHash`] if the signature is not 128 digits of base 16.
    pub fn of(
        (number, day): (u64, u32),
        hash: AuditHash,
        signature: &str,
    ) -> core::result::Result<Self, BadHash> {
        let signature = bytes_of(signature).map(Signature::new).ok_or(BadHash)?;
        Ok(Self {
            day,
            hash,
            number,
            signature,
        })
    }

    /// The last record's number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The last record's day, in days since 1970-01-01, UTC.
    #[must_use]
    pub const fn day(&self) -> u32 {
        self.day
    }

    /// The last record's hash.
    #[must_use]
    pub const fn hash(&self) -> AuditHash {
        self.hash
    }

    /// The organisation's signature, in base 16.
    #[must_use]
    pub fn signature(&self) -> String {
        let bytes = self.signature.as_bytes().iter();
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the organisation signed it for this desk.
    pub(crate) fn holds(&self, organisation: &OrganisationId, desk: u8) -> bool {
        let signed = self.signed(organisation, desk);
        organisation.verifies(&signed, self.signature.as_bytes())
    }

    fn signed(&self, organisation: &OrganisationId, desk: u8) -> Vec<u8> {
        let (number, day) = (self.number.to_be_bytes(), self.day.to_be_bytes());
        let organisation = organisation.as_bytes();
        [HEAD, organisation, &[desk], &number, &day, &self.hash.0].concat()
    }
}

/// The records of a desk that are kept, as they are taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditExport {
    /// Whose desk it is.
    pub organisation: OrganisationId,
    /// Which of its desks.
    pub desk: u8,
    /// The oldest first. Of a desk that is older than a year the first are gone.
    pub records: Vec<AuditRecord>,
    /// Signed by the organisation.
    pub head: AuditHead,
}

/// Why records are not what an office wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditFault {
    /// This record is missing, is another desk's, or is not the one that the next was written behind.
    #[error("record {0} does not hold")]
    Record(u64),
    /// The organisation did not sign where they end.
    #[error("the organisation did not sign where the records end")]
    Head,
    /// The office said in the team's room that this record is another one.
    #[error("record {0} is not the one that the office told the team of")]
    Rewritten(u64),
    /// The office told the team of this record, and leaves it out before its time.
    #[error("record {0}, which the office told the team of, is left out before its time")]
    LeftOut(u64),
}

impl AuditExport {
    /// Whether every record follows on the one before, up to an end that the organisation signed.
    ///
    /// # Errors
    /// [`AuditFault`], which names the first record that does not hold.
    pub fn check(&self) -> core::result::Result<(), AuditFault> {
        let first = self.records.first().map_or(1, |first| first.number);
        let mut after = self.records.iter().skip(1);
        for (record, number) in self.records.iter().zip(first..) {
            let (next_number, next_before) = match after.next() {
                Some(next) => (next.number, next.before),
                None => (self.head.number.saturating_add(1), self.head.hash),
            };
            let start = AuditHash::start(&self.organisation, self.desk);
            let is_start = number != 1 || record.before == start;
            if record.number != number || record.desk != self.desk || !is_start {
                return Err(AuditFault::Record(number));
            }
            if next_number != number.saturating_add(1) {
                return Err(AuditFault::Record(number.saturating_add(1)));
            }
            if record.hash() != next_before {
                return Err(AuditFault::Record(number));
            }
        }
        let ends_on = self.records.last().map(|last| last.day);
        if ends_on != Some(self.head.day) || !self.head.holds(&self.organisation, self.desk) {
            return Err(AuditFault::Head);
        }
        Ok(())
    }

    /// Whether it has the records that the office told the team of, but for those whose time is over.
    ///
    /// # Errors
    /// [`AuditFault::Rewritten`], [`AuditFault::LeftOut`].
    pub fn agrees_with(&self, heads: &[AuditHead]) -> core::result::Result<(), AuditFault> {
        let last = self.records.last().map_or(0, |last| last.number);
        let first = self.records.first().map_or(0, |first| first.number);
        for head in heads {
            let is_old = head.day.saturating_add(KEPT_DAYS) < self.head.day;
            if head.number < first && !is_old && self.records.len() < RECORDS_MAX {
                return Err(AuditFault::LeftOut(head.number));
            }
            let mut records = self.records.iter();
            let found = records.find(|one| one.number == head.number);
            let differs = found.is_some_and(|one| one.hash() != head.hash);
            if differs || head.number > last {
                return Err(AuditFault::Rewritten(head.number));
            }
        }
        Ok(())
    }
}

/// The records of a desk, at its office.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) desk: u8,
    /// Of the last record, or what stands before the first.
    pub(crate) last: (u64, AuditHash),
}

impl Chain {
    pub(crate) fn next(&mut self, day: u32, what: AuditWhat) -> Result<AuditRecord> {
        let (number, before) = self.last;
        let number = number.checked_add(1).ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "a desk's audit has no room for a number",
            )
        })?;
        let record = AuditRecord {
            day,
            desk: self.desk,
            what,
            before,
            number,
        };
        self.last = (number, record.hash());
        Ok(record)
    }
}
