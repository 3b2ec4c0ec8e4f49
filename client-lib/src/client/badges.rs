//! The badges of a person's device: asked for, taken in, and shown, each in one conversation.

use tokio::sync::Mutex;

use super::{Client, Conversation, driver, on_disk};
use crate::desk::{BadgeBatch, BadgeRequests, HeldBadge, OrganisationId, Wallet};
use crate::engine::{Command, Engine, decode_kept, encode_kept};
use crate::error::{Error, ErrorKind, Result};
use crate::random;
use crate::vault::{Batch, Key, Row, Space};

/// The name of the one value in the wallet's space.
const NAME: &[u8] = b"wallet";

/// The wallet and where it is kept, once there is one; one change at a time.
pub(super) type Seat = Mutex<Option<(Space, Wallet)>>;

/// What a device has of badges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadgesKept {
    /// Badges that may be shown, each once.
    pub held: usize,
    /// Badges that were asked for and did not come yet.
    pub asked: usize,
}

/// What a space holds, if it is a wallet's.
pub(super) fn load(rows: &[Row]) -> Result<Option<Wallet>> {
    let row = rows.iter().find(|(name, _)| name == NAME);
    row.map(|(_, value)| decode_kept(value)).transpose()
}

impl Client {
    /// Makes fresh keys to ask an organisation for so many badges with; hand it the text.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for none, for more than
    /// [`BADGE_BATCH_MAX`](crate::BADGE_BATCH_MAX) at once and more than
    /// [`BADGES_KEPT_MAX`](crate::BADGES_KEPT_MAX) in all; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, badges may have been asked for that nobody issues.
    pub async fn ask_for_badges(&self, count: usize) -> Result<BadgeRequests> {
        self.change_wallet(|wallet, _| wallet.ask(count)).await
    }

    /// Takes in what an organisation issued; answers how many of them were asked for on this device.
    ///
    /// # Errors
    /// The vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, they may or may not have been taken in; do it again.
    pub async fn import_badges(&self, batch: &BadgeBatch) -> Result<usize> {
        let import = |wallet: &mut Wallet, now_ms| {
            wallet.forget_old(now_ms);
            Ok(wallet.import(batch))
        };
        self.change_wallet(import).await
    }

    /// What this device has of badges.
    pub async fn badges(&self) -> BadgesKept {
        let seat = self.0.badges.lock().await;
        let (held, asked) = seat.as_ref().map_or((0, 0), |(_, wallet)| wallet.count());
        BadgesKept { held, asked }
    }

    /// Shows a badge of this organisation in a conversation, and so in no other one; it is shown again
    /// to whoever comes later. After a crash in between it is gone unshown, rather than shown twice.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is none that is good; the conversation's and the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, a badge may be gone unshown.
    pub async fn show_badge(
        &self,
        conversation: &Conversation,
        organisation: &OrganisationId,
    ) -> Result<()> {
        let badge = self.take_badge(organisation).await?;
        let show = Command::ShowBadge(Box::new(badge));
        conversation.command(show).await.map(drop)
    }

    /// Shows in a desk's chat a badge of the desk's organisation, if this device has one that is good and we
    /// have shown none there: who asked then sees whom they talk to without having to ask for it. Whether
    /// one was shown.
    ///
    /// # Errors
    /// As [`Client::show_badge`], but not for want of a badge.
    ///
    /// # Cancel safety
    /// As [`Client::show_badge`].
    pub async fn show_badge_of_desk(&self, chat: &Conversation) -> Result<bool> {
        let Some(organisation) = chat.look(Engine::badge_wanted).await? else {
            return Ok(false);
        };
        match self.take_badge(&organisation).await {
            Ok(badge) => {
                let show = Command::ShowBadge(Box::new(badge));
                chat.command(show).await.map(|_| true)
            }
            // There is none that is good.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next badge of this organisation, which nobody gets again.
    pub(super) async fn take_badge(&self, organisation: &OrganisationId) -> Result<HeldBadge> {
        let take = |wallet: &mut Wallet, now_ms| {
            wallet.take(organisation, now_ms).ok_or_else(|| {
                let what =
                    "this device has no badge of that organisation that is good and not shown";
                Error::new(ErrorKind::Invalid, what)
            })
        };
        self.change_wallet(take).await
    }

    /// What is changed stands on the disk before anybody has it.
    async fn change_wallet<T>(
        &self,
        change: impl FnOnce(&mut Wallet, u64) -> Result<T> + Send,
    ) -> Result<T> {
        let mut seat = self.0.badges.lock().await;
        let (space, mut wallet) = match seat.as_ref() {
            Some((space, wallet)) => (*space, wallet.clone()),
            None => {
                let no_randomness = |error| {
                    Error::new(ErrorKind::Internal, "the system gave no randomness").because(error)
                };
                let space = random::array().map(Space).map_err(no_randomness)?;
                (space, Wallet::default())
            }
        };
        let done = change(&mut wallet, self.0.clock.now().wall_ms)?;
        let mut batch = Batch::default();
        let is_empty = wallet.count() == (0, 0);
        if is_empty {
            batch.erase(space);
        } else {
            batch.put(Key::new(space, NAME), encode_kept(&wallet)?);
        }
        let vault = self.0.vault.clone();
        // A badge that is shown elsewhere now leaves nothing here.
        on_disk(move || vault.with(|vault| driver::write(vault, &batch, true))).await?;
        *seat = (!is_empty).then_some((space, wallet));
        Ok(done)
    }
}
