//! Applies one client's change to a group: retry ids, rights, then the rule of the verb. Reads the
//! store, writes nothing; a refusal leaves the group as it was.

use bytes::Bytes;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Append, Claimed, Create, Created, Granted, Held, ItemDone, Refusal, Taken,
};
use sotto_protocol::id::{Commitment, LogId, RetryId};
use sotto_protocol::right::Rights;
use sotto_protocol::{chain, frame};

use super::append::{self, ItemRights};
use super::codec;
use super::fault::Fault;
use super::grant::Access;
use super::group::{self, After, Group, Outcome, Working};
use super::rate::Rates;
use super::retry::{Answers, asker, retry_of};
use super::shared::{LaneRange, Shared};
use super::state::{GrantList, Head, LaneUse, LogState, Now, StoredEntry};
use super::verify::seq_of;
use super::{Caller, Change, grant, lease, stamp, upkeep};
use crate::limits::{LOG_BYTES_MIN, LogLimits, UPKEEP_BYTES_MAX, UPKEEP_ENTRIES_MAX};
use crate::store::Key;

/// Everything a change is applied with.
pub(crate) struct Applier<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) rates: &'a mut Rates,
    pub(crate) group: &'a mut Group,
    pub(crate) now: Now,
    pub(crate) answers: &'a mut Answers,
}

/// A refusal or a fault of ours on the way to one.
pub(crate) enum Stop {
    Refused(Refusal),
    Fault(Fault),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<T: Into<Fault>> From<T> for Stop {
    fn from(fault: T) -> Self {
        Self::Fault(fault.into())
    }
}

fn stop(code: ErrorCode) -> Stop {
    Stop::Refused(Refusal::of(code))
}

/// The logs of a change whose entries it has to look at. What the store says of them must be up to
/// date, so the changes before it have to be written first.
pub(crate) fn looks_at(change: &Change) -> Vec<LogId> {
    match change {
        Change::Append { append, .. } => append
            .items
            .iter()
            .filter(|item| item.lease.as_ref().is_some_and(|lease| lease.end))
            .map(|item| item.log)
            .collect(),
        Change::Trim(trim, _) => vec![trim.log],
        Change::Claim(claim, _) => vec![claim.log],
        Change::Withdraw(withdraw) => vec![withdraw.log],
        Change::Take(take, _) => vec![take.log],
        Change::Delete(delete, _) => vec![delete.log],
        _ => Vec::new(),
    }
}

impl Applier<'_> {
    /// Applies a change; the answer is to be given once the group is durable.
    pub(crate) async fn apply(&mut self, change: Change) -> Outcome {
        let result = match retry_of(&change) {
            Some((log, day, retry)) => self.apply_once(change, log, day, retry).await,
            None => self.apply_again(change).await,
        };
        result.map_err(|stop| match stop {
            Stop::Refused(refusal) => refusal,
            Stop::Fault(fault) => fault.refusal(),
        })
    }

