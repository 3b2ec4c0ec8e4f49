//! Safe words, in an app's handle. SPEC.md, "Safe word".

use core::time::Duration;

use tokio::time::sleep;

use super::backup::stretch_safe;
use super::conversation::Conversation;
use crate::engine::{Command, Engine};
use crate::error::Result;
use crate::mls::LeafId;
use crate::people::{SafeTry, SafeWord};

/// Between two looks at whether something went out.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Conversation {
    /// Agrees on a safe word with those in this chat: who comes back here later with return words is
    /// shown to them as unverified until they gave it ([`Event::Safety`](crate::Event::Safety)). The
    /// others keep what tells whether it is right, and not the word. A later one takes its place.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) where nobody else
    /// is, or people join by a link.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn agree_safe_word(&self, word: &SafeWord) -> Result<()> {
        let check = self.stretched(word).await?.check();
        self.command(Command::AgreeSafeWord(check)).await.map(drop)
    }

    /// Gives the safe word, for one who came back without it. Nothing tells whether it was right.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn give_safe_word(&self, word: &SafeWord) -> Result<()> {
        let given = self.stretched(word).await?;
        self.command(Command::GiveSafeWord(given)).await.map(drop)
    }

    /// Waits until the relay has the safe word that was given, or that none was given on the way back
    /// (which is said just so). Give it a timeout where a person waits: without a relay it waits on.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn safe_word_given(&self) -> Result<()> {
        while self.look(Engine::gives_safe_word_still).await? {
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Looks again at safe words of a member who gave three wrong ones, from this device.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) where none was
    /// agreed with them.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn allow_safe_word(&self, leaf: LeafId) -> Result<()> {
        self.command(Command::AllowSafeWord(leaf)).await.map(drop)
    }

    /// Takes as long as return words do.
    async fn stretched(&self, word: &SafeWord) -> Result<SafeTry> {
        let (relay, log) = self.look(Engine::place_of_log).await?;
        let master = stretch_safe(Some(word), &relay).await?;
        Ok(master.given(&log))
    }
}
