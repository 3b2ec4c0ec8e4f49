//! What people agreed on, and the day on which they look how it went. SPEC.md, "Floor".
//!
//! Nobody's word but their own makes them agree: who holds the talk says again what was proposed, for who
//! came since, and of who agreed nothing. Whoever agreed says that again themselves, to the same words.

use serde::{Deserialize, Serialize};

use super::saved::Stage;
use super::{Command, Engine, Event, Reply, Text};
use crate::content::{AgreementId, ContentBody, MessageId, Proposed, ROSTER_MAX, agreement_is_fit};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::{Group, LeafId};
use crate::time::{DAY_MS, Now};

/// What who holds a talk proposed, and who has agreed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Names it, to the last letter.
    pub id: AgreementId,
    /// Who proposed it, or told us of it.
    pub by: LeafId,
    /// What it says.
    pub text: String,
    /// The day on which people look how it went, in days since 1970-01-01, UTC.
    pub follow_up_day: Option<u32>,
    /// Who has agreed, in that order, by their own word as this device read it.
    pub agreed: Vec<LeafId>,
    /// All who were here had agreed at once, as far as this device read it.
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
    /// The message that said it first.
    of: MessageId,
    /// We read it where it was said first, and everything since: who tells of another one is behind.
    is_heard: bool,
    /// The person was reminded of the day.
    is_reminded: bool,
}

impl KeptAgreement {
    pub(super) fn said_again(&self) -> Proposed {
        Proposed {
            text: self.agreement.text.clone(),
            told: Some(self.of),
            follow_up: self.agreement.follow_up_day,
        }
    }
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

    pub(super) fn is_frozen(&self) -> bool {
        self.floor().is_some_and(|floor| floor.is_frozen)
    }

    /// Who holds the talk proposes something, in the place of what was proposed before, or says again
    /// what was.
    pub(super) fn agreement_said(
        &mut self,
        by: LeafId,
        id: MessageId,
        proposed: Proposed,
        now: Now,
    ) -> Result<()> {
        let is_told = proposed.told.is_some();
        let (proposed, id) = proposed.named(id);
        if !self.holds_talk(&by) || self.is_frozen() {
            return Ok(());
        }
        if let Some(known) = &self.saved.agreement {
            let agreement = &known.agreement;
            if agreement.id == id {
                return if is_told {
                    self.agree_again(now)
                } else {
                    Ok(())
                };
            }
            if is_told && known.is_heard && agreement.by != by {
                return Ok(());
            }
        }
        let Proposed {
            text,
            told,
            follow_up,
        } = proposed;
        let agreement = Agreement {
            id,
            by,
            text,
            follow_up_day: follow_up,
            agreed: if is_told { Vec::new() } else { vec![by] },
            stands: false,
        };
        self.tell(Event::Agreement(Box::new(agreement.clone())));
        self.saved.agreement = told.map(|of| KeptAgreement {
            agreement,
            of,
            is_heard: !is_told,
            is_reminded: false,
        });
        Ok(())
    }

    /// Somebody came who did not read that we agree.
    fn agree_again(&mut self, now: Now) -> Result<()> {
        let me = self.key.id();
        let Some(agreement) = self.agreement().filter(|one| one.agreed.contains(&me)) else {
            return Ok(());
        };
        let mut waiting = self.outbox.values();
        let is_said = waiting
            .any(|one| matches!(one.content.body, ContentBody::Agree(of) if of == agreement.id));
        if is_said {
            return Ok(());
        }
        self.queue(ContentBody::Agree(agreement.id), now).map(drop)
    }

    /// We came in anew, or an epoch was undone: another one may have been proposed that we did not read.
    pub(super) const fn doubt_agreement(&mut self) {
        if let Some(kept) = &mut self.saved.agreement {
            kept.is_heard = false;
        }
    }

    /// A member agrees.
    pub(super) fn agree_said(&mut self, by: LeafId, of: AgreementId) {
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

    /// Says it again, for who came since. While the talk is stopped nothing of it would count.
    pub(super) fn queue_agreement(&mut self, now: Now) -> Result<()> {
        let may_tell = self.holds_talk(&self.key.id()) && !self.is_frozen();
        let Some(kept) = self.saved.agreement.as_ref().filter(|_| may_tell) else {
            return Ok(());
        };
        let body = ContentBody::Agreement(Box::new(kept.said_again()));
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
