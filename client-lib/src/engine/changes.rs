//! Commits, snapshots and farewells of ours: from what is wanted to an append on its way.

use std::collections::BTreeSet;

use sotto_protocol::frame::{Delete, Hold, Item, NewEntry, NewGrants};
use sotto_protocol::id::{Commitment, PublicKey};
use sotto_protocol::limits::{HOLD_MS_MAX, PIN_FENCED_SPACING};
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use super::begin::{MANAGE_RIGHTS, MEMBER_RIGHTS, grant};
use super::beside::Side;
use super::commits::{CommitAad, box_next};
use super::saved::{FlightKind, Intent, Stage};
use super::{Engine, Event, group_id, internal, no_randomness, retry_id};
use crate::error::Result;
use crate::log::Ask;
use crate::mls::{Group, LeafId, Plan, StagedOut};
use crate::policy::{self, Facilitator, LET_GO_MAX, Policy};
use crate::random;
use crate::seal::{
    self, CommitBody, ConversationSecret, Envelope, EnvelopeBody, Farewell, Generation, Return,
    SnapshotBody,
};
use crate::time::Now;

/// Changes that may wait at once; more than anybody does by hand.
const INTENTS_MAX: usize = 256;

impl Engine {
    pub(super) fn want(&mut self, intent: Intent) {
        if !self.saved.intents.contains(&intent) && self.saved.intents.len() < INTENTS_MAX {
            self.saved.intents.push(intent);
        }
    }

    /// Farewells of leaves that are still there.
    pub(super) fn farewells(&self) -> Vec<Farewell> {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let waiting = self.saved.farewells.iter();
        waiting
            .filter(|one| leaves.contains(&one.leaf))
            .take(LET_GO_MAX)
            .cloned()
            .collect()
    }

    /// Leaves, other than our own, whose owners have not been here for so long that anybody may
    /// remove them.
    pub(super) fn dead(&self) -> Vec<LeafId> {
        let days = self.group.as_ref().map(Group::days).unwrap_or_default();
        let mut dead = policy::dead(&days);
        dead.remove(&self.key.id());
        dead.into_iter().collect()
    }

    /// Builds the Commit for all that is wanted and sends it under the fence we read.
    pub(super) fn fly_commit(&mut self, now: Now) -> Result<bool> {
        let facilitates = self.facilitates();
        if !facilitates && !self.disputes.takes_from_member(&self.key.id()) {
            // It would not count before one of those that are open is decided.
            return Ok(false);
        }
        let gives_way = self.holds_back(now);
        if gives_way && !facilitates {
            return Ok(false);
        }
        let mut farewells = self.farewells();
        let lets_go = !(farewells.is_empty() && self.dead().is_empty());
        self.saved.intents.retain(|intent| match intent {
            Intent::LetGo => lets_go,
            Intent::Update => true,
            _ => facilitates,
        });
        let wanted = self.saved.intents.iter();
        let mut done: Vec<_> = wanted.filter(|intent| !intent.answers()).cloned().collect();
        if gives_way {
            // Nothing that would renew the secret.
            done.retain(|intent| *intent == Intent::Update);
            farewells.clear();
        }
        if done.is_empty() && !self.lets_in(now) {
            return Ok(false);
        }
        // Whatever takes a facilitator renews the secret; renewing one's own keys does not.
        let changes = !farewells.is_empty() || done.iter().any(|intent| *intent != Intent::Update);
        let rotates = facilitates && changes;
        let next = if rotates {
            Some(ConversationSecret::random().map_err(no_randomness)?)
        } else {
            None
        };
        let (mut plan, policy) = self.plan(&done, &farewells, next.as_ref())?;
        plan.day = self.session.today(now);
        // Who waits has the old secret: a rotation may be there to keep them out.
        let waiting = if rotates {
            Vec::new()
        } else {
            self.packages_waiting()
        };
        let adds_waiting = !waiting.is_empty();
        plan.add.extend(waiting);
        let log = self.log_bytes();
        let group = self
            .group
            .as_mut()
            .ok_or_else(|| internal("a Commit without a group"))?;
        let Ok(staged) = group.stage(&self.key, &plan, &log) else {
            if adds_waiting {
                self.cannot_let_in();
                return self.fly_commit(now);
            }
            // What is wanted cannot be done any more; it must not block what else is.
            self.saved.intents.retain(Intent::answers);
            return Ok(false);
        };
        let renewed = next.as_ref().zip(policy.as_ref());
        let items = self.commit_items(&staged, renewed, (&farewells, &[]))?;
        self.fly(FlightKind::Commit { rotates, done }, items, now)?;
        Ok(true)
    }

