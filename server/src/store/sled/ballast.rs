//! Room on the disk that is given up when the disk is full.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::SEGMENT_BYTES;

/// Written to a file of its own and given up when the disk is full all the same: sled has to be
/// opened again after a failed write, and needs room for that. Two segments.
const BALLAST_BYTES: usize = 2 * SEGMENT_BYTES;
/// Name of that file.
pub(crate) const BALLAST: &str = "ballast";

/// Room that is set aside.
pub(super) struct Ballast {
    path: Option<PathBuf>,
    is_there: bool,
}

impl Ballast {
    pub(super) fn new(folder: &Path, wanted: bool) -> Self {
        Self {
            path: wanted.then(|| folder.join(BALLAST)),
            is_there: false,
        }
    }

    /// Sets the room aside unless it is; `false`: there is none.
    pub(super) fn keep(&mut self) -> bool {
        let Some(path) = self.path.as_ref().filter(|_| !self.is_there) else {
            return true;
        };
        let known = path.metadata().map(|about| about.len()).ok();
        self.is_there = known == u64::try_from(BALLAST_BYTES).ok()
            || std::fs::write(path, vec![0; BALLAST_BYTES])
                .and_then(|()| File::open(path)?.sync_all())
                .is_ok();
        if !self.is_there {
            self.give_up();
        }
        self.is_there
    }

    pub(super) fn give_up(&mut self) {
        self.is_there = false;
        if let Some(path) = &self.path {
            // Not there is what it should be.
            drop(std::fs::remove_file(path));
        }
    }
}
