//! The Sotto relay: an ordered log of sealed bytes, guarded by capabilities.
//!
//! It knows no accounts, no rooms, no names and no message kinds, and never holds a key that opens
//! content.

pub mod clock;
pub mod limits;
pub mod log;
pub mod retention;
pub mod store;
