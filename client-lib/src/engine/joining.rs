//! From a link to the own Commit in the log: a snapshot, the Commits behind it, an external Commit.

use sotto_protocol::frame::{Entry, Item, Lane, Opened};
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use super::commits::{CommitAad, judged};
use super::dispute::{Dispute, Disputes};
use super::disputing::digest_of;
use super::reading::{At, Unsealed};
use super::saved::{ByteString, Digest, FlightKind, Stage};
use super::{Engine, Event, group_id, internal};
use crate::error::Result;
use crate::log::{Cursor, Keeps};
use crate::mls::{Follower, Group, Values};
use crate::policy::Policy;
use crate::seal::{CommitBody, Envelope, EnvelopeBody, Seen, SnapshotBody};
use crate::time::Now;

/// How long what stood in the log when it was opened may take to come, before an older pin is
/// tried: a snapshot can land behind Commits that it does not know.
const QUIET_MS: u64 = 10_000;

/// What a newcomer knows of the conversation so far.
#[derive(Debug, Default)]
pub(super) struct Joining {
    /// Pins that were not tried yet, oldest first.
    pins: Vec<u64>,
    /// The log's fence when it was opened.
    fence: u64,
    /// The fence up to which we read.
    read: u64,
    follower: Option<Follower>,
    /// GroupInfo of the follower's epoch.
    info: Option<Vec<u8>>,
    started: bool,
    /// Commits that may be undone, each with GroupInfo and tree from before it.
    disputes: Disputes<Option<Before>>,
    /// We are a member who cannot open the Commit at this sequence number.
    pub(super) stranded: Option<u64>,
    /// The last entry read.
    seq: u64,
    /// The last entry read by then, and when it was.
    quiet: Option<(u64, u64)>,
}

/// Where a follower can start again.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) info: Vec<u8>,
    pub(super) tree: Vec<u8>,
}

impl Joining {
    /// What a member who cannot open a Commit sees of what follows.
    pub(super) fn stranded(
        follower: Follower,
        fence: u64,
        dispute: Dispute,
        before: Before,
    ) -> Self {
        let mut joining = Self {
            fence,
            read: fence,
            follower: Some(follower),
            started: true,
            stranded: Some(dispute.seq),
            ..Self::default()
        };
        joining.disputes.push(dispute, Some(before));
        joining
    }

    /// Everything fenced below this was read.
    pub(super) const fn set_read(&mut self, fence: u64) {
        self.read = fence;
        self.fence = fence;
    }

    /// What a member sees whose own state is outlived.
    pub(super) fn resumed(follower: Follower, info: Option<Vec<u8>>, fence: u64) -> Self {
        Self {
            fence,
            read: fence,
            follower: Some(follower),
            info,
            started: true,
            ..Self::default()
        }
    }

    /// Whether nothing is known but the own external Commit that is on its way.
    pub(super) const fn is_blind(&self) -> bool {
        self.started && self.follower.is_none()
    }

    /// Pins that were not tried yet.
    #[cfg(test)]
    pub(super) const fn pins_left(&self) -> usize {
        self.pins.len()
    }

    /// Whether everything fenced is read that stood in the log when it was opened.
    pub(super) const fn has_read_all(&self) -> bool {
        self.read >= self.fence
    }

    pub(super) fn set_info(&mut self, info: Option<Vec<u8>>) {
        self.info = info;
    }

    /// Undoes a Commit and what was built on it.
    fn undo(&mut self, before: Option<Before>) {
        self.follower = before
            .as_ref()
            .and_then(|before| Follower::start(&before.info, &before.tree).ok());
        self.info = before.map(|before| before.info);
    }

    pub(super) const fn disputes(&mut self) -> &mut Disputes<Option<Before>> {
        &mut self.disputes
    }

    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    pub(super) fn opened(&mut self, opened: &Opened) {
        self.fence = self.fence.max(opened.fence);
        if !self.started {
            self.pins.clone_from(&opened.pins);
        }
    }
}

