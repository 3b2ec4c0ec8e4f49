//! Who may do what: rights from proved keys, and the list of grants as it changes. Pure.

use std::sync::Arc;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Grant, NewGrants, Refusal};
use sotto_protocol::id::PublicKey;
use sotto_protocol::limits::{
    ADMITTED_MAX, GRANTS_ACTIVE_MAX, GRANTS_MAX, JOIN_ADMITTED_MAX, WORK_BITS_MAX,
};
use sotto_protocol::right::Rights;

use super::state::{Admitted, CutPoint, GrantList, GrantRecord, LogState};

/// Cut grants kept: who was away longer knocks.
const GRANTS_CUT_MAX: usize = GRANTS_MAX - GRANTS_ACTIVE_MAX;
/// What is left of a grant that is cut.
const READING: Rights = Rights::READ.union(Rights::PEEK);

/// What a set of proved keys may do to a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Of grants that are not cut.
    pub(crate) rights: Rights,
    /// Every entry up to here may be read; `u64::MAX` while no end is set.
    pub(crate) read_to: Option<u64>,
    /// Fenced and pinned entries up to here may be read.
    pub(crate) peek_to: Option<u64>,
}

impl Access {
    /// What the one or the other allows.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            rights: self.rights | other.rights,
            read_to: self.read_to.max(other.read_to),
            peek_to: self.peek_to.max(other.peek_to),
        }
    }

    /// All rights, those of cut grants included.
    pub(crate) fn all_rights(&self) -> Rights {
        let mut rights = self.rights;
        if self.read_to.is_some() {
            rights = rights | Rights::READ;
        }
        // `read` includes what `peek` allows, so `peek` is told only if it was granted.
        if self.peek_to > self.read_to {
            rights = rights | Rights::PEEK;
        }
        rights
    }

    /// How far the fenced lane may be read.
    pub(crate) fn fenced_to(&self) -> Option<u64> {
        self.read_to.max(self.peek_to)
    }
}

/// The union of what the keys' grants allow; `None` unless every key has a grant.
pub(crate) fn access(grants: &GrantList, keys: &[PublicKey]) -> Option<Access> {
    let mut access = Access::default();
    let mut all = !keys.is_empty();
    for key in keys {
        // The whole list is walked for every key, found or not: equal work for every refusal.
        let mut found = false;
        for record in grants.list.iter().filter(|record| record.grant.key == *key) {
            found = true;
            let until = record.grant.until_seq.unwrap_or(u64::MAX);
            if record.grant.until_seq.is_none() {
                access.rights = access.rights | record.grant.rights;
            }
            if record.grant.rights.contains(Rights::READ) {
                access.read_to = access.read_to.max(Some(until));
            }
            if record.grant.rights.contains(Rights::PEEK) {
                access.peek_to = access.peek_to.max(Some(until));
            }
        }
        all &= found;
    }
    all.then_some(access)
}

/// The same, but keys without a grant (any more) count for nothing.
pub(crate) fn access_of_some(grants: &GrantList, keys: &[PublicKey]) -> Access {
    let known: Vec<_> = keys
        .iter()
        .copied()
        .filter(|key| grants.list.iter().any(|record| record.grant.key == *key))
        .collect();
    access(grants, &known).unwrap_or_default()
}

/// The grant that an append is counted and priced by: the cheapest of the caller's that has the
/// right. One that is bound to the end of an entry serves if the append ends an entry of that
/// owner, and is used only where no other serves.
pub(crate) fn payer<'a>(
    grants: &'a GrantList,
    keys: &[PublicKey],
    right: Rights,
    ended: &[PublicKey],
) -> Option<&'a Grant> {
    grants
        .list
        .iter()
        .map(|record| &record.grant)
        .filter(|grant| grant.until_seq.is_none() && grant.rights.contains(right))
        .filter(|grant| keys.contains(&grant.key))
        .filter(|grant| grant.ends.is_none_or(|owner| ended.contains(&owner)))
        .min_by_key(|grant| {
            let bound = grant.ends.is_some();
            (bound, grant.work.unwrap_or(0), is_join(grant))
        })
}

/// Whether a grant is a join key: it may fence, but not read.
pub(crate) const fn is_join(grant: &Grant) -> bool {
    grant.rights.contains(Rights::FENCE) && !grant.rights.contains(Rights::READ)
}

/// The join keys of a list that are not cut.
fn join_keys<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Vec<PublicKey> {
    let joins = |grant: &&Grant| grant.until_seq.is_none() && is_join(grant);
    let mut keys: Vec<_> = grants
        .into_iter()
        .filter(joins)
        .map(|grant| grant.key)
        .collect();
    keys.sort_unstable();
    keys
}

/// A list of grants as a client may set it.
pub(crate) fn check(list: &[Grant], head_seq: u64) -> Result<(), Refusal> {
    let active = list.iter().filter(|grant| grant.until_seq.is_none());
    if active.count() > GRANTS_ACTIVE_MAX || list.len() > GRANTS_MAX {
        return Err(Refusal::of(ErrorCode::TooLarge));
    }
    let mut keys: Vec<_> = list.iter().map(|grant| grant.key).collect();
    keys.sort_unstable();
    let doubled = keys.windows(2).any(|pair| pair.first() == pair.last());
    let odd = list.iter().any(|grant| {
        grant.work.is_some_and(|bits| bits > WORK_BITS_MAX)
            || grant.rights == Rights::NONE
            || !grant.ends_alone()
            || grant.until_seq.is_some_and(|until| until > head_seq)
    });
    if doubled || odd {
        return Err(Refusal::of(ErrorCode::BadRequest));
    }
    Ok(())
}

