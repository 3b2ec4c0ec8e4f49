//! One conversation, sans I/O: bytes, commands and time in; bytes, one store batch and events out.
//!
//! The same code is stepped by tests, driven by tokio or run in a browser. It decides by what stands
//! in the log and by nothing else, so that all members decide alike. SPEC.md, "Conversation".
//!
//! | file | what lives there |
//! |---|---|
//! | `event` | what an app tells and is told |
//! | `effects` | what an input led to |
//! | `safety` | safe words, and whether who came back gave theirs |
//! | `saved` | what is kept, and under which names |
//! | `begin` | founding, joining by link, loading |
//! | `backing` | what a backup holds, and the way back in from one |
//! | `joining` | from a link to the own Commit in the log |
//! | `beside` | logs beside the conversation's: doors and inboxes |
//! | `door` | knocks read, kept and answered |
//! | `handing` | a door's keys, from one facilitator to another |
//! | `answering` | an answer to a knock on its way |
//! | `knocking` | a knock of ours, and what comes of the answer |
//! | `asking`, `rereading`, `closing` | a ticket of ours in a desk's queue, the card that it goes out by, the bell |
//! | `crisis` | whom a desk names for a crisis |
//! | `desk` | a team's desk: its logs, its card, what its supporters share |
//! | `office` | what only the device that runs a desk has |
//! | `duty`, `tidying` | the tickets that wait, for who is on duty, and what is none |
//! | `taking` | a ticket that we claim as a supporter, and the chat that answers it |
//! | `putting_off` | what the relay did not do, and when it is asked again |
//! | `entering` | whose conversation it is, and who comes in by their yes |
//! | `inbox` | a standing inbox of ours, and what comes in |
//! | `pool` | its KeyPackages, and their keys |
//! | `inviting` | adding somebody whose inbox's address we have |
//! | `reading` | entries to envelopes, and which of them count |
//! | `dispute` | the rule by which a Commit that not all can open stands or is void |
//! | `aside` | the state before each Commit that may be undone, in the vault as well |
//! | `disputing` | verdicts of ours and of others, and what follows |
//! | `holding` | giving way at the fence while a Commit is refused |
//! | `commits` | Commits that stand in the log, rotation, removal |
//! | `sending` | the outbox and the one append that is on its way |
//! | `unsaid` | what the relay will never take, as its author hears it |
//! | `returning` | a state that may be a copy, and the way back in |
//! | `away` | away for longer than the log keeps what one needs to follow it |
//! | `changes` | Commits, snapshots and farewells of ours |
//! | `waiting` | who lost too many races, and the Commit that takes them in |
//! | `upkeep` | fresh keys, signs of life, a look at the grants |
//! | `message` | what was said, as an app is told of it |
//! | `talk` | what was said, and which of it counts |
//! | `parting` | that one is away, and the last word before all is erased |
//! | `held` | how a talk is held: who says so, and where each part of it lives |
//! | `ending`, `quiet` | when a talk ends, and who in it has gone quiet |
//! | `draft` | words that somebody else reads before they go out |
//! | `floor`, `agreement` | who may speak, and what all agreed on |
//! | `pace` | time, where the device's clock cannot be trusted |
//! | `transfers` | attachments on their way, and their logs |
//! | `uploading` | attachments of ours: taken in, sent, said |
//! | `fetching` | attachments of others: read, checked, kept |
//! | `kind` | what a conversation is for, as far as this device knows |
//! | `keeping` | texts and reactions that are kept, and for how long |
//! | `obeying` | what the app wants, and the end |
//!
//! Rules of order that hold everywhere in this folder:
//! 1. Whatever an input changes goes into one batch, which stands on the disk before any byte is
//!    sent or event shown.
//! 2. At most one append of a conversation is on its way, kept byte for byte until it is answered.
//! 3. A Commit of ours is merged only when it is met in the log.

