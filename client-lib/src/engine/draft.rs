//! Words that somebody else reads before they go out: drafts in a side-room. SPEC.md, "Review".
//!
//! Two conversations of one device have to do with it, each of which is on its own here: the chat hands
//! its drafts to the side-room, and the side-room what was released to the chat. Whoever runs both
//! carries it ([`Engine::to_carry`]). Each keeps what it hands on until the other has it, and takes
//! nothing twice, so that it is said once whenever the process ends. No key of the chat leaves it.

use serde::{Deserialize, Serialize};

use super::{Command, Delivery, Engine, Event, Reply, Text, Unsent, no_randomness, saved};
use crate::content::{ContentBody, DRAFT_BYTES_MAX, Draft, MessageId, Release, SendBack};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::LeafId;
use crate::time::Now;
use crate::vault::{Key, Row, Space};

/// Drafts of one person that wait in one room: more than a reviewer reads in an evening.
pub(super) const DRAFTS_MAX: usize = 64;
/// Drafts of all that are kept for reviewers; with more, the newest are not shown to them.
pub(super) const OPEN_DRAFTS_MAX: usize = 4 * DRAFTS_MAX;
/// Drafts whose end is remembered, so that none is taken twice.
const DECIDED_KEPT_MAX: usize = 256;

/// A draft that nobody has decided on yet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDraft {
    /// Names it.
    pub id: MessageId,
    /// Who wrote it.
    pub by: LeafId,
    /// What it says.
    pub text: String,
}

/// Something to be handed on from one conversation of this device to another.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    from: Space,
    to: Space,
    id: MessageId,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Draft(String),
    Released(String),
    SentBack(String),
    /// The side-room's relay would not take it.
    Unsaid,
}

impl Carried {
    /// The conversation that takes it, by [`Command::Carry`].
    #[must_use]
    pub const fn to(&self) -> Space {
        self.to
    }
}

macro_rules! debug_says_no_more {
    ($($name:ident),*) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
debug_says_no_more!(OpenDraft, Carried, Drafts);

/// What a conversation keeps of drafts, in one row.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// Of a chat: where its words are read first.
    side_room: Option<Space>,
    /// Of a chat: what waits for that.
    waiting: Vec<Draft>,
    /// Of a side-room: what nobody has decided on yet.
    open: Vec<OpenDraft>,
    /// Of a side-room: which chat a draft of ours is for.
    ours: Vec<(MessageId, Space)>,
    /// What is decided: in a side-room by its members, in a chat by what it was handed.
    decided: Vec<MessageId>,
    carried: Vec<Carried>,
}

/// The drafts of a conversation.
#[derive(Default)]
pub(super) struct Drafts {
    kept: Kept,
    is_changed: bool,
}

impl Drafts {
    /// Takes a row of the vault if it is this.
    pub(super) fn load(&mut self, (name, value): &Row) -> Result<bool> {
        if name != saved::DRAFTS {
            return Ok(false);
        }
        self.kept = saved::decode(value)?;
        Ok(true)
    }

    /// What waits for a reviewer.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Draft> {
        self.kept.waiting.iter()
    }

    fn change(&mut self) -> &mut Kept {
        self.is_changed = true;
        &mut self.kept
    }

    fn decide(&mut self, id: MessageId) {
        let decided = &mut self.change().decided;
        decided.push(id);
        let surplus = decided.len().saturating_sub(DECIDED_KEPT_MAX);
        decided.drain(..surplus);
    }
}

impl Engine {
    /// What is to be handed on to other conversations of this device: give it there with
    /// [`Command::Carry`], and then say here with [`Command::HandedOn`] whether it was taken.
    #[must_use]
    pub fn to_carry(&self) -> Vec<Carried> {
        self.drafts.kept.carried.clone()
    }

    /// Drafts in this room that nobody has decided on yet, ours included.
    #[must_use]
    pub fn open_drafts(&self) -> Vec<OpenDraft> {
        self.drafts.kept.open.clone()
    }

