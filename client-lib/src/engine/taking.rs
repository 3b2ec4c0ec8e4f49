//! A ticket that we claim as a supporter, and the chat that answers it. SPEC.md, "Answering a ticket".
//!
//! The chat is founded here and made at the relay only once we have the lease. What founds it is one
//! append: the Commit that adds the seeker, the Welcome for their inbox and the ticket's end under
//! our lease. So a ticket leaves the queue only for a chat that stands, and whoever lost the lease
//! changes nothing.

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Claim, Claimed, Delete, Item, LeaseCondition, Release, Renew};
use sotto_protocol::id::{LogId, RetryId};
use sotto_protocol::limits::LEASE_MS_MAX;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::begin::{Admission, RoomOptions};
use super::beside::{Side, item_of};
use super::door::{Door, KeptKnock};
use super::putting_off::Need;
use super::saved::{self, Intent, Stage};
use super::{Effects, Engine, Event, retry_id};
use crate::content::name_is_fit;
use crate::desk::{OpeningKey, OrganisationId};
use crate::error::Result;
use crate::link::RelayAddress;
use crate::log::{Ask, Denied};
use crate::mls::{LeafId, Suite};
use crate::seal::letter::{KnockBody, Letters, Purpose, Read};
use crate::time::Now;

/// A lease is renewed so often until the ticket is answered: twice within its time, so that one
/// renewal may be lost.
const RENEW_EVERY_MS: u64 = LEASE_MS_MAX as u64 / 3;
/// No entry of a chat is smaller, nor of what leads to it.
pub(super) const DESK_FLOOR: SizeClass = SizeClass::K4;

/// What it takes to claim one ticket, from [`Engine::ticket_keys`].
#[derive(Clone)]
pub struct TicketKeys {
    pub(crate) relay: RelayAddress,
    pub(crate) queue: LogId,
    /// Secret grant key that reads the queue and claims.
    pub(crate) claim: [u8; 32],
    /// The card's present key and those before it.
    pub(crate) openings: Vec<OpeningKey>,
    /// The ticket's place.
    pub(crate) seq: u64,
    /// Its author comes later.
    pub(crate) is_letter: bool,
    /// Of the chat.
    pub(crate) suite: Suite,
    /// How long the chat may be; nothing without a limit, and of a letter, whose author comes later.
    pub(crate) minutes: Option<u32>,
    /// Whose badges are believed in it.
    pub(crate) organisation: OrganisationId,
    /// Chats that one supporter has at a time; 0 is without a limit.
    pub(crate) chats_each: u8,
}

impl TicketKeys {
    /// Chats that the desk lets one supporter have at a time; 0 is without a limit. Whoever runs several
    /// engines on one device counts those that [hold one](Engine::holds_chat).
    #[must_use]
    pub const fn chats_each(&self) -> u8 {
        self.chats_each
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(…)")
    }
}

/// A ticket that we are about to answer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Taking {
    queue: LogId,
    /// Gone once nothing is asked of the queue any more.
    #[serde(with = "serde_bytes")]
    claim: [u8; 32],
    /// Gone once we know who asks.
    openings: Vec<OpeningKey>,
    seq: u64,
    /// How long the chat may be.
    #[serde(default)]
    minutes: Option<u32>,
    /// The supporter does not want it any more.
    is_leaving: bool,
    /// Of the claim: the same again gives the same lease.
    retry: RetryId,
    /// The relay's day when it was first asked for; 0 before.
    day: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// No lease yet.
    Claiming,
    /// The lease is ours, and nobody answered yet.
    Held { lease: u64 },
    /// Nobody can answer it: it is taken out of the queue.
    Clearing { lease: u64 },
    /// We do not answer it: it goes back into its place.
    Releasing { lease: u64 },
    /// Somebody else has it, or nobody: what we made for it goes.
    Lost,
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taking(…)")
    }
}