impl Engine {
    /// Goes to the newest pin that was not tried yet.
    pub(super) fn follow_from_pin(&mut self) {
        let Some(joining) = &mut self.joining else {
            return;
        };
        let start = match joining.pins.pop() {
            Some(pin) => Cursor::behind(pin.saturating_sub(1)),
            // The founder's first snapshot may still be on its way.
            None if !joining.started => Cursor::start(&self.saved.log),
            None => return,
        };
        joining.started = true;
        joining.follower = None;
        joining.info = None;
        joining.read = 0;
        joining.quiet = None;
        self.run = None;
        let log = self.saved.log;
        self.session
            .follow(log, Lane::Fenced, start, Keeps::Removable);
    }

    /// After a restart with an external Commit on its way: goes to where it would stand.
    pub(super) fn follow_own_join(&mut self) {
        let Some(FlightKind::Join { after, .. }) = self.flight.as_ref().map(|one| &one.kind) else {
            return;
        };
        let after = *after;
        self.joining = Some(Joining {
            started: true,
            seq: after,
            ..Joining::default()
        });
        let log = self.saved.log;
        self.session
            .follow(log, Lane::Fenced, Cursor::behind(after), Keeps::Removable);
    }

    /// A fenced or pinned entry, seen from outside.
    pub(super) fn join_met(&mut self, entry: &Entry<'_>, cursor: Cursor) -> Result<()> {
        let log = self.saved.log;
        self.session.consumed(&log, cursor.seq);
        if self.is_own_join(entry) {
            return self.joined(entry.fence, cursor);
        }
        self.reached(entry.seq)?;
        let unsealed = self.unseal(entry);
        if let Some(joining) = &mut self.joining {
            joining.seq = entry.seq;
        }
        if self.has_missed_fenced(entry) {
            self.follow_from_pin();
            return Ok(());
        }
        if let Unsealed::Whole(bytes, at) = unsealed
            && let Ok(envelope) = sotto_protocol::cbor::decode::<Envelope<'_>>(&bytes)
        {
            match envelope.body {
                EnvelopeBody::Snapshot(snapshot) if at.fence.is_none() => {
                    self.start_following(&snapshot)
                }
                EnvelopeBody::Commit(body) if at.fence.is_some() => self.follow_commit(&body, at),
                EnvelopeBody::Verdict(body) if at.fence.is_some() => self.verdict_met(&body, at)?,
                _ => {}
            }
        }
        self.next_pin_if_stuck();
        Ok(())
    }

    /// Counts a fenced entry. One that does not follow on what the follower knows shows that the
    /// snapshot it began with landed behind Commits that it does not hold.
    fn has_missed_fenced(&mut self, entry: &Entry<'_>) -> bool {
        let (Some(joining), Some(fence)) = (&mut self.joining, entry.fence) else {
            return false;
        };
        let missed = joining.follower.is_some() && fence > joining.read;
        if missed {
            joining.follower = None;
            joining.info = None;
        }
        joining.read = joining.read.max(fence + 1);
        missed && !joining.pins.is_empty()
    }

    /// Goes to an older pin where entries that must be there do not come; answers when to look
    /// again (steady clock).
    pub(super) fn leave_quiet_pin(&mut self, now: Now) -> Option<u64> {
        let (is_online, is_flying) = (self.is_online, self.flight.is_some());
        let joining = self.joining.as_mut()?;
        let waits = is_online
            && !is_flying
            && joining.follower.is_some()
            && !joining.has_read_all()
            && !joining.pins.is_empty();
        if !waits {
            joining.quiet = None;
            return None;
        }
        let since = match joining.quiet {
            Some((seq, since)) if seq == joining.seq => since,
            _ => now.steady_ms,
        };
        joining.quiet = Some((joining.seq, since));
        if now.steady_ms < since.saturating_add(QUIET_MS) {
            return Some(since.saturating_add(QUIET_MS));
        }
        self.follow_from_pin();
        None
    }

