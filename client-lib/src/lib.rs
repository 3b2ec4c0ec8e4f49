//! The Sotto SDK.

mod content;
pub mod engine;
pub mod error;
mod jitter;
mod link;
pub mod log;
mod mls;
mod policy;
mod random;
mod seal;
pub mod time;
pub mod vault;

pub use content::{MessageId, NAME_BYTES_MAX, REACTION_BYTES_MAX, TEXT_BYTES_MAX};
pub use link::{BadLink, Link, RelayAddress};
pub use mls::{LeafId, Suite};