    /// What waits for a reviewer is not sent yet.
    pub(super) fn unread_drafts(&self) -> Vec<Unsent> {
        let unsent = |draft: &Draft| Unsent {
            id: draft.id,
            reply_to: None,
            minute: self.wall_minute(),
            text: draft.text.clone(),
            attachment: None,
        };
        self.drafts.waiting().map(unsent).collect()
    }

    /// Whether what is written here is read by somebody else first.
    #[must_use]
    pub const fn is_reviewed(&self) -> bool {
        self.drafts.kept.side_room.is_some()
    }

    /// What one writes where somebody reads it first; nothing if the command is no such.
    pub(super) fn obey_reviewed(&mut self, command: &Command) -> Option<Result<Reply>> {
        let side_room = self.drafts.kept.side_room?;
        match command {
            Command::Send {
                text,
                reply_to: None,
            } => Some(self.draft(text.clone(), side_room)),
            Command::Send { .. }
            | Command::Edit { .. }
            | Command::React { .. }
            | Command::Rename(_)
            | Command::Propose { .. }
            | Command::Attach(super::Attaching::Begin(_)) => Some(Err(Error::new(
                ErrorKind::NotAllowed,
                "what you write here is read by your reviewer first, so only plain words can be said: \
                 no answers to one message, no changes, no other name and no files",
            ))),
            _ => None,
        }
    }

