//! Reading: what a log's state and entries look like to someone who proved some keys. Changes
//! nothing, and never shows what is not yet durable.

use std::sync::Arc;

use bytes::Bytes;
use sotto_protocol::cbor;
use sotto_protocol::chain;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Described, Frame, Lane, Opened, Page, Placed, Push, Refusal};
use sotto_protocol::id::{ChainValue, LogId, PublicKey};
use sotto_protocol::limits::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, POSITION_STEP};
use sotto_protocol::right::Rights;

use super::Pushes;
use super::codec;
use super::fault::Fault;
use super::grant::{self, Access};
use super::recent::RecentPush;
use super::shared::{LaneRange, NOBODY, Shared, state_keys};
use super::state::{LogState, Now, StoredEntry};
use super::verify::seq_of;
use crate::limits::{POSITION_COUNTED_MAX, PUSH_BYTES_PER_TURN};
use crate::retention::{LogKeys, SealError};
use crate::store::Key;

fn refused() -> Refusal {
    Refusal::of(ErrorCode::Refused)
}

fn ours(fault: Fault) -> Refusal {
    fault.refusal()
}

/// See [`Logs::open_again`](super::Logs::open_again). One `get` and two `range`s, whatever comes out.
pub(crate) async fn open(
    shared: &Shared,
    id: &LogId,
    earlier: &[PublicKey],
    keys: &[PublicKey],
) -> Result<Opened, Refusal> {
    let (log, state) = look_up(shared, id).await?;
    let name = log.as_ref().map_or(NOBODY, |log| log.name);
    let floor = state.as_ref().map_or(0, |state| state.head.floor);
    let mut first = u64::MAX;
    for fenced in [false, true] {
        let range = LaneRange {
            fenced,
            after: floor,
            to: u64::MAX,
            records_max: 1,
            bytes_max: 1,
            values: false,
        };
        let found = shared.lane(name, range).await.map_err(ours)?;
        first = first.min(found.first().map_or(u64::MAX, |(key, _)| seq_of(key)));
    }
    let nobody = grant::access(&super::state::GrantList::default(), keys);
    let live = state.filter(|state| state.head.deleted.is_none());
    let access = live.as_ref().map_or(nobody, |state| {
        let own = grant::access(&state.grants, keys)?;
        Some(own.with(grant::access_of_some(&state.grants, earlier)))
    });
    let (Some(log), Some(state), Some(access)) = (log, live, access) else {
        return Err(refused());
    };
    opened(shared, &log, id, &state, access, first)
        .await
        .map_err(ours)
}

/// A log's keys and state. One `get`, whether or not there is such a log and whether or not its
/// state is in memory: a refusal must not tell.
async fn look_up(
    shared: &Shared,
    id: &LogId,
) -> Result<(Option<Arc<LogKeys>>, Option<Arc<LogState>>), Refusal> {
    let log = shared.keys.log(id);
    let name = log.as_ref().map_or(NOBODY, |log| log.name);
    let values = shared.store.get(state_keys(name).to_vec()).await;
    let mut values = values.map_err(|error| ours(error.into()))?.into_iter();
    let state = match (&log, values.next().flatten()) {
        (Some(log), Some(head)) => {
            let grants = values.next().flatten();
            let state = codec::open_state(&shared.keys, log, id, &head, grants.as_deref());
            Some(state.map_err(ours)?)
        }
        _ => None,
    };
    Ok((log, shared.settle(id, state)))
}

async fn opened(
    shared: &Shared,
    log: &LogKeys,
    id: &LogId,
    state: &LogState,
    access: Access,
    first: u64,
) -> Result<Opened, Fault> {
    let head = &state.head;
    let cut_at = access
        .fenced_to()
        .filter(|until| access.rights == Rights::NONE && *until < head.seq);
    let (last, chain, fence) = match cut_at {
        None => (head.seq, head.chain, head.fence),
        Some(until) => {
            let point = state
                .grants
                .list
                .iter()
                .filter(|record| record.grant.until_seq == Some(until))
                .find_map(|record| record.cut);
            match point {
                Some(point) => (until, point.chain, point.fence),
                None => (
                    until,
                    chain_at(shared, log, id, head.floor, until).await?,
                    head.fence,
                ),
            }
        }
    };
    Ok(Opened {
        day: shared.now().day,
        tag: shared.tag(id),
        head: last,
        pins: head
            .pins
            .iter()
            .map(|pin| pin.seq)
            .filter(|seq| *seq > head.floor && *seq <= last)
            .collect(),
        chain,
        fence,
        first: first.min(last + 1),
        rights: access.all_rights(),
        version: state.grants.version,
    })
}

/// The chain value at an entry, from the entry or from the one behind it; the genesis value if
/// neither is there any more.
async fn chain_at(
    shared: &Shared,
    log: &LogKeys,
    id: &LogId,
    floor: u64,
    seq: u64,
) -> Result<ChainValue, Fault> {
    if let Some(entry) = shared.entry(log, floor, seq).await? {
        return Ok(entry.after());
    }
    let next = shared.entry(log, floor, seq + 1).await?;
    Ok(next.map_or_else(|| chain::genesis(id), |next| next.before))
}

