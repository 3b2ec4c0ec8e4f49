//! Badges in a conversation: which organisations are trusted, what members have shown, and what that is
//! worth now. SPEC.md, "Badges".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Command, Engine, Event, Reply, saved};
use crate::content::{ContentBody, ROSTER_MAX};
use crate::desk::{
    Badge, BadgeId, BadgeState, Checked, HeldBadge, Known, NoBadge, OrganisationId, Revocation,
    RevokedList, ShownBadge,
};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::{Group, LeafId};
use crate::time::Now;
use crate::vault::{Key, Row};

/// Organisations that one conversation trusts: its desk's, and those it works with.
const TRUSTED_MAX: usize = 8;
/// Badges taken back in one conversation that are remembered. Each needs its organisation's word, so
/// nobody else fills it; of more the oldest goes.
const TAKEN_BACK_MAX: usize = 64;

/// What a conversation keeps of badges, in one row.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    trusted: Vec<OrganisationId>,
    /// What trusted organisations took back, as they said last.
    lists: Vec<Checked>,
    /// Ours, to be shown again to those who come later.
    own: Option<HeldBadge>,
    /// Somebody came who did not see ours.
    is_due: bool,
    /// As members showed them, the last of each.
    shown: Vec<(LeafId, ShownBadge)>,
    /// Whose badge was taken back here, and the organisation's word.
    taken_back: Vec<(LeafId, Revocation)>,
    /// Words of trusted organisations on badges that nobody has shown yet, the newest last.
    #[serde(default)]
    unmatched: Vec<Revocation>,
}

/// The badges of a conversation.
#[derive(Default)]
pub(super) struct Badging {
    kept: Kept,
    is_changed: bool,
    /// What trusted organisations vouch for.
    known: BTreeMap<LeafId, Known>,
    /// What the app was told of them.
    told: BTreeMap<LeafId, (BadgeId, BadgeState)>,
}

impl core::fmt::Debug for Badging {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Badging(…)")
    }
}

impl Badging {
    /// Takes a row of the vault if it is this.
    pub(super) fn load(&mut self, (name, value): &Row) -> Result<bool> {
        if name != saved::BADGES {
            return Ok(false);
        }
        self.kept = saved::decode(value)?;
        Ok(true)
    }

    fn list_of(&self, organisation: &OrganisationId) -> Option<&Checked> {
        let mut lists = self.kept.lists.iter();
        lists.find(|list| list.organisation == *organisation)
    }

    fn state(&self, leaf: &LeafId, known: &Known, now: Now) -> BadgeState {
        let is_revoked = self.kept.taken_back.iter().any(|(of, _)| of == leaf);
        known.state(is_revoked, self.list_of(&known.organisation), now.wall_ms)
    }

    /// The organisation that was trusted first.
    pub(super) fn trusted_first(&self) -> Option<OrganisationId> {
        self.kept.trusted.first().copied()
    }

    /// The badge of a member, as the app was told last.
    pub(super) fn of(&self, leaf: &LeafId) -> Option<Badge> {
        let known = self.known.get(leaf)?;
        self.told.get(leaf).map(|(_, state)| known.badge(*state))
    }

    #[cfg(test)]
    pub(super) fn know(
        &mut self,
        leaf: LeafId,
        shown: &ShownBadge,
        log: &sotto_protocol::id::LogId,
    ) -> BadgeId {
        let known = shown.read(&self.kept.trusted, log, &leaf).unwrap();
        let id = known.id;
        self.known.insert(leaf, known);
        id
    }

    #[cfg(test)]
    pub(super) const fn shown(&self) -> usize {
        self.kept.shown.len()
    }

    #[cfg(test)]
    pub(super) fn taken_back(&self) -> Vec<LeafId> {
        self.kept.taken_back.iter().map(|(leaf, _)| *leaf).collect()
    }

    fn take_back(&mut self, leaf: LeafId, revocation: Revocation) {
        self.kept.taken_back.push((leaf, revocation));
        let surplus = self.kept.taken_back.len().saturating_sub(TAKEN_BACK_MAX);
        self.kept.taken_back.drain(..surplus);
        self.is_changed = true;
    }

    /// A notice came before its badge.
    fn keep_unmatched(&mut self, revocation: Revocation) {
        let Kept {
            trusted, unmatched, ..
        } = &mut self.kept;
        let is_known = unmatched.iter().any(|one| one.key == revocation.key);
        let mut trusted = trusted.iter();
        if is_known || !trusted.any(|one| revocation.is_signed_by(one)) {
            return;
        }
        unmatched.push(revocation);
        let surplus = unmatched.len().saturating_sub(TAKEN_BACK_MAX);
        unmatched.drain(..surplus);
        self.is_changed = true;
    }

