//! The connection to a relay: WebSocket binary messages over TCP or TLS, and nothing about their
//! content. The only place that names tungstenite.
//!
//! [`Dial`] is the seam: tests hand in a dialer of their own.

mod address;
mod backoff;
#[cfg(test)]
mod tests;
mod websocket;

use core::fmt;
use core::pin::Pin;

pub(crate) use backoff::Backoff;
pub use websocket::{WebSocketDialer, line_over};

use crate::error::Result;
use crate::link::RelayAddress;

/// A boxed future, so that dialers can be chosen at run time.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes connections.
pub trait Dial: Send + Sync + fmt::Debug {
    /// Connects to a relay; resolves to a line that is ready for its first message.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](crate::error::ErrorKind::Unreachable),
    /// [`ErrorKind::Address`](crate::error::ErrorKind::Address),
    /// [`ErrorKind::Certificate`](crate::error::ErrorKind::Certificate).
    fn dial<'a>(&'a self, address: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>>;
}

/// A connection that carries binary messages.
pub trait Line: Send {
    /// Sends one message; resolves when it was handed to the system. While it waits nothing is
    /// received, so an end that does not read must be given up by the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](crate::error::ErrorKind::Unreachable) if the connection is gone.
    ///
    /// # Cancel safety
    /// Not cancel safe: a message may be sent in part, so end the line after a cancellation.
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, Result<()>>;

    /// The next message, or nothing once the other side has closed.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](crate::error::ErrorKind::Unreachable) if the connection broke or the
    /// other side does not keep to RFC 6455.
    ///
    /// # Cancel safety
    /// Cancel safe: a message is given out whole or stays for the next call.
    fn receive(&mut self) -> Pending<'_, Result<Option<Vec<u8>>>>;
}