    pub(super) fn plan(
        &self,
        intents: &[Intent],
        farewells: &[Farewell],
        next: Option<&ConversationSecret>,
    ) -> Result<(Plan, Option<Policy>)> {
        let before = self
            .policy
            .as_ref()
            .ok_or_else(|| internal("a Commit without rules"))?;
        let (mut add, mut added, mut promote) = (Vec::new(), Vec::new(), Vec::new());
        let mut remove: Vec<_> = farewells.iter().map(|one| one.leaf).collect();
        for intent in intents {
            match intent {
                Intent::Remove(leaf) => remove.push(*leaf),
                Intent::Promote(leaf, manage) => promote.push((*leaf, *manage)),
                Intent::Add(leaf) => {
                    let knock = self.beside.knocks.get(leaf);
                    add.extend(knock.map(|knock| knock.package.0.clone()));
                    added.push(*leaf);
                    // In a chat both may do everything, and who comes back into one may so again.
                    let all = self.is_chat() || self.is_taking() || self.host_back(leaf).is_some();
                    let other = knock.filter(|_| all);
                    promote.extend(other.map(|knock| (*leaf, knock.manage)));
                }
                Intent::Rotate | Intent::LetGo | Intent::Update | Intent::TurnAway(_) => {}
            }
        }
        if next.is_some() || intents.contains(&Intent::LetGo) {
            remove.extend(self.dead());
        }
        let mut leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        leaves.retain(|leaf| !remove.contains(leaf));
        leaves.extend(added.iter().copied());
        let policy = if self.facilitates() {
            let mut policy = before.clone();
            policy.hosts = self.next_hosts(before, &added);
            self.next_policy(policy, &promote, &leaves, next.is_some())
        } else {
            before.clone()
        };
        let aad = CommitAad {
            next: next.map(|secret| secret.digest().into()),
            seen: self.seen_now(),
        }
        .encode()?;
        let changed = policy != *before;
        let bytes = if changed {
            Some(
                policy
                    .encode()
                    .map_err(|_| internal("rules cannot be encoded"))?,
            )
        } else {
            None
        };
        Ok((
            Plan {
                add,
                remove,
                policy: bytes,
                aad,
                day: 0,
            },
            next.map(|_| policy),
        ))
    }

    /// The rules for these leaves. Whoever is gone facilitates no longer, and is nobody's voucher.
    fn next_policy(
        &self,
        mut policy: Policy,
        promote: &[(LeafId, PublicKey)],
        leaves: &[LeafId],
        rotates: bool,
    ) -> Policy {
        let gid = group_id(&self.saved.log);
        for (leaf, manage) in promote {
            if !policy.is_facilitator(leaf) {
                let facilitator = Facilitator::vouch(&self.key, &gid, *leaf, *manage);
                policy.facilitators.push(facilitator);
            }
        }
        if rotates || self.policy.as_ref() != Some(&policy) {
            policy.facilitators.retain(|one| leaves.contains(&one.leaf));
            policy.vouch_anew(&self.key, &gid, leaves);
        }
        policy
    }

