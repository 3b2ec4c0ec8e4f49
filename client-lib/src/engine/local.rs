//! Reading an attachment that is on this device, for the client that has the vault.

use super::{Engine, saved};
use crate::attachment::{AttachmentKeys, Cut};
use crate::content::MessageId;
use crate::vault::{Key, Space};

/// How to read an attachment that is on this device, chunk by chunk.
#[derive(Debug)]
pub(crate) struct LocalCopy {
    space: Space,
    id: MessageId,
    keys: AttachmentKeys,
    cut: Cut,
}

impl LocalCopy {
    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> u32 {
        self.cut.filled()
    }

    /// Where the chunk at `index` is kept.
    pub(crate) fn key(&self, index: u32) -> Key {
        Key::new(self.space, saved::chunk_name(&self.id, index))
    }

    /// What is in it.
    pub(crate) fn open(&self, index: u32, sealed: &[u8]) -> Option<Vec<u8>> {
        let (at, length) = (self.cut.chunk(index), self.cut.content_of(index));
        self.keys.open(at, length, sealed).ok()
    }
}

impl Engine {
    /// The copy of a message's attachment, if all of it is on this device.
    pub(crate) fn local_copy(&self, id: &MessageId) -> Option<LocalCopy> {
        let attached = self.index.get(id)?.attached.as_ref()?;
        self.transfers.here.contains(id).then_some(LocalCopy {
            space: self.space,
            id: *id,
            keys: attached.secret.keys(&attached.log),
            cut: Cut::of(attached.bytes)?,
        })
    }
}
