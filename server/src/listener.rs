//! Where connections come from: a TCP socket, or memory for tests.
//!
//! The relay never asks who is at the other end: addresses are dropped here, in the one place that
//! sees them.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// How long accepting rests after an error of the system, such as no free file descriptor, so that
/// the loop does not spin while nothing can be done.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections of a [`MemoryListener`] that wait to be accepted.
const MEMORY_BACKLOG: usize = 64;
/// Bytes on their way in each direction of a memory connection; about what a kernel keeps.
const MEMORY_PIPE_BYTES: usize = 64 * 1024;

/// A source of connections.
pub trait Listener: Send + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection; `None` when there can be no more.
    ///
    /// # Cancel safety
    /// A connection is never lost when the future is dropped.
    fn accept(&mut self) -> impl Future<Output = Option<Self::Io>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> Option<TcpStream> {
        loop {
            match Self::accept(self).await {
                Ok((stream, _address)) => {
                    // Small frames would otherwise wait for the peer's acknowledgement. A socket
                    // that refuses it is as good, only slower.
                    let _ = stream.set_nodelay(true);
                    return Some(stream);
                }
                Err(error) => {
                    if is_of_the_system(&error) {
                        tracing::error!(cause = %error.kind(), "no connection could be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
}

/// Whether an error of `accept` concerns more than the one connection that failed.
fn is_of_the_system(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// A listener without a network.
#[derive(Debug)]
pub struct MemoryListener {
    incoming: mpsc::Receiver<DuplexStream>,
}

/// The other end of a [`MemoryListener`].
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    outgoing: mpsc::Sender<DuplexStream>,
    pipe_bytes: usize,
}

/// A listener and what connects to it; it ends when the last connector is gone.
#[must_use]
pub fn in_memory() -> (MemoryConnector, MemoryListener) {
    let (outgoing, incoming) = mpsc::channel(MEMORY_BACKLOG);
    (
        MemoryConnector {
            outgoing,
            pipe_bytes: MEMORY_PIPE_BYTES,
        },
        MemoryListener { incoming },
    )
}

impl MemoryConnector {
    /// The same with pipes of another size.
    #[must_use]
    pub fn with_pipe_bytes(self, pipe_bytes: usize) -> Self {
        Self { pipe_bytes, ..self }
    }

    /// Connects.
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens any more.
    ///
    /// # Cancel safety
    /// Dropping the future before it is done makes no connection.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(self.pipe_bytes);
        self.outgoing
            .send(far)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(near)
    }
}

impl Listener for MemoryListener {
    type Io = DuplexStream;

    async fn accept(&mut self) -> Option<DuplexStream> {
        self.incoming.recv().await
    }
}
