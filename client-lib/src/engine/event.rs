//! What an app tells a conversation, and what a conversation tells an app.

mod attaching;
mod delivery;
mod member;
mod text;

use core::fmt;

use serde::{Deserialize, Serialize};

pub use attaching::{Attaching, NewAttachment};
pub use delivery::Delivery;
pub use member::{Knock, Member};
pub use text::Text;

use super::agreement::Agreement;
use super::asking::Place;
use super::draft::Carried;
use super::duty::{DeskTicket, DutyMode, TicketId};
use super::ending::End;
use super::floor::Floor;
use super::message::{Message, Transfer};
use super::safety::Safety;
use super::unsaid::Unsaid;
use crate::content::{AgreementId, MessageId};
use crate::desk::{
    Badge, DeskFounding, Division, Exported, HeldBadge, Offer, OrganisationId, Revocation,
    RevokedList,
};
use crate::error::ErrorKind;
use crate::link::{InboxLink, Link};
use crate::log::Doubt;
use crate::mls::LeafId;
use crate::people::{SafeCheck, SafeTry};
use crate::vault::Space;
use sotto_protocol::id::LogId;

/// Tells epochs of a conversation apart: two members who see the same one share members and secrets.
/// Compared over another channel it shows that nobody stands between; it changes with every change
/// of members. `Display` gives four groups of four digits, without the epoch's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Changes of the group so far.
    pub epoch: u64,
    pub(super) code: [u8; 8],
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.code.chunks(2).enumerate() {
            let space = if index == 0 { "" } else { " " };
            f.write_str(space)?;
            pair.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprint")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Names an invitation in its inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvitationId(pub(super) u64);

/// A conversation that somebody added us to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its name in the inbox.
    pub id: InvitationId,
    /// Who added us, by their leaf in the conversation.
    pub by: LeafId,
    /// The conversation's log, so that two invitations to one can be told.
    pub log: LogId,
}

/// What this device tells others of itself in one conversation; nothing, unless chosen. Each device
/// chooses for itself, and what others choose cannot be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// Tell authors that their messages were read ([`Command::Read`]): late, and several at once.
    pub sends_receipts: bool,
    /// Tell that somebody is writing here ([`Command::Typing`]).
    pub sends_typing: bool,
}

/// Where one stands in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The log is being made.
    Founding,
    /// On the way in.
    Joining,
    /// A member who has not yet heard another one.
    Waiting,
    /// A member.
    In,
    /// Removed by a facilitator.
    Removed,
    /// Left by one's own will.
    Left,
    /// Nobody let us in.
    TurnedAway,
    /// Our keys open nothing any more: a facilitator renewed the secret with a change that we cannot open
    /// (who it was is told by [`Event::Spoiled`]), or we were away for longer than keys are remembered.
    /// What was said stays here; only a new link leads back in. Where a door is known one knocks
    /// there instead, and is [`Standing::Joining`].
    ShutOut,
    /// This client is too old for the conversation and waits rather than skip what it does not know.
    Paused,
}

/// What a relay did not do for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undone {
    /// Make a door, where people knock.
    Door,
    /// Make the inbox that the answer to our knock or ticket goes to; it goes out once there is one.
    Inbox,
    /// Give us the ticket that we want to answer.
    Claim,
    /// Make the logs of our desk, or take its newest card or keys.
    Desk,
}

