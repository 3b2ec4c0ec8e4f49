//! Attachments of others: read from their log chunk by chunk, checked, kept. SPEC.md, "Attachments".
//!
//! Nothing is said to be here before every chunk opened at its place and all of it has the digest
//! that its message names. What was read survives a restart; one attachment is fetched at a time.

use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Entry, Lane, Page, Read};
use sotto_protocol::id::LogId;

use super::beside::Side;
use super::saved::{self, Attached, ByteString};
use super::{Engine, Transfer, internal};
use crate::attachment::{ATTACHMENTS_WANTED_MAX, CHUNKS_AT_ONCE, Cut};
use crate::content::MessageId;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Ask, Denied};
use crate::vault::Key;

/// How far an attachment was fetched.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Download {
    /// Chunks read, padding included.
    next: u32,
    /// The state of SHA-256 over what they held; nothing before the first.
    hash: Option<ByteString>,
}

impl core::fmt::Debug for Download {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Download(…)")
    }
}

impl Download {
    fn hash(&self) -> Result<Sha256> {
        let Some(kept) = &self.hash else {
            return Ok(Sha256::new());
        };
        let damaged = || Error::new(ErrorKind::VaultDamaged, "the state of a digest");
        let state =
            SerializedState::<Sha256>::try_from(kept.0.as_slice()).map_err(|_| damaged())?;
        Sha256::deserialize(&state).map_err(|_| damaged())
    }
}

