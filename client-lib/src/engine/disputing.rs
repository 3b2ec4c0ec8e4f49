//! Verdicts on Commits: ours, those of others, and going back to before a Commit that is void.
//!
//! Who cannot open a Commit stays in the old epoch, follows the new one from outside, and says so;
//! who can says so as soon as somebody cannot. Then all go the same way: back, or on, where the
//! stranded come in again by an external Commit in place of their own leaf.

use sha2::{Digest, Sha256};

use super::dispute::{Dispute, Outcome};
use super::joining::{Before, Joining};
use super::reading::At;
use super::saved::{FlightKind, Stage, Verdict};
use super::{Engine, Event, group_id, internal};
use crate::error::Result;
use crate::mls::{Facts, Follower, Group, LeafId, Values};
use crate::policy::Policy;
use crate::seal::{CommitBody, ConversationSecret, EnvelopeBody, VerdictBody};
use crate::time::Now;

/// Verdicts that may wait to be sent: one for each Commit that may still be undone.
const VERDICTS_MAX: usize = 16;

/// A member's state from before a Commit.
///
/// It is kept in memory only: a device that loses it to a crash finds itself in an epoch that is
/// void, and comes in again as one that lost its state.
#[derive(Debug)]
pub(super) struct Aside {
    values: Values,
    secrets: Vec<ConversationSecret>,
    closed_below: u64,
    is_rotated: bool,
}

pub(super) fn digest_of(commit: &[u8]) -> [u8; 32] {
    Sha256::digest(commit).into()
}

impl Engine {
    /// Whether we are not, or no longer, in the present epoch and read the log to come in.
    pub(super) fn reads_from_outside(&self) -> bool {
        self.joining
            .as_ref()
            .is_some_and(|joining| joining.stranded.is_none())
    }

    pub(super) fn aside(&self) -> Result<Aside> {
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a Commit without a group"))?;
        Ok(Aside {
            values: group.values()?,
            secrets: self.saved.secrets.clone(),
            closed_below: self.saved.closed_below,
            is_rotated: self.saved.is_rotated,
        })
    }

    pub(super) fn dispute(&self, seq: u64, facts: &Facts, commit: &[u8]) -> Dispute {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let judges = |leaf: &LeafId| {
            self.policy
                .as_ref()
                .is_some_and(|policy| policy.is_facilitator(leaf))
        };
        Dispute::new(seq, facts.author.leaf(), digest_of(commit), leaves, judges)
    }

    /// A Commit in a fenced entry, for who is in the present epoch or stranded before it.
    pub(super) fn fenced_commit_met(
        &mut self,
        body: &CommitBody<'_>,
        at: At,
        now: Now,
    ) -> Result<()> {
        if self.joining.is_none() {
            return self.commit_met(body, at, now);
        }
        self.follow_commit(body, at);
        self.come_in_again_if_it_stands()
    }

    /// Anyone can check this Commit, but we cannot open it: say so, and wait what the log decides.
    pub(super) fn strand(&mut self, body: &CommitBody<'_>, dispute: Dispute, at: At) -> Result<()> {
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a Commit without a group"))?;
        let (info, tree) = (group.group_info(&self.key)?, group.tree()?);
        let mut follower = Follower::start(&info, &tree)?;
        follower.apply(body.commit.as_slice())?;
        self.tell(Event::Spoiled { by: dispute.author });
        self.say(Verdict {
            seq: at.first,
            opens: false,
            commit: dispute.commit,
        });
        let mut joining =
            Joining::stranded(follower, self.saved.fence, dispute, Before { info, tree });
        joining.set_info(body.info.as_ref().map(|info| info.as_slice().to_vec()));
        self.joining = Some(joining);
        Ok(())
    }

    fn say(&mut self, verdict: Verdict) {
        if !self.saved.verdicts.contains(&verdict) && self.saved.verdicts.len() < VERDICTS_MAX {
            self.saved.verdicts.push(verdict);
        }
    }

    pub(super) fn fly_verdict(&mut self, now: Now) -> Result<bool> {
        let Some(verdict) = self.saved.verdicts.first().copied() else {
            return Ok(false);
        };
        let signed =
            VerdictBody::signed(&self.saved.log, verdict.seq, verdict.opens, &verdict.commit);
        let signature = self.key.sign(&signed).to_vec();
        let body = VerdictBody {
            by: self.key.id(),
            seq: verdict.seq,
            opens: verdict.opens,
            signature,
        };
        let mut item =
            self.item(self.entries(&self.newest_generation()?, EnvelopeBody::Verdict(body))?);
        item.fence = Some(self.saved.fence);
        self.fly(FlightKind::Verdict(verdict), vec![item], now)?;
        Ok(true)
    }

