//! Between what is stored and what it means: seals state, entries and answers at rest and opens
//! them again. It must not decide anything.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sotto_protocol::cbor;
use sotto_protocol::frame::Answer;
use sotto_protocol::id::LogId;

use super::fault::Fault;
use super::state::{GrantList, Head, LogState, StoredEntry};
use crate::retention::{Keys, LogKeys};
use crate::store::{Key, Record, revision_of};

/// A remembered answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredAnswer<'a> {
    /// When it was given, in seconds.
    pub(crate) at: u64,
    /// Absent once its content had to go (P8): the repeat is refused, not applied again.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer<'a>>,
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    cbor::encode(value).map_err(|_| Fault::Shape)
}

fn decode<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> Result<T, Fault> {
    cbor::decode(bytes).map_err(|_| Fault::Shape)
}

/// What a head is sealed for: its key and its revision.
fn head_place(key: &Key, revision: u64) -> Vec<u8> {
    let mut place = key.encode();
    place.extend_from_slice(&revision.to_be_bytes());
    place
}

/// The record of a head.
pub(crate) fn seal_head(
    keys: &Keys,
    log: &LogKeys,
    head: &Head,
    revision: u64,
) -> Result<(Key, Bytes), Fault> {
    let key = Key::new(log.name, Record::Head);
    let sealed = keys.seal(log, None, &head_place(&key, revision), &encode(head)?)?;
    let mut value = revision.to_be_bytes().to_vec();
    value.extend_from_slice(&sealed);
    Ok((key, value.into()))
}

/// The record of a list of grants.
pub(crate) fn seal_grants(
    keys: &Keys,
    log: &LogKeys,
    grants: &GrantList,
) -> Result<(Key, Bytes), Fault> {
    let key = Key::new(log.name, Record::Grants);
    let value = keys.seal(log, None, &key.encode(), &encode(grants)?)?;
    Ok((key, value))
}

/// A log's state from its two records.
pub(crate) fn open_state(
    keys: &Keys,
    log: &LogKeys,
    id: &LogId,
    head: &[u8],
    grants: Option<&[u8]>,
) -> Result<LogState, Fault> {
    let revision = revision_of(head).ok_or(Fault::Shape)?;
    let key = Key::new(log.name, Record::Head);
    let sealed = head.get(8..).ok_or(Fault::Shape)?;
    let plain = keys.open_value(log, &head_place(&key, revision), sealed)?;
    let head: Head = decode(&plain)?;
    let key = Key::new(log.name, Record::Grants);
    let plain = keys.open_value(log, &key.encode(), grants.ok_or(Fault::Shape)?)?;
    let grants: GrantList = decode(&plain)?;
    if head.id != *id || head.version != grants.version {
        return Err(Fault::Shape);
    }
    Ok(LogState {
        revision: Some(revision),
        head,
        grants: grants.into(),
    })
}

/// The key of an entry's record.
pub(crate) fn entry_key(log: &LogKeys, entry: &StoredEntry<'_>) -> Key {
    let record = if entry.is_fenced_lane() {
        Record::Fenced(entry.seq)
    } else {
        Record::Ordinary(entry.seq)
    };
    Key::new(log.name, record)
}

/// The record of an entry that is legible until the end of `day`.
pub(crate) fn seal_entry(
    keys: &Keys,
    log: &LogKeys,
    entry: &StoredEntry<'_>,
    day: u32,
) -> Result<(Key, Bytes), Fault> {
    let key = entry_key(log, entry);
    keys.need_day(day)?;
    let value = keys.seal(log, Some(day), &key.encode(), &encode(entry)?)?;
    Ok((key, value))
}

/// An entry from its record.
pub(crate) fn open_entry(
    keys: &Keys,
    log: &LogKeys,
    key: &Key,
    value: &[u8],
) -> Result<StoredEntry<'static>, Fault> {
    let plain = keys.open_value(log, &key.encode(), value)?;
    let entry: StoredEntry<'_> = decode(&plain)?;
    if entry_key(log, &entry) != *key {
        return Err(Fault::Shape);
    }
    Ok(entry.into_owned())
}

/// The record of an answer that is remembered until the end of `day`.
pub(crate) fn seal_answer(
    keys: &Keys,
    log: &LogKeys,
    key: &Key,
    answer: &StoredAnswer<'_>,
    day: u32,
) -> Result<Bytes, Fault> {
    keys.need_day(day)?;
    Ok(keys.seal(log, Some(day), &key.encode(), &encode(answer)?)?)
}

/// A remembered answer from its record.
pub(crate) fn open_answer(
    keys: &Keys,
    log: &LogKeys,
    key: &Key,
    value: &[u8],
) -> Result<StoredAnswer<'static>, Fault> {
    let plain = keys.open_value(log, &key.encode(), value)?;
    let stored: StoredAnswer<'_> = decode(&plain)?;
    Ok(StoredAnswer {
        at: stored.at,
        answer: stored.answer.map(Answer::into_owned),
    })
}
