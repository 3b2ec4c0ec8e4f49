//! Appending one item to one log. Pure: state, item and moment in; new state and entries out.

use sotto_protocol::chain::{self, Link};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Append, Grant, Item, ItemDone, NewEntry, Refusal};
use sotto_protocol::id::{Commitment, LogId, PublicKey, Stamp};
use sotto_protocol::limits::{
    APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, HELD_BYTES_MAX, ITEM_ENTRIES_MAX, ITEMS_MAX, PIN_DAYS,
    PIN_FENCED_SPACING, PINS_LAST, RUN_BYTES_MAX,
};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;

use super::grant::{self, Access, Admitter};
use super::lease;
use super::state::{Head, LogState, Now, Pin, StoredEntry, widen};

/// What an item's caller may do, as it was before the append: an item that replaces the grants
/// does not take the right from the items behind it.
#[derive(Clone, Debug)]
pub(crate) struct ItemRights {
    pub(crate) access: Access,
    /// The grant that is counted; none for an item that only ends a lease.
    pub(crate) payer: Option<Payer>,
}

/// Of the grant that an item is counted by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payer {
    pub(crate) key: PublicKey,
    pub(crate) work: u8,
    pub(crate) rate: Option<u32>,
    pub(crate) is_join: bool,
}

impl Payer {
    pub(crate) fn of(grant: &Grant) -> Self {
        Self {
            key: grant.key,
            work: grant.work.unwrap_or(0),
            rate: grant.rate,
            is_join: grant::is_join(grant),
        }
    }
}

/// Stamps an entry: log, number, day, commitment.
pub(crate) type Stamper<'a> = dyn Fn(&LogId, u64, u32, &Commitment) -> Stamp + Send + Sync + 'a;

/// The shape of an append, whatever the logs hold.
pub(crate) fn check_shape(append: &Append<'_>) -> Result<(), Refusal> {
    if append.items.is_empty() {
        return Err(Refusal::of(ErrorCode::BadRequest));
    }
    if append.items.len() > ITEMS_MAX {
        return Err(Refusal::of(ErrorCode::TooLarge));
    }
    let mut bytes = 0;
    for (index, item) in (0_u16..).zip(&append.items) {
        let at = |code| Refusal {
            item: Some(index),
            ..Refusal::of(code)
        };
        bytes += check_item(item).map_err(at)?;
    }
    let entries: usize = append.items.iter().map(|item| item.entries.len()).sum();
    if bytes > APPEND_BYTES_MAX || entries > APPEND_ENTRIES_MAX {
        return Err(Refusal::of(ErrorCode::TooLarge));
    }
    Ok(())
}

/// The bytes of an item whose shape is right.
fn check_item(item: &Item<'_>) -> Result<usize, ErrorCode> {
    let fenced_only = item.admit.is_some() || item.grants.is_some();
    if fenced_only && item.fence.is_none() {
        return Err(ErrorCode::BadRequest);
    }
    if item.entries.is_empty() && (item.lease.is_none() || item.pin || item.fence.is_some()) {
        return Err(ErrorCode::BadRequest);
    }
    if item.entries.len() > ITEM_ENTRIES_MAX {
        return Err(ErrorCode::TooLarge);
    }
    let mut bytes = 0;
    for entry in &item.entries {
        if SizeClass::exactly(entry.sealed.as_slice().len()).is_none() {
            return Err(ErrorCode::BadRequest);
        }
        let held = entry.held.as_ref().map_or(0, |held| held.as_slice().len());
        if held > HELD_BYTES_MAX {
            return Err(ErrorCode::TooLarge);
        }
        bytes += entry.sealed.as_slice().len() + held;
    }
    let sealed: usize = item
        .entries
        .iter()
        .map(|entry| entry.sealed.as_slice().len())
        .sum();
    if sealed > RUN_BYTES_MAX {
        return Err(ErrorCode::TooLarge);
    }
    Ok(bytes)
}

/// The right that an item's entries take.
const fn appending(item: &Item<'_>) -> Rights {
    if item.fence.is_some() {
        Rights::FENCE
    } else {
        Rights::APPEND
    }
}