    /// A change with a retry id: a repeat is answered, not applied.
    async fn apply_once(
        &mut self,
        change: Change,
        id: LogId,
        day: u32,
        retry: RetryId,
    ) -> Result<Answer<'static>, Stop> {
        let today = self.now.day;
        if let Some(known) = self.remembered(&id, retry).await? {
            return Ok(known);
        }
        if day > today {
            return Err(stop(ErrorCode::BadRequest));
        }
        if day + 1 < today {
            return Err(stop(ErrorCode::RetryTooOld));
        }
        let asker = asker(&change);
        let (answer, mut changed) = match change {
            Change::Create(create) => self.create(create).await?,
            Change::Append {
                append,
                callers,
                work_bits,
            } => self.append(append, &callers, work_bits).await?,
            Change::Trim(trim, caller) => self.trim(trim.log, trim.to, &caller).await?,
            Change::Claim(claim, caller) => self.claim(&claim, &caller).await?,
            Change::Withdraw(withdraw) => self.withdraw(&withdraw).await?,
            Change::Take(take, caller) => self.take(take.log, &caller).await?,
            Change::Grants(grants, caller) => self.grants(&grants, &caller).await?,
            Change::Delete(delete, caller) => self.delete(delete.log, &caller).await?,
            Change::Renew(..) | Change::Release(..) | Change::Hold(..) => {
                return Err(Fault::Shape.into());
            }
        };
        self.remember(&mut changed, (&id, day, retry), &asker, &answer)?;
        self.keep(changed)?;
        Ok(answer)
    }

    /// Changes that may be repeated without harm.
    async fn apply_again(&mut self, change: Change) -> Result<Answer<'static>, Stop> {
        let now = self.now;
        let (id, caller, right) = match &change {
            Change::Renew(renew, caller) => (renew.log, caller, Rights::CLAIM),
            Change::Release(release, caller) => (release.log, caller, Rights::CLAIM),
            Change::Hold(hold, caller) => (hold.log, caller, Rights::MANAGE),
            _ => return Err(Fault::Shape.into()),
        };
        let mut log = self.allowed(&id, caller, right).await?;
        let head = &mut log.state.head;
        let answer = match &change {
            Change::Renew(renew, caller) => {
                let ms = lease::renew(head, renew.seq, renew.lease, renew.ms, &caller.keys, &now)?;
                Answer::Claimed(Claimed {
                    ms,
                    held: None,
                    lease: renew.lease,
                })
            }
            Change::Release(release, caller) => {
                lease::release(head, release.seq, release.lease, &caller.keys, &now)?;
                Answer::Ok
            }
            Change::Hold(hold, _) => Answer::Held(Held {
                ms: lease::hold(head, hold.ms, &now),
                fence: head.fence,
            }),
            _ => return Err(Fault::Shape.into()),
        };
        self.keep(Changed::of(id, log))?;
        Ok(answer)
    }

    /// The state of a log with the group's changes, deleted logs included.
    async fn working(&self, id: &LogId) -> Result<Option<Working>, Stop> {
        if let Some(log) = self.group.logs.get(id) {
            return Ok(Some(log.clone()));
        }
        let found = self.shared.state(id).await?;
        Ok(found.map(|(state, keys)| Working {
            state: LogState::clone(&state),
            before: Some(state),
            keys,
            grants_changed: false,
        }))
    }

    /// A log that is there, or the refusal that tells nothing.
    async fn live(&self, id: &LogId) -> Result<Working, Stop> {
        self.working(id)
            .await?
            .filter(|log| log.state.head.deleted.is_none())
            .ok_or_else(|| stop(ErrorCode::Refused))
    }

    /// The same, for a caller who has the right.
    async fn allowed(&self, id: &LogId, caller: &Caller, right: Rights) -> Result<Working, Stop> {
        let log = self.live(id).await?;
        let access = grant::access_of_some(&log.state.grants, &caller.keys);
        if access.rights.contains(right) {
            Ok(log)
        } else {
            Err(stop(ErrorCode::Refused))
        }
    }

    /// Puts what a change leaves into the group; from here on nothing is refused.
    fn keep(&mut self, changed: Changed) -> Result<(), Stop> {
        let mut sealed = Vec::with_capacity(changed.entries.len());
        for (id, entry) in &changed.entries {
            let Some((_, log)) = changed.logs.iter().find(|(log, _)| log == id) else {
                return Err(Fault::Shape.into());
            };
            sealed.push((*id, group::seal_entry(self.shared, id, log, entry)?));
        }
        // Nothing fails any more: a change lands in the group whole or not at all.
        for (id, entry) in sealed {
            self.group.put_entry(&id, entry);
        }
        for (id, key) in changed.removes {
            self.group.remove(&id, key);
        }
        if let Some((key, value)) = changed.retry {
            self.group.put(key, value);
        }
        if let Some((key, answer)) = changed.fresh {
            self.answers.fresh.insert(key, answer);
        }
        self.group.after.extend(changed.after);
        self.group.logs.extend(changed.logs);
        Ok(())
    }

    async fn create(
        &mut self,
        create: Create<'static>,
    ) -> Result<(Answer<'static>, Changed), Stop> {
        let shared = self.shared;
        let id = LogId::of_root(&create.root);
        check_policy(&create.policy, &shared.limits)?;
        grant::check(&create.grants, 0)?;
        if self.working(&id).await?.is_some() {
            return Err(stop(ErrorCode::Refused));
        }
        if shared.keys.count() >= shared.limits.logs_max {
            return Err(stop(ErrorCode::Busy));
        }
        if !shared.store.has_room() {
            return Err(crate::store::StoreError::Full.into());
        }
        // A key that a crash or a full disk left without a log is as good as a new one.
        let keys = match shared.keys.log(&id) {
            Some(keys) => keys,
            None => shared.keys.add_log_key(&id)?,
        };
        let chain = chain::genesis(&id);
        let grants = create
            .grants
            .into_iter()
            .map(|grant| super::state::GrantRecord {
                cut: None,
                grant,
                admitted: None,
            });
        let state = LogState {
            revision: None,
            head: new_head(id, create.policy, &self.now),
            grants: GrantList {
                list: grants.collect(),
                version: 1,
            }
            .into(),
        };
        let working = Working {
            before: None,
            state,
            keys,
            grants_changed: true,
        };
        Ok((Answer::Created(Created { chain }), Changed::of(id, working)))
    }

    async fn append(
        &mut self,
        append: Append<'static>,
        callers: &[Caller],
        work_bits: u32,
    ) -> Result<(Answer<'static>, Changed), Stop> {
        append::check_shape(&append)?;
        if callers.len() != append.items.len() {
            return Err(stop(ErrorCode::BadRequest));
        }
        let mut changed = Changed::default();
        for (index, item) in (0_u16..).zip(&append.items) {
            if !changed.logs.iter().any(|(id, _)| *id == item.log) {
                let log = self.live(&item.log).await.map_err(|stop| at(stop, index))?;
                changed.logs.push((item.log, log));
            }
        }
        let accesses = accesses(&append, callers, &changed)?;
        let ended = self.ended(&append, callers, &changed).await?;
        let rights = rights(&append, callers, &changed, (accesses, &ended), work_bits)?;
        let items = append.items.into_iter().zip(callers);
        let items = items.zip(&rights).zip(&ended);
        let mut dones = Vec::new();
        for (index, (((item, caller), rights), ended)) in (0_u16..).zip(items) {
            let done = self.item(&mut changed, item, caller, rights, ended.as_ref());
            dones.push(done.map_err(|stop| at(stop, index))?);
        }
        let payers: Vec<_> = changed.payers.drain(..).collect();
        let paying = (0_u16..).zip(&rights);
        let paying: Vec<_> = paying
            .filter(|(_, rights)| rights.payer.is_some())
            .collect();
        let limit = self.shared.limits.appends_per_minute;
        self.rates
            .count(&payers, limit, &self.now)
            .map_err(|refusal| {
                let payer = refusal.item.and_then(|item| paying.get(usize::from(item)));
                Refusal {
                    item: payer.map(|(index, _)| *index),
                    ..refusal
                }
            })?;
        Ok((Answer::Appended(dones), changed))
    }

    /// The entry that each item ends, if its lease is live before the append and the caller's.
    async fn ended(
        &self,
        append: &Append<'static>,
        callers: &[Caller],
        changed: &Changed,
    ) -> Result<Vec<Option<StoredEntry<'static>>>, Stop> {
        let mut all = Vec::with_capacity(append.items.len());
        for (item, caller) in append.items.iter().zip(callers) {
            let log = changed.log(&item.log)?;
            let (head, keys) = (&log.state.head, &caller.keys);
            let condition = item.lease.as_ref().filter(|condition| condition.end);
            let live = condition.filter(|condition| {
                lease::check(head, condition.seq, condition.lease, keys, &self.now).is_ok()
            });
            all.push(match live {
                Some(live) => self.shared.entry(&log.keys, head.floor, live.seq).await?,
                None => None,
            });
        }
        Ok(all)
    }

    fn item(
        &self,
        changed: &mut Changed,
        item: frame::Item<'static>,
        caller: &Caller,
        rights: &ItemRights,
        claimed: Option<&StoredEntry<'_>>,
    ) -> Result<ItemDone, Stop> {
        let (shared, now, id) = (self.shared, self.now, item.log);
        let Some((_, log)) = changed.logs.iter_mut().find(|(log, _)| *log == id) else {
            return Err(Fault::Shape.into());
        };
        let period = stamp::period(now.day);
        let key = shared.keys.stamp(period)?;
        let stamper = |log: &LogId, seq: u64, day: u32, commitment: &Commitment| {
            stamp::stamp(period, &key, log, seq, day, commitment)
        };
        log.grants_changed |= item.grants.is_some() || item.admit.is_some();
        let (done, entries) = append::apply(
            &mut log.state,
            item,
            rights,
            &caller.keys,
            claimed,
            &now,
            &stamper,
        )?;
        if let Some(claimed) = claimed {
            changed
                .removes
                .push((id, codec::entry_key(&log.keys, claimed)));
        }
        changed
            .entries
            .extend(entries.into_iter().map(|entry| (id, entry)));
        changed.payers.extend(rights.payer.map(|payer| (id, payer)));
        Ok(done)
    }

    async fn trim(
        &self,
        id: LogId,
        to: u64,
        caller: &Caller,
    ) -> Result<(Answer<'static>, Changed), Stop> {
        let mut log = self.allowed(&id, caller, Rights::TRIM).await?;
        let to = to.min(log.state.head.seq);
        let mut changed = Changed::default();
        if to > log.state.head.floor {
            log.state.head.floor = to;
            log.state.head.pins.retain(|pin| pin.seq > to);
            log.state.head.leases.retain(|lease| lease.seq > to);
            log.state.head.dirty.get_or_insert(self.now.wall_s);
            // What does not fit into one step is removed by the next ones; nobody sees it.
            changed.removes = upkeep::purge(self.shared, &id, &mut log, &self.now).await?;
            log.state.head.purging = changed.removes.len() >= UPKEEP_ENTRIES_MAX;
        }
        changed.logs.push((id, log));
        Ok((Answer::Ok, changed))
    }

    async fn claim(
        &self,
        claim: &frame::Claim,
        caller: &Caller,
    ) -> Result<(Answer<'static>, Changed), Stop> {
        let mut log = self.allowed(&claim.log, caller, Rights::CLAIM).await?;
        let holder = grant::payer(&log.state.grants, &caller.keys, Rights::CLAIM, &[])
            .ok_or_else(|| stop(ErrorCode::Refused))?
            .key;
        let floor = log.state.head.floor;
        let entry = self.shared.entry(&log.keys, floor, claim.seq).await?;
        let entry = entry.ok_or_else(|| stop(ErrorCode::NoSuchEntry))?;
        let lease = lease::claim(&mut log.state.head, claim.seq, claim.ms, holder, &self.now)?;
        let answer = Answer::Claimed(Claimed {
            ms: u32::try_from(lease.ms).unwrap_or(u32::MAX),
            held: entry.held,
            lease: lease.number,
        });
        Ok((answer, Changed::of(claim.log, log)))
    }

    async fn withdraw(
        &self,
        withdraw: &frame::Withdraw,
    ) -> Result<(Answer<'static>, Changed), Stop> {
        // The log need not be open, so whoever asks must not learn from the work whether it is there.
        self.shared.no_state(&withdraw.log).await?;
        let log = match self.live(&withdraw.log).await {
            Err(Stop::Refused(refusal)) => {
                self.shared.no_entry(withdraw.seq).await?;
                return Err(Stop::Refused(refusal));
            }
            found => found?,
        };
        let floor = log.state.head.floor;
        let entry = self.shared.entry(&log.keys, floor, withdraw.seq).await?;
        let own = entry.filter(|entry| entry.owner == Some(withdraw.proof.key));
        let entry = own.ok_or_else(|| stop(ErrorCode::Refused))?;
        Ok((Answer::Ok, self.removing(withdraw.log, log, &entry)))
    }

    /// The change that removes one entry.
    fn removing(&self, id: LogId, mut log: Working, entry: &StoredEntry<'_>) -> Changed {
        append::remove(&mut log.state.head, entry, &self.now);
        let key = codec::entry_key(&log.keys, entry);
        let mut changed = Changed::of(id, log);
        changed.removes.push((id, key));
        changed
    }

    async fn take(
        &mut self,
        id: LogId,
        caller: &Caller,
    ) -> Result<(Answer<'static>, Changed), Stop> {
        let log = self.allowed(&id, caller, Rights::TAKE).await?;
        let mut oldest: Option<StoredEntry<'static>> = None;
        let mut last_resort: Option<StoredEntry<'static>> = None;
        for fenced in [false, true] {
            let mut after = log.state.head.floor;
            'lane: loop {
                let range = LaneRange {
                    fenced,
                    after,
                    to: u64::MAX,
                    records_max: 16,
                    bytes_max: UPKEEP_BYTES_MAX,
                    values: true,
                };
                let found = self.shared.lane(log.keys.name, range).await?;
                if found.is_empty() {
                    break;
                }
                for (key, value) in found {
                    after = seq_of(&key);
                    let entry = codec::open_entry(&self.shared.keys, &log.keys, &key, &value)?;
                    if entry.last_resort {
                        // The newest is the one its owner meant to be left with.
                        last_resort = Some(entry);
                    } else {
                        if oldest.as_ref().is_none_or(|known| entry.seq < known.seq) {
                            oldest = Some(entry);
                        }
                        break 'lane;
                    }
                }
            }
        }
        let payer = grant::payer(&log.state.grants, &caller.keys, Rights::TAKE, &[]);
        let payer = payer.map(|grant| (id, append::Payer::of(grant)));
        let limit = self.shared.limits.appends_per_minute;
        self.rates
            .count(payer.as_slice(), limit, &self.now)
            .map_err(|refusal| Refusal {
                item: None,
                ..refusal
            })?;
        if let Some(entry) = oldest {
            let answer = taken(&entry);
            return Ok((answer, self.removing(id, log, &entry)));
        }
        let entry = last_resort.ok_or_else(|| stop(ErrorCode::NoSuchEntry))?;
        Ok((taken(&entry), Changed::of(id, log)))
    }

    async fn grants(
        &self,
        grants: &frame::Grants,
        caller: &Caller,
    ) -> Result<(Answer<'static>, Changed), Stop> {
        let mut log = self.allowed(&grants.log, caller, Rights::MANAGE).await?;
        let version = grant::replace(&mut log.state, &grants.new, self.now.day)?;
        log.grants_changed = true;
        let answer = Answer::Granted(Granted { version });
        Ok((answer, Changed::of(grants.log, log)))
    }

    /// Everything goes; the head stays for as long as repeats are answered, under a new key. The
    /// old key is erased as soon as that is durable.
    async fn delete(&self, id: LogId, caller: &Caller) -> Result<(Answer<'static>, Changed), Stop> {
        let mut log = self.allowed(&id, caller, Rights::MANAGE).await?;
        log.keys = self.shared.keys.add_log_key(&id)?;
        log.state.grants = GrantList::default().into();
        log.grants_changed = true;
        let old = &log.state.head;
        let mut head = new_head(id, old.policy.clone(), &self.now);
        head.deleted = Some(self.now.day);
        head.version = 0;
        head.seq = old.seq;
        head.floor = old.seq;
        head.purging = true;
        log.state.head = head;
        let mut changed = Changed::of(id, log);
        changed.after.push(After::EraseOlder(id));
        Ok((Answer::Ok, changed))
    }
}