impl Engine {
    /// Claims a ticket and answers it, or hears that somebody else does ([`Event::NotTaken`]).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that cannot be shown.
    pub fn take_ticket(keys: TicketKeys, name: String, now: Now) -> Result<(Self, Effects)> {
        let options = RoomOptions {
            admission: Admission::Chat,
            suite: keys.suite,
            floor: DESK_FLOOR,
            ..RoomOptions::new(keys.relay, name)
        };
        let mut engine = Self::founding(options)?;
        engine.trust(keys.organisation)?;
        engine.saved.awaits_author = keys.is_letter;
        engine.beside.door = Some(Door::new(false)?);
        engine.keep_door()?;
        engine.beside.taking = Some(Taking {
            queue: keys.queue,
            claim: keys.claim,
            openings: keys.openings,
            seq: keys.seq,
            minutes: keys.minutes,
            is_leaving: false,
            retry: retry_id()?,
            day: 0,
            step: Step::Claiming,
        });
        engine.keep_taking()?;
        engine.begin(now)
    }

    fn keep_taking(&mut self) -> Result<()> {
        match self.beside.taking.clone() {
            Some(taking) => self.keep_beside(saved::TAKING, &taking),
            None => Ok(()),
        }
    }

    fn step_to(&mut self, step: Step) -> Result<()> {
        if let Some(taking) = &mut self.beside.taking {
            taking.step = step;
        }
        self.keep_taking()
    }

    /// Of the ticket's secrets, whether there is a key that claims and how many that open.
    #[cfg(test)]
    pub(super) fn secrets_of_ticket(&self) -> Option<(bool, usize)> {
        let taking = self.beside.taking.as_ref()?;
        Some((taking.claim != [0; 32], taking.openings.len()))
    }

    /// Whether this is a chat that answers a ticket and does not stand yet.
    pub(super) const fn is_taking(&self) -> bool {
        self.beside.taking.is_some()
    }

    /// Whether we are about to answer: not once somebody else does, or we do not want to.
    pub(super) fn is_claiming(&self) -> bool {
        let taking = self.beside.taking.as_ref().filter(|one| !one.is_leaving);
        taking.is_some_and(|one| matches!(one.step, Step::Claiming | Step::Held { .. }))
    }

    /// Whether the relay is not to hear of the chat (yet): a log that only a lost race asked for
    /// would be left behind.
    pub(super) fn is_unmade(&self) -> bool {
        let unasked = self
            .saved
            .root
            .as_ref()
            .is_some_and(|root| !root.is_asked());
        self.beside.taking.as_ref().is_some_and(|taking| {
            let is_held = matches!(taking.step, Step::Held { .. });
            taking.step == Step::Claiming || (unasked && !is_held)
        })
    }

    /// Whether a chat that was made for a ticket has nobody to come into it.
    pub(super) fn has_lost_ticket(&self) -> bool {
        let taking = self.beside.taking.as_ref();
        taking.is_some_and(|taking| taking.step == Step::Lost)
    }

    pub(super) fn start_taking(&mut self) {
        let taking = self.beside.taking.as_ref();
        if let Some(taking) = taking.filter(|taking| taking.step != Step::Lost) {
            let (queue, claim) = (taking.queue, StaticSecret::from(taking.claim));
            self.session.open(queue, vec![claim]);
        }
    }