/// What the caller's keys allow for this item, or a refusal that tells nothing.
pub(crate) fn access(
    log: &LogState,
    item: &Item<'_>,
    keys: &[PublicKey],
) -> Result<Access, Refusal> {
    let access = grant::access_of_some(&log.grants, keys);
    let mut needed = Rights::NONE;
    for (asked, right) in [
        (!item.entries.is_empty(), appending(item)),
        (item.pin, Rights::PIN),
        (item.lease.is_some(), Rights::CLAIM),
        (item.grants.is_some(), Rights::MANAGE),
    ] {
        if asked {
            needed = needed | right;
        }
    }
    if !access.rights.contains(needed) {
        return Err(Refusal::of(ErrorCode::Refused));
    }
    Ok(access)
}

/// The grant that an item whose caller has the right is counted by. `ended` are the owner keys of
/// the entries that the append ends: where the right comes from none but grants that are bound to
/// others, it does not count.
pub(crate) fn payer(
    log: &LogState,
    item: &Item<'_>,
    keys: &[PublicKey],
    ended: &[PublicKey],
) -> Result<Option<Payer>, Refusal> {
    if item.entries.is_empty() {
        return Ok(None);
    }
    grant::payer(&log.grants, keys, appending(item), ended)
        .map(|grant| Some(Payer::of(grant)))
        .ok_or_else(|| Refusal::of(ErrorCode::LeaseLost))
}

/// Applies one item. `claimed` is the entry its lease is on, if the item ends it.
pub(crate) fn apply(
    log: &mut LogState,
    item: Item<'static>,
    rights: &ItemRights,
    keys: &[PublicKey],
    claimed: Option<&StoredEntry<'_>>,
    now: &Now,
    stamp: &Stamper<'_>,
) -> Result<(ItemDone, Vec<StoredEntry<'static>>), Refusal> {
    let manages = rights.access.rights.contains(Rights::MANAGE);
    if let Some(condition) = &item.lease {
        lease::check(&log.head, condition.seq, condition.lease, keys, now)?;
        if condition.end {
            let entry = claimed.ok_or_else(|| Refusal::of(ErrorCode::LeaseLost))?;
            remove(&mut log.head, entry, now);
        }
    }
    if let Some(expected) = item.fence {
        check_fence(&log.head, expected, manages, now)?;
    }
    check_quota(&log.head, &item, rights, manages)?;
    if item.pin {
        check_pin(&log.head, manages)?;
    }
    let first = log.head.seq + 1;
    let is_join = rights.payer.is_some_and(|payer| payer.is_join);
    let admitter = match (is_join, manages) {
        (_, true) => Admitter::Manager,
        (true, false) => Admitter::Join,
        (false, false) => Admitter::Member,
    };
    let entries = write(&mut log.head, &item, is_join, now, stamp);
    if item.fence.is_some() {
        log.head.fence += 1;
    }
    if let Some(new) = &item.grants {
        grant::replace(log, new, now.day)?;
    }
    if let Some(key) = item.admit {
        grant::admit(log, key, admitter, now.day)?;
    }
    if item.pin {
        log.head.pins.push(Pin {
            day: now.day,
            seq: first,
        });
        log.head.pin_fence = Some(log.head.fence);
        keep_pins(&mut log.head, now.day);
    }
    let done = ItemDone {
        day: now.day,
        seq: log.head.seq,
        chain: log.head.chain,
        fence: log.head.fence,
    };
    Ok((done, entries))
}

fn check_fence(head: &Head, expected: u64, manages: bool, now: &Now) -> Result<(), Refusal> {
    let held_ms = lease::hold_left_ms(head, now);
    if held_ms > 0 && !manages {
        return Err(Refusal {
            retry_after_ms: Some(held_ms),
            ..Refusal::of(ErrorCode::FenceHeld)
        });
    }
    if expected != head.fence {
        return Err(Refusal {
            fence: Some(head.fence),
            ..Refusal::of(ErrorCode::FenceConflict)
        });
    }
    Ok(())
}

/// A tenth of the quota is kept for fenced appends of members and for `manage`, half of that for
/// `manage` alone: a full log can still remove somebody. Join keys hold an eighth at most.
fn check_quota(
    head: &Head,
    item: &Item<'_>,
    rights: &ItemRights,
    manages: bool,
) -> Result<(), Refusal> {
    let bytes: u64 = item.entries.iter().map(new_bytes).sum();
    let quota = head.policy.bytes_max;
    let is_join = rights.payer.is_some_and(|payer| payer.is_join);
    let reserved = if manages {
        0
    } else if item.fence.is_some() && !is_join {
        quota / 20
    } else {
        quota / 10
    };
    let used = head.ordinary.bytes.saturating_add(head.fenced.bytes);
    let full = used.saturating_add(bytes) > quota - reserved;
    if bytes > 0 && (full || (is_join && head.join_bytes + bytes > quota / 8)) {
        return Err(Refusal::of(ErrorCode::QuotaExceeded));
    }
    Ok(())
}

