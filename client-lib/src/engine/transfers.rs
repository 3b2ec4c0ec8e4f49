//! Attachments that are on their way, and the logs they lie in: what sending and fetching share.
//! SPEC.md, "Attachments".
//!
//! An attachment has a log of its own, which is opened on the conversation's connection. It is kept
//! as its sealed chunks, by who sends it and by who fetched it, and never in memory as a whole: the
//! engine asks for the chunks it needs ([`Effects::wants`](super::Effects::wants)).

use std::collections::{BTreeMap, BTreeSet};

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Delete};
use sotto_protocol::id::LogId;
use x25519_dalek::StaticSecret;

use super::beside::Side;
use super::fetching::Download;
use super::saved::{self, Attached, OwnerKey, Stage};
use super::uploading::{Intake, Stage as UploadStage, Upload};
use super::{Attachment, Engine, Event, Transfer, retry_id};
use crate::content::MessageId;
use crate::error::{ErrorKind, Result};
use crate::log::{Ask, Denied};
use crate::time::Now;
use crate::vault::{Key, Range, Row};

/// Steps in which a transfer tells how it fares; an app that looks elsewhere is not buried.
const STEPS: u32 = 20;

/// The state of everything that is on its way.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// By the number that gives their order.
    pub(super) uploads: BTreeMap<u64, Upload>,
    pub(super) intake: Option<Intake>,
    /// In the order in which they were wanted.
    pub(super) downloads: Vec<(MessageId, Download)>,
    /// Logs that the relay shall delete.
    pub(super) discards: BTreeMap<LogId, OwnerKey>,
    /// Messages whose attachment is all on this device.
    pub(super) here: BTreeSet<MessageId>,
    /// Logs of attachments that shall be open.
    wished: BTreeSet<LogId>,
    /// Chunks were asked of the vault and have not come.
    pub(super) is_loading: bool,
}

impl Transfers {
    /// Takes a row of the vault if it belongs here.
    pub(super) fn load(&mut self, (name, value): &Row) -> Result<bool> {
        if let Some(number) = name
            .strip_prefix(saved::UPLOAD)
            .and_then(|rest| rest.try_into().ok())
        {
            let number = u64::from_be_bytes(number);
            self.uploads.insert(number, saved::decode(value)?);
        } else if let Some(id) = saved::id_of(name, saved::DOWNLOAD) {
            self.downloads.push((id, saved::decode(value)?));
        } else if let Some(id) = saved::id_of(name, saved::HERE) {
            self.here.insert(id);
        } else if let Some(log) = name
            .strip_prefix(saved::DISCARD)
            .and_then(|rest| rest.try_into().ok())
        {
            self.discards.insert(LogId::new(log), saved::decode(value)?);
        } else {
            return Ok(name.starts_with(saved::BULK));
        }
        Ok(true)
    }
}

