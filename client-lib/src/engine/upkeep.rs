//! What a conversation needs without anybody asking: fresh keys, a sign of life, and a look at who
//! may manage the log. SPEC.md, "Upkeep".

use std::collections::BTreeSet;

use sotto_protocol::frame::{Answer, Describe, Described};
use sotto_protocol::id::PublicKey;
use sotto_protocol::right::Rights;

use super::saved::{Heard, Intent, Stage};
use super::{Engine, Event};
use crate::content::ContentBody;
use crate::error::Result;
use crate::log::Ask;
use crate::mls::{Group, LeafId};
use crate::time::{DAY_MS, Now};

/// Before the first message after so long, the own keys are renewed: who read them off the device
/// once is shut out again.
const UPDATE_BEFORE_SPEAKING_MS: u64 = DAY_MS;
/// Silent members renew theirs so often, each on a day of its own.
const UPDATE_SILENT_MS: u64 = 7 * DAY_MS;
/// How far the members' days lie apart.
const UPDATE_STAGGER_MS: u64 = 2 * DAY_MS;
/// Without any word of another member for so long on a standing connection, the relay may be
/// keeping the log's end to itself. Two hours more than a day, as signs of life come daily.
const SILENCE_MS: u64 = DAY_MS + 2 * 60 * 60 * 1_000;
/// What one member does for all falls to the next one after so long: more than a Commit takes to
/// land and to come back.
const TURN_MS: u64 = 5_000;
/// Whoever comes later goes with these: with so many away at once, a lost race does no harm.
const TURNS_MAX: usize = 12;

/// Something that one member is to do for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    epoch: u64,
    since_ms: u64,
    /// It was ours, and we did what we could.
    is_taken: bool,
}

/// A key that nobody answers for is looked at again after so long: by then what was appended before
/// has been read.
const LOOK_AGAIN_MS: u64 = 10_000;
/// After so many looks in a row it is a way back in, however often the key is changed meanwhile.
const LOOKS_MAX: u8 = 4;

/// Keys that manage the log and that nothing explains so far.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    keys: Vec<PublicKey>,
    looks: u8,
    /// When to look again (steady clock).
    again_ms: Option<u64>,
}

