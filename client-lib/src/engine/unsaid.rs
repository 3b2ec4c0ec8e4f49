//! What the relay will never take, as far as its author has to know: it was not said.

use super::sending::Flown;
use super::{Delivery, Engine, Event};
use crate::content::{AgreementId, Content, ContentBody, MessageId};
use crate::error::Result;

/// Something that we wanted the others to know and that the relay would not take: a conversation that
/// is full, as a rule. Nothing came of it for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsaid {
    /// How a message reads now, or that it is taken back.
    Change(MessageId),
    /// A reaction to a message.
    Reaction(MessageId),
    /// Our stop: the others talk on.
    Stop,
    /// That the talk may go on.
    GoOn,
    /// Whose turn it is.
    Floor,
    /// What all were to agree on.
    Agreement,
    /// That we agree to it.
    Agree(AgreementId),
    /// When the talk ends.
    End,
    /// What we decided on somebody's draft.
    Decision(MessageId),
    /// That somebody is asked for.
    Call,
    /// The safe word we gave, or agreed on.
    SafeWord,
}

impl Unsaid {
    /// Nothing for what a client says by itself, and says again.
    fn of(body: &ContentBody) -> Option<Self> {
        Some(match body {
            ContentBody::Edit { of, .. } | ContentBody::Delete(of) => Self::Change(*of),
            ContentBody::React { to, .. } => Self::Reaction(*to),
            ContentBody::Stop => Self::Stop,
            ContentBody::GoOn => Self::GoOn,
            ContentBody::Floor(_) => Self::Floor,
            ContentBody::Agreement(proposed) if proposed.told.is_none() => Self::Agreement,
            ContentBody::Agree(of) => Self::Agree(*of),
            ContentBody::Until(_) | ContentBody::Closes(_) => Self::End,
            ContentBody::Release(release) => Self::Decision(release.of),
            ContentBody::SendBack(back) => Self::Decision(back.of),
            ContentBody::Call(_) => Self::Call,
            ContentBody::SafeWord(_) | ContentBody::SafeTry(_) => Self::SafeWord,
            _ => return None,
        })
    }
}

impl Engine {
    /// Takes these out of the outbox for good, and tells their author.
    pub(super) fn give_up_messages(&mut self, flown: &Flown) -> Result<()> {
        for number in flown.messages() {
            if let Some(content) = self.unqueue(number) {
                self.tell_unsaid(content)?;
            }
        }
        Ok(())
    }

    /// Whether this is so already, and was said again for who came since.
    fn is_known(&self, body: &ContentBody) -> bool {
        match body {
            ContentBody::Until(minute) | ContentBody::Closes(minute) => {
                self.ending().is_some_and(|ending| ending.minute == *minute)
            }
            ContentBody::Floor(said) => self
                .floor()
                .is_some_and(|floor| (floor.turn, floor.is_frozen) == (said.turn, said.frozen)),
            ContentBody::Agree(of) => self.agreement().is_some_and(|agreement| {
                agreement.id == *of && agreement.agreed.contains(&self.key.id())
            }),
            _ => false,
        }
    }

    fn tell_unsaid(&mut self, content: Content) -> Result<()> {
        let (id, state) = (content.id, Delivery::Failed);
        match content.body {
            body if body.is_text() => {
                self.abandon_upload(&id)?;
                self.tell(Event::Delivery { id, state });
            }
            ContentBody::Draft(draft) => self.draft_unsaid(draft.id),
            body => {
                let unsaid = Unsaid::of(&body).filter(|_| !self.is_known(&body));
                if let Some(unsaid) = unsaid {
                    self.tell(Event::Unsaid(unsaid));
                }
            }
        }
        Ok(())
    }
}
