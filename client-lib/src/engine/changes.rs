//! Commits, snapshots and farewells of ours: from what is wanted to an append on its way.

use sotto_protocol::frame::{Bytes, Item, NewEntry, NewGrants};
use sotto_protocol::id::{Commitment, PublicKey};
use sotto_protocol::limits::PIN_FENCED_SPACING;
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use super::begin::{MANAGE_RIGHTS, MEMBER_RIGHTS, grant};
use super::commits::{CommitAad, box_next};
use super::saved::{Digest, FlightKind, Intent, Stage};
use super::{Engine, group_id, internal, no_randomness};
use crate::error::Result;
use crate::mls::{Group, Plan, StagedOut};
use crate::policy::{Facilitator, Policy};
use crate::random;
use crate::seal::{
    self, CommitBody, ConversationSecret, Envelope, EnvelopeBody, Generation, SnapshotBody,
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

    /// Somebody asked to leave: a facilitator renews the secret with it, a member only lets go.
    pub(super) fn want_to_let_go(&mut self) {
        let intent = if self.facilitates() {
            Intent::Rotate
        } else {
            Intent::LetGo
        };
        self.want(intent);
    }

    /// Builds the Commit for all that is wanted and sends it under the fence we read.
    pub(super) fn fly_commit(&mut self, now: Now) -> Result<bool> {
        let facilitates = self.facilitates();
        let waits = self
            .group
            .as_ref()
            .is_some_and(Group::has_pending_proposals);
        self.saved.intents.retain(|intent| match intent {
            Intent::LetGo => waits,
            Intent::Update => true,
            _ => facilitates,
        });
        let wanted = self.saved.intents.iter();
        let done: Vec<_> = wanted.filter(|intent| !intent.answers()).cloned().collect();
        if done.is_empty() {
            return Ok(false);
        }
        // Whatever takes a facilitator renews the secret; renewing one's own keys does not.
        let rotates = facilitates && (waits || done.iter().any(|intent| *intent != Intent::Update));
        let next = if rotates {
            Some(ConversationSecret::random().map_err(no_randomness)?)
        } else {
            None
        };
        let (plan, policy) = self.plan(&done, next.as_ref())?;
        let log = self.log_bytes();
        let group = self
            .group
            .as_mut()
            .ok_or_else(|| internal("a Commit without a group"))?;
        let Ok(staged) = group.stage(&self.key, &plan, &log) else {
            // What is wanted cannot be done any more; it must not block what else is.
            self.saved.intents.retain(Intent::answers);
            return Ok(false);
        };
        let items = self.commit_items(&staged, next.as_ref(), policy.as_ref())?;
        self.fly(FlightKind::Commit { next, done }, items, now)?;
        Ok(true)
    }

    pub(super) fn plan(
        &self,
        intents: &[Intent],
        next: Option<&ConversationSecret>,
    ) -> Result<(Plan, Option<Policy>)> {
        let before = self
            .policy
            .as_ref()
            .ok_or_else(|| internal("a Commit without rules"))?;
        let mut policy = before.clone();
        let (mut add, mut remove, mut promote) = (Vec::new(), Vec::new(), Vec::new());
        for intent in intents {
            match intent {
                Intent::Remove(leaf) => remove.push(*leaf),
                Intent::Promote(leaf, manage) => promote.push((*leaf, *manage)),
                Intent::Add(leaf) => {
                    let knock = self.beside.knocks.get(leaf);
                    add.extend(knock.map(|knock| knock.package.0.clone()));
                    // In a chat both may do everything.
                    let other = knock.filter(|_| self.is_chat());
                    promote.extend(other.map(|knock| (*leaf, knock.manage)));
                }
                Intent::Rotate | Intent::LetGo | Intent::Update | Intent::TurnAway(_) => {}
            }
        }
        policy
            .facilitators
            .retain(|one| !remove.contains(&one.leaf));
        for (leaf, manage) in promote {
            if !policy.is_facilitator(&leaf) {
                let gid = group_id(&self.saved.log);
                let facilitator = Facilitator::vouch(&self.key, &gid, leaf, manage);
                policy.facilitators.push(facilitator);
            }
        }
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
            },
            next.map(|_| policy),
        ))
    }

    /// Without a rotation one item; with one also the snapshot under the new seal. `until_seq` of
    /// everybody's old key is the Commit's entry, where those who were away find the next secret.
    pub(super) fn commit_items(
        &self,
        staged: &StagedOut,
        next: Option<&ConversationSecret>,
        policy: Option<&Policy>,
    ) -> Result<Vec<Item<'static>>> {
        let generation = self.newest_generation()?;
        let member = StaticSecret::from(*staged.member_key);
        let (Some(next), Some(policy)) = (next, policy) else {
            let body = CommitBody {
                info: Some(staged.info.clone().into()),
                next: None,
                commit: staged.commit.clone().into(),
                proposals: self.proposals_waiting(),
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
            proposals: self.proposals_waiting(),
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

    fn proposals_waiting(&self) -> Vec<Bytes<'static>> {
        let waiting = self.saved.proposals.iter();
        waiting.map(|proposal| proposal.0.clone().into()).collect()
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
        let mut list: Vec<_> = policy
            .facilitators
            .iter()
            .map(|one| sotto_protocol::frame::Grant {
                key: one.manage,
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

    /// Pins where newcomers may start: by facilitators, whom newcomers believe.
    pub(super) fn fly_snapshot(&mut self, now: Now) -> Result<bool> {
        let due = self.saved.snapshot_due || self.saved.fenced_since_pin >= PIN_FENCED_SPACING;
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a snapshot without a group"))?;
        // With proposals waiting, a follower would lack them; the next Commit takes them in.
        if !due || !self.facilitates() || group.has_pending_proposals() {
            return Ok(false);
        }
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
            .as_mut()
            .ok_or_else(|| internal("a farewell without a group"))?;
        if group.leaves().len() == 1 {
            self.end(Stage::Left);
            return Ok(());
        }
        let proposal = group.propose_leaving(&self.key)?;
        let item = self.item(self.entries(
            &self.newest_generation()?,
            EnvelopeBody::Proposal(proposal.into()),
        )?);
        self.fly(FlightKind::Farewell, vec![item], now)
    }

    /// A pinned snapshot stands: the next is due a number of fenced entries later.
    pub(super) const fn snapshot_met(&mut self) {
        self.saved.fenced_since_pin = 0;
    }

    pub(super) fn is_own_farewell(&self, digest: &Digest) -> bool {
        let flight = self
            .flight
            .as_ref()
            .filter(|flight| matches!(flight.kind, FlightKind::Farewell));
        let entry = flight
            .and_then(|flight| flight.items.first())
            .and_then(|item| item.entries.first());
        entry.is_some_and(|entry| Digest::of(entry.sealed.as_slice()) == *digest)
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
            .map_or(sotto_protocol::size_class::SizeClass::K1, Policy::floor);
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