impl Engine {
    /// The rows that [`Engine::load`] needs of a space: all but bulk. Given more, it overlooks it.
    #[must_use]
    pub const fn rows() -> Range<'static> {
        Range {
            prefix: &[],
            after: Some(saved::BULK),
            max: 0,
            backwards: true,
        }
    }

    pub(super) fn shown_attachment(attached: &Attached, is_here: bool) -> Attachment {
        Attachment {
            name: attached.name.clone(),
            media_type: attached.media_type.clone(),
            bytes: attached.bytes,
            is_here,
        }
    }

    /// Whether the log is open; wishes it open if not.
    pub(super) fn reach(&mut self, log: LogId, key: &[u8; 32]) -> bool {
        if self.beside.open.contains(&log) {
            return true;
        }
        if self.transfers.wished.insert(log) {
            self.session.open(log, vec![StaticSecret::from(*key)]);
        }
        false
    }

    /// The log of an attachment need not be open any more.
    pub(super) fn let_go(&mut self, log: &LogId) {
        if self.transfers.wished.remove(log) {
            self.beside.open.remove(log);
            self.session.close(log);
        }
    }

    /// What can be done now for attachments. Called once an input.
    pub(super) fn go_on_transfers(&mut self, now: Now) -> Result<()> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        if !self.is_online || !is_member {
            return Ok(());
        }
        self.go_on_uploading(now)?;
        self.go_on_fetching()?;
        self.go_on_discarding(now)
    }

    /// The relay does not open the log of an attachment; whether it was one.
    pub(super) fn attachment_refused(&mut self, log: &LogId) -> Result<bool> {
        if !self.transfers.wished.contains(log) {
            return Ok(false);
        }
        self.let_go(log);
        let sending = |upload: &&Upload| upload.log == *log && upload.stage == UploadStage::Sending;
        let upload = self.transfers.uploads.values().find(sending);
        if let Some(id) = upload.map(|upload| upload.id) {
            self.fail_upload(&id)?;
        }
        let of_log = |id: &MessageId| {
            let attached = self.index.get(id).and_then(|one| one.attached.as_ref());
            attached.is_some_and(|attached| attached.log == *log)
        };
        let first = self.transfers.downloads.first().map(|(id, _)| *id);
        if let Some(id) = first.filter(of_log) {
            self.fail_download(&id, ErrorKind::Gone);
        }
        self.discarded(log);
        Ok(true)
    }

    /// Has the relay delete a log of ours.
    pub(super) fn discard(&mut self, log: LogId, owner: OwnerKey) -> Result<()> {
        self.let_go(&log);
        self.keep_beside(&saved::discard_name(&log), &owner)?;
        self.transfers.discards.insert(log, owner);
        Ok(())
    }

    fn go_on_discarding(&mut self, now: Now) -> Result<()> {
        let next = self.transfers.discards.first_key_value();
        let Some((log, owner)) = next.map(|(log, owner)| (*log, *owner)) else {
            return Ok(());
        };
        if self.reach(log, &owner.0) {
            let ask = Ask::Delete(Delete {
                day: self.session.today(now),
                log,
                retry: retry_id()?,
            });
            self.ask_beside(ask, Side::Discard(log));
        }
        Ok(())
    }

    /// The relay deleted the log, or it was not there (any more).
    pub(super) fn discarded(&mut self, log: &LogId) {
        if self.transfers.discards.remove(log).is_some() {
            self.let_go(log);
            self.delete_row(&saved::discard_name(log));
        }
    }

    /// An ask for an attachment was answered.
    pub(super) fn transfer_answered(
        &mut self,
        side: Side,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        match side {
            Side::MakeAttachment(id) => self.attachment_made(&id, result),
            Side::Upload(id) => self.batch_answered(&id, result, now),
            Side::Count(id) => self.batch_counted(&id, result, now),
            Side::Fetch(id) => self.page_answered(&id, result),
            Side::Discard(log) => {
                let code = result.as_ref().err().map(|denied| denied.refusal.code);
                match code {
                    None | Some(ErrorCode::Refused) => self.discarded(&log),
                    Some(_) => self.out.hang_up = true,
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells how a transfer fares, unless it has hardly moved.
    pub(super) fn tell_transfer(&mut self, id: MessageId, before: u32, transfer: Transfer) {
        let is_new = match transfer {
            Transfer::Sending { done, of } | Transfer::Fetching { done, of } => {
                let step = |done: u32| u64::from(done) * u64::from(STEPS) / u64::from(of.max(1));
                step(before) != step(done)
            }
            Transfer::Here | Transfer::Failed(_) => true,
        };
        if is_new {
            self.tell(Event::Attachment { id, transfer });
        }
    }

    /// Deletes so many chunks of a message from this device.
    pub(super) fn delete_chunks(&mut self, id: &MessageId, count: u32) {
        if count == 0 {
            return;
        }
        let of_message = [saved::CHUNK, id.as_bytes()].concat();
        // Also those that this very batch was about to write.
        let puts = &mut self.out.store.puts;
        puts.retain(|(key, _)| !key.name.starts_with(&of_message));
        for index in 0..count {
            let key = Key::new(self.space, saved::chunk_name(id, index));
            self.out.store.delete(key);
        }
        self.out.scrub = true;
    }

    /// A message goes, and with it what was sent with it: here, and at the relay if it is ours.
    pub(super) fn forget_attached(&mut self, id: &MessageId, attached: &Attached) -> Result<()> {
        self.drop_copy(id, attached.bytes);
        match attached.owner {
            Some(owner) => self.discard(attached.log, owner),
            None => Ok(()),
        }
    }

    /// Everything on its way goes, as the conversation is over for us; what is here stays with its
    /// message.
    pub(super) fn forget_transfers(&mut self) {
        self.transfers.intake = None;
        let uploads = core::mem::take(&mut self.transfers.uploads);
        for (number, upload) in uploads {
            self.delete_row(&saved::upload_name(number));
            self.delete_chunks(&upload.id, upload.staged);
        }
        while let Some((id, _)) = self.transfers.downloads.first() {
            let id = *id;
            self.fail_download(&id, ErrorKind::NotMember);
        }
        for log in core::mem::take(&mut self.transfers.discards).into_keys() {
            self.delete_row(&saved::discard_name(&log));
        }
        for log in core::mem::take(&mut self.transfers.wished) {
            self.session.close(&log);
        }
    }
}