fn taken(entry: &StoredEntry<'_>) -> Answer<'static> {
    Answer::Taken(Taken {
        entry: entry.entry().into_owned(),
        last_resort: entry.last_resort,
    })
}

/// What a change leaves.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) logs: Vec<(LogId, Working)>,
    pub(crate) entries: Vec<(LogId, StoredEntry<'static>)>,
    pub(crate) removes: Vec<(LogId, Key)>,
    pub(crate) retry: Option<(Key, Bytes)>,
    pub(crate) fresh: Option<((LogId, RetryId), Answer<'static>)>,
    pub(crate) payers: Vec<(LogId, append::Payer)>,
    pub(crate) after: Vec<After>,
}

impl Changed {
    fn of(id: LogId, log: Working) -> Self {
        Self {
            logs: vec![(id, log)],
            ..Self::default()
        }
    }

    fn log(&self, id: &LogId) -> Result<&Working, Fault> {
        let found = self.logs.iter().find(|(log, _)| log == id);
        found.map(|(_, log)| log).ok_or(Fault::Shape)
    }
}

/// What each item's caller may do, all by the grants before the append.
fn accesses(
    append: &Append<'static>,
    callers: &[Caller],
    changed: &Changed,
) -> Result<Vec<Access>, Stop> {
    let items = append.items.iter().zip(callers);
    let access = |(index, (item, caller)): (u16, (&frame::Item<'static>, &Caller))| {
        append::access(&changed.log(&item.log)?.state, item, &caller.keys)
            .map_err(|refusal| at(refusal.into(), index))
    };
    (0_u16..).zip(items).map(access).collect()
}

/// The rights for each item, with the grant that it is counted by, and whether the price is paid.
/// What one item ends counts for those before it as well.
fn rights(
    append: &Append<'static>,
    callers: &[Caller],
    changed: &Changed,
    (accesses, ended): (Vec<Access>, &[Option<StoredEntry<'_>>]),
    work_bits: u32,
) -> Result<Vec<ItemRights>, Stop> {
    let owners = ended.iter().flatten().filter_map(|entry| entry.owner);
    let owners: Vec<_> = owners.collect();
    let mut all = Vec::with_capacity(accesses.len());
    let mut work = 0;
    let items = append.items.iter().zip(callers).zip(accesses);
    for (index, ((item, caller), access)) in (0_u16..).zip(items) {
        let log = changed.log(&item.log)?;
        let payer = append::payer(&log.state, item, &caller.keys, &owners)
            .map_err(|refusal| at(refusal.into(), index))?;
        work = work.max(payer.map_or(0, |payer| payer.work));
        all.push(ItemRights { access, payer });
    }
    if work_bits < u32::from(work) {
        return Err(Stop::Refused(Refusal {
            bits: Some(work),
            ..Refusal::of(ErrorCode::WorkNeeded)
        }));
    }
    Ok(all)
}

/// Says which item was refused.
fn at(stop: Stop, item: u16) -> Stop {
    match stop {
        Stop::Refused(refusal) => Stop::Refused(Refusal {
            item: Some(item),
            ..refusal
        }),
        Stop::Fault(fault) => Stop::Fault(fault),
    }
}

fn check_policy(policy: &frame::Policy, limits: &LogLimits) -> Result<(), Refusal> {
    let right = (1..=limits.ttl_days_max).contains(&policy.ttl_days)
        && (1..=limits.ttl_fenced_days_max).contains(&policy.ttl_fenced_days)
        && (LOG_BYTES_MIN..=limits.log_bytes_max).contains(&policy.bytes_max)
        && !policy.admit_rights.contains(Rights::MANAGE);
    if right {
        Ok(())
    } else {
        Err(Refusal::of(ErrorCode::BadRequest))
    }
}

fn new_head(id: LogId, policy: frame::Policy, now: &Now) -> Head {
    Head {
        id,
        day: now.lives_from,
        run: now.run,
        seq: 0,
        hold: 0,
        pins: Vec::new(),
        chain: chain::genesis(&id),
        dirty: None,
        fence: 0,
        floor: 0,
        lease: 0,
        fenced: LaneUse::default(),
        leases: Vec::new(),
        policy,
        deleted: None,
        purging: false,
        retries: Vec::new(),
        version: 1,
        ordinary: LaneUse::default(),
        join_from: 0,
        pin_fence: None,
        disordered: false,
        join_bytes: 0,
    }
}
