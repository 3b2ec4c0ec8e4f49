//! Verdicts on Commits: ours, those of others, and going back to before a Commit that is void.
//!
//! Who cannot open a Commit stays in the old epoch, follows the new one from outside, and says so;
//! who can says so as soon as somebody cannot. Then all go the same way: back, or on, where the
//! stranded come in again by an external Commit in place of their own leaf. SPEC.md, "Disputes".

use super::aside::{Before, View};
use super::dispute::{Dispute, OPEN_MANY, Outcome};
use super::joining::Joining;
use super::reading::At;
use super::saved::{Digest, FlightKind, Intent, Stage, Verdict};
use super::{Engine, Event, group_id, internal};
use crate::error::Result;
use crate::mls::{Author, Facts, Follower, Group};
use crate::seal::{CommitBody, EnvelopeBody, VerdictBody};
use crate::time::Now;

/// Verdicts that may wait to be sent: one for each Commit that may still be undone, and as many that
/// were decided meanwhile.
const VERDICTS_MAX: usize = 16;
/// Void Commits of one epoch that are known again: a facilitator ends the epoch at once, so more
/// than a few come only where none is there.
const VOIDS_MAX: usize = 64;
/// Void joins under one secret after which its link ends: one may be an accident.
pub(super) const SPOILED_JOINS_MAX: u32 = 3;

/// Notes a Commit that is void in the present epoch.
fn note_void(voids: &mut Vec<Digest>, path: Digest) {
    if voids.len() == VOIDS_MAX {
        voids.remove(0);
    }
    voids.push(path);
}

impl Engine {
    /// Whether we are not, or no longer, in the present epoch and read the log to come in.
    pub(super) fn reads_from_outside(&self) -> bool {
        self.joining.is_some() && self.saved.stage == Stage::Joining
    }

    /// Whether the Commit of the present epoch did not open for us, and it is not decided yet.
    fn is_stranded(&self) -> bool {
        self.joining.is_some() && !matches!(self.saved.stage, Stage::Joining | Stage::Leaving)
    }

    /// A Commit that the policy admits, weighed by a member: `Err` if it is one that was void in
    /// this epoch, or finds no place among those that are open.
    pub(super) fn weighed(
        &self,
        facts: &Facts,
        commit: &[u8],
        at: At,
    ) -> core::result::Result<Option<Dispute>, ()> {
        let (Some(group), Some(policy)) = (&self.group, &self.policy) else {
            return Err(());
        };
        let mut dispute = Dispute::of(at.first, facts, commit, &group.leaves(), policy);
        if self.saved.voids.contains(&Digest(facts.path)) || !self.disputes.takes(dispute.as_ref())
        {
            return Err(());
        }
        if let (Some(dispute), Author::Newcomer(leaf)) = (&mut dispute, facts.author) {
            // Who came in by a false GroupInfo is not to blame for a Commit that nobody can open.
            dispute.culprit = Some(self.saved.false_info_by.unwrap_or(leaf));
        }
        Ok(dispute)
    }

    /// We are in the epoch that a Commit began.
    pub(super) fn took(&mut self, dispute: Option<Dispute>, before: Option<Before>) {
        self.disputes.took(dispute.zip(before));
        self.forget_decided();
    }

    /// Verdicts of ours on what is decided are not sent any more.
    fn forget_decided(&mut self) {
        let disputes = &self.disputes;
        self.saved
            .verdicts
            .retain(|verdict| disputes.find(verdict.seq).is_some());
    }

    /// A Commit in a fenced entry, for who is in the present epoch or stranded before it.
    pub(super) fn fenced_commit_met(
        &mut self,
        body: &CommitBody<'_>,
        at: At,
        now: Now,
    ) -> Result<()> {
        if self.joining.is_none() {
            self.commit_met(body, at, now)
        } else {
            self.follow_commit(body, at)
        }
    }

    /// Anyone can check this Commit, but we cannot open it: say so, and wait what the log decides.
    pub(super) fn strand(
        &mut self,
        body: &CommitBody<'_>,
        facts: &Facts,
        dispute: Option<Dispute>,
    ) -> Result<()> {
        let me = self.key.id();
        if facts.takes_out(&me) && facts.author.leaf() != me {
            self.removed_by(facts);
            return Ok(());
        }
        let by = match &dispute {
            Some(dispute) => dispute.culprit.unwrap_or(dispute.author),
            None => facts.author.leaf(),
        };
        self.tell(Event::Spoiled { by });
        if dispute.is_none() && super::commits::rotates(facts) {
            self.shut_out();
            return Ok(());
        }
        self.look_on(body)?;
        if let Some(dispute) = dispute.as_ref().filter(|dispute| dispute.may_judge(&me)) {
            self.say(Verdict {
                seq: dispute.seq,
                opens: false,
                commit: dispute.commit,
            });
        }
        self.took(dispute, Some(Before::Here));
        self.come_in_again_if_it_stands()
    }