    /// A leaf's word on a Commit, in a fenced entry so that newcomers see it as well.
    pub(super) fn verdict_met(&mut self, body: &VerdictBody, at: At) -> Result<()> {
        let from_outside = self
            .joining
            .as_mut()
            .map(|joining| joining.disputes().find(body.seq).map(|one| one.commit));
        let commit = match from_outside {
            Some(found) => found,
            None => self.disputes.find(body.seq).map(|one| one.commit),
        };
        let Some(commit) = commit else {
            return Ok(());
        };
        let signed = VerdictBody::signed(&self.saved.log, body.seq, body.opens, &commit);
        if !body.by.verifies(&signed, &body.signature) {
            self.junk();
            return Ok(());
        }
        if let Some(joining) = &mut self.joining {
            let (_, undone) = joining
                .disputes()
                .judged(body.seq, &body.by, body.opens, at.first);
            if let Some(undone) = undone {
                self.undone_outside(undone);
            }
            return self.come_in_again_if_it_stands();
        }
        let (outcome, undone) = self
            .disputes
            .judged(body.seq, &body.by, body.opens, at.first);
        if let Some(undone) = undone {
            return self.go_back(undone);
        }
        self.answer_refusal(body, outcome, commit);
        Ok(())
    }

    /// Whoever can open a Commit and sees a refusal says so at once.
    fn answer_refusal(&mut self, body: &VerdictBody, outcome: Outcome, commit: [u8; 32]) {
        let me = self.key.id();
        let Some(dispute) = self.disputes.find(body.seq).filter(|one| one.is_refused()) else {
            return;
        };
        let (by, ours) = (dispute.author, dispute.may_judge(&me));
        if outcome == Outcome::Open && !body.opens {
            self.tell(Event::Spoiled { by });
            if ours {
                self.say(Verdict {
                    seq: body.seq,
                    opens: true,
                    commit,
                });
            }
        }
    }

    /// Entry `seq` was reached: quiet after refusals makes a Commit void.
    pub(super) fn reached(&mut self, seq: u64) -> Result<()> {
        if let Some(joining) = &mut self.joining {
            if let Some(undone) = joining.disputes().reached(seq) {
                self.undone_outside(undone);
            }
            return Ok(());
        }
        match self.disputes.reached(seq) {
            Some(undone) => self.go_back(undone),
            None => Ok(()),
        }
    }

    fn undone_outside(&mut self, undone: (Dispute, Option<Before>)) {
        let (seq, by) = self.follow_back(undone);
        self.saved.verdicts.retain(|verdict| verdict.seq != seq);
        let stranded = self.joining.as_ref().and_then(|joining| joining.stranded);
        if stranded.is_some_and(|stranded| stranded >= seq) {
            // It never counted: we are where everybody is again.
            self.joining = None;
        }
        self.tell(Event::Undone { by });
    }

    /// A member who took a void Commit goes back to before it.
    fn go_back(&mut self, undone: (Dispute, Aside)) -> Result<()> {
        let (dispute, before) = undone;
        self.drop_lost_commit()?;
        let restored = Group::load(before.values, &group_id(&self.saved.log))?;
        let group = self
            .group
            .as_mut()
            .ok_or_else(|| internal("a Commit without a group"))?;
        group.replace_with(restored);
        self.policy = Policy::parse(&group.policy()).ok();
        self.saved.secrets = before.secrets;
        self.saved.closed_below = before.closed_below;
        self.saved.is_rotated = before.is_rotated;
        self.saved
            .verdicts
            .retain(|verdict| verdict.seq < dispute.seq);
        self.tell(Event::Undone { by: dispute.author });
        Ok(())
    }

    /// The Commit we could not open stands: come in again, in place of our own leaf.
    fn come_in_again_if_it_stands(&mut self) -> Result<()> {
        let Some(joining) = &mut self.joining else {
            return Ok(());
        };
        let Some(stranded) = joining.stranded else {
            return Ok(());
        };
        if joining.disputes().find(stranded).is_none() {
            joining.stranded = None;
            joining.set_read(self.saved.fence);
            self.saved
                .verdicts
                .retain(|verdict| verdict.seq != stranded);
            self.drop_lost_commit()?;
            self.set_stage(Stage::Joining);
        }
        Ok(())
    }
}