    /// A badge was shown that may have been taken back before.
    fn match_notice(&mut self, leaf: LeafId) {
        let Some(known) = self.known.get(&leaf) else {
            return;
        };
        let (id, organisation) = (known.id, known.organisation);
        let is_it = |one: &Revocation| one.key == id && one.is_signed_by(&organisation);
        let Some(at) = self.kept.unmatched.iter().position(is_it) else {
            return;
        };
        let revocation = self.kept.unmatched.remove(at);
        if !self.kept.taken_back.iter().any(|(of, _)| *of == leaf) {
            self.take_back(leaf, revocation);
        }
        self.is_changed = true;
    }

    /// Somebody came who has seen no badge.
    pub(super) fn somebody_came(&mut self) {
        if self.kept.own.is_some() || !self.kept.taken_back.is_empty() {
            self.kept.is_due = true;
            self.is_changed = true;
        }
    }
}

impl Engine {
    /// The organisation whose badge is of use here and was not shown by us yet: the one that is trusted
    /// first, which in a desk's chat is the desk's.
    #[must_use]
    pub fn badge_wanted(&self) -> Option<OrganisationId> {
        let kept = &self.badging.kept;
        kept.trusted.first().copied().filter(|_| kept.own.is_none())
    }

    pub(super) fn obey_of_badges(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::Trust(organisation) => self.trust(organisation)?,
            Command::ShowBadge(badge) => {
                if badge.says().is_none() {
                    return Err(invalid("that is no badge"));
                }
                self.show_badge(*badge, now)?;
            }
            Command::RevokeBadge(revocation) => {
                self.queue(ContentBody::BadgeRevoked(revocation), now)?;
            }
            Command::HearRevoked(list) => self.hear_revoked(&list, now)?,
            _ => return Err(invalid("that is nothing of badges")),
        }
        Ok(Reply::Kept)
    }

    /// Shows a badge of ours to those who are here and to whoever comes.
    pub(super) fn show_badge(&mut self, badge: HeldBadge, now: Now) -> Result<()> {
        let shown = badge.show(&self.saved.log, &self.key.id());
        self.badging.kept.own = Some(badge);
        self.badging.is_changed = true;
        self.queue(ContentBody::Badge(Box::new(shown)), now)
            .map(drop)
    }

    pub(super) fn trust(&mut self, organisation: OrganisationId) -> Result<()> {
        let trusted = &mut self.badging.kept.trusted;
        if trusted.contains(&organisation) {
            return Ok(());
        }
        if trusted.len() >= TRUSTED_MAX {
            return Err(invalid("a conversation trusts 8 organisations at most"));
        }
        trusted.push(organisation);
        self.badging.is_changed = true;
        self.know_badges();
        Ok(())
    }

    /// Reads again what was shown: after a start, and when more is trusted.
    pub(super) fn know_badges(&mut self) {
        let Badging { kept, known, .. } = &mut self.badging;
        let door = self.beside.door.as_ref().map(|door| door.log);
        for (leaf, knock) in &self.beside.knocks {
            if let (Some(door), Some(shown)) = (door, &knock.badge)
                && let Ok(good) = shown.read(&kept.trusted, &door, leaf)
            {
                known.insert(*leaf, good);
            }
        }
        for (leaf, shown) in &kept.shown {
            if let Ok(good) = shown.read(&kept.trusted, &self.saved.log, leaf) {
                known.insert(*leaf, good);
            }
        }
    }

    /// After a start the app looks at the members itself: it is told only of what changes from here.
    pub(super) fn begin_with_badges(&mut self, badging: Badging, now: Now) {
        self.badging = badging;
        self.know_badges();
        let badging = &self.badging;
        let told = badging.known.iter().map(|(leaf, known)| {
            let state = badging.state(leaf, known, now);
            (*leaf, (known.id, state))
        });
        self.badging.told = told.collect();
    }

    fn hear_revoked(&mut self, list: &RevokedList, now: Now) -> Result<()> {
        let mut trusted = self.badging.kept.trusted.iter();
        let organisation = trusted.find(|organisation| list.is_signed_by(organisation));
        let organisation =
            *organisation.ok_or_else(|| invalid("no organisation that is trusted here said so"))?;
        let known = self.badging.list_of(&organisation);
        if let Some(newer) = Checked::newer(organisation, list, known, now.wall_ms) {
            let lists = &mut self.badging.kept.lists;
            lists.retain(|list| list.organisation != organisation);
            lists.push(newer);
            self.badging.is_changed = true;
        }
        Ok(())
    }

    /// A member showed a badge.
    pub(super) fn badge_shown(&mut self, author: LeafId, shown: ShownBadge) -> Result<()> {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        if !leaves.contains(&author) {
            return Ok(());
        }
        let Badging { kept, known, .. } = &mut self.badging;
        let before = known.get(&author);
        match shown.read(&kept.trusted, &self.saved.log, &author) {
            // An earlier one that is shown again, or replayed, takes nothing back.
            Ok(good) if before.is_none_or(|before| good.is_as_new_as(before)) => {
                known.insert(author, good);
            }
            // Its organisation may be trusted later.
            Err(NoBadge::Foreign) if before.is_none() => {}
            Ok(_) | Err(NoBadge::Foreign) => return Ok(()),
            Err(NoBadge::Nonsense | NoBadge::Stolen) => {
                self.junk();
                return Ok(());
            }
        }
        kept.shown.retain(|(leaf, _)| *leaf != author);
        if kept.shown.len() < ROSTER_MAX {
            kept.shown.push((author, shown));
        }
        self.badging.is_changed = true;
        self.badging.match_notice(author);
        Ok(())
    }

    /// A member hands on that an organisation took a badge back. It holds for whatever is shown at that
    /// leaf from now on: who has a batch would only take the next one.
    pub(super) fn badge_revoked(&mut self, revocation: Revocation) -> Result<()> {
        let Badging { kept, known, .. } = &mut self.badging;
        let mut holders = known.iter();
        let Some((leaf, known)) = holders.find(|(_, known)| known.id == revocation.key) else {
            self.badging.keep_unmatched(revocation);
            return Ok(());
        };
        if !revocation.is_signed_by(&known.organisation) {
            self.junk();
            return Ok(());
        }
        if kept.taken_back.iter().any(|(of, _)| of == leaf) {
            return Ok(());
        }
        let leaf = *leaf;
        self.badging.take_back(leaf, revocation);
        Ok(())
    }

    /// Says again what those who came did not hear: our badge, and as a facilitator what was taken back.
    pub(super) fn queue_badges(&mut self, now: Now) -> Result<()> {
        if !self.badging.kept.is_due {
            return Ok(());
        }
        self.badging.kept.is_due = false;
        self.badging.is_changed = true;
        let me = self.key.id();
        let taken_back = self.badging.kept.taken_back.clone();
        let is_ours = taken_back.iter().any(|(leaf, _)| *leaf == me);
        let own = self.badging.kept.own.as_ref().filter(|_| !is_ours);
        if let Some(own) = own {
            let shown = own.show(&self.saved.log, &me);
            self.queue(ContentBody::Badge(Box::new(shown)), now)?;
        }
        if self.facilitates() {
            for (_, revocation) in taken_back {
                self.queue(ContentBody::BadgeRevoked(Box::new(revocation)), now)?;
            }
        }
        Ok(())
    }

    /// Tells the app what changed, by itself or with time; answers when something next may (wall
    /// clock).
    pub(super) fn look_at_badges(&mut self, now: Now) -> Option<u64> {
        let Badging { kept, known, .. } = &self.badging;
        let is_empty = known.is_empty() && kept.shown.is_empty() && kept.taken_back.is_empty();
        let mut leaves = self.group.as_ref().filter(|_| !is_empty)?.leaves();
        leaves.extend(self.beside.knocks.keys());
        let badging = &mut self.badging;
        badging.known.retain(|leaf, _| leaves.contains(leaf));
        badging.told.retain(|leaf, _| leaves.contains(leaf));
        let kept = &mut badging.kept;
        let before = kept.shown.len() + kept.taken_back.len();
        kept.shown.retain(|(leaf, _)| leaves.contains(leaf));
        kept.taken_back.retain(|(leaf, _)| leaves.contains(leaf));
        badging.is_changed |= kept.shown.len() + kept.taken_back.len() != before;
        let (mut news, mut due) = (Vec::new(), None::<u64>);
        for (leaf, known) in &self.badging.known {
            let state = self.badging.state(leaf, known, now);
            let badge = known.badge(state);
            let list = self.badging.list_of(&known.organisation);
            let at = known.changes_at(list, now.wall_ms);
            due = due.into_iter().chain(at).min();
            news.push((*leaf, badge));
        }
        for (leaf, badge) in news {
            let told = (badge.id, badge.state);
            if self.badging.told.insert(leaf, told) != Some(told) {
                let badge = Box::new(badge);
                self.tell(Event::Badge { leaf, badge });
            }
        }
        due
    }

    /// Puts what changed into the batch.
    pub(super) fn keep_badges(&mut self) -> Result<()> {
        if core::mem::take(&mut self.badging.is_changed) {
            let value = saved::encode(&self.badging.kept)?;
            let key = Key::new(self.space, saved::BADGES);
            self.out.store.put(key, value);
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, what)
}
