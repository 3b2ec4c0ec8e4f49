//! What a request must keep to by itself, before any log is looked at. SPEC: "Limits".
//!
//! Everything here follows from the request alone; what depends on a log, a grant or the relay's
//! configuration is checked where those are known.

use super::{Append, Create, Grant, Item, NewEntry, Policy, Request, Verb};
use crate::error_code::ErrorCode;
use crate::limits;
use crate::right::Rights;
use crate::size_class::SizeClass;

impl Request<'_> {
    /// Whether it keeps to every limit of the wire.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`] for a length, count or number outside of its limits,
    /// [`ErrorCode::BadRequest`] for parts that contradict each other.
    pub fn check_bounds(&self) -> Result<(), ErrorCode> {
        let pad = self.pad.as_ref().map(|pad| pad.as_slice().len());
        pad.map_or(Ok(()), |length| within(length, 1, limits::PAD_BYTES_MAX))?;
        match &self.verb {
            Verb::Create(create) => check_create(create),
            Verb::Open(open) => within(open.proofs.len(), 1, limits::PROOFS_MAX),
            Verb::Append(append) => check_append(append),
            Verb::Read(read) => within(as_usize(read.entries_max), 1, limits::PAGE_ENTRIES_MAX),
            Verb::Follow(follow) => at_most(follow.credit, limits::CREDIT_MAX),
            Verb::Credit(credit) => within(as_usize(credit.more), 1, as_usize(limits::CREDIT_MAX)),
            Verb::Claim(claim) => within(as_usize(claim.ms), 1, as_usize(limits::LEASE_MS_MAX)),
            Verb::Renew(renew) => within(as_usize(renew.ms), 1, as_usize(limits::LEASE_MS_MAX)),
            Verb::Hold(hold) => at_most(hold.ms, limits::HOLD_MS_MAX),
            Verb::Grants(grants) => check_list(&grants.new.list),
            Verb::Unfollow(_)
            | Verb::Trim(_)
            | Verb::Release(_)
            | Verb::Position(_)
            | Verb::Withdraw(_)
            | Verb::Take(_)
            | Verb::Describe(_)
            | Verb::Delete(_) => Ok(()),
        }
    }
}

fn within(value: usize, least: usize, most: usize) -> Result<(), ErrorCode> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ErrorCode::TooLarge)
    }
}

const fn at_most(value: u32, most: u32) -> Result<(), ErrorCode> {
    if value <= most {
        Ok(())
    } else {
        Err(ErrorCode::TooLarge)
    }
}

/// Saturates where a `usize` is shorter than 32 bits; every limit is far below that.
fn as_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

const fn rule(holds: bool) -> Result<(), ErrorCode> {
    if holds {
        Ok(())
    } else {
        Err(ErrorCode::BadRequest)
    }
}

fn check_create(create: &Create<'_>) -> Result<(), ErrorCode> {
    check_list(&create.grants)?;
    check_policy(&create.policy)?;
    let ticket = create.ticket.as_ref().map(|ticket| ticket.as_slice().len());
    ticket.map_or(Ok(()), |length| within(length, 1, limits::TICKET_BYTES_MAX))
}

fn check_policy(policy: &Policy) -> Result<(), ErrorCode> {
    let days_max = usize::from(limits::TTL_DAYS_MAX);
    within(usize::from(policy.ttl_days), 1, days_max)?;
    within(usize::from(policy.ttl_fenced_days), 1, days_max)?;
    rule(!policy.admit_rights.intersects(Rights::MANAGE))
}

fn check_list(list: &[Grant]) -> Result<(), ErrorCode> {
    within(list.len(), 0, limits::GRANTS_MAX)?;
    let active = list.iter().filter(|grant| grant.until_seq.is_none());
    within(active.count(), 0, limits::GRANTS_ACTIVE_MAX)?;
    let mut keys: Vec<_> = list.iter().map(|grant| grant.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let none_is_idle = list.iter().all(|grant| grant.rights != Rights::NONE);
    let ends_alone = list.iter().all(Grant::ends_alone);
    rule(keys.len() == list.len() && none_is_idle && ends_alone)?;
    let work_max = limits::WORK_BITS_MAX;
    list.iter().try_for_each(|grant| {
        within(
            usize::from(grant.work.unwrap_or(0)),
            0,
            usize::from(work_max),
        )
    })
}

fn check_append(append: &Append<'_>) -> Result<(), ErrorCode> {
    within(append.items.len(), 1, limits::ITEMS_MAX)?;
    append.items.iter().try_for_each(check_item)?;
    let entries = || append.items.iter().flat_map(|item| &item.entries);
    within(entries().count(), 0, limits::APPEND_ENTRIES_MAX)?;
    let bytes = entries().map(entry_bytes).sum();
    within(bytes, 0, limits::APPEND_BYTES_MAX)?;
    let grants = append.items.iter().filter_map(|item| item.grants.as_ref());
    within(
        grants.map(|grants| grants.list.len()).sum(),
        0,
        limits::GRANTS_MAX,
    )
}

fn check_item(item: &Item<'_>) -> Result<(), ErrorCode> {
    within(item.entries.len(), 0, limits::ITEM_ENTRIES_MAX)?;
    item.entries.iter().try_for_each(check_entry)?;
    let sealed = item.entries.iter().map(|entry| entry.sealed.as_slice());
    within(sealed.map(<[u8]>::len).sum(), 0, limits::RUN_BYTES_MAX)?;
    if let Some(new) = &item.grants {
        check_list(&new.list)?;
    }
    rule(item.fence.is_some() || (item.admit.is_none() && item.grants.is_none()))?;
    let stands_alone = item.lease.is_some() && item.fence.is_none() && !item.pin;
    rule(!item.entries.is_empty() || stands_alone)
}

fn check_entry(entry: &NewEntry<'_>) -> Result<(), ErrorCode> {
    rule(SizeClass::exactly(entry.sealed.as_slice().len()).is_some())?;
    let held = entry.held.as_ref().map(|held| held.as_slice().len());
    held.map_or(Ok(()), |length| within(length, 1, limits::HELD_BYTES_MAX))
}

fn entry_bytes(entry: &NewEntry<'_>) -> usize {
    let held = entry.held.as_ref().map_or(0, |held| held.as_slice().len());
    entry.sealed.as_slice().len() + held
}
