//! From a link to the own Commit in the log: a snapshot, the Commits behind it, an external Commit.

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::{Entry, Item, Lane, Opened};
use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::aside::{Before, View, pack, unpack};
use super::commits::{CommitAad, judged, rotates};
use super::dispute::{Dispute, Disputes};
use super::reading::{At, Unsealed};
use super::saved::{ByteString, Digest, FlightKind, Intent, Stage};
use super::waiting::Turn;
use super::{Engine, Event, group_id, internal};
use crate::error::Result;
use crate::log::{Cursor, Keeps};
use crate::mls::{Author, Facts, Follower, Group, LeafId, Values};
use crate::policy::{Forbidden, Policy, newer_version};
use crate::seal::{CommitBody, Envelope, EnvelopeBody, Seen, SnapshotBody};
use crate::time::Now;

/// How long what stood in the log when it was opened may take to come, before an older pin is
/// tried: a snapshot can land behind Commits that it does not know.
const QUIET_MS: u64 = 10_000;

/// What somebody outside of the present epoch knows of the conversation so far: a newcomer, or a
/// member that could not follow. Kept, with what it follows under a name of its own.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Joining {
    /// Pins that were not tried yet, oldest first.
    pins: Vec<u64>,
    /// The log's fence when it was opened.
    fence: u64,
    /// The fence up to which we read.
    read: u64,
    #[serde(skip)]
    pub(super) follower: Option<Follower>,
    /// The follower is not as it stands in the vault.
    #[serde(skip)]
    is_changed: bool,
    /// Races lost, and the KeyPackage that waits in the log.
    #[serde(skip)]
    pub(super) turn: Turn,
    /// GroupInfo of the follower's epoch.
    info: Option<ByteString>,
    started: bool,
    /// Commits that were void in the follower's epoch.
    voids: Vec<Digest>,
    /// The last entry read to its end.
    seq: u64,
    /// What a snapshot that we could not read asks of clients.
    newer_version: Option<u16>,
    /// The last entry read by then, and when it was.
    #[serde(skip)]
    quiet: Option<(u64, u64)>,
}

impl core::fmt::Debug for Joining {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Joining(…)")
    }
}

impl Joining {
    /// Outside of an epoch that is followed from where everything fenced was read.
    pub(super) fn following(
        follower: Follower,
        info: Option<Vec<u8>>,
        fence: u64,
        seq: u64,
    ) -> Self {
        Self {
            follower: Some(follower),
            is_changed: true,
            info: info.map(ByteString),
            ..Self::behind(fence, seq)
        }
    }

    /// The same, before it is known what is followed.
    pub(super) fn behind(fence: u64, seq: u64) -> Self {
        Self {
            fence,
            read: fence,
            seq,
            started: true,
            ..Self::default()
        }
    }

    /// Goes on after a restart.
    pub(super) fn resume(&mut self, follower: Follower) {
        self.follower = Some(follower);
    }

    pub(super) const fn follows(&self) -> bool {
        self.follower.is_some()
    }

    /// The follower's values, if they are not in the vault as they are.
    pub(super) fn take_changed(&mut self, is_new: bool) -> Result<Option<Values>> {
        let is_changed = core::mem::take(&mut self.is_changed) || is_new;
        let follower = self.follower.as_ref().filter(|_| is_changed);
        Ok(follower.map(Follower::values).transpose()?)
    }

    /// Everything up to this fence and this entry was read.
    pub(super) const fn set_read(&mut self, fence: u64, seq: u64) {
        self.read = fence;
        self.fence = fence;
        self.seq = seq;
    }

    pub(super) const fn voids(&mut self) -> &mut Vec<Digest> {
        &mut self.voids
    }

    /// Goes back to an epoch; answers who was in it.
    pub(super) fn go_back(&mut self, view: View, group_id: &[u8]) -> Result<Vec<LeafId>> {
        let follower = Follower::load(unpack(view.values), group_id)?;
        let leaves = follower.leaves();
        self.follower = Some(follower);
        self.is_changed = true;
        self.info = view.info;
        self.voids = view.voids;
        Ok(leaves)
    }

