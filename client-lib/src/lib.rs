//! The Sotto SDK.

mod content;
mod link;
mod mls;
mod policy;
mod random;
mod seal;

pub use content::{MessageId, NAME_BYTES_MAX, REACTION_BYTES_MAX, TEXT_BYTES_MAX};
pub use link::{BadLink, Link, RelayAddress};
pub use mls::{LeafId, Suite};
