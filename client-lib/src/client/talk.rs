//! How a talk is held, in an app's handle: when it ends. SPEC.md, "Endings".

use super::conversation::Conversation;
use crate::engine::{Command, End, Ending, Engine};
use crate::error::Result;

impl Conversation {
    /// Says when this talk ends, or that it has more time, or less: whoever is here is told, and again
    /// when five minutes are left and when the time is over. Nothing closes by itself. For who holds the
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
}
