//! Side by side: what a person read, and what lies on the relay's disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::output::Output;
use crate::screen::shown_short;
use crate::speak::Person;

/// Lines that are shown.
const LINES: usize = 8;
/// Characters of a text.
const TEXT_CHARACTERS: usize = 56;
/// Bytes of the disk on one line.
const ROW_BYTES: usize = 16;
/// So much of a file is looked at.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The first texts that a person read beside bytes of the relay's folder.
pub(super) fn side_by_side(output: &Output, reader: &Person, folder: &Path) -> io::Result<()> {
    let heard = reader.heard();
    let texts = heard.messages.iter().take(LINES);
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

/// Rows of the file in which most is written, from its middle; empty space is passed over.
fn rows_of(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let (mut folders, mut most) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let rows = written_rows(&entry.path())?;
            if rows.len() > most.len() {
                most = rows;
            }
        }
    }
    let from = (most.len() / 2).min(most.len().saturating_sub(LINES));
    Ok(most.into_iter().skip(from).take(LINES).collect())
}

fn written_rows(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    let is_written = |row: &&[u8]| row.iter().filter(|byte| **byte == 0).count() < ROW_BYTES / 4;
    let rows = bytes.chunks_exact(ROW_BYTES).filter(is_written);
    Ok(rows.map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_from_where_something_stands() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("small"), [1; 40]).unwrap();
        fs::write(folder.path().join("empty"), [0; 4_096]).unwrap();
        let mut file = vec![0; 64];
        file.extend([7; 64]);
        fs::write(folder.path().join("below/full"), &file).unwrap();
        assert_eq!(rows_of(folder.path()).unwrap(), vec![vec![7; ROW_BYTES]; 4]);
        assert_eq!(hexadecimal(&[0, 255]), "00 ff");
    }
}
