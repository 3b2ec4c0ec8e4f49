//! Sealing at rest: what is expired, trimmed, taken or deleted cannot be opened a day later (P8).
//!
//! Every stored value is sealed under a key derived from its log's key and, for entries, from the
//! key of the day it expires on. Both kinds live in small files of fixed slots beside the engine,
//! are overwritten when their time has come, and never enter the engine. This module must not know
//! what the values mean.

mod keys;
mod seal;
mod slots;

pub(crate) use keys::sync_folder;
pub use keys::{Keys, KeysError, LogKeys};
pub use seal::{SealError, sealed_day, sealed_generation};
pub(crate) use slots::SlotFile;
