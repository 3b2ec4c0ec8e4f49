//! A KeyPackage in the log, by who lost too many races for the fence, and the Commit that takes it
//! in. SPEC.md, "Waiting".
//!
//! Nothing of it is kept on the disk. A member that starts anew knows nobody who waits, and who
//! waits goes back to Commits of its own after a while.

use sotto_protocol::frame::Item;

use super::reading::At;
use super::saved::FlightKind;
use super::{Engine, internal};
use crate::error::Result;
use crate::mls::{Follower, Group, LeafId, Suite, Values};
use crate::seal::{CommitBody, EnvelopeBody};
use crate::time::Now;

/// Races for the fence after which a newcomer waits to be taken in.
const RACES_MAX: u8 = 3;
/// How long it waits before it tries again by itself, and at most half longer.
const WAIT_MS: u64 = 30_000;
/// KeyPackages that one Commit takes in: with them it stays well below the longest run.
const WAITING_MAX: usize = 32;
/// A facilitator commits so soon for those who wait, and at most half later: all who come in the
/// same second are taken in together.
const FACILITATOR_AFTER_MS: u64 = 600;
/// Other members leave it to the facilitators for so long,
const MEMBER_AFTER_MS: u64 = 3_000;
/// and each of them for a time of its own up to this, so that not all do it at once.
const MEMBER_SPREAD_MS: u64 = 20_000;

/// A newcomer between its own Commits and those of others.
#[derive(Default)]
pub(super) struct Turn {
    lost: u8,
    /// A KeyPackage that lies in the log, and its secrets; the same however often it is said.
    package: Option<(Vec<u8>, Values)>,
    /// No Commit of one's own before that (steady clock).
    until_ms: u64,
    /// The relay refused something, and it was no race.
    is_refused: bool,
}

#[cfg(test)]
impl Turn {
    /// Of somebody whose KeyPackage lies in the log, and who does nothing else to come in.
    pub(super) const fn of_patience(package: Vec<u8>, values: Values) -> Self {
        Self {
            lost: 0,
            package: Some((package, values)),
            until_ms: u64::MAX,
            is_refused: false,
        }
    }
}

impl core::fmt::Debug for Turn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Turn(…)")
    }
}

/// Those who wait, as a member knows them, in log order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    packages: Vec<(LeafId, Vec<u8>)>,
    /// When a Commit is made for them if there is no other (steady clock).
    commit_at_ms: Option<u64>,
    /// All together could not be added: one at a time.
    is_single: bool,
}

impl Engine {
    /// An entry holds a KeyPackage of somebody who found no other way in.
    pub(super) fn waiting_met(&mut self, package: &[u8], at: At, now: Now) {
        let by_link = self.policy.as_ref().is_some_and(|policy| policy.link_joins);
        let group = self.group.as_ref().filter(|_| by_link);
        let Some((group, leaf)) =
            group.and_then(|group| Some((group, group.leaf_of(package).ok()?)))
        else {
            self.junk();
            return;
        };
        // Said again, or so long ago that nobody waits any more; a role comes back with nobody.
        let is_known = self
            .waiting
            .packages
            .iter()
            .any(|(known, _)| *known == leaf);
        let has_role = self
            .policy
            .as_ref()
            .is_some_and(|one| one.is_facilitator(&leaf));
        let is_old = at.day.saturating_add(1) < self.session.today(now);
        if is_known || has_role || is_old || group.leaves().contains(&leaf) {
            return;
        }
        if self.waiting.packages.len() >= WAITING_MAX {
            self.junk();
            return;
        }
        self.waiting.packages.push((leaf, package.to_vec()));
        if self.waiting.commit_at_ms.is_none() {
            let after = if self.facilitates() {
                self.jitter.spread(FACILITATOR_AFTER_MS)
            } else {
                MEMBER_AFTER_MS + self.jitter.next() % MEMBER_SPREAD_MS
            };
            self.waiting.commit_at_ms = Some(now.steady_ms.saturating_add(after));
        }
    }

    /// Whether it is time for a Commit of ours for those who wait.
    pub(super) fn lets_in(&self, now: Now) -> bool {
        let at = self.waiting.commit_at_ms;
        !self.waiting.packages.is_empty() && at.is_some_and(|at| at <= now.steady_ms)
    }

    /// Whom the next Commit adds.
    pub(super) fn packages_waiting(&self) -> Vec<Vec<u8>> {
        let most = if self.waiting.is_single {
            1
        } else {
            WAITING_MAX
        };
        let waiting = self.waiting.packages.iter().take(most);
        waiting.map(|(_, package)| package.clone()).collect()
    }

    /// They cannot be added as they are; one bad one among them must not keep out the others.
    pub(super) fn cannot_let_in(&mut self) {
        if self.waiting.is_single || self.waiting.packages.len() == 1 {
            self.waiting.packages.remove(0);
            self.junk();
        }
        self.waiting.is_single = true;
    }