mod agreement;
mod answering;
mod aside;
mod asking;
mod away;
mod backing;
mod badging;
mod begin;
mod beside;
mod changes;
mod closing;
#[cfg(feature = "native")]
mod come_back;
mod commits;
mod crisis;
mod desk;
mod dispute;
mod disputing;
mod door;
mod draft;
mod duty;
mod effects;
mod ending;
mod entering;
mod event;
mod fetching;
mod floor;
mod gone;
mod handing;
mod heads;
mod held;
mod holding;
mod inbox;
mod inviting;
mod joining;
mod keeping;
mod kind;
mod knocking;
#[cfg(feature = "native")]
mod local;
mod message;
mod numbers;
mod obeying;
mod office;
mod pace;
mod parting;
mod pool;
mod putting_off;
mod quiet;
mod rating;
mod reading;
mod rereading;
mod returning;
mod safety;
mod saved;
mod sending;
mod taking;
mod talk;
#[cfg(test)]
mod tests;
mod ticket_back;
mod tidying;
mod transfers;
mod unsaid;
mod upkeep;
mod uploading;
mod waiting;
mod waits;

pub use agreement::Agreement;
pub use asking::{AskOptions, Asked, Place};
pub use begin::{Admission, JoinOptions, RoomOptions};
pub use draft::{Carried, OpenDraft};
pub use duty::{DeskTicket, DutyMode, TicketId};
pub use effects::Effects;
pub use ending::{End, Ending};
pub use floor::Floor;
pub use inbox::InboxOptions;
pub use kind::ConversationKind;
pub use safety::{SAFE_TRIES_MAX, Safety};
#[cfg(feature = "native")]
pub(crate) use saved::{decode as decode_kept, encode as encode_kept};
pub use taking::TicketKeys;
pub use unsaid::Unsaid;

pub use event::{
    Attaching, Choices, Command, Delivery, Event, Fingerprint, Invitation, InvitationId, Knock,
    Member, NewAttachment, Reply, Standing, Text, Undone,
};
pub use message::{Attachment, Message, Reaction, Transfer, Unsent};

use std::collections::{BTreeMap, BTreeSet};

use sotto_protocol::id::{LogId, RetryId};
use x25519_dalek::StaticSecret;

use crate::content::MessageId;
use crate::error::{Error, ErrorKind, Result};
use crate::jitter::Jitter;
use crate::link::Link;
use crate::log::{Session, SessionError, SessionEvent, Token, WorkDone};
use crate::mls::{Group, LeafId, LeafKey, MlsError};
use crate::policy::Policy;
use crate::random;
use crate::seal::{ConversationSecret, Generation};
use crate::time::Now;
use crate::vault::{Key, Space};

use aside::{Before, Kept};
use beside::Beside;
use dispute::Disputes;
use joining::Joining;
use reading::{Run, SeenRing};
use saved::{Attached, Flight, Saved, Stage, Waiting};
use transfers::Transfers;
use upkeep::{Suspicion, Turn};

