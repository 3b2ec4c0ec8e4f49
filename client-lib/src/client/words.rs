//! Return words, shown again while their backup is kept here.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use super::Client;
use super::backup::no_backup;
use crate::error::{Error, ErrorKind, Result};
use crate::people::ReturnWords;

/// The words, beside the keys that were made from them: with the keys at hand they open nothing more.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct KeptWords(serde_bytes::ByteArray<{ crate::people::words::ENTROPY_BYTES }>);

impl KeptWords {
    pub(super) fn of(words: &ReturnWords) -> Self {
        Self((**words.entropy()).into())
    }

    pub(super) fn words(&self) -> ReturnWords {
        ReturnWords::of(*self.0)
    }
}

impl Drop for KeptWords {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Client {
    /// The words of the backup that this client keeps, once more. They can be shown until the backup is
    /// ended, its words are used on another device, or everything is erased
    /// ([`Client::quick_exit`]).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if this client keeps no backup, or keeps it since a version that did
    /// not keep the words; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn return_words(&self) -> Result<ReturnWords> {
        let space = self.backup_space().ok_or_else(no_backup)?;
        let stored = self.stored_backup(space).await?;
        let kept = stored.own.ok_or_else(no_backup)?;
        kept.words().ok_or_else(|| {
            let what = "the words of this backup were not kept; end it, and begin a new one";
            Error::new(ErrorKind::Invalid, what)
        })
    }
}