    fn forget(&mut self) {
        self.follower = None;
        self.info = None;
        self.voids.clear();
    }

    /// Whether there is a GroupInfo to come in by.
    pub(super) const fn has_info(&self) -> bool {
        self.info.is_some()
    }

    /// The fence up to which everything was read; `None` where more stands in the log.
    pub(super) fn fence_read(&self, wanted: u64) -> Option<u64> {
        (self.read >= self.fence.max(wanted)).then_some(self.read)
    }

    /// The last entry read to its end.
    pub(super) const fn seq(&self) -> u64 {
        self.seq
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
        self.info = info.map(ByteString);
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
            None => {
                // Nothing here could be read, and something said that it is for newer clients.
                if let Some(version) = joining.newer_version {
                    self.pause(version);
                }
                return;
            }
        };
        joining.started = true;
        joining.forget();
        joining.read = 0;
        joining.quiet = None;
        self.run = None;
        self.disputes = Disputes::default();
        let log = self.saved.log;
        self.session
            .follow(log, Lane::Fenced, start, Keeps::Removable);
    }

    /// After a restart: goes on where it was.
    pub(super) fn follow_on(&mut self) {
        let Some(joining) = &self.joining else {
            return;
        };
        let (log, after) = (self.saved.log, Cursor::behind(joining.seq()));
        self.session
            .follow(log, Lane::Fenced, after, Keeps::Removable);
    }

    /// A fenced or pinned entry, seen from outside.
    pub(super) fn join_met(&mut self, entry: &Entry<'_>, cursor: Cursor) -> Result<()> {
        if self.saved.stage == Stage::Paused {
            return Ok(());
        }
        let log = self.saved.log;
        self.session.consumed(&log, cursor.seq);
        self.reached(entry.seq)?;
        let unsealed = self.unseal(entry, cursor);
        if let Some(joining) = &mut self.joining
            && !matches!(unsealed, Unsealed::More)
        {
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
                EnvelopeBody::Commit(body) if at.fence.is_some() => {
                    self.follow_commit(&body, at)?
                }
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
            joining.forget();
        }
        joining.read = joining.read.max(fence + 1);
        missed && !joining.pins.is_empty()
    }

    /// Goes to an older pin where entries that must be there do not come; answers when to look
    /// again (steady clock).
    pub(super) fn leave_quiet_pin(&mut self, now: Now) -> Option<u64> {
        let (is_online, is_flying) = (self.is_online, self.flight.is_some());
        let joining = self.joining.as_mut()?;
        let is_lost = joining.follower.is_none() && joining.newer_version.is_some();
        let waits = is_online
            && !is_flying
            && joining.started
            && !joining.has_read_all()
            && (!joining.pins.is_empty() || is_lost);
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
        let info = snapshot.info.as_slice();
        let follower = Follower::start(info, snapshot.tree.as_slice()).ok();
        let policy = follower.as_ref().map(Follower::policy);
        let policy = policy.and_then(|policy| Policy::parse(&policy).ok());
        let version = Follower::policy_claimed(info).and_then(|policy| newer_version(&policy));
        let (Some(follower), Some(policy)) = (follower, policy) else {
            joining.newer_version = joining.newer_version.max(version);
            return;
        };
        let gid = group_id(&self.saved.log);
        // A member that starts over goes on, never back.
        let is_older = |group: &Group| follower.epoch() < group.epoch();
        let believed = follower.group_id() == gid
            && !self.group.as_ref().is_some_and(is_older)
            && follower.leaves().contains(&snapshot.by)
            && policy.is_facilitator(&snapshot.by)
            && policy.leads_from(&gid, &self.saved.founder, &snapshot.by);
        if !believed {
            return;
        }
        if let Some(version) = version {
            return self.pause(version);
        }
        joining.follower = Some(follower);
        joining.is_changed = true;
        joining.info = Some(ByteString(info.to_vec()));
        joining.read = snapshot.fence;
    }

    /// A Commit, seen from outside.
    pub(super) fn follow_commit(&mut self, body: &CommitBody<'_>, at: At) -> Result<()> {
        let is_own_join = self.is_own_join(&at);
        let Some((facts, dispute, view)) = self.followed(body, at)? else {
            if is_own_join {
                // Its epoch was undone meanwhile: it stands there for nothing.
                self.take_flight();
            }
            return Ok(());
        };
        let before = Some(Before::Outside(Box::new(view)));
        if is_own_join {
            return self.joined(at, dispute, before);
        }
        if let Some((group, by)) = self.welcomed_by(body)? {
            self.take_flight();
            return self.enter_joined(group, at, dispute, before, Some(by));
        }
        self.took(dispute, before);
        let me = self.key.id();
        // A copy of ours came in again in our place, unless it is us who are the copy.
        let is_replaced = facts.author == Author::Newcomer(me) && !self.saved.is_old;
        if self.group.is_some() && facts.takes_out(&me) {
            if is_replaced || facts.author.leaf() != me {
                self.removed_by(&facts);
            }
            return Ok(());
        }
        if rotates(&facts) {
            return if self.group.is_some() {
                self.shut_out();
                Ok(())
            } else {
                self.link_ended()
            };
        }
        self.come_in_again_if_it_stands()
    }

    /// The secret that we came with was renewed. What is on its way cannot land any more, and
    /// nobody takes us in; the relay says so when the log is opened again.
    fn link_ended(&mut self) -> Result<()> {
        self.drop_flight()?;
        self.head = None;
        self.out.hang_up = true;
        Ok(())
    }

    /// Applies a Commit that counts; answers what it did, and what was seen before it.
    fn followed(
        &mut self,
        body: &CommitBody<'_>,
        at: At,
    ) -> Result<Option<(Facts, Option<Dispute>, View)>> {
        let generation = self.newest_generation()?;
        let Some(joining) = &mut self.joining else {
            return Ok(None);
        };
        let Some(follower) = &mut joining.follower else {
            return Ok(None);
        };
        let commit = body.commit.as_slice();
        let (Ok(policy), Ok(facts)) = (Policy::parse(&follower.policy()), follower.look(commit))
        else {
            return Ok(None);
        };
        let (log, days) = (&self.saved.log, follower.days());
        let facts = match judged(&policy, facts, body, log, &generation, (&days, at.day)) {
            Ok(facts) => facts,
            Err(Forbidden::TooNew(version)) => {
                self.pause(version);
                return Ok(None);
            }
            Err(_) => return Ok(None),
        };
        let leaves = follower.leaves();
        let dispute = Dispute::of(at.first, &facts, commit, &leaves, &policy);
        if joining.voids.contains(&Digest(facts.path)) || !self.disputes.takes(dispute.as_ref()) {
            return Ok(None);
        }
        let values = pack(follower.values()?);
        follower.apply(commit)?;
        joining.is_changed = true;
        let info = body.info.as_ref().map(|info| info.as_slice());
        let info = info.filter(|info| follower.fits(info));
        let view = View {
            values,
            info: core::mem::replace(
                &mut joining.info,
                info.map(|info| ByteString(info.to_vec())),
            ),
            voids: core::mem::take(&mut joining.voids),
        };
        Ok(Some((facts, dispute, view)))
    }

    /// The smallest class of a conversation that we are not in yet.
    pub(super) fn floor_outside(&self) -> SizeClass {
        let follower = self.joining.as_ref().and_then(|one| one.follower.as_ref());
        follower
            .and_then(|follower| Policy::parse(&follower.policy()).ok())
            .map_or(SizeClass::K1, |policy| policy.floor())
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
        if self.waits_its_turn(now)? {
            return Ok(());
        }
        let Some(joining) = &self.joining else {
            return Ok(());
        };
        let (Some(follower), Some(ByteString(info))) = (&joining.follower, joining.info.clone())
        else {
            return Ok(());
        };
        let Some(fence) = joining.fence_read(self.fence_wanted) else {
            return Ok(());
        };
        if !self.disputes.takes_from_outside() {
            return Ok(());
        }
        let (tree, epoch) = (follower.tree()?, follower.epoch());
        if self.is_let_go() {
            self.shut_out();
            return Ok(());
        }
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
        let (psk, day) = (generation.psk(), self.session.today(now));
        let Ok(join) = Group::join(&self.key, info, tree, psk, &aad, &log, day) else {
            return Ok(false);
        };
        let body = CommitBody {
            info: Some(join.out.info.clone().into()),
            next: None,
            commit: join.out.commit.clone().into(),
            welcome: None,
            farewells: Vec::new(),
            returns: Vec::new(),
        };
        let entries = self.entries(&generation, EnvelopeBody::Commit(body))?;
        let digest = entries
            .first()
            .map(|entry| Digest::of(entry.sealed.as_slice()))
            .ok_or_else(|| internal("a Commit without an entry"))?;
        let member = StaticSecret::from(*join.out.member_key);
        let item = Item {
            fence: Some(fence),
            admit: Some(public_key(&member)),
            ..self.item(entries)
        };
        let kind = FlightKind::Join {
            digest,
            values: pack(join.group.values()?),
        };
        self.fly(kind, vec![item], now).map(|()| true)
    }

    pub(super) fn is_own_join(&self, at: &At) -> bool {
        let kind = self.flight.as_ref().map(|flight| &flight.kind);
        matches!(kind, Some(FlightKind::Join { digest, .. }) if *digest == at.digest)
    }

    /// Our Commit stands in the log and counts: the scratch group becomes ours, and we read on as a
    /// member. Like every Commit of a newcomer it may still be undone.
    pub(super) fn joined(
        &mut self,
        at: At,
        dispute: Option<Dispute>,
        before: Option<Before>,
    ) -> Result<()> {
        let Some(flight) = self.take_flight() else {
            return Ok(());
        };
        let FlightKind::Join { values, .. } = flight.kind else {
            return Ok(());
        };
        let group = Group::load(unpack(values), &group_id(&self.saved.log))?.unsaved();
        self.enter_joined(group, at, dispute, before, None)
    }

    /// In, by the Commit at this place, of ours or `by` somebody who took us in.
    pub(super) fn enter_joined(
        &mut self,
        mut group: Group,
        at: At,
        dispute: Option<Dispute>,
        before: Option<Before>,
        by: Option<LeafId>,
    ) -> Result<()> {
        self.put_aside_what_we_leave()?;
        self.took(dispute, before);
        let generation = self.newest_generation()?;
        let (psk_id, psk) = generation.psk();
        group.store_psk(psk_id, psk)?;
        self.policy = Policy::parse(&group.policy()).ok();
        self.saved.suite = group.suite();
        self.saved.joined_epoch = group.epoch();
        self.saved.fence = at.fence.map_or(0, |fence| fence + 1);
        self.saved.seq = at.end.seq;
        self.saved.chain = at.end.chain;
        self.saved.day = at.end.day;
        self.saved.voids.clear();
        self.saved.false_info_by = None;
        self.doubt_agreement();
        let me = self.key.id();
        if let Some(mut old) = self.group.take() {
            old.replace_with(group);
            group = old;
            self.tell(Event::Returned { leaf: me });
        } else if self.saved.way_back.take().is_some() {
            self.tell(Event::Returned { leaf: me });
        } else {
            self.tell(Event::Joined { leaf: me, by });
        }
        self.saved.is_old = false;
        self.saved.starts_over = false;
        if !self.has_facilitator(&group.leaves()) {
            self.tell(Event::NoFacilitator);
        }
        self.group = Some(group);
        self.joining = None;
        self.run = None;
        self.set_stage(Stage::Waiting);
        self.start_door();
        if self.facilitates() {
            // Whatever led here, from here on it stands.
            self.want(Intent::Update);
        }
        self.wants_door_again();
        self.open_as_member()
    }

    /// The epoch that we never left is left now; it may come back all the same.
    fn put_aside_what_we_leave(&mut self) -> Result<()> {
        let is_here = |(_, before): &(Dispute, Before)| matches!(before, Before::Here);
        if !self.disputes.iter().any(is_here) {
            return Ok(());
        }
        let aside = self.aside()?;
        for (seq, before) in self.disputes.befores() {
            if matches!(before, Before::Here) {
                *before = Before::Member(Box::new(aside.clone()));
                self.kept.forget(seq);
            }
        }
        Ok(())
    }
}