    /// What can be done now for the ticket. Called once an input.
    pub(super) fn go_on_taking(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        let may_claim = self.beside.put_off.is_due(Need::Claim, now);
        let Some(taking) = &mut self.beside.taking else {
            return Ok(());
        };
        let (log, seq, step) = (taking.queue, taking.seq, taking.step);
        if step == Step::Lost {
            return self.take_chat_away(now);
        }
        if taking.is_leaving && self.flight.is_none() && matches!(step, Step::Held { .. }) {
            self.let_ticket_go()?;
            return self.go_on_taking(now);
        }
        if !self.is_online || !self.beside.open.contains(&log) {
            return Ok(());
        }
        match step {
            Step::Claiming if may_claim => {
                if taking.day == 0 {
                    taking.day = today;
                }
                let (day, retry) = (taking.day, taking.retry);
                self.keep_taking()?;
                let claim = Claim {
                    ms: LEASE_MS_MAX,
                    day,
                    log,
                    seq,
                    retry,
                };
                self.ask_beside(Ask::Claim(claim), Side::Claim);
            }
            // Once the answer is on its way, it alone tells whether the lease was ours.
            Step::Held { lease } if self.flight.is_none() => {
                if self.beside.renew_at_ms <= now.steady_ms {
                    self.beside.renew_at_ms = now.steady_ms.saturating_add(RENEW_EVERY_MS);
                    let ms = LEASE_MS_MAX;
                    self.ask_beside(
                        Ask::Renew(Renew {
                            ms,
                            log,
                            seq,
                            lease,
                        }),
                        Side::Renew,
                    );
                }
            }
            Step::Clearing { .. } => {
                let items = self.ticket_end().into_iter().collect();
                let (retry, day) = (retry_id()?, today);
                self.ask_beside(Ask::Append { items, retry, day }, Side::ClearTicket);
            }
            Step::Releasing { lease } => {
                let ask = Ask::Release(Release { log, seq, lease });
                self.ask_beside(ask, Side::Release);
            }
            Step::Claiming | Step::Held { .. } | Step::Lost => {}
        }
        Ok(())
    }

    /// The relay's word on our claim.
    pub(super) fn claimed(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let claimed = match result {
            Ok(Answer::Claimed(claimed)) => claimed,
            Err(denied) if denied.refusal.code == ErrorCode::RetryTooOld => {
                if let Some(taking) = &mut self.beside.taking {
                    (taking.retry, taking.day) = (retry_id()?, 0);
                }
                return self.keep_taking();
            }
            // That says nothing of the ticket.
            Err(denied) if !is_lost(denied) => {
                self.put_off(Need::Claim, denied.refusal.code, now);
                return Ok(());
            }
            _ => return self.ticket_lost(),
        };
        self.beside.put_off.done(Need::Claim);
        let lease = claimed.lease;
        if self.is_leaving_ticket() {
            return self.step_to(Step::Releasing { lease });
        }
        self.beside.renew_at_ms = now.steady_ms.saturating_add(RENEW_EVERY_MS);
        let found = self.open_held(claimed);
        if let Some(taking) = &mut self.beside.taking {
            taking.openings.clear();
        }
        let Some((leaf, knock)) = found else {
            return self.step_to(Step::Clearing { lease });
        };
        self.keep_beside(&saved::knock_name(&leaf), &knock)?;
        self.beside.knocks.insert(leaf, knock);
        self.want(Intent::Add(leaf));
        self.step_to(Step::Held { lease })?;
        self.open_as_member()?;
        self.start_door();
        self.create(now)?;
        self.make_door(now)
    }

    /// Who asks, by what came with the lease; nothing if it is not what an honest seeker writes.
    fn open_held(&self, claimed: &Claimed<'_>) -> Option<(LeafId, KeptKnock)> {
        let taking = self.beside.taking.as_ref()?;
        let held = claimed.held.as_ref()?.as_slice();
        let letter = taking.openings.iter().rev().find_map(|opening| {
            match Letters::default().read(&opening.0, Purpose::Held, &taking.queue, held) {
                Read::Whole(letter) => Some(letter),
                Read::Junk | Read::More => None,
            }
        })?;
        let knock: KnockBody<'_> = sotto_protocol::cbor::decode(&letter).ok()?;
        let leaf = self
            .group
            .as_ref()?
            .leaf_of(knock.package.as_slice())
            .ok()?;
        let is_sound = name_is_fit(&knock.name)
            && knock.was.is_none()
            && leaf != self.key.id()
            && knock.inbox != self.saved.log
            && knock.inbox != taking.queue;
        is_sound.then(|| (leaf, KeptKnock::of(&knock, taking.seq)))
    }

