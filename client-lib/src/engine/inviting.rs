//! Adding somebody from their inbox: a KeyPackage taken from their pool, and then what an admission
//! at a door is, with a letter to the inbox that the address names. SPEC.md, "Standing inbox".

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Take};
use sotto_protocol::id::{LogId, RetryId};
use x25519_dalek::StaticSecret;

use super::beside::Side;
use super::door::{KNOCKS_MAX, KeptKnock};
use super::saved::{self, Intent};
use super::{Engine, Event, retry_id};
use crate::error::{Error, ErrorKind, Result};
use crate::link::InboxLink;
use crate::log::{Ask, Denied};
use crate::mls::LeafId;
use crate::seal::letter::{Letters, PackageBody, Purpose, Read};
use crate::time::Now;

/// How long to wait for an inbox that is busy: a rate is one of a minute.
const TRY_AGAIN_MS: u64 = 60_000;
/// How often, before it is told that it cannot be.
const TRIES_MAX: u8 = 30;

/// Somebody who is to be added, until we have a KeyPackage of theirs. The same `take` again gives the
/// same one, also after a restart.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Adding {
    link: InboxLink,
    retry: RetryId,
    /// The relay's day when it was first asked for; 0 before.
    day: u32,
}

impl fmt::Debug for Adding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adding(…)")
    }
}

impl Adding {
    pub(super) const fn pool(&self) -> LogId {
        self.link.pool
    }
}

pub(super) fn name(pool: &LogId) -> Vec<u8> {
    [saved::ADD, pool.as_bytes()].concat()
}