/// How far the lane may be read.
fn readable(state: &LogState, access: Access, lane: Lane) -> Option<u64> {
    let to = match lane {
        Lane::All => access.read_to,
        Lane::Fenced => access.fenced_to(),
    };
    to.map(|to| to.min(state.head.seq))
}

/// What is asked of a lane.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    lane: Lane,
    /// Exclusive.
    after: u64,
    /// Inclusive.
    to: u64,
    entries_max: usize,
    /// Sealed bytes; the first entry is always given.
    bytes_max: usize,
}

/// Entries of a lane, and how far this goes.
async fn entries(
    shared: &Shared,
    log: &LogKeys,
    state: &LogState,
    wanted: Wanted,
) -> Result<(Vec<StoredEntry<'static>>, u64), Fault> {
    let Wanted {
        lane,
        after,
        to,
        entries_max: max,
        bytes_max,
    } = wanted;
    let after = after.max(state.head.floor);
    if max == 0 || after >= to {
        return Ok((Vec::new(), after));
    }
    let mut records: Vec<(Key, Bytes)> = Vec::new();
    let mut covered = to;
    for fenced in [false, true] {
        if !fenced && matches!(lane, Lane::Fenced) {
            continue;
        }
        let range = LaneRange {
            fenced,
            after,
            to: covered,
            records_max: max,
            bytes_max,
            values: true,
        };
        let found = shared.lane(log.name, range).await?;
        let bytes: usize = found.iter().map(|(_, value)| value.len()).sum();
        if found.len() >= max || bytes >= bytes_max {
            covered = found.last().map_or(covered, |(key, _)| seq_of(key));
        }
        records.extend(found);
    }
    records.retain(|(key, _)| seq_of(key) <= covered);
    records.sort_by_key(|(key, _)| seq_of(key));
    let mut list = Vec::with_capacity(records.len());
    let mut bytes = 0;
    for (key, value) in records {
        let entry = open_entry(shared, log, state, &key, &value)?;
        let next = bytes + entry.sealed.as_slice().len();
        if list.len() >= max || (next > bytes_max && !list.is_empty()) {
            covered = list.last().map_or(after, |last: &StoredEntry<'_>| last.seq);
            break;
        }
        bytes = next;
        list.push(entry);
    }
    Ok((list, covered))
}

/// Opens an entry, with the log's newer keys if it was sealed again since the state was read.
fn open_entry(
    shared: &Shared,
    log: &LogKeys,
    state: &LogState,
    key: &Key,
    value: &[u8],
) -> Result<StoredEntry<'static>, Fault> {
    match codec::open_entry(&shared.keys, log, key, value) {
        Err(Fault::Seal(SealError::Erased)) => match shared.keys.log(&state.head.id) {
            Some(log) => codec::open_entry(&shared.keys, &log, key, value),
            None => Err(SealError::Erased.into()),
        },
        other => other,
    }
}

async fn live_state(
    shared: &Shared,
    id: &LogId,
) -> Result<Option<(Arc<LogState>, Arc<LogKeys>)>, Refusal> {
    let found = shared.state(id).await.map_err(ours)?;
    Ok(found.filter(|(state, _)| state.head.deleted.is_none()))
}

/// See [`Logs::page`](super::Logs::page).
pub(crate) async fn page(
    shared: &Shared,
    id: &LogId,
    keys: &[PublicKey],
    lane: Lane,
    after: u64,
    entries_max: u32,
) -> Result<Page<'static>, Refusal> {
    let (state, log) = live_state(shared, id).await?.ok_or_else(refused)?;
    let access = grant::access_of_some(&state.grants, keys);
    let to = readable(&state, access, lane).ok_or_else(refused)?;
    let max = usize::try_from(entries_max)
        .unwrap_or(usize::MAX)
        .clamp(1, PAGE_ENTRIES_MAX);
    let wanted = Wanted {
        lane,
        after,
        to,
        entries_max: max,
        bytes_max: PAGE_BYTES_MAX,
    };
    let (list, covered) = entries(shared, &log, &state, wanted).await.map_err(ours)?;
    let claims = access.rights.contains(Rights::CLAIM);
    let now = shared.now();
    let entries = list
        .into_iter()
        .map(|stored| {
            let mut entry = stored.entry().into_owned();
            entry.claimed = claims && state.head.live_lease(entry.seq, &now).is_some();
            entry
        })
        .collect();
    Ok(Page {
        more: covered < to,
        entries,
    })
}

/// The push of an entry, as it goes over the wire.
pub(crate) fn encode_push(shared: &Shared, id: &LogId, entry: &StoredEntry<'_>) -> Option<Bytes> {
    let push = Frame::Push(Push {
        tag: shared.tag(id),
        entry: entry.entry(),
    });
    cbor::encode(&push).ok().map(Bytes::from)
}

