//! Side by side: what a person read, and what lies on the relay's disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::output::Output;
use crate::screen::shown_short;
use crate::speak::Person;

/// Lines that are shown.
const LINES: usize = 8;
/// Characters of a text.
const TEXT_CHARACTERS: usize = 56;
/// Bytes of the disk on one line.
const ROW_BYTES: usize = 16;
/// So much of the file is looked at.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The last texts that a person read beside bytes of the relay's largest file.
pub(super) fn side_by_side(output: &Output, reader: &Person, folder: &Path) -> io::Result<()> {
    let heard = reader.heard();
    let from = heard.messages.len().saturating_sub(LINES);
    let texts = heard.messages.iter().skip(from);
    let rows = rows_of(folder)?;
    output.words("");
    let heads = ("what a person read", "what the relay's disk holds");
    output.words(&format!("  {:TEXT_CHARACTERS$}  {}", heads.0, heads.1));
    for (message, row) in texts.zip(rows.iter().chain(core::iter::repeat(&Vec::new()))) {
        let text = shown_short(&message.text, TEXT_CHARACTERS);
        output.quote(&format!("  {text:TEXT_CHARACTERS$}  {}", hexadecimal(row)));
    }
    output.words("");
    Ok(())
}

fn hexadecimal(row: &[u8]) -> String {
    let bytes: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// Rows of the largest file, from the middle of what is written in it; empty space is passed over.
fn rows_of(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let Some((path, _)) = largest(folder)? else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    let rows: Vec<_> = bytes.chunks_exact(ROW_BYTES).filter(is_written).collect();
    let from = (rows.len() / 2).min(rows.len().saturating_sub(LINES));
    let shown = rows.into_iter().skip(from).take(LINES);
    Ok(shown.map(<[u8]>::to_vec).collect())
}

fn is_written(row: &&[u8]) -> bool {
    row.iter().filter(|byte| **byte == 0).count() < ROW_BYTES / 4
}

fn largest(folder: &Path) -> io::Result<Option<(PathBuf, u64)>> {
    let (mut folders, mut found) = (vec![folder.to_path_buf()], None::<(PathBuf, u64)>);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if found
                .as_ref()
                .is_none_or(|(_, bytes)| metadata.len() > *bytes)
            {
                found = Some((entry.path(), metadata.len()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_from_where_something_stands() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("small"), [1; 40]).unwrap();
        let mut file = vec![0; 64];
        file.extend([7; 64]);
        fs::write(folder.path().join("below/large"), &file).unwrap();
        assert_eq!(rows_of(folder.path()).unwrap(), vec![vec![7; ROW_BYTES]; 4]);
        assert_eq!(hexadecimal(&[0, 255]), "00 ff");
    }
}