/// What a conversation tells, in log order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A text, ours included, once it stands in the log.
    Message(Message),
    /// A message reads differently now.
    Edited {
        /// Which.
        id: MessageId,
        /// What it says now.
        text: Text,
    },
    /// A message is gone: its author took it back, or its time was over.
    Deleted {
        /// Which.
        id: MessageId,
    },
    /// A reaction; an empty emoji takes it back.
    Reacted {
        /// To which message.
        to: MessageId,
        /// Who.
        by: LeafId,
        /// With what.
        emoji: Text,
    },
    /// Somebody is writing.
    Typing {
        /// Who.
        by: LeafId,
    },
    /// Somebody has read messages.
    Read {
        /// Who.
        by: LeafId,
        /// Which.
        of: Vec<MessageId>,
    },
    /// What became of a message of ours.
    Delivery {
        /// Which.
        id: MessageId,
        /// What.
        state: Delivery,
    },
    /// Something else of ours that the relay would not take.
    Unsaid(Unsaid),
    /// An attachment is on its way, or at the end of it. In steps of a twentieth or more.
    Attachment {
        /// Of which message.
        id: MessageId,
        /// How it fares.
        transfer: Transfer,
    },
    /// Somebody knocks and waits for a yes or no: [`Command::Admit`], [`Command::TurnAway`].
    Knock {
        /// Who, should they be let in.
        leaf: LeafId,
        /// What they call themselves.
        name: Text,
        /// The leaf that they prove was theirs.
        was: Option<LeafId>,
    },
    /// Our inbox: somebody added us to a conversation. Nobody vouches for them but the address that
    /// they had: [`Client::accept`](crate::Client::accept), [`Command::Decline`].
    Invited(Invitation),
    /// Our inbox: so many invitations came so far for KeyPackages whose keys are gone.
    InvitationLost {
        /// How many.
        count: u64,
    },
    /// Somebody could not be added from their inbox: it is gone, takes nothing or holds nothing.
    NotAdded,
    /// Our knock lies at the door, or our ticket in the desk's queue; now somebody must say yes.
    Knocked,
    /// Our place in the desk's queue is another than before.
    Place(Place),
    /// Our ticket is gone from the desk's queue and nobody answered it: its time was over, or the desk
    /// cleared its queue. Nobody will answer any more.
    Unanswered,
    /// This room is the team of a desk, and its keys are here: one may come on duty. At its office, that
    /// the card stands and the address can be given away.
    DeskReady,
    /// The relay did not do this for us, because it has no room for more ([`ErrorKind::Busy`]) or does
    /// not allow it. It is asked again, ever more seldom; told once until it is done.
    PutOff {
        /// What.
        what: Undone,
        /// Why.
        why: ErrorKind,
    },
    /// At a desk's office: our keys open one of its logs no more, or never did. Another office runs this
    /// desk of the organisation's, or somebody made its log before us. Told once until it opens.
    DeskRefused,
    /// A facilitator says keys of another desk than the one this room is the team of. They count for
    /// nothing here; who came later than this may have believed them.
    OtherDesk {
        /// Who.
        by: LeafId,
    },
    /// The office of this team's desk signed records that do not go further than those it signed
    /// before: some were written anew, or it goes on from an older copy.
    AuditRewritten {
        /// Who said so.
        by: LeafId,
    },
    /// On duty: somebody asks for somebody to talk to, or left a letter.
    Ticket(Box<DeskTicket>),
    /// The ticket that we claimed is somebody else's, or its owner is gone. This chat ends; nothing of
    /// it was seen by anybody.
    NotTaken,
    /// The desk has closed while we waited, and our ticket is taken back. Nobody answers it any more; one
    /// may leave a letter, or ask again when the desk opens.
    DeskClosed,
    /// The desk's queue takes no more tickets for now. It is tried again every minute until we leave.
    DeskFull,
    /// Somebody asks who is here to come into another conversation: knock there by the link
    /// ([`Client::ask_to_enter`](crate::Client::ask_to_enter)), and whose it is says yes or no.
    Called {
        /// Who asks.
        by: LeafId,
        /// What for.
        asks: Text,
        /// Where.
        link: Box<Link>,
    },
    /// Who holds this talk said when it ends, or that it has more time now, or less.
    EndsAt {
        /// Who.
        by: LeafId,
        /// In minutes since 1970-01-01, UTC; nothing if there is no end any more.
        minute: Option<u64>,
    },
    /// The talk has about so many minutes left: five, or fewer where nobody could tell before.
    EndsSoon {
        /// How many, the last one begun.
        minutes: u64,
    },
    /// The time that was agreed on is over. Nothing closes: one may end here, or ask for more
    /// ([`Command::End`]).
    TimeIsOver,
    /// Who holds this room said that it closes, and when: it can be read from then on, and nothing more is
    /// said in it.
    ClosesAt {
        /// Who.
        by: LeafId,
        /// In minutes since 1970-01-01, UTC.
        minute: u64,
    },
    /// This room closes in about so many minutes: two weeks, and then five.
    ClosesSoon {
        /// How many, the last one begun.
        minutes: u64,
    },
    /// This room has closed. What was said in it can be read here until one leaves.
    Closed,
    /// In a side-room: words for another conversation wait for somebody to read them
    /// ([`Command::ReleaseDraft`], [`Command::SendDraftBack`]).
    Draft {
        /// Names them.
        id: MessageId,
        /// Who wrote them.
        by: LeafId,
        /// What they say.
        text: Text,
    },
    /// In a side-room: somebody else let a draft go out.
    DraftReleased {
        /// Which.
        id: MessageId,
        /// Who.
        by: LeafId,
    },
    /// A draft was given back and does not go out; told in the side-room, and to its author in the chat.
    DraftSentBack {
        /// Which.
        id: MessageId,
        /// Why.
        note: Text,
    },
    /// Who may speak here changed: whose turn it is, or that somebody stopped the talk.
    Floor(Box<Floor>),
    /// Something is proposed for all to agree on ([`Command::Agree`]).
    Agreement(Box<Agreement>),
    /// Somebody agreed. With the last one it stands.
    Agreed {
        /// Who.
        by: LeafId,
        /// What, and who has agreed by now.
        agreement: Box<Agreement>,
    },
    /// The day has come on which people look how it went with what they agreed on.
    FollowUp {
        /// In days since 1970-01-01, UTC.
        day: u32,
        /// What they agreed on.
        text: Text,
    },
    /// To who holds the talk: the person it is for has said nothing for ten minutes more. Nothing is sent
    /// by itself.
    Quiet {
        /// Which reminder it is, from 1.
        step: u8,
        /// It is the last one: a good moment to say that one ends here, and how they come back.
        is_last: bool,
    },
    /// Somebody joined; everybody is told of everybody.
    Joined {
        /// Who.
        leaf: LeafId,
        /// Who let them in; absent for a join by link.
        by: Option<LeafId>,
    },
    /// Somebody came back with the same key: their device had lost its state.
    Returned {
        /// Who.
        leaf: LeafId,
    },
    /// Somebody said or changed their name.
    Named {
        /// Who.
        leaf: LeafId,
        /// What they call themselves.
        name: Text,
    },
    /// Somebody showed a badge, or it is worth something else now.
    Badge {
        /// Who.
        leaf: LeafId,
        /// What their organisation says of them, and what that is worth.
        badge: Box<Badge>,
    },
    /// Somebody went off the line, in a conversation of few; why is not said. They may come back at any
    /// time, from this device or another.
    Away {
        /// Who.
        leaf: LeafId,
    },
    /// Somebody who had gone off the line is here again, on the same device.
    Back {
        /// Who.
        leaf: LeafId,
    },
    /// A safe word was agreed with somebody, or who came back gave it, or did not. They are not told.
    Safety {
        /// Who.
        leaf: LeafId,
        /// What it says of them now.
        safety: Safety,
    },
    /// Somebody asked to leave; they are gone with the next change of members.
    Leaving {
        /// Who.
        leaf: LeafId,
    },
    /// Somebody left.
    Left {
        /// Who.
        leaf: LeafId,
    },
    /// A facilitator removed somebody.
    Removed {
        /// Who is gone.
        leaf: LeafId,
        /// Who did it.
        by: LeafId,
    },
    /// Who facilitates, or another rule, changed.
    RulesChanged {
        /// Who changed it.
        by: LeafId,
    },
    /// The secret was renewed; an old link no longer opens anything.
    Rotated,
    /// Somebody is gone, but the secret is still the one they had: a facilitator must come.
    NotYetRotated,
    /// The last facilitator is gone. People can still talk, join and leave; nobody can remove
    /// anybody or renew the secret any more. Who wants that founds a new conversation.
    NoFacilitator,
    /// Where we stand changed.
    Standing(Standing),
    /// The relay did what an honest one does not.
    Doubt(Doubt),
    /// A member says that the relay showed them another history than us.
    Fork {
        /// Where theirs differs.
        seq: u64,
        /// Who signed it; without, it is only a suspicion.
        signed_by: Option<LeafId>,
    },
    /// A change of members that some cannot open; who is at fault is named.
    Spoiled {
        /// Who wrote it, or led its author astray. Who was never in is a stranger with the link.
        by: LeafId,
    },
    /// A spoiled change of members was undone for everybody.
    Undone {
        /// Who wrote it.
        by: LeafId,
    },
    /// Somebody who has the link used it three times to come in in a way that nobody can follow. A
    /// facilitator's device renews the secret, so that this link ends; coming in by the next one
    /// takes some work.
    LinkSpoiled,
    /// Nobody else was heard for more than a day on a connection that stands: either all are away, or the
    /// relay keeps what they say.
    Silence {
        /// Since when, in milliseconds since 1970-01-01, UTC.
        since_ms: u64,
    },
    /// A member was not heard for more than a day while others were: they are away, or the relay keeps
    /// their words from us, and perhaps ours from them. Told once, until they are heard again. Who
    /// knows that they are there compares [`Engine::fingerprint`](super::Engine::fingerprint) by
    /// another way.
    Unheard {
        /// Who.
        leaf: LeafId,
        /// Since when, in milliseconds since 1970-01-01, UTC.
        since_ms: u64,
    },
    /// We were away for longer than the relay keeps what is said: some of it never came here. Those who
    /// were there have it.
    Expired,
    /// This device's date and the relay's are so many days apart; positive if the relay's is later, 0
    /// once they agree again. One of the two is wrong. Everything goes on; nothing is forgotten
    /// or given back early because of it.
    ClockOff {
        /// How many.
        days: i64,
    },
    /// A starting point for newcomers is not what the conversation is. Newcomers believe only a
    /// facilitator's; a facilitator's device pins a true one.
    FalseSnapshot {
        /// Who signed it, if anybody did.
        by: Option<LeafId>,
    },
    /// Keys that belong to no facilitator may manage the log; the secret and the list are renewed.
    HiddenManager {
        /// How many.
        count: usize,
    },
    /// Entries that open for nobody or that nobody may write; a count, so far.
    Junk {
        /// How many, in all.
        count: u64,
    },
    /// The connection stands, or is gone.
    Online(bool),
    /// The relay was not reached, or the connection was given up, and why; told once for each reason
    /// until [`Event::Online`]. It is tried again all the same: [`ErrorKind::Unreachable`] passes by
    /// itself, [`ErrorKind::Certificate`], [`ErrorKind::NotTheRelay`] and [`ErrorKind::Clock`] as a
    /// rule need somebody.
    Unreached(ErrorKind),
    /// The relay does not let us in: the link or our key no longer opens anything there.
    Refused,
}

