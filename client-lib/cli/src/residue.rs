//! `sotto residue`: what this device keeps, counted without a key, and whatever else lies in its
//! folder, by what it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::json;
use sotto_client::vault::SqliteVault;

use crate::arguments::ResidueArgs;
use crate::device;
use crate::output::{Done, Failure, Output, fields};

/// Files in the folder that are listed; a vault has a handful.
const FILES_MAX: usize = 1_000;
/// What an empty device has: its key, its vault without a value, and the vault's lock.
const OF_AN_EMPTY_DEVICE: [(&str, Format); 3] = [
    ("key", Format::Key),
    ("vault/vault.lock", Format::Lock),
    ("vault/vault.sqlite", Format::Database),
];

#[derive(serde::Serialize)]
struct Kept {
    conversations: u64,
    values: u64,
    bytes: u64,
    files: usize,
    /// Files that an empty device does not have.
    left: usize,
    empty: bool,
}

/// What a file is, by its content where that tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Database,
    Journal,
    Key,
    Lock,
    /// A link, an address or a list of ours, as text.
    Text,
    Unknown,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Journal => "journal",
            Self::Key => "key",
            Self::Lock => "lock",
            Self::Text => "text of sotto",
            Self::Unknown => "unknown",
        }
    }

    fn of(name: &str, begins: &[u8], bytes: u64) -> Self {
        const WAL: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];
        const ROLLBACK: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        let is_journal = WAL.iter().any(|magic| begins.starts_with(magic));
        match (name.rsplit('/').next(), bytes) {
            _ if begins.starts_with(b"SQLite format 3\0") => Self::Database,
            _ if is_journal || begins.starts_with(&ROLLBACK) => Self::Journal,
            _ if begins.starts_with(b"sotto") => Self::Text,
            (Some("vault.lock"), 0 | 8) => Self::Lock,
            (Some("vault.sqlite"), 0) => Self::Database,
            (_, 32) => Self::Key,
            _ => Self::Unknown,
        }
    }
}

struct Found {
    name: String,
    bytes: u64,
    format: Format,
}

impl Found {
    fn is_of_an_empty_device(&self) -> bool {
        OF_AN_EMPTY_DEVICE.contains(&(self.name.as_str(), self.format))
    }
}

/// Counts and lists.
pub(crate) async fn run(arguments: ResidueArgs, output: &Output) -> Result<Done, Failure> {
    let folder = device::folder(arguments.folder.as_ref())?;
    let vault = device::vault(&folder);
    let counted = tokio::task::spawn_blocking(move || SqliteVault::residue_of(&vault)).await;
    let residue = counted.map_err(|_| Failure::could_not_run("the vault was not read"))??;
    let found = files(&folder)?;
    let left = found.iter().filter(|one| !one.is_of_an_empty_device());
    let left = left.count();
    let kept = Kept {
        conversations: residue.spaces,
        values: residue.rows,
        bytes: residue.bytes,
        files: found.len(),
        left,
        empty: residue.is_empty() && left == 0,
    };
    for one in &found {
        let (name, bytes, format) = (&one.name, one.bytes, one.format.name());
        let expected = one.is_of_an_empty_device();
        output.object(&json!({
            "type": "file", "name": name, "bytes": bytes, "format": format, "expected": expected,
        }));
        output.words(&format!("{bytes:>12} bytes  {name} ({format})"));
    }
    output.words(&format!(
        "{} conversations, {} sealed values of {} bytes. Who has the files without the key learns \
         these numbers and no more.",
        kept.conversations, kept.values, kept.bytes
    ));
    if left > 0 {
        output.words(&format!(
            "{left} files are not those of an empty device: look at them above."
        ));
    }
    let done = fields(&kept);
    if arguments.expect_empty && !kept.empty {
        let said = if residue.is_empty() {
            "files are left that an empty device does not have"
        } else {
            "this device keeps conversations"
        };
        let next = "Leave them (/leave), or erase everything: sotto exit";
        return Err(Failure::promise(said, done).then(next));
    }
    Ok(done)
}

/// Every file, by its path below the folder.
fn files(folder: &Path) -> Result<Vec<Found>, Failure> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if found.len() < FILES_MAX {
                let path = entry.path();
                let name = path.strip_prefix(folder).unwrap_or(&path);
                let (name, bytes) = (name.display().to_string(), entry.metadata()?.len());
                let format = Format::of(&name, &begin_of(&path), bytes);
                found.push(Found {
                    name,
                    bytes,
                    format,
                });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The first bytes of a file; of one that cannot be read there are none to tell it by.
fn begin_of(path: &Path) -> Vec<u8> {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut begin));
    if read.is_err() {
        begin.clear();
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_told_by_its_content_and_not_by_its_name() {
        let of = |name: &str, begins: &[u8]| Format::of(name, begins, begins.len() as u64);
        assert_eq!(of("notes.txt", b"SQLite format 3\0"), Format::Database);
        assert_eq!(
            of("vault/vault.lock", b"SQLite format 3\0"),
            Format::Database
        );
        assert_eq!(of("x", &[0x37, 0x7f, 0x06, 0x82, 0]), Format::Journal);
        assert_eq!(of("key~", &[1; 32]), Format::Key);
        assert_eq!(of("vault/vault.lock", &[0; 8]), Format::Lock);
        assert_eq!(of("vault/vault.lock", &[0; 9]), Format::Unknown);
        assert_eq!(of("link", b"sotto:1:AAAA"), Format::Text);
        assert_eq!(of("key", b"short"), Format::Unknown);
        let found = |name: &str, format| Found {
            name: name.into(),
            bytes: 1,
            format,
        };
        assert!(found("key", Format::Key).is_of_an_empty_device());
        assert!(!found("key", Format::Unknown).is_of_an_empty_device());
        assert!(!found("copy/key", Format::Key).is_of_an_empty_device());
    }
}
