//! Attachments, as an app sends and reads them.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::conversation::{Ask, Conversation, closed};
use super::on_disk;
use crate::content::MessageId;
use crate::engine::{Attaching, Command, NewAttachment, Reply};
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read of a source, or of the vault, at once.
const BLOCK_BYTES: u64 = 256 * 1024;

/// Tells the conversation to forget what was not taken in as a whole.
struct Unfinished {
    asks: mpsc::Sender<Ask>,
    id: MessageId,
    is_whole: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_whole {
            let cancel = Command::Attach(Attaching::Cancel(self.id));
            // Where there is no room for it, the next attachment or start of the app does the same.
            let _ = self.asks.try_send(Ask::Do(cancel, oneshot::channel().0));
        }
    }
}

impl Conversation {
    /// Sends what `from` gives until its end, at most
    /// [`ATTACHMENT_BYTES_MAX`](crate::ATTACHMENT_BYTES_MAX) bytes, such as a voice note or a photo.
    /// Pass `&mut file` or `&bytes[..]`; at most some 512 KiB of it are in memory at once.
    ///
    /// When this returns a sealed copy is on the disk, and the source may go. The copy is sent when
    /// the relay can be reached, over lost lines and restarts, and then the message that tells the
    /// others of it, with the id that is returned; [`Event::Attachment`](crate::Event::Attachment)
    /// and [`Event::Delivery`](crate::Event::Delivery) tell how it fares. Words that are said
    /// meanwhile are not held up by it. One attachment is taken in at a time: a second call waits.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if it is longer, or with
    /// [`ATTACHMENTS_UNSENT_MAX`](crate::ATTACHMENTS_UNSENT_MAX) that are not sent yet; [`ErrorKind::Invalid`] for a name or type that is none;
    /// [`ErrorKind::Stream`] if `from` fails. Nothing is sent then. And as
    /// [`Conversation::command`].
    ///
    /// # Cancel safety
    /// Cancelled, nothing of it is sent, unless all of it was taken in already.
    pub async fn attach(
        &self,
        what: NewAttachment,
        mut from: impl AsyncRead + Send + Unpin,
    ) -> Result<MessageId> {
        let _one_at_a_time = self.attaching.lock().await;
        let begin = Command::Attach(Attaching::Begin(what));
        let Reply::Message(id) = self.command(begin).await? else {
            let what = "an attachment without an id";
            return Err(Error::new(ErrorKind::Internal, what));
        };
        let mut unfinished = Unfinished {
            asks: self.asks.clone(),
            id,
            is_whole: false,
        };
        loop {
            let mut bytes = Vec::new();
            let mut block = (&mut from).take(BLOCK_BYTES);
            block.read_to_end(&mut bytes).await.map_err(stream)?;
            if bytes.is_empty() {
                break;
            }
            let more = Attaching::More { id, bytes };
            self.command(Command::Attach(more)).await?;
        }
        self.command(Command::Attach(Attaching::End(id))).await?;
        unfinished.is_whole = true;
        Ok(id)
    }

    /// Writes a message's attachment into `into`, and flushes it; answers how many bytes it has.
    ///
    /// What is not on this device yet is brought here first, however long the line is gone: give it
    /// a timeout where a person waits. It stays here, sealed in the vault, until the message goes or
    /// [`Conversation::release`] lets it go, so that it can be read again without a line; apps need
    /// not write it anywhere else. Before the first byte is written all of it is here and is what
    /// its author sent. With a vault in memory, it is kept there.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if the relay does not have it (any more): it expires after 30 days, or
    /// with its message; [`ErrorKind::Altered`] if it is not what its author sent;
    /// [`ErrorKind::Invalid`] if there is no message with an attachment of this id;
    /// [`ErrorKind::TooLarge`] with
    /// [`ATTACHMENTS_WANTED_MAX`](crate::ATTACHMENTS_WANTED_MAX) that are wanted already; [`ErrorKind::NotMember`];
    /// [`ErrorKind::Stream`] if `into` fails, which may have taken some of it;
    /// [`ErrorKind::Closed`]; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, `into` may have taken some of it. It is brought here all the same; a later call
    /// goes on from there.
    pub async fn fetch(
        &self,
        message: MessageId,
        mut into: impl AsyncWrite + Send + Unpin,
    ) -> Result<u64> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Fetch(message, answer);
        self.asks.send(ask).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())??;
        let copy = self.look(move |engine| engine.local_copy(&message)).await?;
        let copy = copy.ok_or_else(gone)?;
        let mut written = 0;
        for index in 0..copy.chunks() {
            let (vault, key) = (self.vault.clone(), copy.key(index));
            let sealed = on_disk(move || vault.with(|vault| vault.get(&key))).await?;
            let sealed = sealed.ok_or_else(gone)?;
            let bytes = copy
                .open(index, &sealed)
                .ok_or_else(|| Error::new(ErrorKind::VaultDamaged, "a chunk of an attachment"))?;
            into.write_all(&bytes).await.map_err(stream)?;
            written += bytes.len() as u64;
        }
        into.flush().await.map_err(stream)?;
        Ok(written)
    }

    /// Forgets the copy of a message's attachment that is on this device, and brings it no further.
    /// The message stays, and [`Conversation::fetch`] brings it again as long as the relay has it.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] if there is no message with an attachment
    /// of this id.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn release(&self, message: MessageId) -> Result<()> {
        self.command(Command::Release(message)).await.map(drop)
    }
}

fn stream(error: std::io::Error) -> Error {
    let what = "what the app gave to read from or write to failed";
    Error::new(ErrorKind::Stream, what).because(error)
}

fn gone() -> Error {
    Error::new(ErrorKind::Gone, "the attachment is not here any more")
}