/// What an app wants of a conversation.
#[derive(Clone)]
#[non_exhaustive]
pub enum Command {
    /// Say something.
    Send {
        /// What; at most [`TEXT_BYTES_MAX`](crate::TEXT_BYTES_MAX) bytes, may be empty.
        text: String,
        /// The message it answers.
        reply_to: Option<MessageId>,
    },
    /// Change a message of ours.
    Edit {
        /// Which.
        of: MessageId,
        /// What it shall say.
        text: String,
    },
    /// Take back a message of ours. Of one whose attachment is not yet with the relay, nobody hears.
    Delete(MessageId),
    /// Send an attachment.
    Attach(Attaching),
    /// Bring the attachment of this message here, however long it takes; [`Event::Attachment`] tells.
    Fetch(MessageId),
    /// Forget our copy of this message's attachment, and bring it no further. The message stays.
    Release(MessageId),
    /// React to a message; an empty emoji takes it back.
    React {
        /// To which.
        to: MessageId,
        /// With what; at most [`REACTION_BYTES_MAX`](crate::REACTION_BYTES_MAX) bytes.
        emoji: String,
    },
    /// We are writing. Told to others if [`Choices::sends_typing`], at once or not at all, at most
    /// once in ten seconds.
    Typing,
    /// We go off the line here. Told where members are few and were each let in, at once or not at all.
    Away,
    /// What to know us by, should we come back from nothing; a later one takes its place. Made by
    /// [`Conversation::agree_safe_word`](crate::Conversation::agree_safe_word).
    AgreeSafeWord(SafeCheck),
    /// The safe word, of one who came back. Made by
    /// [`Conversation::give_safe_word`](crate::Conversation::give_safe_word).
    GiveSafeWord(SafeTry),
    /// Look again at safe words of a member who gave three wrong ones.
    AllowSafeWord(LeafId),
    /// We have read these messages. Told to others if [`Choices::sends_receipts`], within a minute,
    /// together with what else was read by then.
    Read(Vec<MessageId>),
    /// Choose what to tell others of oneself here.
    Choose(Choices),
    /// Change our name here.
    Rename(String),
    /// Believe badges of this organisation here; at most 8 are trusted. At best before anything is read.
    Trust(OrganisationId),
    /// Show a badge of ours here, and nowhere else: now, and to whoever comes later.
    ShowBadge(Box<HeldBadge>),
    /// Hand on that an organisation took a badge back.
    RevokeBadge(Box<Revocation>),
    /// What an organisation that is trusted here took back, as it says once a day.
    HearRevoked(Box<RevokedList>),
    /// Remove a member and renew the secret. For facilitators.
    Remove(LeafId),
    /// Let a member facilitate. For facilitators.
    Promote(LeafId),
    /// Renew the secret, so that old links end. For facilitators.
    Rotate,
    /// Let in who knocked. For facilitators at whose device the door is.
    Admit(LeafId),
    /// Let in who knocked, and tell them what was said before: all of it that this device keeps, up to
    /// 256 messages and 64 KiB of words, the newest.
    AdmitAndRetell(LeafId),
    /// Tell who knocked that they are not let in.
    TurnAway(LeafId),
    /// Ask who is here to come into the conversation with this link, which leads to a door; a plain
    /// line of at most [`CALL_BYTES_MAX`](crate::CALL_BYTES_MAX) bytes says what for.
    Call {
        /// What for.
        asks: String,
        /// Where.
        link: Box<Link>,
    },
    /// What is written here is read in the conversation of this space first, from now on.
    ReviewIn(Space),
    /// Let somebody's draft go out.
    ReleaseDraft {
        /// Which.
        of: MessageId,
        /// In other words, if there are any.
        text: Option<String>,
    },
    /// Give somebody's draft back to them.
    SendDraftBack {
        /// Which.
        of: MessageId,
        /// Why.
        note: String,
    },
    /// Something that another conversation of this device hands on. The same again changes nothing.
    Carry(Box<Carried>),
    /// The other conversation has it, or cannot take it.
    HandedOn {
        /// What was handed on.
        carried: Box<Carried>,
        /// Whether it was taken.
        is_taken: bool,
    },
    /// Say whose turn it is, or with nobody that all may speak; it also opens what was stopped. For who
    /// holds the talk: facilitators that it is not for.
    SetFloor(Option<LeafId>),
    /// Stop the talk for everybody and at once, where turns are given.
    Stop,
    /// Say that it may go on, for one who stopped it. Who holds the talk opens it then.
    GoOn,
    /// Propose what all are to agree on. For who holds the talk.
    Propose {
        /// At most [`AGREEMENT_BYTES_MAX`](crate::AGREEMENT_BYTES_MAX) bytes.
        text: String,
        /// The day on which people look how it went, in days since 1970-01-01, UTC.
        follow_up_day: Option<u32>,
    },
    /// Agree to what was proposed.
    Agree(AgreementId),
    /// Say when this talk ends. For who holds it: facilitators that it is not for.
    End(End),
    /// Let this member facilitate, and leave once they do. For facilitators.
    HandOver(LeafId),
    /// Add somebody from their inbox. For facilitators; [`Event::Joined`] or [`Event::NotAdded`] tells.
    Add(Box<InboxLink>),
    /// Make this room the team of a desk. For facilitators; this device is its office from then on.
    FoundDesk(Box<DeskFounding>),
    /// Come on duty at this room's desk, or go off.
    Duty(bool),
    /// On duty, and this is what we offer: who fits it is shown first.
    DutyFor(Box<Offer>),
    /// Something of the numbers or records of this room's desk is taken out; for its office. A division
    /// holds for the days that are in no period yet.
    Export {
        /// What.
        what: Exported,
        /// By what the days are divided, if by another than before.
        by: Option<Division>,
    },
    /// On duty, take people or not for now.
    DutyAs(DutyMode),
    /// We claim this ticket: it is offered here no longer.
    Claiming(TicketId),
    /// Forget an invitation in this inbox.
    Decline(InvitationId),
    /// Leave; keys are erased once the relay has the farewell. An inbox is given up.
    Leave,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Command(…)")
    }
}

/// What a command gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// It is kept and will be done.
    Kept,
    /// The message's id; the message is kept and will go out.
    Message(MessageId),
}
