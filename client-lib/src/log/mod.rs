//! The client's end of a relay connection: logs opened, followed and written to over any number of
//! reconnects, and a relay's lies noticed. No I/O, no clock: bytes and time in, bytes and events
//! out. It opens no sealed entry. SPEC: "Connection", "Verbs", "Chain".
//!
//! [`Session`] is the whole of it. A driver feeds it what the socket gives and sends what
//! [`Session::poll_output`] gives:
//!
//! ```
//! use sotto_client::log::{Session, SessionEvent};
//! use sotto_client::time::Now;
//! use sotto_protocol::id::RelayIdentity;
//!
//! let mut session = Session::new(RelayIdentity::new([7; 32]));
//! let now = Now::at(1_700_000_000_000);
//! session.connected(now);
//! assert!(session.poll_output().is_none(), "the relay speaks first");
//! assert!(session.received(b"nonsense", now).is_err(), "hang up");
//! session.disconnected(now);
//! ```

mod ask;
mod event;
mod incoming;
mod line;
mod outgoing;
mod reader;
mod session;
mod work;

pub use ask::{Ask, NewLog, Token};
pub use event::{Cursor, Denied, Doubt, Keeps, SessionError, SessionEvent};
pub use session::Session;
pub use work::{WorkDone, WorkOrder};

/// Entries of one followed log that may be on their way or not yet consumed: with the largest
/// entries 4 MiB, with what people type 64 KiB.
pub const WINDOW: u32 = 64;
/// Unanswered asks at once; more are answered *busy* at once, so that the caller keeps them.
pub const ASKS_MAX: usize = 256;
/// Bytes of all unanswered asks together: several full appends.
pub const ASK_BYTES_MAX: usize = 16 << 20;
/// Work that is done on the spot: 2^16 hashes take some 20 ms. More is handed out.
pub const WORK_BITS_INLINE: u8 = 16;
/// How long a relay may take to greet and to shake hands.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 20_000;
/// How long a relay may take to answer: a full append over a line of 16 KiB a second fits.
pub const ANSWER_TIMEOUT_MS: u64 = 180_000;
/// How long a relay may keep back an entry that it told of, on a connection that has credit.
pub const WITHHELD_AFTER_MS: u64 = 300_000;

#[cfg(test)]
mod tests;