impl Engine {
    pub(super) fn add_from_inbox(&mut self, link: InboxLink) -> Result<()> {
        if !self.facilitates() {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "only a facilitator can do this",
            ));
        }
        self.may_add()?;
        let is_here = link.relay.identity == self.saved.relay.identity;
        if !is_here || link.suite != self.saved.suite || self.is_chat() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "this conversation is on another relay than the inbox, of another suite, or a chat \
                 of two",
            ));
        }
        let knocks = &self.beside.knocks;
        let waits = knocks.values().any(|knock| knock.inbox == link.inbox);
        if waits || self.beside.adding.contains_key(&link.pool) {
            return Ok(());
        }
        if self.is_log_of_ours(&link.pool) || self.is_log_of_ours(&link.inbox) {
            return Err(Error::new(ErrorKind::Invalid, "this is no inbox"));
        }
        if knocks.len() + self.beside.adding.len() >= KNOCKS_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "too many wait to be let in or added",
            ));
        }
        let adding = Adding {
            link,
            retry: retry_id()?,
            day: 0,
        };
        self.keep_adding(adding)
    }

    fn keep_adding(&mut self, adding: Adding) -> Result<()> {
        self.keep_beside(&name(&adding.pool()), &adding)?;
        self.beside.adding.insert(adding.pool(), adding);
        Ok(())
    }

    fn forget_adding(&mut self, pool: &LogId) -> Option<Adding> {
        self.drop_beside(&name(pool));
        self.session.close(pool);
        self.beside.open.remove(pool);
        self.beside.adding.remove(pool)
    }

    /// Takes a KeyPackage for each of them.
    pub(super) fn go_on_adding(&mut self, now: Now) -> Result<()> {
        self.forget_unwanted()?;
        if !self.is_online || self.group.is_none() {
            return Ok(());
        }
        let today = self.session.today(now);
        let adding: Vec<_> = self.beside.adding.values().cloned().collect();
        for mut one in adding {
            let pool = one.pool();
            if self.beside.is_asked(Side::Take(pool)) {
                continue;
            }
            if one.day == 0 {
                one.day = today;
                self.keep_adding(one.clone())?;
            }
            self.session
                .open(pool, vec![StaticSecret::from(one.link.take)]);
            let (day, log, retry) = (one.day, pool, one.retry);
            self.ask_beside(Ask::Take(Take { day, log, retry }), Side::Take(pool));
        }
        Ok(())
    }

    /// Who facilitates no longer adds nobody.
    fn forget_unwanted(&mut self) -> Result<()> {
        let facilitates = self.facilitates();
        let wanted =
            |leaf: &LeafId| facilitates && self.saved.intents.contains(&Intent::Add(*leaf));
        let knocks = self.beside.knocks.iter();
        let unwanted: Vec<_> = knocks
            .filter(|(leaf, knock)| knock.is_invited && !wanted(leaf))
            .map(|(leaf, _)| *leaf)
            .collect();
        for leaf in unwanted {
            if self.admission_in_flight() != Some(leaf) {
                self.give_up_knock(&leaf)?;
            }
        }
        Ok(())
    }

    pub(super) fn taken(
        &mut self,
        pool: &LogId,
        result: &core::result::Result<Answer<'static>, Denied>,
    ) -> Result<()> {
        let is_too_old = |denied: &Denied| denied.refusal.code == ErrorCode::RetryTooOld;
        let Some(mut adding) = self.forget_adding(pool) else {
            return Ok(());
        };
        if result.as_ref().is_err_and(is_too_old) {
            // What was taken then was never used.
            (adding.retry, adding.day) = (retry_id()?, 0);
            return self.keep_adding(adding);
        }
        let package = match result {
            Ok(Answer::Taken(taken)) => package_of(&adding.link, taken.entry.sealed.as_slice()),
            _ => None,
        };
        let leaf = match (&package, &self.group) {
            (Some(package), Some(group)) => group
                .leaf_of(package)
                .ok()
                .filter(|leaf| !group.leaves().contains(leaf)),
            _ => None,
        };
        let (Some(package), Some(leaf)) = (package, leaf) else {
            self.tell(Event::NotAdded);
            return Ok(());
        };
        let kept = KeptKnock::invited(&adding.link, package);
        self.keep_beside(&saved::knock_name(&leaf), &kept)?;
        self.beside.knocks.insert(leaf, kept);
        self.want(Intent::Add(leaf));
        Ok(())
    }

    /// A pool that is not there (any more), or not for us.
    pub(super) fn pool_refused(&mut self, pool: &LogId) -> bool {
        let is_one = self.forget_adding(pool).is_some();
        if is_one {
            self.beside.forget_asked(Side::Take(*pool));
            self.tell(Event::NotAdded);
        }
        is_one
    }

    /// Others who have the address may keep an inbox busy: who adds from it tries again, and what else
    /// is to be said does not wait for it. Who made an inbox for one answer gets none.
    pub(super) fn put_off_answer(&mut self, now: Now) -> Result<()> {
        let knock = self
            .admission_in_flight()
            .and_then(|leaf| self.beside.knocks.get_mut(&leaf))
            .filter(|knock| knock.is_invited && knock.put_off.1 < TRIES_MAX);
        let Some(knock) = knock else {
            return self.give_up_answer();
        };
        let tries = knock.put_off.1 + 1;
        knock.put_off = (now.steady_ms.saturating_add(TRY_AGAIN_MS), tries);
        self.drop_flight().map(drop)
    }

    pub(super) fn is_put_off(&self, leaf: &LeafId, now: Now) -> bool {
        let knock = self.beside.knocks.get(leaf);
        knock.is_some_and(|knock| knock.put_off.0 > now.steady_ms)
    }

    /// Who knocked or is to be added gets no answer; for the second somebody waits to hear so.
    pub(super) fn give_up_knock(&mut self, leaf: &LeafId) -> Result<()> {
        if self
            .beside
            .knocks
            .get(leaf)
            .is_some_and(|one| one.is_invited)
        {
            self.tell(Event::NotAdded);
        }
        self.forget_knock(leaf);
        self.ticket_is_void()
    }
}

/// The KeyPackage of an entry in a pool, if the inbox's owner put it there.
fn package_of(link: &InboxLink, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut letters = Letters::default();
    let read = letters.read(&link.opening, Purpose::Package, &link.pool, sealed);
    let Read::Whole(letter) = read else {
        return None;
    };
    let body: PackageBody<'_> = sotto_protocol::cbor::decode(&letter).ok()?;
    body.holds(&link.owner, &link.pool)
        .then(|| body.package.as_slice().to_vec())
}
