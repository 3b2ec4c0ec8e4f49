//! On the way to somebody at a desk: a ticket in its queue, the place in it, and leaving it. SPEC.md,
//! "Asking".
//!
//! A ticket is a knock whose door is the queue: inbox, KeyPackage and answer are in `knocking`. What is
//! different is here. It has an owner, who alone may ask for its place and take it back; and nobody
//! but the supporter who ends it can put anything into the inbox, so that the first Welcome is the
//! one of who has the lease.

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{self, Answer, Delete, Item, Lane};
use sotto_protocol::id::{LogId, PublicKey, RetryId};
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use super::begin::{new_saved, new_space};
use super::beside::{Side, item_of};
use super::knocking::{Knocking, Outcome};
use super::rereading::KeptCard;
use super::saved::Stage;
use super::{Effects, Engine, Event, internal, no_randomness, retry_id};
use crate::content::{ContentBody, MessageId};
use crate::desk::{
    Card, CardKeys, DeskAddress, DeskPace, DeskState, QueueKeys, Rating, RatingLetter, Ticket,
    WaitRange,
};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Ask, Denied};
use crate::mls::LeafId;
use crate::policy::Policy;
use crate::random;
use crate::seal::letter::{Letters, Purpose, Read};
use crate::time::Now;

/// How often the place is asked for: soon enough to be watched, and little beside what one entry
/// costs.
const PLACE_EVERY_MS: u64 = 15_000;
/// What is added to it by chance, so that those who came together do not ask together.
const PLACE_JITTER_MS: u64 = 5_000;
/// How often that of a letter is: it waits for weeks, its answer comes by itself, and all that the
/// place tells is that it lies there.
const LETTER_PLACE_EVERY_MS: u64 = 2 * 60 * 60_000;
/// Entries of the inbox looked at once a ticket is gone; an honest answer is one run.
const LAST_LOOK_ENTRIES: u32 = 32;

/// The place of the ticket's words among our messages: behind our name, and before all else.
const FIRST_WORDS: u64 = 1;

/// When an answer is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Now: one waits in the queue.
    Now,
    /// Whenever somebody is there: one leaves a letter, and comes back.
    ByLetter,
}

/// How one asks.
#[derive(Clone)]
pub struct AskOptions {
    /// What one is called in the chat; 1 to [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub name: String,
    /// What one chooses to say beforehand; may be empty.
    pub ticket: Ticket,
}

impl Default for AskOptions {
    /// Nothing is told and nothing is asked.
    fn default() -> Self {
        Self {
            name: "Guest".to_owned(),
            ticket: Ticket::default(),
        }
    }
}

impl fmt::Debug for AskOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskOptions(…)")
    }
}

/// Where one stands in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Free tickets before one's own: exact below
    /// [`POSITION_STEP`](sotto_protocol::limits::POSITION_STEP), above it the next lower multiple.
    pub ahead: u64,
    /// Somebody has taken it and is about to answer.
    pub is_taken: bool,
    /// How long it takes from now on, by what the desk itself did lately. Nothing where nobody can
    /// honestly say ([`NO_RANGE_TEXT`](crate::NO_RANGE_TEXT)).
    pub wait: Option<WaitRange>,
}

impl Place {
    /// Whether a person would see another one.
    fn looks_like(&self, other: &Self) -> bool {
        let said = |place: &Self| place.wait.map(|wait| wait.to_string());
        (self.ahead, self.is_taken) == (other.ahead, other.is_taken) && said(self) == said(other)
    }
}

/// What makes a knock a ticket.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Asking {
    /// Secret owner key (X25519) of the ticket's entry.
    #[serde(with = "serde_bytes")]
    owner: [u8; 32],
    ticket: Ticket,
    is_letter: bool,
    /// It is no ticket, but a rating among the letters, and gone from here once it lies there.
    rating: Option<Rating>,
    /// When the desk closes (wall clock), by the card; of a letter nothing.
    pub(super) closes_ms: Option<u64>,
    /// The desk was open when we asked.
    pub(super) was_open: bool,
    /// What the card last said of how fast the desk answers.
    pub(super) pace: Option<DeskPace>,
    /// Of a letter only until it lies there.
    card: Option<KeptCard>,
    /// Where it lies, once it does.
    seq: Option<u64>,
    /// It is to be taken back: retry id and the day it was first asked for.
    leaving: Option<(RetryId, u32)>,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking(…)")
    }
}