    /// Believes a snapshot whose maker a chain of vouching from the link's founder reaches.
    fn start_following(&mut self, snapshot: &SnapshotBody<'_>) {
        let Some(joining) = &mut self.joining else {
            return;
        };
        // A later snapshot helps where a Commit came without a GroupInfo, or with a false one; one
        // that lacks what was read already never does.
        let helps = snapshot.fence >= joining.read;
        let signed = SnapshotBody::signed(
            &self.saved.log,
            snapshot.fence,
            snapshot.info.as_slice(),
            snapshot.tree.as_slice(),
        );
        if !helps || !snapshot.by.verifies(&signed, &snapshot.signature) {
            return;
        }
        let Ok(follower) = Follower::start(snapshot.info.as_slice(), snapshot.tree.as_slice())
        else {
            return;
        };
        let gid = group_id(&self.saved.log);
        let Ok(policy) = Policy::parse(&follower.policy()) else {
            return;
        };
        let believed = follower.group_id() == gid
            && follower.leaves().contains(&snapshot.by)
            && policy.is_facilitator(&snapshot.by)
            && policy.leads_from(&gid, &self.saved.founder, &snapshot.by);
        if believed {
            joining.follower = Some(follower);
            joining.info = Some(snapshot.info.as_slice().to_vec());
            joining.read = snapshot.fence;
        }
    }

    /// A Commit, seen from outside.
    pub(super) fn follow_commit(&mut self, body: &CommitBody<'_>, at: At) {
        let Ok(generation) = self.newest_generation() else {
            return;
        };
        let Some(joining) = &mut self.joining else {
            return;
        };
        let Some(follower) = &mut joining.follower else {
            return;
        };
        let commit = body.commit.as_slice();
        let (Ok(policy), Ok(facts)) = (Policy::parse(&follower.policy()), follower.look(commit))
        else {
            return;
        };
        let leaves = follower.leaves();
        let Ok(facts) = judged(&policy, facts, body, &self.saved.log, &generation, &leaves) else {
            return;
        };
        let before = joining.info.take().and_then(|info| {
            Some(Before {
                info,
                tree: follower.tree().ok()?,
            })
        });
        if follower.apply(commit).is_ok() {
            let dispute = Dispute::new(
                at.first,
                facts.author.leaf(),
                digest_of(commit),
                leaves,
                |leaf| policy.is_facilitator(leaf),
            );
            joining.disputes.push(dispute, before);
            let info = body.info.as_ref().map(|info| info.as_slice());
            joining.info = info.filter(|info| follower.fits(info)).map(<[u8]>::to_vec);
        }
    }

    /// The follower goes back to before a void Commit; answers that Commit's place and author.
    pub(super) fn follow_back(
        &mut self,
        undone: (Dispute, Option<Before>),
    ) -> (u64, crate::mls::LeafId) {
        let (dispute, before) = undone;
        if let Some(joining) = &mut self.joining {
            joining.undo(before);
        }
        (dispute.seq, dispute.author)
    }

    /// Without anything to believe at this pin, an older one may have it.
    fn next_pin_if_stuck(&mut self) {
        let stuck = self.flight.is_none()
            && self.joining.as_ref().is_some_and(|joining| {
                joining.follower.is_none() && joining.has_read_all() && joining.fence > 0
            });
        if stuck {
            self.follow_from_pin();
        }
    }

    /// Builds the external Commit once everything fenced is read, and sends it under that fence.
    pub(super) fn try_to_join(&mut self, now: Now) -> Result<()> {
        let Some(joining) = &self.joining else {
            return Ok(());
        };
        let (Some(follower), Some(info)) = (&joining.follower, joining.info.clone()) else {
            return Ok(());
        };
        let fence = joining.read;
        if fence < joining.fence.max(self.fence_wanted) {
            return Ok(());
        }
        let (tree, epoch) = (follower.tree()?, follower.epoch());
        if !self.fly_join(&info, &tree, epoch, fence, now)?
            && let Some(joining) = &mut self.joining
        {
            // The GroupInfo was false: wait for a facilitator's snapshot.
            joining.info = None;
        }
        Ok(())
    }