    fn draft(&mut self, text: String, side_room: Space) -> Result<Reply> {
        if text.len() > DRAFT_BYTES_MAX || self.drafts.kept.waiting.len() >= DRAFTS_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "a draft has at most 16,384 bytes, and 64 may wait for a reviewer",
            ));
        }
        self.has_room_to_say()?;
        let id = MessageId::random().map_err(no_randomness)?;
        let from = self.space;
        let kept = self.drafts.change();
        kept.waiting.push(Draft {
            id,
            text: text.clone(),
        });
        kept.carried.push(Carried {
            from,
            to: side_room,
            id,
            what: What::Draft(text),
        });
        Ok(Reply::Message(id))
    }

    pub(super) fn obey_of_drafts(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::ReviewIn(side_room) => {
                if side_room == self.space {
                    let what = "a chat's drafts are read in another room";
                    return Err(Error::new(ErrorKind::Invalid, what));
                }
                self.drafts.change().side_room = Some(side_room);
            }
            Command::ReleaseDraft { of, text } => {
                self.may_decide(of)?;
                self.queue(ContentBody::Release(Box::new(Release { of, text })), now)?;
            }
            Command::SendDraftBack { of, note } => {
                self.may_decide(of)?;
                self.queue(ContentBody::SendBack(Box::new(SendBack { of, note })), now)?;
            }
            Command::Carry(carried) => self.carry(*carried, now)?,
            Command::HandedOn { carried, is_taken } => self.handed_on(&carried, is_taken),
            command => return self.obey_of_safety(command, now),
        }
        Ok(Reply::Kept)
    }

    fn may_decide(&self, of: MessageId) -> Result<()> {
        let me = self.key.id();
        let mut open = self.drafts.kept.open.iter();
        if open.any(|draft| draft.id == of && draft.by != me) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "no draft of somebody else that waits here",
        ))
    }

    /// Another conversation of this device hands something on. The same again changes nothing.
    fn carry(&mut self, carried: Carried, now: Now) -> Result<()> {
        let Carried { from, id, what, .. } = carried;
        match what {
            What::Draft(text) => {
                let kept = &self.drafts.kept;
                let is_known =
                    kept.decided.contains(&id) || kept.ours.iter().any(|one| one.0 == id);
                if !is_known {
                    if kept.ours.len() >= DRAFTS_MAX {
                        let what = "as many drafts wait for a reviewer as may";
                        return Err(Error::new(ErrorKind::TooLarge, what));
                    }
                    self.queue(ContentBody::Draft(Box::new(Draft { id, text })), now)?;
                    self.drafts.change().ours.push((id, from));
                }
            }
            What::Released(_) if self.is_closed() => self.draft_failed(id),
            What::Released(text) => {
                if self.is_decided_here(id) {
                    self.queue_as(id, ContentBody::Text(text), now)?;
                }
            }
            What::SentBack(note) => {
                if self.is_decided_here(id) {
                    let note = Text(note);
                    self.tell(Event::DraftSentBack { id, note });
                }
            }
            What::Unsaid => self.draft_failed(id),
        }
        Ok(())
    }

    /// Whether a draft of ours that waits is decided by this, which is so once.
    fn is_decided_here(&mut self, id: MessageId) -> bool {
        if !self.drafts.waiting().any(|draft| draft.id == id) {
            return false;
        }
        self.drafts.change().waiting.retain(|draft| draft.id != id);
        true
    }

    /// The other conversation has it, or cannot take it.
    fn handed_on(&mut self, carried: &Carried, is_taken: bool) {
        let kept = self.drafts.change();
        kept.carried.retain(|one| one != carried);
        if !is_taken && matches!(carried.what, What::Draft(_)) {
            self.draft_failed(carried.id);
        }
    }

    /// Nobody will read this draft of ours.
    fn draft_failed(&mut self, id: MessageId) {
        if self.is_decided_here(id) {
            let state = Delivery::Failed;
            self.tell(Event::Delivery { id, state });
        }
    }

    /// The relay did not take a draft of ours into this side-room.
    pub(super) fn draft_unsaid(&mut self, id: MessageId) {
        self.drafts.decide(id);
        self.hand_back(id, What::Unsaid);
    }

    pub(super) fn draft_said(&mut self, by: LeafId, draft: Draft) {
        let kept = &self.drafts.kept;
        let is_known = kept.open.iter().any(|one| one.id == draft.id);
        if is_known || kept.decided.contains(&draft.id) {
            return;
        }
        let is_ours = by == self.key.id();
        let Draft { id, text } = draft;
        let theirs = kept.open.iter().filter(|one| one.by == by).count();
        // No client has more of them waiting, so nobody's keep out another's.
        if !is_ours && (theirs >= DRAFTS_MAX || kept.open.len() >= OPEN_DRAFTS_MAX) {
            return;
        }
        self.drafts.change().open.push(OpenDraft {
            id,
            by,
            text: text.clone(),
        });
        if !is_ours {
            let text = Text(text);
            self.tell(Event::Draft { id, by, text });
        }
    }

    /// Takes a draft of somebody else out of those that wait.
    fn decided_by(&mut self, by: LeafId, of: MessageId) -> Option<OpenDraft> {
        let open = &self.drafts.kept.open;
        let found = open.iter().position(|one| one.id == of && one.by != by)?;
        let draft = self.drafts.change().open.remove(found);
        self.drafts.decide(of);
        Some(draft)
    }

    /// Somebody who did not write it lets a draft go out.
    pub(super) fn draft_released(&mut self, by: LeafId, release: Release) {
        let Some(draft) = self.decided_by(by, release.of) else {
            return;
        };
        let text = release.text.unwrap_or(draft.text);
        let id = draft.id;
        self.hand_back(id, What::Released(text));
        self.tell(Event::DraftReleased { id, by });
    }

    /// Or does not.
    pub(super) fn draft_sent_back(&mut self, by: LeafId, back: SendBack) {
        let Some(draft) = self.decided_by(by, back.of) else {
            return;
        };
        let (id, note) = (draft.id, Text(back.note.clone()));
        self.hand_back(id, What::SentBack(back.note));
        self.tell(Event::DraftSentBack { id, note });
    }

    /// Only who wrote it knows which chat it is for.
    fn hand_back(&mut self, id: MessageId, what: What) {
        let from = self.space;
        let found = self.drafts.kept.ours.iter().position(|one| one.0 == id);
        let Some(found) = found else {
            return;
        };
        let kept = self.drafts.change();
        let (_, to) = kept.ours.remove(found);
        kept.carried.push(Carried { from, to, id, what });
    }

    /// Puts what changed into the batch.
    pub(super) fn keep_drafts(&mut self) -> Result<()> {
        if core::mem::take(&mut self.drafts.is_changed) {
            let value = saved::encode(&self.drafts.kept)?;
            self.out
                .store
                .put(Key::new(self.space, saved::DRAFTS), value);
            self.out.carry |= !self.drafts.kept.carried.is_empty();
        }
        Ok(())
    }
}