/// One conversation.
#[derive(Debug)]
pub struct Engine {
    space: Space,
    session: Session,
    saved: Saved,
    key: LeafKey,
    policy: Option<Policy>,
    group: Option<Group>,
    joining: Option<Joining>,
    outbox: Waiting,
    flight: Option<Flight>,
    token: Option<Token>,
    create_token: Option<Token>,
    describe_token: Option<Token>,
    /// What one member is to do for all, and since when (steady clock) in which epoch.
    turn: Option<Turn>,
    run: Option<Run>,
    disputes: Disputes<Before>,
    /// Since when what we want gives way to a Commit that is refused (steady clock).
    held_since_ms: Option<u64>,
    kept: Kept,
    seen: SeenRing,
    /// Texts that are kept: id to place and author, for edits, deletions and to drop doubles.
    index: BTreeMap<MessageId, Indexed>,
    /// The head of the log when it was last opened; we are caught up once we read so far.
    head: Option<u64>,
    /// How many fenced items it held then.
    head_fence: u64,
    /// After a lost race: wait until the log's fence is read.
    fence_wanted: u64,
    /// The flight was sent before, by an earlier process.
    is_repeat: bool,
    /// Whether the flight stands in the log is not known; reading the log will tell.
    is_doubtful: bool,
    /// The last entry of the flight, as the relay answered.
    landed_at: Option<u64>,
    /// How often this process came in again.
    returns: u8,
    jitter: Jitter,
    receipts_at_ms: Option<u64>,
    is_online: bool,
    /// Why the relay was not reached, since it last was.
    unreached: Option<ErrorKind>,
    typing_at_ms: Option<u64>,
    /// When this process last looked at the clocks (steady).
    looked_ms: Option<u64>,
    suspicion: Suspicion,
    /// By how many days the device's date is said to be off.
    clock_off: i64,
    badging: badging::Badging,
    safe: safety::Safe,
    drafts: draft::Drafts,
    /// Those who wait to be taken in.
    waiting: waiting::Queue,
    /// Doors and inboxes.
    beside: Beside,
    /// What the line for a backup was last made of.
    line_of: Option<backing::LineOf>,
    /// Attachments.
    transfers: Transfers,
    out: Effects,
}

impl Engine {
    /// Where the conversation keeps its values.
    #[must_use]
    pub const fn space(&self) -> Space {
        self.space
    }

    /// The relay it goes through.
    #[must_use]
    pub const fn relay(&self) -> &crate::link::RelayAddress {
        &self.saved.relay
    }