/// Why a page does not bring an attachment further.
enum Fault {
    Lost(ErrorKind),
    Ours(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Engine {
    /// Whether all of a message's attachment is on this device.
    pub(crate) fn has_attachment(&self, id: &MessageId) -> bool {
        self.transfers.here.contains(id)
    }

    /// Wants an attachment here.
    pub(super) fn fetch(&mut self, id: MessageId) -> Result<()> {
        let attached = self.index.get(&id).and_then(|one| one.attached.as_ref());
        let Some(attached) = attached else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "no message with an attachment has this id",
            ));
        };
        if self.has_attachment(&id) || self.transfers.downloads.iter().any(|(of, _)| *of == id) {
            return Ok(());
        }
        if self.is_log_of_ours(&attached.log) {
            return Err(Error::new(
                ErrorKind::Altered,
                "the message names a log that holds no attachment",
            ));
        }
        if self.transfers.downloads.len() >= ATTACHMENTS_WANTED_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "too many attachments are wanted at once",
            ));
        }
        self.keep_download(&id, &Download::default())?;
        self.transfers.downloads.push((id, Download::default()));
        Ok(())
    }

    /// Logs that stand open for other reasons; a message must not have us open them anew.
    pub(super) fn is_log_of_ours(&self, log: &LogId) -> bool {
        let door = self.beside.door.as_ref().map(|door| door.log);
        let inbox = self.beside.knocking.as_ref().map(|one| one.inbox());
        let mut answers = self.beside.knocks.values().map(|knock| knock.inbox);
        *log == self.saved.log
            || door == Some(*log)
            || inbox == Some(*log)
            || self.beside.adding.contains_key(log)
            || answers.any(|inbox| inbox == *log)
    }

    fn keep_download(&mut self, id: &MessageId, download: &Download) -> Result<()> {
        self.keep_beside(&saved::download_name(id), download)
    }

    /// Opens the log and reads the next page.
    pub(super) fn go_on_fetching(&mut self) -> Result<()> {
        let Some((id, download)) = self.transfers.downloads.first() else {
            return Ok(());
        };
        let (id, after) = (*id, u64::from(download.next));
        let attached = self.index.get(&id).and_then(|one| one.attached.as_ref());
        let Some(attached) = attached else {
            self.fail_download(&id, ErrorKind::Gone);
            return Ok(());
        };
        let log = attached.log;
        if self.beside.is_asked(Side::Fetch(id)) {
            return Ok(());
        }
        let key = attached.secret.keys(&log).read_key().to_bytes();
        if self.reach(log, &key) {
            let read = Read {
                log,
                lane: Lane::All,
                after,
                entries_max: CHUNKS_AT_ONCE,
            };
            self.ask_beside(Ask::Read(read), Side::Fetch(id));
        }
        Ok(())
    }

    pub(super) fn page_answered(
        &mut self,
        id: &MessageId,
        result: &core::result::Result<Answer<'static>, Denied>,
    ) -> Result<()> {
        let first = self.transfers.downloads.first();
        let Some(mut download) = first
            .filter(|(of, _)| of == id)
            .map(|(_, download)| download.clone())
        else {
            return Ok(());
        };
        let Some(attached) = self.index.get(id).and_then(|one| one.attached.clone()) else {
            self.fail_download(id, ErrorKind::Gone);
            return Ok(());
        };
        let page = match result {
            Ok(Answer::Page(page)) => page,
            Err(denied) if denied.refusal.code == ErrorCode::Refused => {
                self.fail_download(id, ErrorKind::Gone);
                return Ok(());
            }
            _ => {
                self.out.hang_up = true;
                return Ok(());
            }
        };
        match self.take_page(id, &attached, &mut download, page) {
            Ok(()) => Ok(()),
            Err(Fault::Lost(kind)) => {
                self.fail_download(id, kind);
                Ok(())
            }
            Err(Fault::Ours(error)) => Err(error),
        }
    }

    fn take_page(
        &mut self,
        id: &MessageId,
        attached: &Attached,
        download: &mut Download,
        page: &Page<'_>,
    ) -> Result<(), Fault> {
        let cut = Cut::of(attached.bytes).ok_or_else(|| internal("an attachment's length"))?;
        let (before, of) = (download.next, cut.chunks());
        let mut hash = download.hash()?;
        for entry in &page.entries {
            if download.next == of {
                // More than the message says.
                return Err(Fault::Lost(ErrorKind::Altered));
            }
            self.take_chunk(id, attached, cut, download.next, entry, &mut hash)?;
            download.next += 1;
        }
        if download.next == before {
            // Its author had the last chunk acknowledged before the message was said.
            return Err(Fault::Lost(ErrorKind::Gone));
        }
        if download.next < of {
            download.hash = Some(ByteString(hash.serialize().to_vec()));
            self.keep_download(id, download)?;
            if let Some((_, kept)) = self.transfers.downloads.first_mut() {
                *kept = download.clone();
            }
            let done = download.next;
            self.tell_transfer(*id, before, Transfer::Fetching { done, of });
            return Ok(());
        }
        if hash.finalize()[..] != attached.digest {
            return Err(Fault::Lost(ErrorKind::Altered));
        }
        self.end_download(id);
        self.note_here(id);
        self.tell_transfer(*id, before, Transfer::Here);
        Ok(())
    }

    fn take_chunk(
        &mut self,
        id: &MessageId,
        attached: &Attached,
        cut: Cut,
        index: u32,
        entry: &Entry<'_>,
        hash: &mut Sha256,
    ) -> Result<(), Fault> {
        let due = u64::from(index) + 1;
        if entry.seq != due {
            let is_missing = entry.seq > due;
            return Err(Fault::Lost(if is_missing {
                ErrorKind::Gone
            } else {
                ErrorKind::Altered
            }));
        }
        let keys = attached.secret.keys(&attached.log);
        let sealed = entry.sealed.as_slice();
        let content = keys
            .open(cut.chunk(index), cut.content_of(index), sealed)
            .map_err(|_| Fault::Lost(ErrorKind::Altered))?;
        hash.update(&content);
        if index < cut.filled() {
            let name = saved::chunk_name(id, index);
            self.out
                .store
                .put(Key::new(self.space, name), sealed.to_vec());
        }
        Ok(())
    }

    /// All of it is on this device.
    pub(super) fn note_here(&mut self, id: &MessageId) {
        self.transfers.here.insert(*id);
        let name = saved::here_name(id);
        self.out
            .store
            .put(Key::new(self.space, name), Vec::<u8>::new());
    }

    fn end_download(&mut self, id: &MessageId) -> Option<Download> {
        let downloads = &mut self.transfers.downloads;
        let at = downloads.iter().position(|(of, _)| of == id)?;
        let (_, download) = downloads.remove(at);
        self.delete_row(&saved::download_name(id));
        let log = self.index.get(id).and_then(|one| one.attached.as_ref());
        if let Some(log) = log.map(|attached| attached.log) {
            self.let_go(&log);
        }
        Some(download)
    }

    /// It will not come; what came of it goes.
    pub(super) fn fail_download(&mut self, id: &MessageId, kind: ErrorKind) {
        if let Some(download) = self.end_download(id) {
            self.delete_chunks(id, download.next);
            self.tell_transfer(*id, 0, Transfer::Failed(kind));
        }
    }

    /// Our copy goes, and is fetched no further.
    pub(super) fn drop_copy(&mut self, id: &MessageId, bytes: u64) {
        self.fail_download(id, ErrorKind::Gone);
        if self.transfers.here.remove(id) {
            self.delete_row(&saved::here_name(id));
            self.delete_chunks(id, Cut::of(bytes).map_or(0, Cut::filled));
        }
    }

    /// The message stays; what came with it can be fetched again as long as the relay keeps it.
    pub(super) fn release(&mut self, id: &MessageId) -> Result<()> {
        let attached = self.index.get(id).and_then(|one| one.attached.as_ref());
        let Some(bytes) = attached.map(|attached| attached.bytes) else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "no message with an attachment has this id",
            ));
        };
        self.drop_copy(id, bytes);
        Ok(())
    }
}
