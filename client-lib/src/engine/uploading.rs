//! Attachments of ours: taken in, sealed and kept chunk by chunk, sent to a log of their own, and
//! then said. SPEC.md, "Attachments".
//!
//! A copy of the sealed chunks lies in the vault before the first of them is sent, so that the
//! source may go, and a repeat after a crash is the same bytes. The message waits until the relay
//! has acknowledged the last chunk. One attachment is sent at a time, in the order they were given.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Describe, Item, Policy as LogPolicy};
use sotto_protocol::id::{LogId, RetryId};
use sotto_protocol::limits::TTL_FENCED_DAYS_DEFAULT;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::begin::{TTL_DAYS, grant};
use super::beside::{Side, item_of, new_root};
use super::event::{Attaching, NewAttachment};
use super::saved::{self, Attached, OwnerKey, RootKey};
use super::sending::UNSENT_DAYS_MAX;
use super::{Delivery, Engine, Event, Reply, Transfer, Unsent, internal, no_randomness, retry_id};
use crate::attachment::{
    ATTACHMENTS_UNSENT_MAX, AttachmentKeys, AttachmentSecret, CHUNK_BYTES, CHUNKS_AT_ONCE, Chunk,
    Cut, LOG_BYTES_MAX, attachment_name_is_fit, media_type_is_fit,
};
use crate::content::{Attach, ContentBody, MessageId, TEXT_BYTES_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Ask, Denied, NewLog};
use crate::policy::Policy;
use crate::random;
use crate::time::{DAY_MS, Now};
use crate::vault::Key;

/// Bytes that are taken in at once.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// An attachment of ours until its message stands in the log.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) id: MessageId,
    pub(super) name: String,
    pub(super) media_type: String,
    text: String,
    reply_to: Option<MessageId>,
    /// When it was given, in minutes, by the wall clock.
    minute: u64,
    /// Since when it waits, by the conversation's time.
    since_ms: u64,
    pub(super) log: LogId,
    /// Until the log is made.
    root: Option<RootKey>,
    pub(super) owner: OwnerKey,
    secret: AttachmentSecret,
    pub(super) bytes: u64,
    #[serde(with = "serde_bytes")]
    digest: [u8; 32],
    /// Chunks in the vault.
    pub(super) staged: u32,
    /// Chunks that the relay has.
    done: u32,
    /// The append that is on its way: the same ids for each sending.
    batch: Option<Batch>,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Batch {
    retry: RetryId,
    day: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Not whole yet.
    TakingIn,
    Sending,
    /// The relay has it; its message is in the outbox.
    Posted,
}

impl core::fmt::Debug for Upload {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Upload(…)")
    }
}

impl Upload {
    fn cut(&self) -> Result<Cut> {
        Cut::of(self.bytes).ok_or_else(|| internal("an attachment that is too long"))
    }
}

/// What is being taken in.
pub(super) struct Intake {
    number: u64,
    id: MessageId,
    keys: AttachmentKeys,
    /// Not yet a chunk; the last chunk is only known at the end.
    rest: Vec<u8>,
    hash: Sha256,
}

impl core::fmt::Debug for Intake {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Intake(…)")
    }
}

impl Engine {
    pub(super) fn attach(&mut self, step: Attaching, now: Now) -> Result<Reply> {
        match step {
            Attaching::Begin(what) => self.begin_intake(what, now).map(Reply::Message),
            Attaching::More { id, bytes } => {
                let taken = self.take_in(&id, &bytes);
                if taken.is_err() {
                    self.cancel_intake(Some(&id));
                }
                taken.map(|()| Reply::Kept)
            }
            Attaching::End(id) => self.end_intake(&id).map(|()| Reply::Kept),
            Attaching::Cancel(id) => {
                self.cancel_intake(Some(&id));
                Ok(Reply::Kept)
            }
        }
    }

