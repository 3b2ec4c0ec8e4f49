//! One suite for every vault, and what only a vault on disk can show.

mod conformance;
#[cfg(feature = "native")]
mod disk;

use super::{Batch, Key, Space};

const A: Space = Space([0xA1; 16]);
const B: Space = Space([0xB2; 16]);

fn key(space: Space, name: &str) -> Key {
    Key::new(space, name.as_bytes())
}

fn put(space: Space, name: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(key(space, name), value.as_bytes());
    batch
}