    /// A Commit that was to take them in stands in the log and does not count.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting = Queue::default();
    }

    /// An epoch began with these leaves. A new secret leaves out who came by the old link.
    pub(super) fn waiting_after(&mut self, leaves: &[LeafId], is_rotated: bool) {
        let queue = &mut self.waiting;
        queue
            .packages
            .retain(|(leaf, _)| !is_rotated && !leaves.contains(leaf));
        queue.is_single = false;
        if queue.packages.is_empty() {
            queue.commit_at_ms = None;
        }
    }

    /// When to look again at who waits, or at our own waiting (steady clock).
    pub(super) fn wake_for_waiting(&self, now: Now) -> Option<u64> {
        let ours = self.joining.as_ref().map(|joining| joining.turn.until_ms);
        let next = [self.waiting.commit_at_ms, ours].into_iter().flatten();
        next.filter(|at| *at > now.steady_ms).min()
    }

    /// Somebody else's fenced item came first.
    pub(super) fn lost_race(&mut self) {
        let flies = self.flight.as_ref().map(|flight| &flight.kind);
        if matches!(flies, Some(FlightKind::Join { .. }))
            && let Some(joining) = &mut self.joining
        {
            joining.turn.lost = joining.turn.lost.saturating_add(1);
        }
    }

    /// The relay will not take it, now: an external Commit gives way to a KeyPackage, and that to
    /// patience.
    pub(super) fn join_refused(&mut self, is_commit: bool) {
        if let Some(joining) = &mut self.joining {
            joining.turn.lost = if is_commit { RACES_MAX } else { 0 };
            joining.turn.is_refused = true;
        }
    }

    /// Whether a newcomer leaves it to the members now; puts its KeyPackage into the log first.
    pub(super) fn waits_its_turn(&mut self, now: Now) -> Result<bool> {
        let me = self.key.id();
        let Some(joining) = &mut self.joining else {
            return Ok(true);
        };
        let Some(follower) = &joining.follower else {
            return Ok(true);
        };
        let is_refused = core::mem::take(&mut joining.turn.is_refused);
        // Who is in the tree comes back in place of its leaf, which nobody can add a second time.
        let may_wait = !follower.leaves().contains(&me)
            && crate::policy::Policy::parse(&follower.policy())
                .is_ok_and(|policy| policy.link_joins);
        if joining.turn.lost >= RACES_MAX && may_wait {
            let suite = follower.suite();
            self.fly_waiting(suite, now)?;
            return Ok(true);
        }
        if is_refused {
            joining.turn.until_ms = now.steady_ms.saturating_add(self.jitter.spread(WAIT_MS));
        }
        Ok(joining.turn.until_ms > now.steady_ms)
    }

    fn fly_waiting(&mut self, suite: Suite, now: Now) -> Result<()> {
        let (wait, day) = (self.jitter.spread(WAIT_MS), self.session.today(now));
        let joining = self
            .joining
            .as_mut()
            .ok_or_else(|| internal("waiting without joining"))?;
        joining.turn.lost = 0;
        joining.turn.until_ms = now.steady_ms.saturating_add(wait);
        let package = match &joining.turn.package {
            Some((package, _)) => package.clone(),
            None => {
                let (package, values) = Group::key_package(suite, &self.key, day)?;
                joining.turn.package = Some((package.clone(), values));
                package
            }
        };
        let body = EnvelopeBody::Waiting(package.into());
        let item: Item<'static> = self.item(self.entries(&self.newest_generation()?, body)?);
        self.fly(FlightKind::Waiting, vec![item], now)
    }

    /// A Commit was followed that may have added us: with its Welcome we are in.
    pub(super) fn welcomed_by(&mut self, body: &CommitBody<'_>) -> Result<Option<(Group, LeafId)>> {
        let me = self.key.id();
        let Some(joining) = &mut self.joining else {
            return Ok(None);
        };
        let has_us = |follower: &&Follower| follower.leaves().contains(&me);
        let Some(follower) = joining.follower.as_ref().filter(has_us) else {
            return Ok(None);
        };
        let Some((_, values)) = joining.turn.package.take() else {
            return Ok(None);
        };
        // Whatever is wrong with it: our leaf is in, so our next Commit takes its place.
        joining.turn = Turn::default();
        let Some(welcome) = &body.welcome else {
            return Ok(None);
        };
        let tree = follower.tree()?;
        let entered = Group::from_welcome(values, welcome.as_slice(), &tree).ok();
        let entered = entered.filter(|(group, _)| follower.is_at(group));
        Ok(entered.map(|(group, by)| (group.unsaved(), by)))
    }
}