    fn begin_intake(&mut self, what: NewAttachment, now: Now) -> Result<MessageId> {
        self.cancel_intake(None);
        if !attachment_name_is_fit(&what.name) || !media_type_is_fit(&what.media_type) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "an attachment's name is one part of a path, its type printable ASCII",
            ));
        }
        if what.media_type.starts_with("image/") && what.text.trim().is_empty() {
            // Somebody here may not see it, and nobody should have to say so.
            return Err(Error::new(
                ErrorKind::Invalid,
                "a picture needs a few words that say what it shows: not everybody here may see it",
            ));
        }
        if what.text.len() > TEXT_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "a text is longer than a message may be",
            ));
        }
        if self.transfers.uploads.len() >= ATTACHMENTS_UNSENT_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "too many attachments wait to be sent",
            ));
        }
        let (id, secret) = (
            MessageId::random().map_err(no_randomness)?,
            AttachmentSecret::random().map_err(no_randomness)?,
        );
        let (log, root) = new_root()?;
        let number = self.saved.next_out;
        self.saved.next_out += 1;
        self.transfers.intake = Some(Intake {
            number,
            id,
            keys: secret.keys(&log),
            rest: Vec::new(),
            hash: Sha256::new(),
        });
        let upload = Upload {
            id,
            name: what.name,
            media_type: what.media_type,
            text: what.text,
            reply_to: what.reply_to,
            minute: self.wall_minute(),
            since_ms: self.wanted_at(now),
            log,
            root: Some(root),
            owner: OwnerKey(random::array().map_err(no_randomness)?),
            secret,
            bytes: 0,
            digest: [0; 32],
            staged: 0,
            done: 0,
            batch: None,
            stage: Stage::TakingIn,
        };
        self.keep_upload(number, upload)?;
        Ok(id)
    }

    fn keep_upload(&mut self, number: u64, upload: Upload) -> Result<()> {
        self.keep_beside(&saved::upload_name(number), &upload)?;
        self.transfers.uploads.insert(number, upload);
        Ok(())
    }

    fn intake_of(&mut self, id: &MessageId) -> Result<(Intake, Upload)> {
        let ours = |intake: &mut Intake| intake.id == *id;
        let intake = self.transfers.intake.take_if(ours);
        let upload = intake
            .as_ref()
            .and_then(|intake| self.transfers.uploads.get(&intake.number).cloned());
        intake
            .zip(upload)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "no such attachment is being taken in"))
    }

    fn take_in(&mut self, id: &MessageId, bytes: &[u8]) -> Result<()> {
        let (mut intake, mut upload) = self.intake_of(id)?;
        let length = upload.bytes.saturating_add(bytes.len() as u64);
        if bytes.len() > PIECE_BYTES_MAX || Cut::of(length).is_none() {
            self.transfers.intake = Some(intake);
            return Err(Error::new(
                ErrorKind::TooLarge,
                "an attachment is longer than one may be",
            ));
        }
        upload.bytes = length;
        intake.hash.update(bytes);
        intake.rest.extend_from_slice(bytes);
        // One byte more than a chunk: then it is not the last one.
        while intake.rest.len() > CHUNK_BYTES {
            let chunk: Vec<u8> = intake.rest.drain(..CHUNK_BYTES).collect();
            let at = Chunk {
                index: upload.staged,
                is_last: false,
            };
            self.stage(&mut upload, &intake.keys, at, &chunk, SizeClass::K64)?;
        }
        let number = intake.number;
        self.transfers.intake = Some(intake);
        self.keep_upload(number, upload)
    }

    /// Seals a chunk and keeps it.
    fn stage(
        &mut self,
        upload: &mut Upload,
        keys: &AttachmentKeys,
        at: Chunk,
        content: &[u8],
        class: SizeClass,
    ) -> Result<()> {
        let sealed = keys.seal(at, content, class).map_err(not_sealed)?;
        let name = saved::chunk_name(&upload.id, at.index);
        self.out.store.put(Key::new(self.space, name), sealed);
        upload.staged += 1;
        Ok(())
    }

    fn end_intake(&mut self, id: &MessageId) -> Result<()> {
        let (intake, mut upload) = self.intake_of(id)?;
        let cut = upload.cut()?;
        let floor = self.policy.as_ref().map_or(SizeClass::K1, Policy::floor);
        let at = cut.chunk(upload.staged);
        let class = cut.class(floor);
        self.stage(&mut upload, &intake.keys, at, &intake.rest, class)?;
        upload.digest = intake.hash.finalize().into();
        upload.stage = Stage::Sending;
        let of = cut.chunks();
        self.tell(Event::Attachment {
            id: *id,
            transfer: Transfer::Sending { done: 0, of },
        });
        self.keep_upload(intake.number, upload)
    }

    /// Forgets what is not whole: of this message, or whatever it is.
    fn cancel_intake(&mut self, id: Option<&MessageId>) {
        let is_meant = |intake: &mut Intake| id.is_none_or(|id| intake.id == *id);
        if let Some(intake) = self.transfers.intake.take_if(is_meant) {
            self.drop_upload(intake.number);
        }
    }

    /// What a process that ended had not taken in as a whole.
    pub(super) fn drop_half_taken(&mut self) {
        let half = |upload: &Upload| upload.stage == Stage::TakingIn;
        let numbers: Vec<_> = self
            .transfers
            .uploads
            .iter()
            .filter(|(_, upload)| half(upload))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.drop_upload(number);
        }
    }

    fn drop_upload(&mut self, number: u64) -> Option<Upload> {
        let upload = self.transfers.uploads.remove(&number)?;
        self.delete_row(&saved::upload_name(number));
        self.delete_chunks(&upload.id, upload.staged);
        Some(upload)
    }

    fn number_of(&self, id: &MessageId) -> Option<u64> {
        let mut all = self.transfers.uploads.iter();
        all.find(|(_, upload)| upload.id == *id)
            .map(|(number, _)| *number)
    }

    /// It will not be said: everything of it goes, at the relay too.
    pub(super) fn abandon_upload(&mut self, id: &MessageId) -> Result<()> {
        let Some(upload) = self
            .number_of(id)
            .and_then(|number| self.drop_upload(number))
        else {
            return Ok(());
        };
        self.discard(upload.log, upload.owner)
    }

    pub(super) fn fail_upload(&mut self, id: &MessageId) -> Result<()> {
        if self.number_of(id).is_some() {
            self.tell(Event::Delivery {
                id: *id,
                state: Delivery::Failed,
            });
        }
        self.abandon_upload(id)
    }

    /// Takes back what the relay does not have as a whole; whether there was such.
    pub(super) fn withdraw_upload(&mut self, id: &MessageId) -> Result<bool> {
        let upload = self
            .transfers
            .uploads
            .values()
            .find(|upload| upload.id == *id);
        let is_pending = upload.is_some_and(|upload| upload.stage == Stage::Sending);
        if is_pending {
            self.abandon_upload(id)?;
            self.tell(Event::Deleted { id: *id });
        }
        Ok(is_pending)
    }

    /// What waited too long is given back; answers when the next is due (the
    /// conversation's time).
    pub(super) fn expire_uploads(&mut self, now: Now) -> Result<Option<u64>> {
        let due = |upload: &Upload| upload.since_ms.saturating_add(UNSENT_DAYS_MAX * DAY_MS);
        let sending = |upload: &&Upload| upload.stage == Stage::Sending;
        let late: Vec<_> = self
            .transfers
            .uploads
            .values()
            .filter(sending)
            .filter(|upload| due(upload) <= now.wall_ms)
            .map(|upload| upload.id)
            .collect();
        for id in late {
            self.abandon_upload(&id)?;
            self.tell(Event::Delivery {
                id,
                state: Delivery::Expired,
            });
        }
        let uploads = self.transfers.uploads.values();
        Ok(uploads.filter(sending).map(due).min())
    }

    /// Nothing waits since later than this.
    pub(super) fn uploads_wait_from(&mut self, at_ms: u64) -> Result<()> {
        let uploads = self.transfers.uploads.iter_mut();
        let mut late = Vec::new();
        for (number, upload) in uploads.filter(|(_, one)| one.since_ms > at_ms) {
            upload.since_ms = at_ms;
            late.push((*number, upload.clone()));
        }
        for (number, upload) in late {
            self.keep_upload(number, upload)?;
        }
        Ok(())
    }

    /// Attachments that are whole here and not yet said.
    pub(super) fn unsent_uploads(&self) -> impl Iterator<Item = Unsent> + '_ {
        let uploads = self.transfers.uploads.values();
        let sending = uploads.filter(|upload| upload.stage == Stage::Sending);
        sending.map(|upload| Unsent {
            id: upload.id,
            reply_to: upload.reply_to,
            minute: upload.minute,
            text: upload.text.clone(),
            attachment: Some(super::Attachment {
                name: upload.name.clone(),
                media_type: upload.media_type.clone(),
                bytes: upload.bytes,
                is_here: true,
            }),
        })
    }

    fn first_upload(&self) -> Option<(u64, &Upload)> {
        let mut all = self.transfers.uploads.iter();
        all.find(|(_, upload)| upload.stage == Stage::Sending)
            .map(|(number, upload)| (*number, upload))
    }

    /// Makes the log, opens it, and sends the next chunks.
    pub(super) fn go_on_uploading(&mut self, now: Now) -> Result<()> {
        let Some((number, upload)) = self.first_upload() else {
            return Ok(());
        };
        let (id, log, owner) = (upload.id, upload.log, upload.owner);
        if upload.root.is_some() && !self.beside.is_asked(Side::MakeAttachment(id)) {
            self.make_log(number, upload.clone(), now)?;
        }
        let is_busy = self.is_loading()
            || self.beside.is_asked(Side::Upload(id))
            || self.beside.is_asked(Side::Count(id));
        if !self.reach(log, &owner.0) || is_busy {
            return Ok(());
        }
        let Some(upload) = self.transfers.uploads.get(&number) else {
            return Ok(());
        };
        let end = upload.staged.min(upload.done + CHUNKS_AT_ONCE);
        let wants: Vec<_> = (upload.done..end)
            .map(|index| Key::new(self.space, saved::chunk_name(&id, index)))
            .collect();
        if wants.is_empty() {
            return self.send_batch(Vec::new(), now);
        }
        self.transfers.is_loading = true;
        self.out.wants = wants;
        Ok(())
    }

    fn make_log(&mut self, number: u64, mut upload: Upload, now: Now) -> Result<()> {
        let (id, today) = (upload.id, self.session.today(now));
        let Some(root) = &mut upload.root else {
            return Ok(());
        };
        root.ask_on(today);
        let root = root.clone();
        let read = upload.secret.keys(&upload.log).read_key();
        let new = new_log_for(&root, &read, &StaticSecret::from(upload.owner.0));
        self.keep_upload(number, upload)?;
        self.create_beside(new, Side::MakeAttachment(id));
        Ok(())
    }

    /// The chunks that were asked for, and the padding behind them.
    pub(super) fn send_batch(&mut self, chunks: Vec<Vec<u8>>, now: Now) -> Result<()> {
        let Some((number, upload)) = self.first_upload() else {
            return Ok(());
        };
        let (cut, mut upload) = (upload.cut()?, upload.clone());
        let keys = upload.secret.keys(&upload.log);
        let end = cut.chunks().min(upload.done + CHUNKS_AT_ONCE);
        let mut sealed = chunks;
        let mut next = upload.done + u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        while next < end {
            // Nothing but zeros, so it is not kept; a repeat is other bytes that mean the same.
            let padding = keys.seal(cut.chunk(next), &[], SizeClass::K64);
            sealed.push(padding.map_err(not_sealed)?);
            next += 1;
        }
        let batch = match upload.batch {
            Some(batch) => batch,
            None => Batch {
                retry: retry_id()?,
                day: self.session.today(now),
            },
        };
        upload.batch = Some(batch);
        let items: Vec<Item<'static>> = vec![item_of(upload.log, sealed)?];
        let (id, Batch { retry, day }) = (upload.id, batch);
        self.keep_upload(number, upload)?;
        self.ask_beside(Ask::Append { items, retry, day }, Side::Upload(id));
        Ok(())
    }

    pub(super) fn attachment_made(
        &mut self,
        id: &MessageId,
        result: &core::result::Result<Answer<'static>, Denied>,
    ) -> Result<()> {
        let Some((number, mut upload)) = self.upload_of(id) else {
            return Ok(());
        };
        match result.as_ref().map_err(|denied| denied.refusal.code) {
            // Refused: an earlier asking made it, and opening it shows that; or it opens to nobody.
            Ok(_) | Err(ErrorCode::Refused) => upload.root = None,
            Err(ErrorCode::RetryTooOld) => {
                if let Some(root) = &mut upload.root {
                    root.renew()?;
                }
            }
            Err(_) => return self.fail_upload(id),
        }
        self.keep_upload(number, upload)
    }

    fn upload_of(&self, id: &MessageId) -> Option<(u64, Upload)> {
        let number = self.number_of(id)?;
        Some((number, self.transfers.uploads.get(&number)?.clone()))
    }

    pub(super) fn batch_answered(
        &mut self,
        id: &MessageId,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let Some((number, mut upload)) = self.upload_of(id) else {
            return Ok(());
        };
        let of = upload.cut()?.chunks();
        let before = upload.done;
        match result {
            Ok(Answer::Appended(done)) => {
                let expected = of.min(before + CHUNKS_AT_ONCE);
                let stands_at = done.first().map(|done| done.seq);
                if stands_at != Some(u64::from(expected)) {
                    // Nobody else can write there: the log is not what we made.
                    return self.fail_upload(id);
                }
                upload.done = expected;
                upload.batch = None;
            }
            Ok(_) => return self.fail_upload(id),
            Err(denied) if denied.refusal.code == ErrorCode::RetryTooOld => {
                upload.batch = None;
                let log = upload.log;
                self.ask_beside(Ask::Describe(Describe { log }), Side::Count(*id));
            }
            Err(_) => return self.fail_upload(id),
        }
        let done = upload.done;
        self.tell_transfer(*id, before, Transfer::Sending { done, of });
        if done == of {
            return self.post(number, upload, now);
        }
        self.keep_upload(number, upload)
    }

    /// Days later: how many chunks the log holds says what became of the last append.
    pub(super) fn batch_counted(
        &mut self,
        id: &MessageId,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let (Some((number, mut upload)), Ok(Answer::Described(described))) =
            (self.upload_of(id), result)
        else {
            return self.fail_upload(id);
        };
        let of = upload.cut()?.chunks();
        let held = u32::try_from(described.entries).unwrap_or(u32::MAX);
        if held > of {
            return self.fail_upload(id);
        }
        upload.done = held;
        if held == of {
            return self.post(number, upload, now);
        }
        self.keep_upload(number, upload)
    }

    /// All of it is with the relay: now it is said.
    fn post(&mut self, number: u64, mut upload: Upload, now: Now) -> Result<()> {
        self.let_go(&upload.log);
        let body = ContentBody::Attach(Box::new(Attach {
            to: upload.reply_to,
            log: upload.log,
            name: upload.name.clone(),
            text: core::mem::take(&mut upload.text),
            media_type: upload.media_type.clone(),
            bytes: upload.bytes,
            digest: upload.digest,
            secret: upload.secret.clone(),
        }));
        let id = upload.id;
        upload.stage = Stage::Posted;
        self.keep_upload(number, upload)?;
        self.queue_as(id, body, now)
    }

    /// Its message stands in the log: what is kept with it. The chunks stay as our copy.
    pub(super) fn said_attachment(&mut self, id: &MessageId, attached: &mut Attached) {
        let number = self.number_of(id);
        let upload = number.and_then(|number| self.transfers.uploads.remove(&number));
        if let (Some(number), Some(upload)) = (number, upload) {
            self.delete_row(&saved::upload_name(number));
            attached.owner = Some(upload.owner);
            self.note_here(id);
        }
    }
}

/// The log of an attachment.
pub(super) fn new_log_for(root: &RootKey, read: &StaticSecret, owner: &StaticSecret) -> NewLog {
    NewLog {
        root: StaticSecret::from(root.key),
        grants: vec![
            grant(read, Rights::READ),
            grant(owner, Rights::APPEND.union(Rights::MANAGE)),
        ],
        policy: LogPolicy {
            ttl_days: TTL_DAYS,
            bytes_max: LOG_BYTES_MAX,
            admit_rights: Rights::NONE,
            ttl_fenced_days: TTL_FENCED_DAYS_DEFAULT,
        },
        ticket: None,
        retry: root.retry,
        day: root.day,
    }
}

fn not_sealed(error: crate::attachment::Closed) -> Error {
    internal("a chunk could not be sealed").because(error)
}
