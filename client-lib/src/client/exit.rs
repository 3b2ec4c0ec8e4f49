//! Quick exit: somebody comes into the room, and nothing may be left. SPEC.md, "Away".
//!
//! Everything here is erased first, without a network and without a question. What may still go out
//! over lines that stand was sealed before, and says what any stop says: that one is away.

use tokio::time::timeout;

use super::driver::LAST_WORD_MAX;
use super::{Client, on_disk};
use crate::error::Result;

impl Client {
    /// Erases everything at once: keys, texts, names, desks, badges and what was about to be sent, in
    /// memory and on the disk, and ends every connection. The vault's files are gone when this
    /// returns, and the client can do nothing any more. No network is waited for.
    ///
    /// The others see that one is away ([`Event::Away`](crate::Event::Away)), as after
    /// [`Conversation::step_away`](crate::Conversation::step_away), if a line stands that takes it at
    /// once; else they see nothing. A ticket that waits in a desk's queue is taken back the same way, and
    /// so is a letter whose answer no return words would find.
    /// The backup stays at the relay as it was written last ([`Client::backup_standing`]): return words
    /// bring one back.
    ///
    /// What an app keeps itself (the vault's key, copies of texts, its screen) it erases itself; of keys
    /// it had in memory the SDK wipes its own, of texts it gives the memory back without wiping it.
    ///
    /// # Errors
    /// [`ErrorKind::VaultIo`](crate::ErrorKind::VaultIo) if something may be left on the disk, each
    /// time it is called; then nothing goes out, and
    /// [`SqliteVault::destroy_in`](crate::vault::SqliteVault::destroy_in) tries to erase it once more.
    ///
    /// # Cancel safety
    /// Cancelled, the disk is erased and every conversation ends all the same.
    pub async fn quick_exit(&self) -> Result<()> {
        self.0.vanish.cancel();
        self.0.stop.cancel();
        self.forget_backup_here();
        self.forget_conversations();
        let (vault, tell) = (self.0.vault.clone(), self.0.erased.clone());
        let erased = on_disk(move || {
            let erased = vault.destroy();
            tell.send_replace(Some(erased.is_ok()));
            erased
        })
        .await;
        self.0.desks.forget().await;
        *self.0.badges.lock().await = None;
        self.0.tasks.close();
        // Each task has a bound of its own; one that hangs in the disk is not waited for.
        let _ = timeout(2 * LAST_WORD_MAX, self.0.tasks.wait()).await;
        erased
    }
}