fn new_bytes(entry: &NewEntry<'_>) -> u64 {
    let held = entry.held.as_ref().map_or(0, |held| held.as_slice().len());
    widen(entry.sealed.as_slice().len() + held)
}

fn check_pin(head: &Head, manages: bool) -> Result<(), Refusal> {
    let near = head
        .pin_fence
        .is_some_and(|last| head.fence.saturating_sub(last) < PIN_FENCED_SPACING);
    if near && !manages {
        return Err(Refusal::of(ErrorCode::PinTooSoon));
    }
    Ok(())
}

/// Extends the chain by the item's entries.
fn write(
    head: &mut Head,
    item: &Item<'static>,
    is_join: bool,
    now: &Now,
    stamp: &Stamper<'_>,
) -> Vec<StoredEntry<'static>> {
    let mut written = Vec::with_capacity(item.entries.len());
    let days = if item.fence.is_some() || item.pin {
        head.policy.ttl_fenced_days
    } else {
        head.policy.ttl_days
    };
    for new in &item.entries {
        let seq = head.seq + 1;
        let held = new.held.as_ref();
        let digest = held.map(|held| chain::held_digest(held.as_slice()));
        let entry = StoredEntry {
            day: now.day,
            seq,
            held: new.held.clone(),
            join: is_join,
            fence: item.fence,
            owner: new.owner,
            stamp: stamp(&head.id, seq, now.day, &new.commitment),
            until: now.lives_from.saturating_add(u32::from(days)),
            before: head.chain,
            pinned: item.pin,
            sealed: new.sealed.clone(),
            commitment: new.commitment,
            last_resort: new.last_resort,
        };
        head.chain = chain::extend(
            &head.chain,
            &Link {
                seq,
                day: now.day,
                fence: item.fence,
                commitment: &new.commitment,
                sealed: new.sealed.as_slice(),
                held: digest.as_ref(),
            },
        );
        head.seq = seq;
        head.lane_mut(entry.is_fenced_lane())
            .add(seq, stored_bytes(&entry));
        if entry.join {
            head.join_bytes += widen(stored_bytes(&entry));
        }
        written.push(entry);
    }
    if !written.is_empty() {
        head.disordered |= now.lives_from < head.day;
        head.day = head.day.max(now.lives_from);
    }
    written
}

/// What an entry counts for in quotas.
pub(crate) fn stored_bytes(entry: &StoredEntry<'_>) -> usize {
    let held = entry.held.as_ref().map_or(0, |held| held.as_slice().len());
    entry.sealed.as_slice().len() + held
}

/// Takes an entry out of the head's books; the caller removes the record. It stays legible to who
/// copied the disk until the log is sealed again, which the mark asks for.
pub(crate) fn remove(head: &mut Head, entry: &StoredEntry<'_>, now: &Now) {
    forget(head, entry);
    head.dirty.get_or_insert(now.wall_s);
}

/// The same for an entry whose day is over: its key is erased with the day.
pub(crate) fn forget(head: &mut Head, entry: &StoredEntry<'_>) {
    let bytes = stored_bytes(entry);
    head.lane_mut(entry.is_fenced_lane())
        .remove(entry.seq, bytes);
    if entry.join && entry.seq >= head.join_from {
        head.join_bytes = head.join_bytes.saturating_sub(widen(bytes));
    }
    head.pins.retain(|pin| pin.seq != entry.seq);
    head.leases.retain(|lease| lease.seq != entry.seq);
}

/// Keeps the last pins and the newest of each of the last days.
pub(crate) fn keep_pins(head: &mut Head, today: u32) {
    let days = u32::try_from(PIN_DAYS).unwrap_or(u32::MAX);
    let last = head.pins.len().saturating_sub(PINS_LAST);
    let newest_of_day: Vec<u64> = (0..days)
        .filter_map(|back| {
            let day = today.checked_sub(back)?;
            let newest = head.pins.iter().rev().find(|pin| pin.day == day)?;
            Some(newest.seq)
        })
        .collect();
    let mut index = 0;
    head.pins.retain(|pin| {
        let keep = index >= last || newest_of_day.contains(&pin.seq);
        index += 1;
        keep
    });
}