    /// From here on the present epoch is followed from outside.
    pub(super) fn look_on(&mut self, body: &CommitBody<'_>) -> Result<()> {
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a Commit without a group"))?;
        let mut follower = Follower::start(&group.group_info(&self.key)?, &group.tree()?)?;
        follower.apply(body.commit.as_slice())?;
        let info = body.info.as_ref().map(|info| info.as_slice());
        let info = info.filter(|info| follower.fits(info)).map(<[u8]>::to_vec);
        let (fence, seq) = (self.saved.fence, self.saved.seq);
        self.joining = Some(Joining::following(follower, info, fence, seq));
        Ok(())
    }

    /// Our keys open nothing any more: the relay cut them with a rotation that we cannot open, or so long
    /// ago that it forgot them. Where we know the door, our old
    /// leaf knocks there; elsewhere it is over for us.
    pub(super) fn shut_out(&mut self) {
        if self.saved.door.is_none() {
            self.end(Stage::ShutOut);
            return;
        }
        self.forget_disputes();
        self.drop_group();
        self.saved.is_old = false;
        self.saved.starts_over = false;
        self.set_stage(Stage::Joining);
        self.beside.must_knock = true;
    }

    fn say(&mut self, verdict: Verdict) {
        if !self.saved.verdicts.contains(&verdict) && self.saved.verdicts.len() < VERDICTS_MAX {
            self.saved.verdicts.push(verdict);
        }
    }

    /// Where many are open, and where a facilitator wants to pin, whoever took the newest that it
    /// may judge says so.
    pub(super) fn acknowledge_unasked(&mut self) {
        let is_many = self.disputes.len() >= OPEN_MANY;
        if self.disputes.is_empty() || !(is_many || self.wants_to_pin()) {
            return;
        }
        let me = self.key.id();
        let newest = self.disputes.iter().rev().find_map(|(dispute, before)| {
            let is_on_top = !matches!(before, Before::Here) && self.joining.is_none();
            let ours = is_on_top && dispute.may_judge(&me);
            ours.then_some((dispute.seq, dispute.commit))
        });
        if let Some((seq, commit)) = newest {
            self.say(Verdict {
                seq,
                opens: true,
                commit,
            });
        }
    }

    pub(super) fn fly_verdict(&mut self, now: Now) -> Result<bool> {
        let Some(verdict) = self.saved.verdicts.first().copied() else {
            return Ok(false);
        };
        let fence = match &self.joining {
            Some(joining) if self.saved.stage == Stage::Joining => {
                joining.fence_read(self.fence_wanted)
            }
            _ => Some(self.saved.fence).filter(|fence| *fence >= self.fence_wanted),
        };
        if fence.is_none() {
            return Ok(false);
        }
        let signed = VerdictBody::signed(
            &self.saved.log,
            verdict.seq,
            verdict.opens,
            &verdict.commit.0,
        );
        let signature = self.key.sign(&signed).to_vec();
        let body = VerdictBody {
            by: self.key.id(),
            seq: verdict.seq,
            opens: verdict.opens,
            signature,
        };
        let mut item =
            self.item(self.entries(&self.newest_generation()?, EnvelopeBody::Verdict(body))?);
        item.fence = fence;
        self.fly(FlightKind::Verdict(verdict), vec![item], now)?;
        Ok(true)
    }

    /// A verdict of ours stands in the log; nothing fenced goes out before it is read there.
    pub(super) fn verdict_landed(&mut self, verdict: Verdict) {
        let flight = self.take_flight();
        let fence = flight.and_then(|flight| flight.items.first()?.fence);
        self.fence_wanted = self.fence_wanted.max(fence.map_or(0, |fence| fence + 1));
        self.saved.verdicts.retain(|one| *one != verdict);
    }

    /// A leaf's word on a Commit, in a fenced entry so that newcomers see it as well.
    pub(super) fn verdict_met(&mut self, body: &VerdictBody, at: At) -> Result<()> {
        let Some(commit) = self.disputes.find(body.seq).map(|one| one.commit) else {
            return Ok(());
        };
        let signed = VerdictBody::signed(&self.saved.log, body.seq, body.opens, &commit.0);
        if !body.by.verifies(&signed, &body.signature) {
            self.junk();
            return Ok(());
        }
        let (outcome, undone) = self
            .disputes
            .judged(body.seq, &body.by, body.opens, at.first);
        if let Some(undone) = undone {
            return self.undo(undone);
        }
        self.forget_decided();
        if outcome == Outcome::Open && !body.opens {
            self.answer_refusal(body.seq);
        }
        self.come_in_again_if_it_stands()
    }

