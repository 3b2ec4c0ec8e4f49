//! Commits that stand in the log: which one is *the* Commit, and what follows from it.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sotto_protocol::id::LogId;
use zeroize::Zeroizing;

use super::aside::Before;
use super::dispute::Dispute;
use super::disputing::SPOILED_JOINS_MAX;
use super::reading::At;
use super::saved::{FlightKind, Intent, SECRETS_KEPT, Stage};
use super::{Engine, Event, group_id, internal, no_randomness};
use crate::error::Result;
use crate::mls::{Author, Facts, Incoming, LeafId};
use crate::policy::{Case, Forbidden, Policy};
use crate::random;
use crate::seal::{CommitBody, ConversationSecret, Generation, Seen};
use crate::time::Now;

/// What a Commit's author signs with it (the MLS authenticated data).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitAad {
    /// In a rotation: [`ConversationSecret::digest`] of the next secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<serde_bytes::ByteArray<32>>,
    pub(super) seen: Seen,
}

impl CommitAad {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        sotto_protocol::cbor::encode(self)
            .map_err(|_| internal("a Commit's data cannot be encoded"))
    }
}

impl Engine {
    /// A fenced entry holds a Commit. The first one of the present epoch that anyone can check is
    /// the one; everything else is skipped and counted.
    pub(super) fn commit_met(&mut self, body: &CommitBody<'_>, at: At, now: Now) -> Result<()> {
        let commit = body.commit.as_slice();
        let is_own_join = self.is_own_join(&at);
        let (facts, dispute) = match self.facts_if_admitted(body, at)? {
            Ok(admitted) => admitted,
            Err(Forbidden::TooNew(version)) => {
                self.pause(version);
                return Ok(());
            }
            Err(_) => {
                if is_own_join {
                    // Its epoch was undone meanwhile: it stands there for nothing.
                    self.take_flight();
                }
                self.junk();
                return Ok(());
            }
        };
        let before = dispute.as_ref().map(|_| self.aside()).transpose()?;
        let before = before.map(|aside| Before::Member(Box::new(aside)));
        if is_own_join {
            return self.joined(at, dispute, before);
        }
        let Some(group) = &mut self.group else {
            return Ok(());
        };
        match group.open(commit) {
            Ok(Incoming::OwnCommit) => {
                group.merge_pending()?;
                let next = self.next_secret(&facts, body);
                self.own_commit_landed(next.is_some(), now)?;
                self.updated_at(now);
                self.took(dispute, before);
                self.epoch_begun(&facts, body, next)
            }
            // A copy that was started before this one came in again in our place. Who is known
            // to be a copy as well does so too; who is not, is replaced.
            Ok(Incoming::Commit(staged))
                if staged.removes_us
                    && self.saved.is_old
                    && facts.author == Author::Newcomer(self.key.id()) =>
            {
                self.outlived(body, dispute, rotates(&facts))
            }
            Ok(Incoming::Commit(staged)) if staged.removes_us => {
                self.removed_by(&facts);
                Ok(())
            }
            Ok(Incoming::Commit(staged)) => {
                group.merge(*staged)?;
                let next = self.next_secret(&facts, body);
                self.took(dispute, before);
                self.epoch_begun(&facts, body, next)
            }
            // Our own leaf signed it: only our state can be at fault.
            Ok(_) | Err(_) if facts.author == Author::Member(self.key.id()) => {
                self.outlived(body, dispute, rotates(&facts))
            }
            Ok(_) | Err(_) => self.strand(body, &facts, dispute),
        }
    }

    /// What anyone can check of a Commit: signature, tree, policy, and whether there is a place for
    /// it among those that are open.
    fn facts_if_admitted(
        &mut self,
        body: &CommitBody<'_>,
        at: At,
    ) -> Result<core::result::Result<(Facts, Option<Dispute>), Forbidden>> {
        let (Some(group), Some(policy)) = (&self.group, &self.policy) else {
            return Ok(Err(Forbidden::Strange));
        };
        let Ok(facts) = group.look(body.commit.as_slice()) else {
            return Ok(Err(Forbidden::Strange));
        };
        let generation = self.newest_generation()?;
        let (log, leaves) = (&self.saved.log, group.days());
        let facts = match judged(policy, facts, body, log, &generation, (&leaves, at.day)) {
            Ok(facts) => facts,
            Err(forbidden) => return Ok(Err(forbidden)),
        };
        let Ok(dispute) = self.weighed(&facts, body.commit.as_slice(), at) else {
            return Ok(Err(Forbidden::Strange));
        };
        if let Ok(aad) = sotto_protocol::cbor::decode::<CommitAad>(&facts.aad)
            && self.seen.differs(&aad.seen)
        {
            self.tell(Event::Fork {
                seq: aad.seen.seq,
                signed_by: Some(facts.author.leaf()),
            });
        }
        Ok(Ok((facts, dispute)))
    }