/// Replaces the list. With `cut`, grants that are not in the new list go on reading up to the
/// log's last entry as it is now.
pub(crate) fn replace(log: &mut LogState, new: &NewGrants, day: u32) -> Result<u64, Refusal> {
    let version = log.grants.version;
    if new.version != version {
        return Err(Refusal {
            version: Some(version),
            ..Refusal::of(ErrorCode::GrantsConflict)
        });
    }
    check(&new.list, log.head.seq)?;
    let joined_by = join_keys(log.grants.list.iter().map(|record| &record.grant));
    if joined_by != join_keys(&new.list) {
        // What came by the old link takes nothing from those who come by the new one.
        log.head.join_bytes = 0;
        log.head.join_from = log.head.seq + 1;
    }
    let here = CutPoint {
        day,
        chain: log.head.chain,
        fence: log.head.fence,
    };
    let known = |key| log.grants.list.iter().find(|old| old.grant.key == key);
    let mut cut: Vec<GrantRecord> = Vec::new();
    let mut active: Vec<GrantRecord> = Vec::new();
    for grant in &new.list {
        let old = known(grant.key);
        let mut record = GrantRecord {
            cut: None,
            admitted: old.and_then(|old| old.admitted),
            grant: grant.clone(),
        };
        if let Some(until) = grant.until_seq {
            let kept = old.filter(|old| old.grant.until_seq == Some(until));
            record.cut = kept.and_then(|old| old.cut);
            if record.cut.is_none() && until == log.head.seq {
                record.cut = Some(here);
            }
            cut.push(record);
        } else {
            active.push(record);
        }
    }
    if new.cut {
        let mut left = Vec::new();
        for old in &log.grants.list {
            let rights = old.grant.rights.intersection(READING);
            if rights == Rights::NONE || new.list.iter().any(|new| new.key == old.grant.key) {
                continue;
            }
            let mut record = old.clone();
            record.grant.rights = rights;
            if record.grant.until_seq.is_none() {
                record.grant.until_seq = Some(log.head.seq);
                record.cut = Some(here);
            }
            left.push(record);
        }
        cut.splice(0..0, left);
    }
    // Oldest cuts first, so that those go first.
    cut.sort_by_key(|record| record.grant.until_seq);
    let over = cut.len().saturating_sub(GRANTS_CUT_MAX);
    cut.drain(..over);
    cut.append(&mut active);
    set(log, cut);
    Ok(log.grants.version)
}

/// Whose fenced item admits a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitter {
    /// A join key: whoever has a link.
    Join,
    Member,
    /// Somebody with `manage`.
    Manager,
}

/// Adds the grant of a fenced append, with the rights that the policy gives.
pub(crate) fn admit(
    log: &mut LogState,
    key: PublicKey,
    by: Admitter,
    today: u32,
) -> Result<(), Refusal> {
    let rights = log.head.policy.admit_rights;
    if rights == Rights::NONE {
        return Err(Refusal::of(ErrorCode::BadRequest));
    }
    if let Some(known) = log.grants.list.iter().find(|known| known.grant.key == key) {
        // Nobody may change another's grant by admitting its key again.
        let free = known.grant.until_seq.is_none() && known.grant.ends.is_none();
        let same = free && known.grant.rights.contains(rights);
        return if same {
            Ok(())
        } else {
            Err(Refusal::of(ErrorCode::BadRequest))
        };
    }
    let mut list = log.grants.list.clone();
    make_room(&mut list, by, today)?;
    list.push(GrantRecord {
        cut: None,
        grant: Grant {
            key,
            ends: None,
            rate: None,
            work: None,
            rights,
            until_seq: None,
        },
        admitted: Some(Admitted {
            day: today,
            join: by == Admitter::Join,
        }),
    });
    set(log, list);
    Ok(())
}

/// Every epoch admits a key; so that a log never runs full, the oldest admitted ones go. How many
/// may come in two days is bounded, so that a flood never makes the present one the oldest.
fn make_room(list: &mut Vec<GrantRecord>, by: Admitter, today: u32) -> Result<(), Refusal> {
    let active = || {
        let active = list.iter().enumerate();
        active.filter(|(_, record)| record.grant.until_seq.is_none())
    };
    let recent = || {
        let admitted = active().filter_map(|(_, record)| record.admitted);
        admitted.filter(|admitted| admitted.day.saturating_add(1) >= today)
    };
    let full = || Refusal::of(ErrorCode::QuotaExceeded);
    let joins = || recent().filter(|admitted| admitted.join).count();
    if (by != Admitter::Manager && recent().count() >= ADMITTED_MAX)
        || (by == Admitter::Join && joins() >= JOIN_ADMITTED_MAX)
    {
        return Err(full());
    }
    if active().count() >= GRANTS_ACTIVE_MAX {
        let oldest = active().find(|(_, record)| record.admitted.is_some());
        let oldest = oldest.map(|(index, _)| index).ok_or_else(full)?;
        list.remove(oldest);
    }
    Ok(())
}

/// Drops grants that were cut before this day. The version stays: no client can tell.
pub(crate) fn expire_cut(log: &mut LogState, before: u32) -> bool {
    let old = |record: &GrantRecord| record.cut.is_some_and(|cut| cut.day < before);
    if !log.grants.list.iter().any(old) {
        return false;
    }
    Arc::make_mut(&mut log.grants)
        .list
        .retain(|record| !old(record));
    true
}

fn set(log: &mut LogState, list: Vec<GrantRecord>) {
    let version = log.grants.version + 1;
    log.grants = Arc::new(GrantList { list, version });
    log.head.version = version;
}