    /// Without a rotation one item; with one also the snapshot under the new seal. `until_seq` of
    /// everybody's old key is the Commit's entry, where those who were away find the next secret.
    pub(super) fn commit_items(
        &self,
        staged: &StagedOut,
        renewed: Option<(&ConversationSecret, &Policy)>,
        (farewells, returns): (&[Farewell], &[Return]),
    ) -> Result<Vec<Item<'static>>> {
        let generation = self.newest_generation()?;
        let member = StaticSecret::from(*staged.member_key);
        let Some((next, policy)) = renewed else {
            let body = CommitBody {
                info: Some(staged.info.clone().into()),
                next: None,
                commit: staged.commit.clone().into(),
                welcome: staged.welcome.clone().map(Into::into),
                farewells: farewells.to_vec(),
                returns: returns.to_vec(),
            };
            let mut item = self.item(self.entries(&generation, EnvelopeBody::Commit(body))?);
            item.fence = Some(self.saved.fence);
            item.admit = Some(public_key(&member));
            return Ok(vec![item]);
        };
        let boxed = box_next(&staged.rotate_key, &self.saved.log, next)?;
        let body = CommitBody {
            info: None,
            next: Some(boxed.into()),
            commit: staged.commit.clone().into(),
            welcome: None,
            farewells: farewells.to_vec(),
            returns: returns.to_vec(),
        };
        let mut item = self.item(self.entries(&generation, EnvelopeBody::Commit(body))?);
        item.fence = Some(self.saved.fence);
        item.grants = Some(self.new_grants(policy, public_key(&member), next));
        let new_generation = next.generation(&self.saved.log);
        let snapshot = self.snapshot(&staged.info, &staged.tree, self.saved.fence + 1)?;
        let mut pinned =
            self.item(self.entries(&new_generation, EnvelopeBody::Snapshot(snapshot))?);
        pinned.pin = true;
        Ok(vec![item, pinned])
    }

    /// The grants of a new epoch whose Commit changes who may do what.
    pub(super) fn new_grants(
        &self,
        policy: &Policy,
        member: PublicKey,
        secret: &ConversationSecret,
    ) -> NewGrants {
        NewGrants {
            cut: true,
            list: self.grant_list(policy, member, secret),
            version: self.saved.grants_version,
        }
    }

    fn grant_list(
        &self,
        policy: &Policy,
        member: PublicKey,
        secret: &ConversationSecret,
    ) -> Vec<sotto_protocol::frame::Grant> {
        // Who came back with a new leaf has the same key, until the old leaf is gone.
        let mut seen = BTreeSet::new();
        let keys = policy.facilitators.iter().map(|one| one.manage);
        let mut list: Vec<_> = keys
            .filter(|key| seen.insert(*key))
            .map(|key| sotto_protocol::frame::Grant {
                key,
                ..grant(&self.manage_key(), MANAGE_RIGHTS)
            })
            .collect();
        list.push(sotto_protocol::frame::Grant {
            key: member,
            ..grant(&self.manage_key(), MEMBER_RIGHTS)
        });
        if policy.link_joins {
            list.push(self.join_grant(secret));
        }
        list
    }

    fn snapshot(&self, info: &[u8], tree: &[u8], fence: u64) -> Result<SnapshotBody<'static>> {
        let signed = SnapshotBody::signed(&self.saved.log, fence, info, tree);
        Ok(SnapshotBody {
            by: self.key.id(),
            info: info.to_vec().into(),
            tree: tree.to_vec().into(),
            fence,
            signature: self.key.sign(&signed).to_vec(),
        })
    }

    pub(super) fn wants_to_pin(&self) -> bool {
        let due = self.saved.snapshot_due || self.saved.fenced_since_pin >= PIN_FENCED_SPACING;
        due && self.facilitates()
    }

    /// Pins where newcomers may start: by facilitators, whom newcomers believe, and never where a
    /// Commit is open or was void that a newcomer would not know of.
    pub(super) fn fly_snapshot(&mut self, now: Now) -> Result<bool> {
        if !self.wants_to_pin() || !self.disputes.is_empty() || !self.saved.voids.is_empty() {
            return Ok(false);
        }
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a snapshot without a group"))?;
        let snapshot = self.snapshot(
            &group.group_info(&self.key)?,
            &group.tree()?,
            self.saved.fence,
        )?;
        let mut item =
            self.item(self.entries(&self.newest_generation()?, EnvelopeBody::Snapshot(snapshot))?);
        item.pin = true;
        self.fly(FlightKind::Snapshot, vec![item], now)?;
        Ok(true)
    }

    /// Asks the others to let us go; what is left here is erased when the relay has it.
    pub(super) fn fly_farewell(&mut self, now: Now) -> Result<()> {
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a farewell without a group"))?;
        if group.leaves().len() == 1 {
            return self.leave_nobody(now);
        }
        let farewell = EnvelopeBody::Farewell(Farewell::of(&self.key, &self.saved.log));
        let item = self.item(self.entries(&self.newest_generation()?, farewell)?);
        self.fly(FlightKind::Farewell, vec![item], now)
    }

    /// Nobody else is here to take the farewell in. Who may do it takes the log away, so that who
    /// comes later hears that it is over, instead of waiting for nobody.
    fn leave_nobody(&mut self, now: Now) -> Result<()> {
        let log = self.saved.log;
        match self.beside.held_fence {
            _ if !self.facilitates() => self.end(Stage::Left),
            Some(fence) if fence == self.saved.fence => {
                let (day, retry) = (self.session.today(now), retry_id()?);
                self.ask_beside(Ask::Delete(Delete { day, log, retry }), Side::DeleteLog);
            }
            // Somebody came in before; their Commit is being read.
            Some(fence) if fence > self.saved.fence => {}
            // Nobody can come in between any more: first the fence, then a look at who came. A hold
            // that ended too early is asked for again.
            _ => {
                let ms = HOLD_MS_MAX;
                self.ask_beside(Ask::Hold(Hold { ms, log }), Side::HoldFence);
            }
        }
        Ok(())
    }

    /// A snapshot stands. A true one of a facilitator puts the next one off; a false one is told of,
    /// and a facilitator pins a true one behind it, once for each place in the log.
    pub(super) fn snapshot_met(&mut self, body: &SnapshotBody<'_>) -> Result<()> {
        let (Some(group), Some(policy)) = (&self.group, &self.policy) else {
            return Ok(());
        };
        // One that lands behind a Commit which it does not hold is only late; and who is not where
        // the others are cannot judge.
        if body.fence < self.saved.fence || self.joining.is_some() {
            return Ok(());
        }
        let (info, tree) = (body.info.as_slice(), body.tree.as_slice());
        let signed = SnapshotBody::signed(&self.saved.log, body.fence, info, tree);
        let is_signed = body.by.verifies(&signed, &body.signature);
        let by_facilitator = policy.present(&group.leaves()).contains(&body.by);
        let is_true = body.fence == self.saved.fence
            && tree == group.tree()?
            && group.info_is_true(info, &self.key);
        if is_signed && by_facilitator && is_true {
            self.saved.fenced_since_pin = 0;
            return Ok(());
        }
        let by = is_signed.then_some(body.by);
        self.tell(Event::FalseSnapshot { by });
        if self.facilitates() && self.saved.mended_at != Some(self.saved.fence) {
            self.saved.mended_at = Some(self.saved.fence);
            self.saved.snapshot_due = true;
        }
        Ok(())
    }

    /// Seals a body with what we saw, as one entry or a run; commitments are random, as there is
    /// nothing to commit to.
    pub(super) fn entries(
        &self,
        generation: &Generation,
        body: EnvelopeBody<'_>,
    ) -> Result<Vec<NewEntry<'static>>> {
        let envelope = Envelope {
            body,
            seen: self.seen_now(),
        };
        let floor = self
            .policy
            .as_ref()
            .map_or_else(|| self.floor_outside(), Policy::floor);
        let sealed = seal::seal(generation, &self.saved.log, &envelope, floor)
            .map_err(|_| internal("an envelope could not be sealed"))?;
        sealed
            .into_iter()
            .map(|sealed| new_entry(sealed, None))
            .collect()
    }

    pub(super) fn item(&self, entries: Vec<NewEntry<'static>>) -> Item<'static> {
        Item {
            log: self.saved.log,
            pin: false,
            lease: None,
            admit: None,
            fence: None,
            grants: None,
            entries,
        }
    }
}

pub(super) fn new_entry(
    sealed: Vec<u8>,
    commitment: Option<Commitment>,
) -> Result<NewEntry<'static>> {
    let commitment = match commitment {
        Some(commitment) => commitment,
        None => Commitment::new(random::array().map_err(no_randomness)?),
    };
    Ok(NewEntry {
        held: None,
        owner: None,
        sealed: sealed.into(),
        last_resort: false,
        commitment,
    })
}
