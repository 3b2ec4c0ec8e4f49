//! A file of fixed slots, each written in place: what is overwritten is gone. It must not hold a
//! secret in memory longer than its caller asks.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of the check at the end of a slot.
const CHECK_BYTES: usize = 8;

/// A file of slots: `payload || zeros || first 8 bytes of SHA-256(index || payload || zeros)`; a
/// free slot is all zeros.
///
/// A slot's length divides 512, so that none crosses a sector of any disk and a torn write leaves
/// the old slot or the new one.
#[derive(Debug)]
pub(crate) struct SlotFile {
    file: File,
    slot_bytes: usize,
    /// Slots that exist in the file, used or not.
    slots: u32,
    free: BTreeSet<u32>,
}

impl SlotFile {
    /// Opens or makes the file and returns what its used slots hold.
    ///
    /// # Errors
    /// `InvalidData` for a slot that does not check, or what the file system says.
    #[expect(clippy::type_complexity, reason = "the slots that are in use")]
    pub(crate) fn open(
        path: &Path,
        slot_bytes: usize,
    ) -> io::Result<(Self, Vec<(u32, Zeroizing<Vec<u8>>)>)> {
        let mut file = private(OpenOptions::new().read(true).write(true))
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.read_to_end(&mut bytes)?;
        let mut this = Self {
            file,
            slot_bytes,
            slots: 0,
            free: BTreeSet::new(),
        };
        let mut used = Vec::new();
        for (index, slot) in (0_u32..).zip(bytes.chunks(slot_bytes)) {
            if slot.len() != slot_bytes {
                return Err(damaged());
            }
            this.slots = index + 1;
            if slot.iter().all(|byte| *byte == 0) {
                this.free.insert(index);
                continue;
            }
            let payload = this.parse(index, slot).ok_or_else(damaged)?;
            used.push((index, payload));
        }
        Ok((this, used))
    }

    fn parse(&self, index: u32, slot: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (payload, check) = slot.split_at_checked(self.slot_bytes - CHECK_BYTES)?;
        (checksum(index, payload) == check).then(|| Zeroizing::new(payload.to_vec()))
    }

    /// Picks a free slot; it is taken from now on.
    pub(crate) fn take_free(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            let index = self.slots;
            self.slots += 1;
            index
        })
    }

    /// Writes a slot; not yet synced.
    ///
    /// # Errors
    /// What the file system says, or `InvalidInput` for a payload that is too long.
    pub(crate) fn write(&mut self, index: u32, payload: &[u8]) -> io::Result<()> {
        let mut slot = Zeroizing::new(payload.to_vec());
        if slot.len() > self.slot_bytes - CHECK_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        slot.resize(self.slot_bytes - CHECK_BYTES, 0);
        let check = checksum(index, &slot);
        slot.extend_from_slice(&check);
        self.write_raw(index, &slot)
    }

    /// Overwrites a slot with zeros; not yet synced.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn erase(&mut self, index: u32) -> io::Result<()> {
        let zeros = vec![0; self.slot_bytes];
        self.write_raw(index, &zeros)?;
        self.free.insert(index);
        Ok(())
    }

    fn write_raw(&mut self, index: u32, slot: &[u8]) -> io::Result<()> {
        let start = u64::from(index) * u64::try_from(self.slot_bytes).unwrap_or(u64::MAX);
        self.file.seek(SeekFrom::Start(start))?;
        self.file.write_all(slot)
    }

    /// Makes sure that what was written survives a power cut.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn checksum(index: u32, payload: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    hash.update(index.to_be_bytes());
    hash.update(payload);
    let digest: [u8; 32] = hash.finalize().into();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(digest.first_chunk::<CHECK_BYTES>().unwrap_or(&[0; 8]));
    check
}

/// Readable by nobody but the relay's own account.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erased_slot_is_nowhere_in_the_file_and_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots");
        let (mut file, used) = SlotFile::open(&path, 64).unwrap();
        assert!(used.is_empty());
        let first = file.take_free();
        let second = file.take_free();
        file.write(first, b"the first secret").unwrap();
        file.write(second, b"the second secret").unwrap();
        file.erase(first).unwrap();
        file.sync().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"the first"));
        assert!(bytes.windows(10).any(|window| window == b"the second"));
        let (mut file, used) = SlotFile::open(&path, 64).unwrap();
        assert_eq!(used.len(), 1);
        assert!(used[0].1.starts_with(b"the second secret"));
        assert_eq!(file.take_free(), first);
    }

    #[test]
    fn a_flipped_byte_is_noticed_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots");
        let (mut file, _) = SlotFile::open(&path, 64).unwrap();
        for _ in 0..2 {
            let slot = file.take_free();
            file.write(slot, b"secret").unwrap();
        }
        file.erase(0).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(SlotFile::open(&path, 64).is_err(), "byte {at}");
        }
        std::fs::write(&path, &whole[..100]).unwrap();
        assert!(SlotFile::open(&path, 64).is_err());
    }
}
