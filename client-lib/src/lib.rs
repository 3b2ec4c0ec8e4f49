//! The Sotto SDK.

#[cfg(feature = "native")]
mod client;
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
#[cfg(feature = "native")]
pub mod transport;
pub mod vault;

#[cfg(feature = "native")]
pub use client::{Client, ClientOptions, Conversation, ConversationId};
pub use content::{MessageId, NAME_BYTES_MAX, REACTION_BYTES_MAX, TEXT_BYTES_MAX};
pub use engine::{
    Choices, Command, Delivery, Event, JoinOptions, Member, Message, Reaction, Reply, RoomOptions,
    Standing, Text, Unsent,
};
pub use error::{Error, ErrorKind};
pub use link::{BadLink, Link, RelayAddress};
pub use mls::{LeafId, Suite};
