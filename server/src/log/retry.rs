//! Remembered answers: a repeat of a change gets the first answer and is not applied. It must not
//! decide whether a change may be made.

use std::collections::HashMap;

use bytes::Bytes;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Refusal};
use sotto_protocol::id::{LogId, PublicKey, RetryId};
use sotto_protocol::limits::{RETRY_IDS_FOR_CLAIM, RETRY_IDS_FOR_MANAGE, RETRY_IDS_PER_LOG_MAX};
use sotto_protocol::right::Rights;

use super::apply::{Applier, Changed, Stop};
use super::codec::{self, StoredAnswer};
use super::fault::Fault;
use super::group::Working;
use super::shared::{NOBODY, Shared};
use super::state::RetryCount;
use super::{Change, grant};
use crate::retention::SealError;
use crate::store::{Key, LogName, Record};

/// Remembered answers of the changes at hand.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Given since the store was asked.
    pub(crate) fresh: HashMap<(LogId, RetryId), Answer<'static>>,
    /// What the store said.
    stored: HashMap<Key, Option<Bytes>>,
}

impl Answers {
    /// Asks the store once for all the changes.
    pub(crate) async fn fetch(
        shared: &Shared,
        changes: impl Iterator<Item = &Change>,
    ) -> Result<Self, Fault> {
        let today = shared.now().day;
        let keys: Vec<Key> = changes
            .filter_map(retry_of)
            .map(|(id, _, retry)| {
                // An unknown log is looked for as well: a refusal must not be had for less.
                let name = shared.keys.log(&id).map_or(NOBODY, |log| log.name);
                (name, retry)
            })
            .flat_map(|(name, retry)| retry_keys(name, today, retry))
            .collect();
        if keys.is_empty() {
            return Ok(Self::default());
        }
        let values = shared.store.get(keys.clone()).await?;
        Ok(Self {
            fresh: HashMap::new(),
            stored: keys.into_iter().zip(values).collect(),
        })
    }

    /// Forgets everything: what was given may not have become durable.
    pub(crate) fn clear(&mut self) {
        self.fresh.clear();
        self.stored.clear();
    }
}

/// Where an answer may be remembered: under yesterday or today.
fn retry_keys(name: LogName, today: u32, retry: RetryId) -> [Key; 2] {
    [today.saturating_sub(1), today].map(|day| Key::new(name, Record::Retry(day, retry)))
}

/// The log, day and retry id of a change that carries one.
pub(crate) fn retry_of(change: &Change) -> Option<(LogId, u32, RetryId)> {
    match change {
        Change::Create(create) => Some((LogId::of_root(&create.root), create.day, create.retry)),
        Change::Append { append, .. } => {
            Some((append.items.first()?.log, append.day, append.retry))
        }
        Change::Trim(trim, _) => Some((trim.log, trim.day, trim.retry)),
        Change::Claim(claim, _) => Some((claim.log, claim.day, claim.retry)),
        Change::Withdraw(withdraw) => Some((withdraw.log, withdraw.day, withdraw.retry)),
        Change::Take(take, _) => Some((take.log, take.day, take.retry)),
        Change::Grants(grants, _) => Some((grants.log, grants.day, grants.retry)),
        Change::Delete(delete, _) => Some((delete.log, delete.day, delete.retry)),
        Change::Renew(..) | Change::Release(..) | Change::Hold(..) => None,
    }
}

/// The keys of who asks, in the log that remembers the answer; of owners and roots, none.
pub(crate) fn asker(change: &Change) -> Vec<PublicKey> {
    match change {
        Change::Append { callers, .. } => callers.first().map(|caller| caller.keys.clone()),
        Change::Trim(_, caller)
        | Change::Claim(_, caller)
        | Change::Take(_, caller)
        | Change::Grants(_, caller)
        | Change::Delete(_, caller) => Some(caller.keys.clone()),
        _ => None,
    }
    .unwrap_or_default()
}

/// How many answers may be remembered in the log for who asks: they are not all for anybody, so that
/// who may append uses up neither what supporters claim with nor what shuts them out.
fn share(log: &Working, asker: &[PublicKey]) -> u32 {
    let before = log.before.as_ref().map(|state| &state.grants);
    let grants = before.unwrap_or(&log.state.grants);
    let rights = grant::access_of_some(grants, asker).rights;
    if rights.contains(Rights::MANAGE) {
        RETRY_IDS_PER_LOG_MAX
    } else if rights.contains(Rights::CLAIM) {
        RETRY_IDS_PER_LOG_MAX - RETRY_IDS_FOR_MANAGE
    } else {
        RETRY_IDS_PER_LOG_MAX - RETRY_IDS_FOR_MANAGE - RETRY_IDS_FOR_CLAIM
    }
}

impl Applier<'_> {
    /// The answer that was given to this retry id before.
    pub(crate) async fn remembered(
        &self,
        id: &LogId,
        retry: RetryId,
    ) -> Result<Option<Answer<'static>>, Stop> {
        if let Some(answer) = self.answers.fresh.get(&(*id, retry)) {
            return Ok(Some(answer.clone()));
        }
        let Some(log) = self.shared.keys.log(id) else {
            return Ok(None);
        };
        let keys = retry_keys(log.name, self.now.day, retry);
        let fetched = keys.map(|key| self.answers.stored.get(&key).cloned());
        let values = match fetched {
            [Some(one), Some(other)] => vec![one, other],
            _ => self.shared.store.get(keys.to_vec()).await?,
        };
        for (key, value) in keys.iter().zip(values) {
            if let Some(value) = value {
                let stored = match codec::open_answer(&self.shared.keys, &log, key, &value) {
                    Ok(stored) => stored,
                    // Of before the log was deleted: nothing to repeat any more.
                    Err(Fault::Seal(SealError::Erased)) => continue,
                    Err(fault) => return Err(fault.into()),
                };
                return match stored.answer {
                    Some(answer) => Ok(Some(answer)),
                    None => Err(Stop::Refused(Refusal::of(ErrorCode::RetryTooOld))),
                };
            }
        }
        Ok(None)
    }

    /// Has the answer stored with the change.
    pub(crate) fn remember(
        &mut self,
        changed: &mut Changed,
        (id, day, retry): (&LogId, u32, RetryId),
        asker: &[PublicKey],
        answer: &Answer<'static>,
    ) -> Result<(), Stop> {
        let Some((_, log)) = changed.logs.iter_mut().find(|(log, _)| log == id) else {
            return Err(Fault::Shape.into());
        };
        let most = share(log, asker);
        let counts = &mut log.state.head.retries;
        counts.retain(|count| count.day + 1 >= self.now.day);
        let total: u32 = counts.iter().map(|count| count.count).sum();
        if total >= most {
            return Err(Stop::Refused(Refusal::of(ErrorCode::QuotaExceeded)));
        }
        match counts.iter_mut().find(|count| count.day == day) {
            Some(count) => count.count += 1,
            None => counts.push(RetryCount { day, count: 1 }),
        }
        let key = Key::new(log.keys.name, Record::Retry(day, retry));
        let stored = StoredAnswer {
            at: self.now.wall_s,
            answer: Some(answer.clone()),
        };
        let value = codec::seal_answer(&self.shared.keys, &log.keys, &key, &stored, day + 1)?;
        changed.retry = Some((key, value));
        changed.fresh = Some(((*id, retry), answer.clone()));
        Ok(())
    }
}