impl Asking {
    pub(super) fn new(ticket: Ticket, is_letter: bool) -> Result<Self> {
        let owner = random::array().map_err(no_randomness)?;
        Ok(Self::of(owner, ticket, is_letter))
    }

    const fn of(owner: [u8; 32], ticket: Ticket, is_letter: bool) -> Self {
        Self {
            owner,
            ticket,
            is_letter,
            rating: None,
            closes_ms: None,
            was_open: false,
            pace: None,
            card: None,
            seq: None,
            leaving: None,
        }
    }

    /// One that lies there already.
    #[cfg(feature = "native")]
    pub(super) fn at(owner: [u8; 32], place: u64, is_letter: bool) -> Self {
        Self {
            seq: Some(place),
            ..Self::of(owner, Ticket::default(), is_letter)
        }
    }

    /// A rating: a letter that nobody comes back for.
    pub(super) fn rating(rating: Rating) -> Result<Self> {
        Ok(Self {
            rating: Some(rating),
            ..Self::new(Ticket::default(), true)?
        })
    }

    pub(super) const fn is_rating(&self) -> bool {
        self.rating.is_some()
    }

    /// The public owner key of the ticket's entry.
    pub(super) fn owner(&self) -> PublicKey {
        public_key(&StaticSecret::from(self.owner))
    }

    pub(super) const fn owner_key(&self) -> &[u8; 32] {
        &self.owner
    }

    /// Where a ticket lies for whose answer somebody is to come back.
    pub(super) fn place_kept(&self) -> Option<u64> {
        self.seq.filter(|_| self.waits() && !self.is_rating())
    }

    pub(super) const fn is_letter(&self) -> bool {
        self.is_letter
    }

    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    pub(super) fn landed(&mut self, seq: u64) {
        self.seq = Some(seq);
        if self.is_letter {
            self.card = None;
        }
    }

    /// Whether the ticket lies in the queue and is not taken back.
    pub(super) const fn waits(&self) -> bool {
        self.seq.is_some() && self.leaving.is_none()
    }

    /// What the card that we ask by says of waiting. Of a letter nothing.
    pub(super) fn goes_by(&mut self, card: &Card, now: Now) {
        if !self.is_letter {
            self.closes_ms = card.closes_ms(now.wall_ms);
            self.was_open = card.state(now.wall_ms).is_open();
            self.pace = card.pace;
        }
        self.is_by(card);
    }

    pub(super) const fn card(&self) -> Option<&KeptCard> {
        self.card.as_ref()
    }

    /// Where the ticket goes by this card.
    pub(super) const fn queue_of<'a>(&self, card: &'a Card) -> &'a QueueKeys {
        if self.is_letter {
            &card.letters
        } else {
            &card.queue
        }
    }

    pub(super) fn is_by(&mut self, card: &Card) {
        if let Some(kept) = &mut self.card {
            kept.is_by(card);
        }
    }

    /// The ticket's entry: what supporters read, and the knock that only the lease brings.
    pub(super) fn item(&self, knocking: &Knocking, knock: &[u8]) -> Result<Item<'static>> {
        let ticket = match self.rating {
            Some(rating) => sotto_protocol::cbor::encode(&RatingLetter { rating }),
            None => sotto_protocol::cbor::encode(&self.ticket),
        };
        let ticket = ticket.map_err(|_| internal("a ticket cannot be encoded"))?;
        // A rating is not answered.
        let knock = if self.is_rating() { &[] } else { knock };
        let sealed = knocking.seal(Purpose::Ticket, &ticket)?;
        let mut held = knocking.seal(Purpose::Held, knock)?;
        let mut item = item_of(knocking.door, sealed)?;
        let ([entry], [_]) = (item.entries.as_mut_slice(), held.as_slice()) else {
            return Err(internal("a ticket of more than one entry"));
        };
        entry.held = held.pop().map(Into::into);
        entry.owner = Some(self.owner());
        Ok(item)
    }
}

impl Engine {
    /// Asks a desk for somebody to talk to. The ticket goes out when the relay is reached; what is said
    /// before the answer waits.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown, [`ErrorKind::TooLarge`] for a ticket past
    /// its limits, [`ErrorKind::NotTheDesk`] for a card of another desk,
    /// [`ErrorKind::Gone`] for one that is out of date.
    pub fn ask(
        desk: &DeskAddress,
        card: &Card,
        asked: Asked,
        options: AskOptions,
        now: Now,
    ) -> Result<(Self, Effects)> {
        Self::ask_and_look(desk, (card, None), asked, options, now)
    }