/// What the cache of recent pushes keeps of an entry.
pub(crate) fn recent_push(
    shared: &Shared,
    id: &LogId,
    entry: &StoredEntry<'_>,
) -> Option<RecentPush> {
    Some(RecentPush {
        seq: entry.seq,
        is_fenced: entry.is_fenced_lane(),
        frame: encode_push(shared, id, entry)?,
    })
}

/// See [`Logs::pushes`](super::Logs::pushes).
pub(crate) async fn pushes(
    shared: &Shared,
    id: &LogId,
    keys: &[PublicKey],
    lane: Lane,
    after: u64,
    max: usize,
) -> Result<Pushes, Refusal> {
    let ended = |cursor| Pushes {
        frames: Vec::new(),
        cursor,
        ended: true,
    };
    let Some((state, log)) = live_state(shared, id).await? else {
        return Ok(ended(after));
    };
    let access = grant::access_of_some(&state.grants, keys);
    let Some(to) = readable(&state, access, lane) else {
        return Ok(ended(after));
    };
    let end = match lane {
        Lane::All => access.read_to,
        Lane::Fenced => access.fenced_to(),
    };
    let is_cut = end.is_some_and(|end| end != u64::MAX);
    if max == 0 || after >= to {
        return Ok(Pushes {
            frames: Vec::new(),
            cursor: after,
            ended: is_cut && end.is_some_and(|end| after >= end),
        });
    }
    let fenced_only = matches!(lane, Lane::Fenced);
    let (frames, cursor) = match shared.recent.after(id, after, to, fenced_only, max) {
        Some(found) => found,
        None => {
            let wanted = Wanted {
                lane,
                after,
                to,
                entries_max: max,
                bytes_max: PUSH_BYTES_PER_TURN,
            };
            let (list, covered) = entries(shared, &log, &state, wanted).await.map_err(ours)?;
            let encoded = list.iter().map(|entry| {
                encode_push(shared, id, entry)
                    .map(|frame| (entry.seq, frame))
                    .ok_or_else(|| ours(Fault::Shape))
            });
            (encoded.collect::<Result<_, _>>()?, covered.max(after))
        }
    };
    Ok(Pushes {
        frames,
        cursor,
        ended: is_cut && end.is_some_and(|end| cursor >= end),
    })
}

/// See [`Logs::position`](super::Logs::position).
pub(crate) async fn position(
    shared: &Shared,
    id: &LogId,
    seq: u64,
    owner: &PublicKey,
) -> Result<Placed, Refusal> {
    let (log, state) = look_up(shared, id).await?;
    let live = state.filter(|state| state.head.deleted.is_none());
    let Some((log, state)) = log.zip(live) else {
        shared.no_entry(seq).await.map_err(ours)?;
        return Err(refused());
    };
    let head = &state.head;
    let entry = shared.entry(&log, head.floor, seq).await.map_err(ours)?;
    if entry.and_then(|entry| entry.owner).as_ref() != Some(owner) {
        return Err(refused());
    }
    let now = shared.now();
    let mut before = 0;
    for fenced in [false, true] {
        let range = LaneRange {
            fenced,
            after: head.floor,
            to: seq - 1,
            records_max: POSITION_COUNTED_MAX,
            bytes_max: usize::MAX,
            values: false,
        };
        let found = shared.lane(log.name, range).await.map_err(ours)?;
        before += found
            .iter()
            .filter(|(key, _)| is_free(&state, seq_of(key), &now))
            .count();
    }
    Ok(Placed {
        ahead: coarse(super::state::widen(before)),
        claimed: !is_free(&state, seq, &now),
    })
}

fn is_free(state: &LogState, seq: u64, now: &Now) -> bool {
    state.head.live_lease(seq, now).is_none()
}

/// Exact while it is small, in steps above.
const fn coarse(ahead: u64) -> u64 {
    if ahead < POSITION_STEP {
        ahead
    } else {
        ahead - ahead % POSITION_STEP
    }
}

/// See [`Logs::describe`](super::Logs::describe).
pub(crate) async fn describe(
    shared: &Shared,
    id: &LogId,
    keys: &[PublicKey],
) -> Result<Described, Refusal> {
    let (state, _) = live_state(shared, id).await?.ok_or_else(refused)?;
    let access = grant::access_of_some(&state.grants, keys);
    if !access.rights.contains(Rights::MANAGE) {
        return Err(refused());
    }
    let head = &state.head;
    Ok(Described {
        bytes: head.ordinary.bytes + head.fenced.bytes,
        grants: state
            .grants
            .list
            .iter()
            .map(|record| record.grant.clone())
            .collect(),
        policy: head.policy.clone(),
        entries: head.ordinary.count + head.fenced.count,
        version: state.grants.version,
    })
}
