//! Decoy words: eight more, which open an innocent place. SPEC.md, "Decoy words".
//!
//! Every device that keeps a backup keeps two, whether or not anybody ever looks at the words of the
//! second; so that there are two shows nothing.

use std::collections::BTreeSet;
use std::sync::Weak;

use super::{BackupStanding, Client, Kept, Side, keep_up, no_backup};
use crate::client::conversation::ConversationId;
use crate::client::{Shared, on_disk};
use crate::engine::{decode_kept, encode_kept};
use crate::error::{Error, ErrorKind, Result};
use crate::link::RelayAddress;
use crate::people::ReturnWords;
use crate::vault::{Batch, Key, Space, Vault};

/// In the backups' space: which conversations the decoy words lead to.
const SHOWN: &[u8] = b"shown";
/// In the backups' space while decoy words were used elsewhere and nobody has seen the new ones.
pub(super) const USED: &[u8] = b"used";

impl Client {
    /// Words beside the [return words](Client::return_words), for a person who is made to give theirs
    /// away: they lead to those conversations only that the person let be seen
    /// ([`Client::show_by_decoy`]), which are none at first. Whoever comes back with them does just as
    /// anybody does who comes back, here and at the relay, and the return words stay good.
    ///
    /// Show them on the person's wish only. Wait for [`Client::decoy_backed_up`] before saying that they
    /// are good. Once they were used on another device ([`Client::decoy_standing`]), and after every
    /// return, there are new ones: those before still open what they opened last, and are not kept up
    /// any more.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if this client keeps no backup, or the words are still being made; the
    /// vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, they may count as seen.
    pub async fn decoy_words(&self) -> Result<ReturnWords> {
        let space = self.backup_space().ok_or_else(no_backup)?;
        let stored = self.stored_backup(space).await?;
        let words = stored.decoy.and_then(|kept| kept.words());
        let words = words.ok_or_else(|| {
            let what = "the decoy words are still being made; ask again";
            Error::new(ErrorKind::Invalid, what)
        })?;
        if stored.decoy_was_used {
            let mut batch = Batch::default();
            batch.delete(Key::new(space, USED));
            self.apply(batch).await?;
            self.0.backup.decoy.send_replace(BackupStanding::Due);
            self.0.backup.changed().tell();
        }
        Ok(words)
    }

    /// How the backup stands that the decoy words open. [`BackupStanding::Elsewhere`]: somebody used
    /// them; it is so until the person is shown the new ones ([`Client::decoy_words`]).
    #[must_use]
    pub fn decoy_standing(&self) -> BackupStanding {
        *self.0.backup.decoy.borrow()
    }

    /// Waits until the relay has everything that the decoy words are to lead to: up to half a minute after
    /// any change, so that the two backups are not written in the same moment. Give it a timeout where
    /// a person waits: without a relay it waits on.
    ///
    /// # Errors
    /// As [`Client::backed_up`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn decoy_backed_up(&self) -> Result<()> {
        self.until_backed_up(Side::Decoy).await
    }

    /// Whether the decoy words lead to this conversation as well. Who uses them is then this person there,
    /// and reads what is said from then on: it is for conversations that anybody may know of.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if this client keeps no backup or has no such conversation; the vault's
    /// kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may be so or not.
    pub async fn show_by_decoy(&self, conversation: ConversationId, is_shown: bool) -> Result<()> {
        let space = self.backup_space().ok_or_else(no_backup)?;
        let here: BTreeSet<_> = self
            .conversations()
            .iter()
            .map(|one| one.id().space())
            .collect();
        if !here.contains(&conversation.space()) {
            let what = "this client has no such conversation";
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let vault = self.0.vault.clone();
        on_disk(move || {
            vault.with(|vault| {
                let mut shown = shown(vault, space)?;
                shown.retain(|one| here.contains(one));
                if is_shown {
                    shown.insert(conversation.space());
                } else {
                    shown.remove(&conversation.space());
                }
                let mut batch = Batch::default();
                batch.put(Key::new(space, SHOWN), encode_kept(&shown)?);
                vault.apply(&batch)
            })
        })
        .await?;
        // Whoever waits for it from now on waits for a backup that was written after this.
        self.0.backup.are_due();
        self.0.backup.changed().tell();
        Ok(())
    }

    /// The conversations that the decoy words lead to.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if this client keeps no backup; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn shown_by_decoy(&self) -> Result<Vec<ConversationId>> {
        let space = self.backup_space().ok_or_else(no_backup)?;
        let vault = self.0.vault.clone();
        let shown = on_disk(move || vault.with(|vault| shown(vault, space))).await?;
        let here = self.conversations();
        let ids = here.iter().map(crate::Conversation::id);
        Ok(ids.filter(|id| shown.contains(&id.space())).collect())
    }

    /// Keeps that the decoy words were used, and forgets them.
    pub(super) async fn decoy_was_used(&self, space: Space) -> Result<()> {
        let mut batch = Batch::default();
        batch.delete(Side::Decoy.key(space));
        batch.put(Key::new(space, USED), Vec::new());
        self.apply(batch).await?;
        let standing = &self.0.backup.decoy;
        standing.send_replace(BackupStanding::Elsewhere);
        Ok(())
    }

    async fn begin_decoy(&self, space: Space, relay: &RelayAddress) -> Result<Kept> {
        let (kept, _) = self.new_backup(relay).await?;
        self.store_backup(Side::Decoy, space, &kept).await?;
        Ok(kept)
    }
}

/// Which conversations the decoy words lead to.
pub(super) fn shown(vault: &mut dyn Vault, space: Space) -> Result<BTreeSet<Space>> {
    let shown = vault.get(&Key::new(space, SHOWN))?;
    shown.map_or_else(|| Ok(BTreeSet::new()), |shown| decode_kept(&shown))
}

/// Keeps the second backup, and begins another one where there is none: with a vault of an earlier
/// version, and once its words were used elsewhere.
pub(super) async fn keep_decoy(
    client: Weak<Shared>,
    space: Space,
    relay: RelayAddress,
    mut kept: Option<Kept>,
) {
    loop {
        let next = match kept.take() {
            Some(kept) => kept,
            None => {
                let Some(shared) = client.upgrade().map(Client) else {
                    return;
                };
                match shared.begin_decoy(space, &relay).await {
                    Ok(kept) => kept,
                    // The next start tries again.
                    Err(error) => {
                        tracing::error!(kind = error.kind().name(), "no second backup");
                        return;
                    }
                }
            }
        };
        if !keep_up(client.clone(), Side::Decoy, space, next).await {
            return;
        }
    }
}
