//! How a talk is held, in an app's handle: when it ends, who may speak, what all agree on. SPEC.md,
//! "Endings" and "Floor".

use super::conversation::Conversation;
use crate::content::AgreementId;
use crate::engine::{Agreement, Command, End, Ending, Engine, Floor};
use crate::error::Result;
use crate::mls::LeafId;

impl Conversation {
    /// Says when this talk ends, or that it has more time, or less: whoever is here is told, and again
    /// when five minutes are left and when the time is over. Nothing closes by itself, but by
    /// [`End::CloseAt`], of which all are told two weeks before as well. For who holds the
    /// talk: facilitators that it is not for. A chat that answers a desk's ticket begins with the limit
    /// of the desk's card.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn set_end(&self, end: End) -> Result<()> {
        self.command(Command::End(end)).await.map(drop)
    }

    /// Gives the talk so many minutes more.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn extend(&self, minutes: u32) -> Result<()> {
        self.set_end(End::Later(minutes)).await
    }

    /// When this talk ends, if somebody said so.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn ending(&self) -> Result<Option<Ending>> {
        self.look(Engine::ending).await
    }

    /// Says whose turn it is, or with nobody that all may speak: what anybody else but who holds the
    /// talk says is shown to nobody. It opens what was stopped, once all who stopped it said that it may
    /// go on ([`ErrorKind::Conflict`](crate::ErrorKind::Conflict) before). For who holds the talk.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn give_turn(&self, to: Option<LeafId>) -> Result<()> {
        self.command(Command::SetFloor(to)).await.map(drop)
    }

    /// Stops the talk for everybody and at once, where turns are given. Nobody says anything then, who
    /// holds the talk included.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn stop(&self) -> Result<()> {
        self.command(Command::Stop).await.map(drop)
    }

    /// Says that it may go on, for one who stopped it; then who holds the talk opens it again.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn go_on(&self) -> Result<()> {
        self.command(Command::GoOn).await.map(drop)
    }

    /// Who may speak, where turns are given.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn floor(&self) -> Result<Option<Floor>> {
        self.look(|engine| engine.floor().cloned()).await
    }

    /// Proposes what all are to agree on, in the place of what was proposed before, and a day on which
    /// people look how it went (in days since 1970-01-01, UTC). For who holds the talk, who agrees by it.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn propose(&self, text: &str, follow_up_day: Option<u32>) -> Result<()> {
        let text = text.to_owned();
        let propose = Command::Propose {
            text,
            follow_up_day,
        };
        self.command(propose).await.map(drop)
    }

    /// Agrees to what was proposed. It stands once all who are here have agreed.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn agree(&self, to: AgreementId) -> Result<()> {
        self.command(Command::Agree(to)).await.map(drop)
    }

    /// What was last proposed for all to agree on, and who has agreed.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn agreement(&self) -> Result<Option<Agreement>> {
        self.look(Engine::agreement).await
    }
}
