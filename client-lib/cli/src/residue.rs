//! `sotto residue`: what this device keeps, counted without a key.

use std::path::Path;

use serde_json::json;
use sotto_client::vault::SqliteVault;

use crate::arguments::ResidueArgs;
use crate::device;
use crate::output::{Done, Failure, Output, fields};

/// Files in the folder that are listed; a vault has a handful.
const FILES_MAX: usize = 1_000;

#[derive(serde::Serialize)]
struct Kept {
    conversations: u64,
    values: u64,
    bytes: u64,
    empty: bool,
}

/// Counts and lists.
pub(crate) async fn run(arguments: ResidueArgs, output: &Output) -> Result<Done, Failure> {
    let folder = device::folder(arguments.folder.as_ref())?;
    let vault = device::vault(&folder);
    let counted = tokio::task::spawn_blocking(move || SqliteVault::residue_of(&vault)).await;
    let residue = counted.map_err(|_| Failure::could_not_run("the vault was not read"))??;
    let kept = Kept {
        conversations: residue.spaces,
        values: residue.rows,
        bytes: residue.bytes,
        empty: residue.is_empty(),
    };
    for (name, bytes) in files(&folder)? {
        output.object(&json!({"type": "file", "name": name, "bytes": bytes}));
        output.words(&format!("{bytes:>12} bytes  {name}"));
    }
    output.words(&format!(
        "{} conversations, {} sealed values of {} bytes. Who has the files without the key learns \
         these numbers and no more.",
        kept.conversations, kept.values, kept.bytes
    ));
    let done = fields(&kept);
    if arguments.expect_empty && !kept.empty {
        return Err(
            Failure::promise("this device keeps conversations", done).then("Leave them: /leave")
        );
    }
    Ok(done)
}

/// Names and sizes of files, by path below the folder.
fn files(folder: &Path) -> Result<Vec<(String, u64)>, Failure> {
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
                found.push((name.display().to_string(), entry.metadata()?.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}
