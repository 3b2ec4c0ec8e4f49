//! What people agreed on, and the day on which they look how it went. SPEC.md, "Floor".

use serde::{Deserialize, Serialize};

use super::saved::Stage;
use super::{Command, Engine, Event, Reply, Text};
use crate::content::{
    ContentBody, MessageId, Proposed, ProposedBefore, ROSTER_MAX, agreement_is_fit,
};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::{Group, LeafId};
use crate::time::{DAY_MS, Now};

/// What who holds a talk proposed, and who has agreed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Names it.
    pub id: MessageId,
    /// Who proposed it, and so agrees.
    pub by: LeafId,
    /// What it says.
    pub text: String,
    /// The day on which people look how it went, in days since 1970-01-01, UTC.
    pub follow_up_day: Option<u32>,
    /// Who has agreed, in that order.
    pub agreed: Vec<LeafId>,
    /// All who were here had agreed at once.
    pub stands: bool,
}

impl core::fmt::Debug for Agreement {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Agreement(…)")
    }
}

/// The last one that was proposed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptAgreement {
    agreement: Agreement,
    /// The person was reminded of the day.
    is_reminded: bool,
}

impl Engine {
    /// What was last proposed here for all to agree on.
    #[must_use]
    pub fn agreement(&self) -> Option<Agreement> {
        let kept = self.saved.agreement.as_ref()?;
        Some(kept.agreement.clone())
    }

    pub(super) fn obey_of_agreement(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::Propose {
                text,
                follow_up_day,
            } => {
                if !self.holds_talk(&self.key.id()) || !self.may_speak(&self.key.id()) {
                    return Err(Error::new(
                        ErrorKind::NotAllowed,
                        "only who holds this talk proposes what all agree on, while it is not stopped",
                    ));
                }
                if !agreement_is_fit(&text) {
                    return Err(Error::new(
                        ErrorKind::TooLarge,
                        "an agreement has 1 to 8,192 bytes, and nothing that turns its text around",
                    ));
                }
                let follow_up = follow_up_day;
                let proposed = Proposed {
                    text,
                    told: None,
                    follow_up,
                };
                let body = ContentBody::Agreement(Box::new(proposed));
                self.queue(body, now).map(Reply::Message)
            }
            Command::Agree(of) => {
                let known = self.saved.agreement.as_ref();
                if known.is_none_or(|known| known.agreement.id != of) {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "this was not proposed here, or something else was since",
                    ));
                }
                if self.is_frozen() {
                    return Err(Error::new(
                        ErrorKind::NotAllowed,
                        "nobody agrees to anything while the talk is stopped",
                    ));
                }
                self.queue(ContentBody::Agree(of), now).map(|_| Reply::Kept)
            }
            command => self.obey_of_drafts(command, now),
        }
    }

    fn is_frozen(&self) -> bool {
        self.floor().is_some_and(|floor| floor.is_frozen)
    }

    /// Who holds the talk proposes something, in the place of what was proposed before.
    pub(super) fn agreement_said(&mut self, by: LeafId, id: MessageId, proposed: Proposed) {
        let Proposed {
            text,
            told,
            follow_up,
        } = proposed;
        let known = self.saved.agreement.as_ref();
        let known = known.map(|known| known.agreement.id);
        let (id, agreed, stands) = match told {
            // Who was here when it was proposed knows better.
            Some(_) if known.is_some() => return,
            // Nobody agreed to what they never heard.
            Some(told) if told.agreed.contains(&self.key.id()) => return,
            Some(told) => (told.of, told.agreed, told.stands),
            None => (id, vec![by], false),
        };
        if !self.holds_talk(&by) || self.is_frozen() && !stands || known == Some(id) {
            return;
        }
        let agreement = Agreement {
            id,
            by,
            text,
            follow_up_day: follow_up,
            agreed,
            stands,
        };
        self.tell(Event::Agreement(Box::new(agreement.clone())));
        self.saved.agreement = Some(KeptAgreement {
            agreement,
            is_reminded: false,
        });
    }

    /// A member agrees.
    pub(super) fn agree_said(&mut self, by: LeafId, of: MessageId) {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let is_frozen = self.is_frozen();
        let Some(kept) = self.saved.agreement.as_mut().filter(|_| !is_frozen) else {
            return;
        };
        let agreement = &mut kept.agreement;
        let is_it = agreement.id == of && leaves.contains(&by) && !agreement.agreed.contains(&by);
        if !is_it || agreement.agreed.len() >= ROSTER_MAX {
            return;
        }
        agreement.agreed.push(by);
        agreement.stands |= leaves.iter().all(|leaf| agreement.agreed.contains(leaf));
        let agreement = Box::new(agreement.clone());
        self.tell(Event::Agreed { by, agreement });
    }

    /// Says it again, for who came since.
    pub(super) fn queue_agreement(&mut self, now: Now) -> Result<()> {
        let Some(agreement) = self.agreement() else {
            return Ok(());
        };
        if !self.holds_talk(&self.key.id()) {
            return Ok(());
        }
        let told = ProposedBefore {
            of: agreement.id,
            agreed: agreement.agreed,
            stands: agreement.stands,
        };
        let proposed = Proposed {
            text: agreement.text,
            told: Some(told),
            follow_up: agreement.follow_up_day,
        };
        let body = ContentBody::Agreement(Box::new(proposed));
        self.queue(body, now).map(drop)
    }

    /// Reminds of the day on which people look how it went; answers when it begins (the conversation's
    /// time).
    pub(super) fn look_at_follow_up(&mut self, now: Now) -> Option<u64> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        let kept = self.saved.agreement.as_mut().filter(|_| is_member)?;
        let day = kept.agreement.follow_up_day?;
        if !kept.agreement.stands || kept.is_reminded {
            return None;
        }
        let due_ms = u64::from(day).saturating_mul(DAY_MS);
        if due_ms > now.wall_ms {
            return Some(due_ms);
        }
        kept.is_reminded = true;
        let text = Text(kept.agreement.text.clone());
        self.tell(Event::FollowUp { day, text });
        None
    }
}