    /// Sends an external Commit on this GroupInfo; `false` if it is not a true one.
    pub(super) fn fly_join(
        &mut self,
        info: &[u8],
        tree: &[u8],
        epoch: u64,
        fence: u64,
        now: Now,
    ) -> Result<bool> {
        let generation = self.newest_generation()?;
        let log = self.log_bytes();
        let seen = Seen {
            epoch,
            ..Seen::default()
        };
        let aad = CommitAad { next: None, seen }.encode()?;
        let Ok(join) = Group::join(&self.key, info, tree, generation.psk(), &aad, &log) else {
            return Ok(false);
        };
        let body = CommitBody {
            info: Some(join.out.info.clone().into()),
            next: None,
            commit: join.out.commit.clone().into(),
            farewells: Vec::new(),
        };
        let entries = self.entries(&generation, EnvelopeBody::Commit(body))?;
        let digest = entries
            .last()
            .map(|entry| Digest::of(entry.sealed.as_slice()))
            .ok_or_else(|| internal("a Commit without an entry"))?;
        let member = StaticSecret::from(*join.out.member_key);
        let item = Item {
            fence: Some(fence),
            admit: Some(public_key(&member)),
            ..self.item(entries)
        };
        let values = join
            .group
            .values()?
            .into_iter()
            .map(|(key, value)| (ByteString(key), ByteString(value)))
            .collect();
        let after = match &self.joining {
            Some(joining) => joining.seq,
            None => self.saved.seq,
        };
        let kind = FlightKind::Join {
            digest,
            values,
            after,
        };
        self.fly(kind, vec![item], now).map(|()| true)
    }

    pub(super) fn is_own_join(&self, entry: &Entry<'_>) -> bool {
        let kind = self.flight.as_ref().map(|flight| &flight.kind);
        matches!(kind, Some(FlightKind::Join { digest, .. }) if *digest == Digest::of(entry.sealed.as_slice()))
    }

    /// Our Commit stands in the log: the scratch group becomes ours, and we read on as a member.
    pub(super) fn joined(&mut self, fence: Option<u64>, cursor: Cursor) -> Result<()> {
        let Some(flight) = self.take_flight() else {
            return Ok(());
        };
        let FlightKind::Join { values, .. } = flight.kind else {
            return Ok(());
        };
        let values: Values = values
            .into_iter()
            .map(|(key, value)| (key.0, value.0))
            .collect();
        let mut group = Group::load(values, &group_id(&self.saved.log))?.unsaved();
        let generation = self.newest_generation()?;
        let (psk_id, psk) = generation.psk();
        group.store_psk(psk_id, psk)?;
        self.policy = Policy::parse(&group.policy()).ok();
        self.saved.suite = group.suite();
        self.saved.joined_epoch = group.epoch();
        self.saved.fence = fence.map_or(0, |fence| fence + 1);
        self.saved.seq = cursor.seq;
        self.saved.chain = cursor.chain;
        self.saved.day = cursor.day;
        let me = self.key.id();
        if let Some(mut old) = self.group.take() {
            old.replace_with(group);
            group = old;
            self.tell(Event::Returned { leaf: me });
        } else if self.saved.way_back.take().is_some() {
            self.tell(Event::Returned { leaf: me });
        } else {
            self.tell(Event::Joined { leaf: me, by: None });
        }
        self.saved.is_old = false;
        if !self.has_facilitator(&group.leaves()) {
            self.tell(Event::NoFacilitator);
        }
        self.group = Some(group);
        self.joining = None;
        self.disputes = Disputes::default();
        self.run = None;
        self.set_stage(Stage::Waiting);
        self.start_door();
        self.open_as_member()
    }
}
