//! What one connection may cost the relay, each bound with its reason.
//!
//! What is on the wire is bounded in `sotto_protocol::limits`; times and rates that an operator may
//! choose stand in the settings, with bounds from here.

use std::time::Duration;

use sotto_protocol::limits;

use crate::limits::PUSH_BYTES_PER_TURN;

/// The read buffer of an idle connection. 4 KiB gave twice the speed of the library's 128 KiB and a
/// fifteenth of its memory.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Small frames are gathered up to here before they go to the socket.
pub const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Longer messages leave in fragments of this size (RFC 6455, section 5.4), and longer frames reach
/// the WebSocket library in them, because its buffers never shrink again: without fragments one page
/// would cost 1.2 MiB for the connection's life, one large append 2.7 MB.
pub const FRAGMENT_BYTES: usize = 16 * 1024;
/// All that the relay holds for a follower that takes nothing, until the write timeout ends it: its
/// buffers, and the pushes of one turn or the largest there is. Ten thousand such are 1.1 GiB.
pub const STALLED_BYTES_MAX: usize = READ_BUFFER_BYTES
    + WRITE_BUFFER_BYTES_MAX
    + PUSH_BYTES_PER_TURN
    + PUSHES_PER_TURN * limits::ENTRY_FRAME_BYTES_MAX;
/// Past this the socket takes nothing and more was written: a bug, or a close frame on top.
pub const WRITE_BUFFER_BYTES_MAX: usize = WRITE_BUFFER_BYTES + FRAGMENT_BYTES + 4 * 1024;
/// All that a peer may send before the connection handshake is done: an HTTP request with a
/// browser's headers and one Noise message of 48 bytes.
pub const BYTES_BEFORE_HANDSHAKE_MAX: usize = 16 * 1024;
/// A message up to here is read without asking: an entry of the usual class and its frame.
pub const SMALL_MESSAGE_BYTES: usize = 16 * 1024;
/// Messages longer than [`SMALL_MESSAGE_BYTES`] that all connections together may be in the middle
/// of sending, or have waiting for their answer: 64 of 2.5 MiB, in buffers that may have grown to
/// twice that, are 320 MiB.
pub const LARGE_MESSAGES_MAX: usize = 64;
/// How long one message may take from its first byte to its last, in or out: 2.3 MiB at
/// 300 kbit/s. A peer that sends or takes one byte a second keeps neither a slot nor its place.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(64);
/// Answers that wait for the writer; more stay with their requests, of which there are at most
/// [`limits::REQUESTS_IN_FLIGHT_MAX`].
pub const REPLIES_MAX: usize = 8;
/// Pages of one connection that are in memory at once; the next is read when the one before has
/// gone to the writer.
pub const PAGES_MAX: usize = 1;
/// Pages of all connections that are in memory at once: 256 of 1.2 MiB are 300 MiB.
pub const PAGES_ALL_MAX: usize = 256;
/// Keys proved for one log on one connection that are remembered, the last ones: four `open`s with as
/// many proofs as one may carry.
pub const KEYS_PER_LOG_MAX: usize = 4 * limits::PROOFS_MAX;
/// Entries pulled from one followed log before the next has its turn.
pub const PUSHES_PER_TURN: usize = 32;
/// Bytes of a close reason; RFC 6455 allows 123.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;
/// How long a peer has to answer our close frame before the socket is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The share of a ping interval by which it differs from connection to connection, in percent, so
/// that a thousand pings do not leave in one moment.
pub const PING_JITTER_PERCENT: u32 = 25;
/// Clients come back spread over this long after a restart, so that it is no stampede.
pub const RESTART_SPREAD: Duration = Duration::from_secs(10);
/// The least that a client waits before it comes back after a restart.
pub const RESTART_LEAST: Duration = Duration::from_secs(1);

const _: () = {
    assert!(WRITE_BUFFER_BYTES_MAX > WRITE_BUFFER_BYTES + FRAGMENT_BYTES);
    assert!(SMALL_MESSAGE_BYTES >= READ_BUFFER_BYTES);
    assert!(SMALL_MESSAGE_BYTES < limits::MESSAGE_BYTES_MAX);
    assert!(PUSH_BYTES_PER_TURN >= limits::SEALED_BYTES_MAX);
    assert!(REPLIES_MAX < limits::REQUESTS_IN_FLIGHT_MAX);
};