    /// Our Commit stands: what it was for is done.
    fn own_commit_landed(&mut self, is_rotated: bool, now: Now) -> Result<()> {
        let Some(flight) = self.take_flight() else {
            return Ok(());
        };
        let FlightKind::Commit { rotates, done } = flight.kind else {
            return Ok(());
        };
        self.saved.intents.retain(|intent| !done.contains(intent));
        self.held_since_ms = None;
        self.answered_knocks(&done);
        self.ticket_answered(now)?;
        if rotates && !is_rotated {
            // It stands in an entry that is not ours, without the secret that we handed on.
            self.want(Intent::Rotate);
        }
        Ok(())
    }

    /// The secret that a rotation hands on in the entry that stands in the log, if it is the one
    /// its author signed.
    fn next_secret(&self, facts: &Facts, body: &CommitBody<'_>) -> Option<ConversationSecret> {
        let aad: CommitAad = sotto_protocol::cbor::decode(&facts.aad).ok()?;
        let key = self.group.as_ref()?.rotate_key(&self.log_bytes()).ok()?;
        let secret = open_next(&key, &self.saved.log, body.next.as_ref()?.as_slice())?;
        let by_facilitator = matches!(facts.author, Author::Member(leaf) if self.policy.as_ref()?.is_facilitator(&leaf));
        (by_facilitator && aad.next?.into_array() == secret.digest()).then_some(secret)
    }

    fn epoch_begun(
        &mut self,
        facts: &Facts,
        body: &CommitBody<'_>,
        next: Option<ConversationSecret>,
    ) -> Result<()> {
        self.drop_lost_commit()?;
        self.mended();
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a Commit without a group"))?;
        let epoch = group.epoch();
        let info_is_good = next.is_some()
            || body
                .info
                .as_ref()
                .is_some_and(|info| group.info_is_true(info.as_slice(), &self.key));
        let is_false = body.info.is_some() && !info_is_good;
        self.saved.false_info_by = is_false.then(|| facts.author.leaf());
        let rules = Policy::parse(&group.policy());
        let leaves = group.leaves();
        self.saved.names.retain(|line| leaves.contains(&line.leaf));
        self.saved.self_named.retain(|leaf| leaves.contains(leaf));
        self.waiting_after(&leaves, next.is_some());
        self.disputes.keep_stranded(&leaves);
        let had_facilitator = self.has_facilitator(&leaves_before(&leaves, facts));
        let rules = rules.map_err(|_| internal("rules that were admitted"))?;
        let before = self.policy.replace(rules);
        let who_was = self.who_was(&facts.added, &body.returns);
        self.keepers_changed(facts, before.as_ref())?;
        self.tell_changes(facts);
        self.safety_after(facts, &who_was);
        if had_facilitator && !self.has_facilitator(&leaves) {
            self.tell(Event::NoFacilitator);
        }
        let author = facts.author.leaf();
        let mut gone = facts.removed.iter().chain(&facts.left);
        let has_removal = gone.any(|leaf| *leaf != author);
        if has_removal {
            self.saved.closed_below = epoch;
        }
        self.look_at_team()?;
        match next {
            Some(secret) => self.rotated(secret)?,
            None if has_removal => {
                self.saved.is_rotated = false;
                self.tell(Event::NotYetRotated);
            }
            None => {}
        }
        if matches!(facts.author, Author::Newcomer(_)) || !facts.added.is_empty() {
            self.badging.somebody_came();
        }
        if self.facilitates() {
            self.saved.roster_due |=
                matches!(facts.author, Author::Newcomer(_)) || !facts.added.is_empty();
            self.saved.snapshot_due |= !info_is_good;
        }
        self.saved
            .intents
            .retain(|intent| is_meaningful(intent, &leaves));
        self.leave_if_handed_over();
        Ok(())
    }

    /// The next secret is in force: late entries may still be sealed under the ones before.
    fn rotated(&mut self, secret: ConversationSecret) -> Result<()> {
        let generation = secret.generation(&self.saved.log);
        let (psk_id, psk) = generation.psk();
        if let Some(group) = &self.group {
            group.store_psk(psk_id, psk)?;
        }
        self.disputes.forget_stranded();
        self.saved.secrets.push(secret);
        let surplus = self.saved.secrets.len().saturating_sub(SECRETS_KEPT);
        self.saved.secrets.drain(..surplus);
        self.saved.join_work = self.next_join_work();
        if self.saved.spoiled_joins >= SPOILED_JOINS_MAX {
            // Every facilitator wanted it; once is enough.
            self.saved
                .intents
                .retain(|intent| *intent != Intent::Rotate);
        }
        self.saved.spoiled_joins = 0;
        self.saved.is_rotated = true;
        self.saved.fenced_since_pin = 0;
        self.saved.grants_version += 1;
        self.tell(Event::Rotated);
        self.open_as_member()
    }

