//! Asking a desk, being on duty at one, and answering who asks. SPEC.md, "Desks".

use super::conversation::Conversation;
use super::desk::Visit;
use super::{Client, Engine, on_disk};
use crate::desk::{
    DeskAddress, DeskFounding, DeskPlan, Offer, OrganisationId, OrganisationKey, Resource,
};
use crate::engine::{
    AskOptions, Asked, Command, DeskTicket, DutyMode, JoinOptions, Place, TicketId,
};
use crate::error::{Error, ErrorKind, Result};
use crate::link::Link;
use crate::mls::LeafId;

impl Client {
    /// Asks a desk for somebody to talk to, by its card as it was just read. It is kept when this returns;
    /// [`Event::Knocked`](crate::Event::Knocked) tells that the ticket lies in the queue,
    /// [`Event::Place`](crate::Event::Place) its place, and
    /// [`Event::Joined`](crate::Event::Joined) that somebody answered. [`Conversation::leave`] takes it
    /// back.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown, [`ErrorKind::TooLarge`] for a ticket past
    /// its limits; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, one may or may not have asked.
    pub async fn ask(&self, desk: &Visit, options: AskOptions) -> Result<Conversation> {
        self.ask_at(desk, options, Asked::Now).await
    }

    /// Leaves a letter for when nobody is there. The answer waits for who comes back.
    ///
    /// # Errors
    /// As [`Client::ask`].
    ///
    /// # Cancel safety
    /// As [`Client::ask`].
    pub async fn leave_letter(&self, desk: &Visit, options: AskOptions) -> Result<Conversation> {
        self.ask_at(desk, options, Asked::ByLetter).await
    }

    async fn ask_at(
        &self,
        desk: &Visit,
        options: AskOptions,
        asked: Asked,
    ) -> Result<Conversation> {
        let (card, address, now) = (desk.card(), desk.address(), self.0.clock.now());
        let card = (card, Some(desk.keys.clone()));
        let (engine, effects) = Engine::ask_and_look(address, card, asked, options, now)?;
        self.begin(engine, effects).await
    }

    /// Claims a ticket at the desk of `team` and answers it: the chat that this gives begins once the
    /// lease is ours, and ends at once with [`Event::NotTaken`](crate::Event::NotTaken) if it is not.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown or a ticket that is not (any more) among
    /// those that wait; [`ErrorKind::NotAllowed`] for a ticket (a letter may always be answered) if this device has
    /// as many chats already as the desk lets one supporter have, and for anything while we take nobody
    /// new ([`Conversation::duty_as`]); [`ErrorKind::Closed`], the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may or may not have been claimed.
    pub async fn take(
        &self,
        team: &Conversation,
        ticket: TicketId,
        name: &str,
    ) -> Result<Conversation> {
        let keys = team.look(move |engine| engine.ticket_keys(ticket)).await?;
        let keys = keys.ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "this ticket no longer waits; take another one",
            )
        })?;
        let most = usize::from(keys.chats_each());
        let _taking = self.0.taking.lock().await;
        if most > 0 && !ticket.is_letter && self.chats_held().await >= most {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "you have as many chats as this desk lets one supporter have; end one or hand it over first",
            ));
        }
        let (engine, effects) = Engine::take_ticket(keys, name.to_owned(), self.0.clock.now())?;
        team.command(Command::Claiming(ticket)).await?;
        self.begin(engine, effects).await
    }

    /// How many chats with people who asked a desk this device holds: who is finishing is done once there
    /// are none. One that answers a letter counts once its author is here.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn chats_held(&self) -> usize {
        let mut held = 0;
        for conversation in self.conversations() {
            // One that has ended meanwhile holds nobody.
            held += usize::from(conversation.look(Engine::holds_chat).await.unwrap_or(false));
        }
        held
    }
}

impl Client {
    /// Asks to be let into a conversation whose link leads to a door, with a badge of this organisation:
    /// whose conversation it is sees what it says. The badge is shown there and nowhere else.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a link that leads to no door, a name that cannot be shown, or if there is
    /// no badge that is good; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, a badge may be gone unshown.
    pub async fn ask_to_enter(
        &self,
        link: &Link,
        name: &str,
        badge_of: Option<&OrganisationId>,
    ) -> Result<Conversation> {
        let badge = match badge_of {
            Some(organisation) => Some(self.take_badge(organisation).await?),
            None => None,
        };
        let options = JoinOptions { name: name.into() };
        let now = self.0.clock.now();
        let (engine, effects) = Engine::ask_to_enter(link, &options, badge, now)?;
        self.begin(engine, effects).await
    }
}