    /// A Commit is refused and still open. Whoever is on top of it says so at once; who is not and sees
    /// no way in by it refuses it as well; who refused it brings about the quiet that makes it void,
    /// since nobody else may be there to write anything.
    fn answer_refusal(&mut self, seq: u64) {
        let me = self.key.id();
        let Some((dispute, before)) = self.disputes.iter().find(|(one, _)| one.seq == seq) else {
            return;
        };
        let opens = match (before, &self.joining) {
            (Before::Member(_), _) | (Before::Outside(_), None) => Some(true),
            (Before::Here, _) => dispute.is_all_but_void().then_some(false),
            (Before::Outside(_), Some(joining)) => (!joining.has_info()).then_some(false),
        };
        let verdict = opens
            .filter(|_| dispute.may_judge(&me))
            .map(|opens| Verdict {
                seq,
                opens,
                commit: dispute.commit,
            });
        let by = dispute.culprit.filter(|_| opens == Some(true));
        if let Some(by) = by {
            self.tell(Event::Spoiled { by });
        }
        if let Some(verdict) = verdict {
            self.say(verdict);
        }
    }

    /// Entry `seq` was reached: quiet after refusals makes a Commit void.
    pub(super) fn reached(&mut self, seq: u64) -> Result<()> {
        match self.disputes.reached(seq) {
            Some(undone) => self.undo(undone),
            None => Ok(()),
        }
    }

    /// A Commit is void: everybody is again where they were before it, and goes on from there.
    fn undo(&mut self, (dispute, before): (Dispute, Before)) -> Result<()> {
        if let Some(by) = dispute.culprit {
            self.tell(Event::Undone { by });
        }
        match before {
            Before::Here => {
                self.drop_lost_commit()?;
                self.back_inside()?;
            }
            Before::Member(aside) => {
                self.restore(*aside)?;
                let epoch = self.group.as_ref().map_or(0, Group::epoch);
                self.drop_flight_of(|flown| flown > epoch)?;
                self.drop_lost_commit()?;
                self.back_inside()?;
            }
            Before::Outside(view) => self.back_outside(*view, &dispute)?,
        }
        let voids = match &mut self.joining {
            Some(joining) => joining.voids(),
            None => &mut self.saved.voids,
        };
        note_void(voids, dispute.path);
        self.forget_decided();
        if dispute.is_join && dispute.culprit == Some(dispute.author) {
            self.saved.spoiled_joins += 1;
            if self.saved.spoiled_joins == SPOILED_JOINS_MAX {
                self.tell(Event::LinkSpoiled);
            }
        }
        Ok(())
    }

    fn back_inside(&mut self) -> Result<()> {
        self.joining = None;
        if self.saved.stage == Stage::Joining {
            self.set_stage(Stage::In);
            self.open_as_member()?;
        }
        Ok(())
    }

    /// We did not see this epoch from inside: the follower goes back, and who had come in meanwhile
    /// is out again.
    fn back_outside(&mut self, view: View, dispute: &Dispute) -> Result<()> {
        let was_inside = self.joining.is_none();
        if was_inside {
            self.drop_flight_of(|_| true)?;
        }
        self.drop_lost_commit()?;
        let mut joining = self
            .joining
            .take()
            .unwrap_or_else(|| Joining::behind(self.saved.fence, self.saved.seq));
        let me = self.key.id();
        let leaves = joining.go_back(view, &group_id(&self.saved.log))?;
        if dispute.author == me {
            // What it was built on may be why nobody could open it.
            joining.set_info(None);
        }
        if !leaves.contains(&me) {
            self.drop_group();
        }
        self.joining = Some(joining);
        match self.saved.stage {
            // Nobody knows us there any more.
            Stage::Leaving if self.group.is_none() => self.end(Stage::Left),
            _ if was_inside => self.set_stage(Stage::Joining),
            _ => {}
        }
        Ok(())
    }

    /// Without a group again: its keys open nothing.
    fn drop_group(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        for name in group.saved_names() {
            self.delete_row(&[super::saved::MLS, name].concat());
        }
        self.policy = None;
    }

    /// The Commit we could not open stands: come in again, in place of our own leaf.
    pub(super) fn come_in_again_if_it_stands(&mut self) -> Result<()> {
        let is_open = |(_, before): &(Dispute, Before)| matches!(before, Before::Here);
        if !self.is_stranded() || self.disputes.iter().any(is_open) {
            return Ok(());
        }
        let (fence, seq) = (self.saved.fence, self.saved.seq);
        if let Some(joining) = &mut self.joining {
            joining.set_read(fence, seq);
        }
        self.drop_lost_commit()?;
        self.set_stage(Stage::Joining);
        Ok(())
    }

    /// What facilitators owe after Commits that were void: an epoch in which none was, so that they
    /// are stale for everybody, and another link where the present one was used to spoil.
    pub(super) fn want_to_mend(&mut self) {
        if !self.facilitates() {
            return;
        }
        if !self.saved.voids.is_empty() {
            self.want(Intent::Update);
        }
        if self.saved.spoiled_joins >= SPOILED_JOINS_MAX {
            self.want(Intent::Rotate);
        }
    }

    /// A new epoch began: in it nothing was void yet.
    pub(super) fn mended(&mut self) {
        if core::mem::take(&mut self.saved.voids).is_empty() {
            return;
        }
        self.saved
            .intents
            .retain(|intent| *intent != Intent::Update);
        // Newcomers must not begin at what was pinned of an epoch that is no more.
        self.saved.snapshot_due |= self.facilitates();
    }
}