    pub(super) fn renewed(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
    ) -> Result<()> {
        let is_lost = |denied: &Denied| denied.refusal.code == ErrorCode::LeaseLost;
        if self.flight.is_none() && result.as_ref().is_err_and(is_lost) {
            return self.ticket_lost();
        }
        Ok(())
    }

    /// The ticket's end, which is part of the append that answers it.
    pub(super) fn ticket_end(&self) -> Option<Item<'static>> {
        let taking = self.beside.taking.as_ref()?;
        let (Step::Held { lease } | Step::Clearing { lease }) = taking.step else {
            return None;
        };
        let mut item = item_of(taking.queue, Vec::new()).ok()?;
        item.lease = Some(LeaseCondition {
            end: true,
            seq: taking.seq,
            lease,
        });
        Some(item)
    }

    /// Whether the append that answers was refused, and that is dealt with: on the ticket's account the
    /// whole of it changed nothing, and on the relay's the ticket is for somebody else to answer.
    pub(super) fn ticket_denied(&mut self, denied: &Denied) -> Result<bool> {
        let refusal = &denied.refusal;
        let is_certain = !(denied.perhaps_applied || self.is_repeat);
        let item = refusal.item.map(usize::from);
        let of_queue = item.is_some() && item == self.item_of_queue();
        let of_inbox = refusal.item.is_some() && refusal.item == self.inbox_item();
        match refusal.code {
            _ if !self.is_taking() => return Ok(false),
            ErrorCode::LeaseLost => {}
            ErrorCode::Refused if of_queue && is_certain => {}
            // The log tells what there is instead.
            ErrorCode::Refused
            | ErrorCode::RetryTooOld
            | ErrorCode::FenceConflict
            | ErrorCode::GrantsConflict
            | ErrorCode::PinTooSoon => return Ok(false),
            // Who made the inbox so gets no answer.
            _ if of_inbox && is_certain => return Ok(false),
            ErrorCode::Internal => return self.doubt_answer(),
            _ if !is_certain => return self.doubt_answer(),
            _ => {
                self.drop_flight()?;
                self.let_ticket_go()?;
                return Ok(true);
            }
        }
        self.drop_flight()?;
        self.ticket_lost()?;
        Ok(true)
    }

    /// Which item of the answer that is on its way is for the queue.
    fn item_of_queue(&self) -> Option<usize> {
        let queue = self.beside.taking.as_ref()?.queue;
        let mut items = self.flight.as_ref()?.items.iter();
        items.position(|item| item.log == queue)
    }

    /// The relay failed, and the answer may stand all the same: the log is read to its end before the
    /// ticket is let go.
    fn doubt_answer(&mut self) -> Result<bool> {
        self.beside.has_answer_failed = true;
        self.is_doubtful = true;
        self.head = None;
        self.out.hang_up = true;
        Ok(true)
    }

    /// An answer in doubt is not in the log.
    pub(super) fn answer_did_not_land(&mut self, now: Now) -> Result<()> {
        if core::mem::take(&mut self.beside.has_answer_failed) {
            self.let_ticket_go()?;
            return self.go_on_taking(now);
        }
        Ok(())
    }

    /// We do not answer it: others may.
    fn let_ticket_go(&mut self) -> Result<()> {
        match self.beside.taking.as_ref().map(|taking| taking.step) {
            Some(Step::Held { lease }) => {
                self.forget_seeker();
                self.step_to(Step::Releasing { lease })
            }
            Some(Step::Claiming) => self.ticket_lost(),
            _ => Ok(()),
        }
    }

    fn is_leaving_ticket(&self) -> bool {
        let taking = self.beside.taking.as_ref();
        taking.is_some_and(|taking| taking.is_leaving)
    }

    /// The supporter goes before the ticket is answered. An answer that is on its way cannot be called
    /// back: who came in by it sees the supporter leave.
    pub(super) fn leave_ticket(&mut self) -> Result<()> {
        if let Some(taking) = &mut self.beside.taking {
            taking.is_leaving = true;
        }
        let is_open = self.flight.is_some() || self.beside.is_asked(Side::Claim);
        if is_open {
            return self.keep_taking();
        }
        self.let_ticket_go()
    }

    fn forget_seeker(&mut self) {
        let leaves: Vec<_> = self.beside.knocks.keys().copied().collect();
        for leaf in leaves {
            self.forget_knock(&leaf);
        }
    }

    /// The queue does not open for us (any more): we are no supporter of this desk.
    pub(super) fn queue_refused(&mut self, log: &LogId) -> Result<bool> {
        let is_it = |taking: &Taking| taking.queue == *log;
        if !self.beside.taking.as_ref().is_some_and(is_it) {
            return Ok(false);
        }
        if self.flight.is_none() {
            self.ticket_lost()?;
        }
        Ok(true)
    }

    /// Somebody else answers, the seeker is gone, or nobody can answer it, or we do not.
    pub(super) fn ticket_lost(&mut self) -> Result<()> {
        self.forget_seeker();
        if let Some(taking) = &mut self.beside.taking {
            (taking.claim, taking.openings) = ([0; 32], Vec::new());
            let queue = taking.queue;
            self.session.close(&queue);
            self.beside.open.remove(&queue);
        }
        if !self.is_leaving_ticket() {
            self.tell(Event::NotTaken);
        }
        self.step_to(Step::Lost)
    }

    /// Who asked cannot be answered, as their inbox takes nothing or their KeyPackage is none. The
    /// ticket would only come back.
    pub(super) fn ticket_is_void(&mut self) -> Result<()> {
        match self.beside.taking.as_ref().map(|taking| taking.step) {
            Some(Step::Held { lease }) => self.step_to(Step::Clearing { lease }),
            _ => Ok(()),
        }
    }

    /// Deletes the chat that nobody will come into.
    fn take_chat_away(&mut self, now: Now) -> Result<()> {
        if self.is_unmade() {
            self.end(Stage::Left);
            return Ok(());
        }
        if !self.is_online || self.head.is_none() || !self.take_door_away(now)? {
            return Ok(());
        }
        let (log, day, retry) = (self.saved.log, self.session.today(now), retry_id()?);
        self.ask_beside(Ask::Delete(Delete { day, log, retry }), Side::DeleteLog);
        Ok(())
    }

    /// Our answer stands in the log: the chat begins.
    pub(super) fn ticket_answered(&mut self, now: Now) -> Result<()> {
        if let Some(taking) = self.beside.taking.take() {
            self.session.close(&taking.queue);
            self.beside.open.remove(&taking.queue);
            self.drop_beside(saved::TAKING);
            if taking.is_leaving {
                self.set_stage(Stage::Leaving);
            } else {
                self.set_stage(Stage::In);
                self.state_limit(taking.minutes, now)?;
            }
        }
        Ok(())
    }

    pub(super) fn wake_taking(&self, now: Now) -> Option<u64> {
        let at = self.beside.renew_at_ms;
        let is_held = |taking: &Taking| matches!(taking.step, Step::Held { .. });
        let waits = self.flight.is_none() && self.beside.taking.as_ref().is_some_and(is_held);
        (waits && at > now.steady_ms).then_some(at)
    }
}

/// Whether a refusal of a claim says that the ticket is not for us to answer; a relay that has trouble
/// or no room of its own says nothing of it.
fn is_lost(denied: &Denied) -> bool {
    matches!(
        denied.refusal.code,
        ErrorCode::Claimed | ErrorCode::NoSuchEntry | ErrorCode::Refused
    )
}
