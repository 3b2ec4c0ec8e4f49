//! The Sotto relay: an ordered log of sealed bytes, guarded by capabilities.
//!
//! It knows no accounts, no rooms, no names and no message kinds, and never holds a key that opens
//! content.

pub mod admin;
pub mod archive;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod identity;
pub mod launch;
pub mod limits;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod offline;
pub mod retention;
pub mod seizure;
pub mod server;
pub mod store;

mod command;
mod error;
