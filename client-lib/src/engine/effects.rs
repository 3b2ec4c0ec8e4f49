//! What an input to a conversation led to.

#[cfg(doc)]
use super::Engine;
use super::event::Event;
use crate::log::WorkOrder;
use crate::vault::{Batch, Key};

/// What an input led to. The batch must stand on the disk before the rest is let out.
#[derive(Debug, Default)]
pub struct Effects {
    /// Applied first, whole.
    pub store: Batch,
    /// After it, [`Vault::scrub`](crate::vault::Vault::scrub): something was meant to vanish.
    pub scrub: bool,
    /// What a backup holds of the conversation has changed: gather it again, once this is stored.
    pub backup: bool,
    /// There is something for another conversation of this device: [`Engine::to_carry`], once this is
    /// stored.
    pub carry: bool,
    /// WebSocket binary messages, in order.
    pub send: Vec<Vec<u8>>,
    /// For the app, in order.
    pub events: Vec<Event>,
    /// When to call [`Engine::tick`] at the latest, on the steady clock in milliseconds.
    pub wake_at: Option<u64>,
    /// Work that the relay asks, to be done where it stops nobody; hand it to [`Engine::worked`].
    pub work: Vec<WorkOrder>,
    /// Values that the engine goes on with: read them once the batch stands, and hand them to
    /// [`Engine::loaded`]. A quarter of a mebibyte at most.
    pub wants: Vec<Key>,
    /// The relay stops, and said when to come back.
    pub reconnect_after_ms: Option<u32>,
    /// End the connection; the driver makes a new one unless the conversation is over.
    pub hang_up: bool,
}