    fn tell_changes(&mut self, facts: &Facts) {
        match facts.author {
            // Who replaces its own leaf was in before: its device lost the group's state.
            Author::Newcomer(leaf) if facts.removed.is_empty() => {
                self.tell(Event::Joined { leaf, by: None })
            }
            Author::Newcomer(leaf) => self.tell(Event::Returned { leaf }),
            Author::Member(by) => {
                for leaf in &facts.added {
                    self.tell(Event::Joined {
                        leaf: *leaf,
                        by: Some(by),
                    });
                }
                if facts.policy.is_some() {
                    self.tell(Event::RulesChanged { by });
                }
            }
        }
        let by = facts.author.leaf();
        for leaf in facts.removed.iter().filter(|leaf| **leaf != by) {
            self.tell(Event::Removed { leaf: *leaf, by });
        }
        for leaf in &facts.left {
            self.tell(Event::Left { leaf: *leaf });
        }
    }

    /// We are out: texts stay readable here, every key goes.
    pub(super) fn removed_by(&mut self, facts: &Facts) {
        let me = self.key.id();
        if facts.removed.contains(&me) {
            let by = facts.author.leaf();
            self.tell(Event::Removed { leaf: me, by });
        }
        self.end(Stage::Removed);
    }

    pub(super) fn has_facilitator(&self, leaves: &[LeafId]) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(|policy| !policy.present(leaves).is_empty())
    }
}

/// The leaves of the epoch that a Commit ended.
fn leaves_before(leaves: &[LeafId], facts: &Facts) -> Vec<LeafId> {
    let mut before = leaves.to_vec();
    before.extend(facts.removed.iter().chain(&facts.left));
    before
}

/// What a Commit does, if the policy of the epoch that it ends admits it: one rule for members and
/// for those who follow from outside.
pub(super) fn judged(
    policy: &Policy,
    mut facts: Facts,
    body: &CommitBody<'_>,
    log: &LogId,
    generation: &Generation,
    (leaves, day): (&[(LeafId, u32)], u32),
) -> core::result::Result<Facts, Forbidden> {
    let aad = sotto_protocol::cbor::decode::<CommitAad>(&facts.aad);
    let case = Case {
        log,
        group_id: &group_id(log),
        leaves,
        day,
        psk_id: generation.psk().0,
        farewells: &body.farewells,
        returns: &body.returns,
        rotates: aad.is_ok_and(|aad| aad.next.is_some()),
    };
    policy.judge(&case, &facts)?;
    for farewell in &body.farewells {
        facts.removed.retain(|leaf| *leaf != farewell.leaf);
        facts.left.push(farewell.leaf);
    }
    Ok(facts)
}

/// Whether its author signed that a Commit hands on a new secret.
pub(super) fn rotates(facts: &Facts) -> bool {
    sotto_protocol::cbor::decode::<CommitAad>(&facts.aad).is_ok_and(|aad| aad.next.is_some())
}

/// Whether a change that was wanted still makes sense among these leaves.
fn is_meaningful(intent: &Intent, leaves: &[LeafId]) -> bool {
    match intent {
        Intent::Remove(leaf) | Intent::Promote(leaf, _) => leaves.contains(leaf),
        Intent::Add(leaf) => !leaves.contains(leaf),
        Intent::Rotate | Intent::LetGo | Intent::Update | Intent::TurnAway(_) => true,
    }
}

const NONCE_BYTES: usize = 24;

/// `nonce (24) || XChaCha20-Poly1305(rotate key, nonce, "sotto/v1/next" || log id, secret (32))`.
pub(super) fn box_next(
    key: &Zeroizing<[u8; 32]>,
    log: &LogId,
    secret: &ConversationSecret,
) -> Result<Vec<u8>> {
    let nonce = random::array().map_err(no_randomness)?;
    box_next_under(nonce, key, log, secret)
}

/// [`box_next`], with a nonce that is given: never the same one twice, but for golden vectors.
pub(super) fn box_next_under(
    nonce: [u8; NONCE_BYTES],
    key: &Zeroizing<[u8; 32]>,
    log: &LogId,
    secret: &ConversationSecret,
) -> Result<Vec<u8>> {
    let aad = [b"sotto/v1/next".as_slice(), log.as_bytes()].concat();
    let boxed = XChaCha20Poly1305::new((&**key).into())
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: secret.as_bytes(),
                aad: &aad,
            },
        )
        .map_err(|_| internal("a secret could not be boxed"))?;
    Ok([nonce.as_slice(), &boxed].concat())
}

pub(super) fn open_next(
    key: &Zeroizing<[u8; 32]>,
    log: &LogId,
    boxed: &[u8],
) -> Option<ConversationSecret> {
    let (nonce, boxed) = boxed.split_first_chunk::<NONCE_BYTES>()?;
    let aad = [b"sotto/v1/next".as_slice(), log.as_bytes()].concat();
    let secret = XChaCha20Poly1305::new((&**key).into())
        .decrypt(
            &XNonce::from(*nonce),
            Payload {
                msg: boxed,
                aad: &aad,
            },
        )
        .ok()?;
    let secret = Zeroizing::new(secret);
    Some(ConversationSecret::new(secret.as_slice().try_into().ok()?))
}