impl Engine {
    /// Queues what is due; answers when to look again, on the steady clock.
    pub(super) fn keep_up(&mut self, now: Now) -> Result<Option<u64>> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        if !is_member || !self.is_caught_up() || self.joining.is_some() {
            return Ok(None);
        }
        if self.saved.updated_ms == 0 {
            self.saved.updated_ms = now.wall_ms;
        }
        if self.saved.heard_ms == 0 || now.wall_ms < self.saved.heard_ms {
            self.saved.heard_ms = now.wall_ms;
        }
        let others = self
            .group
            .as_ref()
            .is_some_and(|group| group.leaves().len() > 1);
        if others {
            self.renew_keys(now);
            self.give_sign_of_life(now)?;
            self.notice_silence(now);
            self.notice_unheard(now);
        }
        Ok(Some(now.steady_ms.saturating_add(
            self.next_due_ms(now).saturating_sub(now.wall_ms).max(1_000),
        )))
    }

    /// Who asked to leave is to be let go, and a secret that somebody gone knows to be renewed, once
    /// and not by everybody at the same moment. Queues it when it is our turn; answers when that
    /// will be (steady clock).
    pub(super) fn take_turn(&mut self, now: Now) -> Option<u64> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        let may_act = is_member
            && self.is_online
            && self.is_caught_up()
            && self.joining.is_none()
            && !self.saved.is_old;
        let rotates = self.facilitates();
        let is_needed = !self.farewells().is_empty()
            || !self.dead().is_empty()
            || (rotates && !self.saved.is_rotated);
        let group = self.group.as_ref().filter(|_| may_act && is_needed);
        let Some(epoch) = group.map(Group::epoch) else {
            self.turn = None;
            return None;
        };
        let turn = self.turn.filter(|turn| turn.epoch == epoch);
        let mut turn = turn.unwrap_or(Turn {
            epoch,
            since_ms: now.steady_ms,
            is_taken: false,
        });
        let wait_ms = self.place_in_line(epoch).saturating_mul(TURN_MS);
        let at = turn.since_ms.saturating_add(wait_ms);
        let is_due = now.steady_ms >= at && !turn.is_taken;
        if is_due {
            turn.is_taken = true;
            self.want(if rotates {
                Intent::Rotate
            } else {
                Intent::LetGo
            });
        }
        self.turn = Some(turn);
        Some(at).filter(|at| *at > now.steady_ms)
    }

    /// How many go before us in this epoch: facilitators first, and each epoch begins with another.
    fn place_in_line(&self, epoch: u64) -> u64 {
        let (Some(group), Some(policy)) = (&self.group, &self.policy) else {
            return 0;
        };
        let dead = self.dead();
        let (first, then): (Vec<_>, Vec<_>) = group
            .leaves()
            .into_iter()
            .filter(|leaf| !self.saved.farewells.iter().any(|one| one.leaf == *leaf))
            .filter(|leaf| !dead.contains(leaf))
            .partition(|leaf| policy.is_facilitator(leaf));
        let turned = |mut leaves: Vec<LeafId>| {
            let count = leaves.len().max(1);
            let begin = usize::try_from(epoch % count as u64).unwrap_or_default();
            let split = begin.min(leaves.len());
            leaves.rotate_left(split);
            leaves
        };
        let me = self.key.id();
        let mut line = turned(first).into_iter().chain(turned(then));
        let place = line.position(|leaf| leaf == me).unwrap_or(TURNS_MAX);
        place.min(TURNS_MAX) as u64
    }

    fn renew_keys(&mut self, now: Now) {
        let age = now.wall_ms.saturating_sub(self.saved.updated_ms);
        let speaks = age >= UPDATE_BEFORE_SPEAKING_MS && !self.outbox.is_empty();
        if speaks || age >= UPDATE_SILENT_MS + self.stagger_ms() {
            self.want(Intent::Update);
        }
    }

    /// The same for this leaf every time, another for others.
    fn stagger_ms(&self) -> u64 {
        let id = self.key.id();
        let first = id
            .as_bytes()
            .first_chunk::<8>()
            .copied()
            .unwrap_or_default();
        u64::from_be_bytes(first) % UPDATE_STAGGER_MS
    }

    fn give_sign_of_life(&mut self, now: Now) -> Result<()> {
        if self.saved.alive_day != now.day() && self.outbox.is_empty() {
            self.saved.alive_day = now.day();
            self.queue(ContentBody::Alive, now)?;
        }
        Ok(())
    }

    fn notice_silence(&mut self, now: Now) {
        let silent = now.wall_ms.saturating_sub(self.saved.heard_ms) >= SILENCE_MS;
        if silent && !self.saved.is_silent {
            self.saved.is_silent = true;
            self.tell(Event::Silence {
                since_ms: self.saved.heard_ms,
            });
        }
    }

    /// Single members who were not heard for as long while others were. It may be that they are away;
    /// it may be that the relay keeps the members in two halves, each of which hears only its own.
    fn notice_unheard(&mut self, now: Now) {
        self.keep_who_is_heard(now);
        let is_silent = self.saved.is_silent;
        let mut unheard = Vec::new();
        for one in &mut self.saved.heard {
            if !one.is_told && now.wall_ms.saturating_sub(one.ms) >= SILENCE_MS {
                one.is_told = true;
                unheard.push((one.leaf, one.ms));
            }
        }
        // Of all together the person was told.
        for (leaf, since_ms) in unheard.into_iter().filter(|_| !is_silent) {
            self.tell(Event::Unheard { leaf, since_ms });
        }
    }

    /// One line for each other member; of a new one time begins now.
    fn keep_who_is_heard(&mut self, now: Now) {
        let me = self.key.id();
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let heard = &mut self.saved.heard;
        heard.retain(|one| leaves.contains(&one.leaf));
        for one in heard.iter_mut().filter(|one| now.wall_ms < one.ms) {
            one.ms = now.wall_ms;
        }
        let known: BTreeSet<_> = heard.iter().map(|one| one.leaf).collect();
        let new = leaves
            .into_iter()
            .filter(|leaf| *leaf != me && !known.contains(leaf));
        heard.extend(new.map(|leaf| Heard {
            leaf,
            ms: now.wall_ms,
            is_told: false,
        }));
    }

    /// A member's word arrived.
    pub(super) fn heard_at(&mut self, leaf: LeafId, now: Now) {
        self.saved.heard_ms = now.wall_ms;
        self.saved.is_silent = false;
        if let Some(one) = self.saved.heard.iter_mut().find(|one| one.leaf == leaf) {
            (one.ms, one.is_told) = (now.wall_ms, false);
        }
    }

    /// When a member was last heard; `None` of oneself, and before the log was first read to its end.
    pub(super) fn heard_of(&self, leaf: &LeafId) -> Option<u64> {
        let mut heard = self.saved.heard.iter();
        heard.find(|one| one.leaf == *leaf).map(|one| one.ms)
    }

    /// Our own Commit stands: our keys are fresh.
    pub(super) const fn updated_at(&mut self, now: Now) {
        self.saved.updated_ms = now.wall_ms;
    }

    fn next_due_ms(&self, now: Now) -> u64 {
        let tomorrow = (u64::from(now.day()) + 1) * DAY_MS;
        let update = self.saved.updated_ms + UPDATE_SILENT_MS + self.stagger_ms();
        let silence = self.saved.heard_ms + SILENCE_MS;
        let untold = self.saved.heard.iter().filter(|one| !one.is_told);
        let unheard = untold.map(|one| one.ms + SILENCE_MS);
        let due = [tomorrow, update, silence]
            .into_iter()
            .chain(unheard)
            .filter(|due| *due > now.wall_ms);
        due.min().unwrap_or(tomorrow)
    }

    /// Facilitators look at the list of grants each time the log is opened.
    pub(super) fn look_at_grants(&mut self) {
        if self.facilitates() && self.saved.stage == Stage::In {
            let log = self.saved.log;
            self.describe_token = Some(self.session.ask(Ask::Describe(Describe { log })));
        }
    }

    /// A key that may manage the log and belongs to no facilitator is somebody's way back in.
    pub(super) fn described(&mut self, answer: &Answer<'_>) {
        let (
            Answer::Described(Described {
                grants, version, ..
            }),
            Some(policy),
        ) = (answer, &self.policy)
        else {
            return;
        };
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let known = |grant: &sotto_protocol::frame::Grant| {
            let mut present = policy
                .facilitators
                .iter()
                .filter(|one| leaves.contains(&one.leaf));
            present.any(|one| one.manage == grant.key)
        };
        let manages = |grant: &sotto_protocol::frame::Grant| {
            grant.until_seq.is_none() && grant.rights.contains(Rights::MANAGE)
        };
        let strangers = grants
            .iter()
            .filter(|grant| manages(grant) && !known(grant))
            .map(|grant| grant.key)
            .collect::<Vec<_>>();
        self.saved.grants_version = *version;
        let join_key = self.newest_generation().map(|one| one.join_key());
        let join_key = join_key
            .map(|key| sotto_protocol::proof::public_key(&key))
            .ok();
        let join = grants.iter().find(|grant| Some(grant.key) == join_key);
        if let Some(join) = join {
            self.saved.join_work = join.work.unwrap_or(0);
        }
        let suspicion = &mut self.suspicion;
        let is_seen_again = strangers.iter().any(|key| suspicion.keys.contains(key));
        let count = strangers.len();
        suspicion.looks = if count == 0 { 0 } else { suspicion.looks + 1 };
        suspicion.keys = strangers;
        if !is_seen_again && suspicion.looks < LOOKS_MAX {
            // The Commit that explains them may be on its way here.
            return;
        }
        *suspicion = Suspicion::default();
        self.tell(Event::HiddenManager { count });
        // The next rotation replaces the whole list.
        self.want(Intent::Rotate);
    }

    /// Looks at keys again that nothing explained so far; answers when (steady clock).
    pub(super) fn look_again(&mut self, now: Now) -> Option<u64> {
        let suspicion = &mut self.suspicion;
        if suspicion.keys.is_empty() || !self.is_online {
            suspicion.again_ms = None;
            return None;
        }
        let at = *suspicion
            .again_ms
            .get_or_insert_with(|| now.steady_ms.saturating_add(LOOK_AGAIN_MS));
        if now.steady_ms < at {
            return Some(at);
        }
        suspicion.again_ms = None;
        self.look_at_grants();
        None
    }
}