    /// The same, with what opens the card's log: if the ticket has to wait before it goes out, the card
    /// is read again.
    pub(crate) fn ask_and_look(
        desk: &DeskAddress,
        card: (&Card, Option<CardKeys>),
        asked: Asked,
        options: AskOptions,
        now: Now,
    ) -> Result<(Self, Effects)> {
        if !options.ticket.is_within_limits() {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "the first words or a choice are longer than a ticket may hold",
            ));
        }
        let asking = Asking::new(options.ticket, asked == Asked::ByLetter)?;
        Self::begin_to_ask(desk, card, asking, &options.name, now)
    }

    /// On the way into a queue of this desk.
    pub(super) fn begin_to_ask(
        desk: &DeskAddress,
        (card, keys): (&Card, Option<CardKeys>),
        mut asking: Asking,
        name: &str,
        now: Now,
    ) -> Result<(Self, Effects)> {
        let is_its_card = card.fingerprint() == desk.fingerprint();
        if !is_its_card || card.relay != *desk.relay().identity() {
            return Err(Error::new(
                ErrorKind::NotTheDesk,
                "this card is not of the desk that the address names",
            ));
        }
        if card.state(now.wall_ms) == DeskState::Stale {
            return Err(Error::new(
                ErrorKind::Gone,
                "what this desk says of itself is out of date; nobody can say who would read the ticket",
            ));
        }
        // Which log it will be, the Welcome tells.
        let nowhere = LogId::new([0; 32]);
        let mut saved = new_saved(desk.relay().clone(), nowhere, name)?;
        saved.suite = card.suite;
        saved.stage = Stage::Joining;
        let mut engine = Self::assemble(new_space()?, saved);
        let queue = asking.queue_of(card);
        let mut knocking = engine.new_knocking(queue.log, queue.append, card.sealing)?;
        asking.card = keys.map(|keys| KeptCard::new(keys, card));
        asking.goes_by(card, now);
        knocking.asking = Some(asking);
        engine.beside.card_read_ms = Some(now.steady_ms);
        engine.beside.knocking = Some(knocking);
        engine.keep_knocking()?;
        engine.keep_resources(card)?;
        engine.trust(card.organisation)?;
        engine.begin(now)
    }

    /// Our ticket, if that is what we knock with.
    pub(super) fn asking(&self) -> Option<&Asking> {
        self.beside.knocking.as_ref()?.asking.as_ref()
    }

    pub(super) fn asking_mut(&mut self) -> Option<&mut Asking> {
        self.beside.knocking.as_mut()?.asking.as_mut()
    }

    /// What is said while one waits comes behind the ticket's words. Called once our name is said.
    pub(super) fn keep_place_of_words(&mut self) {
        let asking = self.asking();
        if asking.is_some_and(|asking| !asking.ticket.words.is_empty()) {
            self.saved.next_out += 1;
            self.saved.count += 1;
        }
    }

    /// Whether this is a ticket in a desk's queue that nobody answered yet.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.waits_for_answer() && self.asking().is_some()
    }

    /// Whether what we knock with waits among a desk's letters.
    pub(crate) fn is_letter(&self) -> bool {
        self.asking().is_some_and(Asking::is_letter)
    }

    /// Whether this is a ticket at a desk that led to no chat yet; also one that is gone unanswered, and
    /// is about to be cleared away.
    #[must_use]
    pub fn has_ticket(&self) -> bool {
        self.saved.stage == Stage::Joining && self.asking().is_some()
    }

    /// Whether this is a ticket that waits in the queue of the desk whose card this is.
    #[must_use]
    pub fn waits_at(&self, card: &Card) -> bool {
        let knocking = self.beside.knocking.as_ref();
        let there = knocking.filter(|one| one.door == card.queue.log);
        let asking = there.and_then(|one| one.asking.as_ref());
        self.is_asking() && asking.is_some_and(|one| !one.is_leaving())
    }

    /// The place in the desk's queue, as the relay last told it on this connection.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.beside.place.filter(|_| self.is_asking())
    }

    /// What a seeker believes of a Welcome: that there are two in the chat, who both may do everything,
    /// that nobody else comes into it without our yes, and that its author is the one who let us in. That it is a supporter of this desk shows in that
    /// they could read the ticket, and end it.
    pub(super) fn is_supporter(
        &self,
        policy: &Policy,
        group_id: &[u8],
        leaves: &[LeafId],
        by: &LeafId,
    ) -> bool {
        let me = self.key.id();
        let is_ours = policy.hosts == [me] && !policy.link_joins;
        leaves.len() == 2 && *by != me && is_ours && policy.leads_from(group_id, by, &me)
    }

    /// Whether something of the ticket is done instead of sending it.
    pub(super) fn go_on_asking(&mut self, now: Now) -> Result<bool> {
        let Some(knocking) = &self.beside.knocking else {
            return Ok(true);
        };
        let Some(asking) = &knocking.asking else {
            return Ok(false);
        };
        let (log, owner) = (knocking.door, StaticSecret::from(asking.owner));
        match (asking.leaving, asking.seq) {
            (None, None) => return Ok(false),
            // On its way, or perhaps there: the answer to that comes first.
            (Some(_), None) if self.flight.is_some() => {}
            (Some(_), None) => {
                self.set_outcome(Outcome::No);
                self.keep_knocking()?;
            }
            (Some((retry, day)), Some(seq))
                if self.is_online
                    && self.beside.place_at_ms <= now.steady_ms
                    && !self.beside.is_asked(Side::LastLook) =>
            {
                let ask = Ask::Withdraw {
                    log,
                    seq,
                    owner,
                    retry,
                    day,
                };
                self.ask_beside(ask, Side::Withdraw);
            }
            (None, Some(seq)) if self.is_online => {
                self.read_card_again(now);
                let is_due = self.beside.place_at_ms <= now.steady_ms;
                if is_due && !self.beside.is_asked(Side::LastLook) {
                    self.ask_beside(Ask::Position { log, seq, owner }, Side::Place);
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// The door took no knock, or the queue no ticket.
    pub(super) fn knock_denied(&mut self, code: ErrorCode, now: Now) -> Result<()> {
        if !self.is_asking() {
            self.knock_refused();
            return Ok(());
        }
        if self.asking().is_some_and(Asking::is_leaving) {
            // They are gone; the inbox goes next, and with it whatever could be answered.
            return Ok(());
        }
        if self.is_rating() && code != ErrorCode::RetryTooOld {
            self.rating_is_over();
            return Ok(());
        }
        match code {
            // Whether it lies there is not known any more: an answer to that one shall find no inbox.
            ErrorCode::RetryTooOld => self.ask_anew(now),
            ErrorCode::QuotaExceeded => {
                self.tell(Event::DeskFull);
                self.beside.knock_refused = true;
                Ok(())
            }
            _ => {
                self.knock_refused();
                Ok(())
            }
        }
    }

    /// The same ticket with fresh keys, in place of one that nobody knows to be there.
    fn ask_anew(&mut self, now: Now) -> Result<()> {
        let Some(old) = self.beside.knocking.take() else {
            return Ok(());
        };
        let Some(asked) = old.asking else {
            return Ok(());
        };
        let mut knocking = self.new_knocking(old.door, old.knock, old.sealing)?;
        let mut asking = Asking::new(asked.ticket, asked.is_letter)?;
        (asking.closes_ms, asking.was_open) = (asked.closes_ms, asked.was_open);
        asking.rating = asked.rating;
        asking.pace = asked.pace;
        asking.card = asked.card;
        knocking.asking = Some(asking);
        self.beside.knocking = Some(knocking);
        self.keep_knocking()?;
        let ask = Ask::Delete(Delete {
            day: self.session.today(now),
            log: old.inbox,
            retry: retry_id()?,
        });
        // Until it is answered the old inbox stays open; then nobody asks for it any more.
        self.session.unfollow(&old.inbox);
        self.session.ask(ask);
        self.start_inbox();
        self.make_inbox(now)
    }

    /// The relay told our place, or that there is none.
    pub(super) fn placed(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        match result {
            Ok(Answer::Placed(placed)) => {
                let mut place = Place {
                    ahead: placed.ahead,
                    is_taken: placed.claimed,
                    wait: None,
                };
                place.wait = self.wait_range(&place, now);
                let wait = self.place_every() + self.jitter.next() % PLACE_JITTER_MS;
                self.beside.place_at_ms = now.steady_ms.saturating_add(wait);
                let before = self.beside.place.replace(place);
                if before.is_none_or(|before| !before.looks_like(&place)) {
                    self.tell(Event::Place(place));
                }
                Ok(())
            }
            Err(denied) if is_gone(denied) => self.look_for_answer(),
            _ => {
                self.beside.place_at_ms = now.steady_ms.saturating_add(PLACE_EVERY_MS);
                Ok(())
            }
        }
    }

    fn place_every(&self) -> u64 {
        if self.asking().is_some_and(|asking| asking.is_letter) {
            LETTER_PLACE_EVERY_MS
        } else {
            PLACE_EVERY_MS
        }
    }

    /// The ticket is no longer in the queue. If it was answered, the answer is in the inbox, as both
    /// were one append.
    fn look_for_answer(&mut self) -> Result<()> {
        let Some(knocking) = self.beside.knocking.as_ref() else {
            return Ok(());
        };
        if !self.waits_for_answer() {
            return Ok(());
        }
        let read = frame::Read {
            log: knocking.inbox,
            lane: Lane::All,
            after: knocking.mark.cursor().seq,
            entries_max: LAST_LOOK_ENTRIES,
        };
        self.ask_beside(Ask::Read(read), Side::LastLook);
        Ok(())
    }

    /// What lies in the inbox comes by itself; if nothing does, nobody answered and nobody will.
    pub(super) fn looked_for_answer(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        self.beside.place_at_ms = now.steady_ms.saturating_add(PLACE_EVERY_MS);
        let page = match result {
            Ok(Answer::Page(page)) => page,
            // Whoever came back to it on another device has read it there.
            Err(denied) if is_gone(denied) && self.waits_for_answer() => {
                return self.is_unanswered();
            }
            _ => return Ok(()),
        };
        let Some(knocking) = self.beside.knocking.as_ref() else {
            return Ok(());
        };
        // One that was begun and never ended is none, and nothing can come behind it any more.
        let mut letters = Letters::default();
        let mut read = page.entries.iter().map(|entry| {
            let sealed = entry.sealed.as_slice();
            letters.read(&knocking.reply, Purpose::Answer, &knocking.inbox, sealed)
        });
        let is_whole = read.any(|read| matches!(read, Read::Whole(_)));
        if page.more || is_whole || !self.waits_for_answer() {
            return Ok(());
        }
        self.is_unanswered()
    }

    fn is_unanswered(&mut self) -> Result<()> {
        if !self.asking().is_some_and(Asking::is_leaving) {
            self.tell(Event::Unanswered);
        }
        self.set_outcome(Outcome::No);
        self.keep_knocking()
    }

    /// Whether the ticket was taken back, or was gone before.
    pub(super) fn withdrawn(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        match result {
            Ok(_) => {
                self.set_outcome(Outcome::No);
                self.keep_knocking()
            }
            Err(denied) if denied.refusal.code == ErrorCode::RetryTooOld => self.leave_queue(now),
            Err(denied) if is_gone(denied) => self.look_for_answer(),
            Err(_) => {
                self.beside.place_at_ms = now.steady_ms.saturating_add(PLACE_EVERY_MS);
                Ok(())
            }
        }
    }

    /// Takes the ticket back; what was to be said is forgotten at once.
    pub(super) fn leave_queue(&mut self, now: Now) -> Result<()> {
        let day = self.session.today(now);
        let retry = retry_id()?;
        self.beside.place_at_ms = 0;
        if let Some(asking) = self.asking_mut() {
            asking.leaving = Some((retry, day));
            asking.ticket = Ticket::default();
        }
        self.drop_ticket();
        let root = self
            .beside
            .knocking
            .as_ref()
            .and_then(|one| one.root.as_ref());
        if root.is_some_and(|root| !root.is_asked()) {
            // No relay ever heard of it.
            self.end(Stage::Left);
            return Ok(());
        }
        let numbers: Vec<_> = self.outbox.keys().copied().collect();
        for number in numbers {
            self.unqueue(number);
        }
        self.out.scrub = true;
        self.keep_knocking()
    }

    /// A supporter answered: what we said in the ticket becomes the first message. Who meanwhile
    /// left takes leave.
    pub(super) fn answered_by_desk(&mut self, now: Now) -> Result<()> {
        let Some(asking) = self.asking_mut() else {
            return Ok(());
        };
        if asking.is_leaving() {
            self.set_stage(Stage::Leaving);
            return Ok(());
        }
        let words = core::mem::take(&mut asking.ticket.words);
        if words.is_empty() {
            return Ok(());
        }
        // However much waits behind it.
        let id = MessageId::random().map_err(no_randomness)?;
        self.queue_at(
            FIRST_WORDS,
            (id, ContentBody::Text(words)),
            FIRST_WORDS,
            now,
        )
    }
}

/// Whether a refusal says that the ticket is not there any more; a relay that has trouble of its own
/// says nothing of it.
fn is_gone(denied: &Denied) -> bool {
    matches!(
        denied.refusal.code,
        ErrorCode::Refused | ErrorCode::NoSuchEntry
    )
}