impl Conversation {
    /// Asks those who are in `team` to come into this conversation, which has a door. Whose conversation
    /// it is says yes or no to each who knocks.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] if there is no door (yet), or `asks` is not
    /// one plain line of at most [`CALL_BYTES_MAX`](crate::CALL_BYTES_MAX) bytes.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn call(&self, team: &Self, asks: &str) -> Result<()> {
        let link = self.link().await?;
        let link = link.ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "this conversation has no door to knock at",
            )
        })?;
        let (asks, link) = (asks.to_owned(), Box::new(link));
        team.command(Command::Call { asks, link }).await.map(drop)
    }

    /// Hands over to another member: they facilitate from now on, and this device leaves as soon as they
    /// do.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn hand_over(&self, to: LeafId) -> Result<()> {
        self.command(Command::HandOver(to)).await.map(drop)
    }

    /// The place in the desk's queue, while one waits there and the relay is reached.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn place(&self) -> Result<Option<Place>> {
        self.look(Engine::place).await
    }

    /// Whether this is a ticket at a desk that led to no chat yet.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn has_ticket(&self) -> Result<bool> {
        self.look(Engine::has_ticket).await
    }

    /// Whom the desk names for a crisis, without a line: kept here since we asked, for as long as anything of
    /// the conversation is; in the team's room on the device that runs the desk. Nobody hears that one
    /// looks.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn resources(&self) -> Result<Vec<Resource>> {
        self.look(|engine| engine.resources().to_vec()).await
    }

    /// Whether this is a ticket that waits in this desk's queue. Whoever asks twice takes two places, and
    /// one of them from somebody else.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn waits_at(&self, desk: &Visit) -> Result<bool> {
        let card = desk.card().clone();
        self.look(move |engine| engine.waits_at(&card)).await
    }

    /// Makes this room the team of a desk, run from this device. For facilitators.
    /// [`Event::DeskReady`](crate::Event::DeskReady) tells that its card stands.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Conflict`] if there is a desk already.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn found_desk(&self, organisation: OrganisationKey, plan: DeskPlan) -> Result<()> {
        let founding = on_disk(move || DeskFounding::new(&organisation, plan)).await?;
        self.command(Command::FoundDesk(Box::new(founding)))
            .await
            .map(drop)
    }

    /// The address of this team's desk, for a poster.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn desk_address(&self) -> Result<Option<DeskAddress>> {
        self.look(Engine::desk_address).await
    }

    /// Comes on duty at this team's desk, or goes off. [`Event::Ticket`](crate::Event::Ticket) tells
    /// who waits.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] where there is no desk (yet).
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn duty(&self, is_on: bool) -> Result<()> {
        self.command(Command::Duty(is_on)).await.map(drop)
    }

    /// Comes on duty with what this supporter offers: [`tickets`](Self::tickets) then shows first whom they
    /// fit best, and nobody who does not want somebody from where they are. It is known here alone.
    ///
    /// # Errors
    /// As [`Conversation::duty`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn duty_for(&self, offer: Offer) -> Result<()> {
        self.command(Command::DutyFor(Box::new(offer)))
            .await
            .map(drop)
    }

    /// On duty, whether one takes anybody now: everybody who fits, nobody new while one brings one's chats to
    /// their end, or nobody for a break. Chats go on in each; [`Client::take`] is refused with
    /// [`ErrorKind::NotAllowed`] and no ticket is told of but while one takes people. Coming on duty anew
    /// takes them again. It is known on this device alone.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] where one is not on duty.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn duty_as(&self, mode: DutyMode) -> Result<()> {
        self.command(Command::DutyAs(mode)).await.map(drop)
    }

    /// Whether one takes anybody now; nothing off duty.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn duty_mode(&self) -> Result<Option<DutyMode>> {
        self.look(Engine::duty_mode).await
    }

    /// Those who wait at this team's desk, the oldest first or, after [`Conversation::duty_for`], whom one
    /// fits best.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn tickets(&self) -> Result<Vec<DeskTicket>> {
        self.look_now(Engine::tickets).await
    }
}