    /// Where we stand.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self.saved.stage {
            Stage::Joining if self.is_inbox() => self.inbox_standing(),
            Stage::Founding => Standing::Founding,
            Stage::Joining => Standing::Joining,
            Stage::Waiting => Standing::Waiting,
            Stage::In | Stage::Leaving => Standing::In,
            Stage::Removed => Standing::Removed,
            Stage::Left => Standing::Left,
            Stage::Paused => Standing::Paused,
            Stage::TurnedAway => Standing::TurnedAway,
            Stage::ShutOut => Standing::ShutOut,
        }
    }

    /// Whether the conversation is over for us; no connection is needed any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(
            self.saved.stage,
            Stage::Removed | Stage::Left | Stage::TurnedAway | Stage::ShutOut
        )
    }

    /// Everybody who can read what is said now.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let (me, policy) = (self.key.id(), self.policy.as_ref());
        leaves
            .into_iter()
            .map(|leaf| Member {
                leaf,
                name: self.name_of(&leaf),
                facilitates: policy.is_some_and(|policy| policy.is_facilitator(&leaf)),
                is_host: policy.is_some_and(|policy| policy.hosts.contains(&leaf)),
                is_me: leaf == me,
                heard_ms: self.heard_of(&leaf),
                badge: self.badging.of(&leaf),
                safety: self.safe.of(&leaf),
                is_away: self.is_away(&leaf),
            })
            .collect()
    }

    /// The present link: into the conversation where the rules let people join by one, to its door
    /// where they ask for a yes and the door is this device's to keep.
    #[must_use]
    pub fn link(&self) -> Option<Link> {
        let joined = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        let by_link = self.policy.as_ref().is_some_and(|policy| policy.link_joins);
        if joined && let Some(door) = self.door_link() {
            return Some(Link(crate::link::LinkBody::Door(door)));
        }
        if !(joined && by_link) {
            return None;
        }
        Some(Link(crate::link::LinkBody::Room(crate::link::RoomLink {
            log: self.saved.log,
            relay: self.saved.relay.clone(),
            secret: self.saved.secrets.last()?.clone(),
            founder: self.root(),
        })))
    }

    /// Texts of ours that are not in the log yet, oldest first.
    #[must_use]
    pub fn unsent(&self) -> Vec<Unsent> {
        let uploads = self.unsent_uploads();
        let waiting = self.outbox.values();
        let uploads = uploads.chain(self.unread_drafts());
        uploads
            .chain(waiting.filter_map(|one| keeping::unsent(&one.content)))
            .collect()
    }

    /// The suite that is in force.
    #[must_use]
    pub const fn suite(&self) -> crate::mls::Suite {
        self.saved.suite
    }

    /// What is equal for two members exactly if they are in the same epoch of the group, with the
    /// same members and secrets; absent outside of it.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let group = self.group.as_ref()?;
        Some(Fingerprint {
            epoch: group.epoch(),
            code: group.authenticator(),
        })
    }

    /// A WebSocket connection to the relay was made.
    pub fn connected(&mut self, now: Now) -> Effects {
        let now = self.paced(now);
        self.session.connected(now);
        self.finish(now)
    }

    /// No WebSocket connection could be made.
    pub fn not_reached(&mut self, why: ErrorKind, now: Now) -> Effects {
        let now = self.paced(now);
        self.tell_unreached(why);
        self.finish(now)
    }

    /// The connection is gone, whoever ended it.
    pub fn disconnected(&mut self, now: Now) -> Effects {
        let now = self.paced(now);
        self.session.disconnected(now);
        self.head = None;
        self.beside.disconnected();
        self.transfers.is_loading = false;
        self.set_online(false);
        self.finish(now)
    }

    /// One WebSocket binary message came.
    pub fn received(&mut self, message: &[u8], now: Now) -> Effects {
        // The session compares the wall clock itself with the relay's date.
        if let Err(error) = self.session.received(message, now) {
            self.broken_off_by(error);
        }
        let now = self.paced(now);
        self.finish(now)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Now) -> Effects {
        let now = self.paced(now);
        if let Err(error) = self.session.tick(now) {
            self.broken_off_by(error);
        }
        self.finish(now)
    }

    /// Work that was asked for is done.
    pub fn worked(&mut self, done: &WorkDone, now: Now) -> Effects {
        let now = self.paced(now);
        self.session.worked(done);
        self.finish(now)
    }

    /// Values of the vault that [`Effects::wants`] asked for, in that order.
    pub fn loaded(&mut self, values: Vec<Option<Vec<u8>>>, now: Now) -> Effects {
        if core::mem::take(&mut self.beside.is_retelling) {
            self.retell(values, now);
        } else if core::mem::take(&mut self.transfers.is_loading) {
            let whole: Option<Vec<_>> = values.into_iter().collect();
            let sent = match whole {
                Some(chunks) => self.send_batch(chunks, now),
                None => Err(internal("a chunk that is not kept")),
            };
            if let Err(error) = sent {
                self.fault(&error);
            }
        }
        self.finish(now)
    }

    /// The app wants something.
    ///
    /// # Errors
    /// [`ErrorKind::NotMember`], [`ErrorKind::NotAllowed`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Invalid`]; nothing was changed then.
    pub fn command(&mut self, command: Command, now: Now) -> (Result<Reply>, Effects) {
        let now = self.paced(now);
        let reply = self.obey(command, now);
        (reply, self.finish(now))
    }

    /// Takes what the session has to tell, goes on where one can, and hands out what it led to.
    fn finish(&mut self, now: Now) -> Effects {
        // Each round is caused by an event of the session; the session's queues are bounded.
        while let Some(event) = self.session.poll_event() {
            if let Err(error) = self.take(event, now) {
                self.fault(&error);
            }
        }
        let keep_up_at = self.keep_up(now).unwrap_or_else(|error| {
            self.fault(&error);
            None
        });
        let expire_at = self.expire_unsent(now).unwrap_or_default();
        let receipts_at = self.send_receipts(now).unwrap_or_default();
        let leave_pin_at = self.leave_quiet_pin(now);
        let turn_at = self.take_turn(now);
        let look_again_at = self.look_again(now);
        let badge_at = self.look_at_badges(now);
        let end_at = self.look_at_end(now);
        let quiet_at = self.look_at_quiet(now);
        let follow_up_at = self.look_at_follow_up(now);
        if let Err(error) = self.go_on(now) {
            self.fault(&error);
        }
        let forget_at = self.forget_old(now).unwrap_or_else(|error| {
            self.fault(&error);
            None
        });
        self.save();
        while let Some(message) = self.session.poll_output() {
            self.out.send.push(message);
        }
        let on_wall = |at: u64| now.steady_ms.saturating_add(at.saturating_sub(now.wall_ms));
        self.out.wake_at = [
            self.session.next_deadline(),
            keep_up_at,
            forget_at.map(on_wall),
            expire_at.map(on_wall),
            badge_at.map(on_wall),
            quiet_at.map(on_wall),
            follow_up_at.map(on_wall),
            end_at,
            receipts_at,
            leave_pin_at,
            turn_at,
            look_again_at,
            self.wake_for_waiting(now),
            self.wake_beside(now),
            self.held_until(now),
        ]
        .into_iter()
        .flatten()
        .min();
        core::mem::take(&mut self.out)
    }

    /// A fault of ours must not be shown as the log's: hang up, so that the next connection starts
    /// from what is on the disk.
    fn fault(&mut self, error: &Error) {
        tracing::error!(kind = error.kind().name(), "a conversation could not go on");
        self.out.hang_up = true;
    }

    fn take(&mut self, event: SessionEvent, now: Now) -> Result<()> {
        match event {
            SessionEvent::Ready => {
                self.set_online(true);
                self.date_told(now)?;
                return self.make_logs(now);
            }
            SessionEvent::Opened { log, opened } if log == self.saved.log => {
                self.opened(&opened);
                self.look_at_grants();
            }
            SessionEvent::Entry { log, entry, cursor } if log == self.saved.log => {
                return if self.reads_from_outside() {
                    self.join_met(&entry, cursor)
                } else {
                    self.met(&entry, cursor, now)
                };
            }
            SessionEvent::Opened { log, opened } => self.opened_beside(log, &opened),
            SessionEvent::Entry { log, entry, cursor } => {
                return self.met_beside(log, &entry, cursor, now);
            }
            SessionEvent::Answered { token, result } => return self.answered(token, result, now),
            SessionEvent::Delayed { token, refusal } if self.inbox_delays(token, &refusal) => {
                return self.put_off_answer(now);
            }
            SessionEvent::WorkNeeded(order)
                if self.is_answering() && self.token == Some(order.token()) =>
            {
                return self.give_up_answer();
            }
            SessionEvent::WorkNeeded(order) => self.out.work.push(order),
            SessionEvent::Gone { log, .. } if log == self.saved.log => self.expired(),
            SessionEvent::Restarting { ms } => self.out.reconnect_after_ms = Some(ms),
            SessionEvent::Doubt { doubt, .. } => self.tell(Event::Doubt(doubt)),
            SessionEvent::WornOut => self.out.hang_up = true,
            SessionEvent::OpenRefused { log, .. } if log == self.saved.log => {
                return self.not_let_in(now);
            }
            SessionEvent::OpenRefused { log, .. } => return self.refused_beside(log),
            SessionEvent::Ended { log } if log == self.saved.log => self.head = None,
            SessionEvent::Ended { log } => self.ended_beside(&log),
            // Who may read it changed after it was opened; a new connection tells.
            SessionEvent::FollowRefused { .. } => self.out.hang_up = true,
            _ => {}
        }
        Ok(())
    }

    fn set_online(&mut self, online: bool) {
        if self.is_online != online {
            self.is_online = online;
            self.tell(Event::Online(online));
        }
        if online {
            self.unreached = None;
        }
    }

    /// What the connection said cannot be gone on with.
    fn broken_off_by(&mut self, error: SessionError) {
        self.tell_unreached(Error::from(error).kind());
        self.out.hang_up = true;
    }

    fn tell_unreached(&mut self, why: ErrorKind) {
        if self.unreached.replace(why) != Some(why) {
            self.tell(Event::Unreached(why));
        }
    }

    fn tell(&mut self, event: Event) {
        self.out.events.push(event);
    }

    fn set_stage(&mut self, stage: Stage) {
        if self.saved.stage != stage {
            self.saved.stage = stage;
            self.tell(Event::Standing(self.standing()));
        }
    }

    fn junk(&mut self) {
        self.saved.junk += 1;
        self.tell(Event::Junk {
            count: self.saved.junk,
        });
    }

    /// Puts the scalar state and the group's changes into the batch. Called once an input.
    fn save(&mut self) {
        if self.is_over() {
            return;
        }
        if let Err(error) = self
            .keep_line()
            .and_then(|()| self.keep_badges())
            .and_then(|()| self.keep_safety())
            .and_then(|()| self.keep_drafts())
        {
            self.fault(&error);
        }
        if let Err(error) = self.keep_disputes() {
            self.fault(&error);
        }
        if let Some(group) = &mut self.group
            && let Ok(changes) = group.changes()
        {
            let name = |key: &[u8]| Key::new(self.space, [saved::MLS, key].concat());
            for (key, value) in changes.puts {
                self.out.store.put(name(&key), value);
            }
            for key in changes.deletes {
                self.out.store.delete(name(&key));
            }
        }
        if let Ok(state) = saved::encode(&self.saved) {
            self.out
                .store
                .put(Key::new(self.space, saved::STATE), state);
        }
    }

    fn generation(&self, secret: &ConversationSecret) -> Generation {
        secret.generation(&self.saved.log)
    }

    fn newest_secret(&self) -> Result<&ConversationSecret> {
        let newest = self.saved.secrets.last();
        newest.ok_or_else(|| internal("a conversation without a secret"))
    }

    fn newest_generation(&self) -> Result<Generation> {
        self.newest_secret().map(|secret| self.generation(secret))
    }

    fn log_bytes(&self) -> [u8; 32] {
        *self.saved.log.as_bytes()
    }

    fn manage_key(&self) -> StaticSecret {
        StaticSecret::from(self.saved.manage)
    }

    fn facilitates(&self) -> bool {
        self.policy
            .as_ref()
            .is_some_and(|policy| policy.is_facilitator(&self.key.id()))
    }

    /// The leaf that a link of ours names, for newcomers to begin chains of vouching at.
    fn root(&self) -> LeafId {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let root =
            |policy: &Policy| policy.root(&group_id(&self.saved.log), self.saved.founder, &leaves);
        self.policy.as_ref().map_or(self.saved.founder, root)
    }

    fn name_of(&self, leaf: &LeafId) -> Option<String> {
        self.saved
            .names
            .iter()
            .find(|line| line.leaf == *leaf)
            .map(|line| line.name.clone())
    }
}

/// Where a kept text is and whose it is.
#[derive(Clone, Debug)]
struct Indexed {
    seq: u64,
    author: LeafId,
    reply_to: Option<MessageId>,
    here_ms: u64,
    reacted: BTreeSet<LeafId>,
    attached: Option<Attached>,
}

/// The MLS group id of a log (32 bytes): `SHA-256("sotto/v1/group" || log id)`.
fn group_id(log: &LogId) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(b"sotto/v1/group");
    hash.update(log.as_bytes());
    hash.finalize().into()
}

fn internal(what: &'static str) -> Error {
    Error::new(ErrorKind::Internal, what)
}

fn retry_id() -> Result<RetryId> {
    Ok(RetryId::new(random::array().map_err(no_randomness)?))
}

fn no_randomness(_: random::NoRandomness) -> Error {
    internal("the system gave no randomness")
}

impl From<MlsError> for Error {
    fn from(error: MlsError) -> Self {
        internal("the group could not go on").because(error)
    }
}
