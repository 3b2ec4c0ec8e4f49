//! Counts what a peer sends beneath the WebSocket, so that an unfinished message is bounded too.
//!
//! The library gathers a message until it is whole; between first byte and last it is invisible
//! from above. This stream bounds what may come before the connection handshake, lets only so many
//! connections at once be in the middle of a large message, and ends those that never finish one,
//! however small.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::PollSemaphore;

use super::limits::{BYTES_BEFORE_HANDSHAKE_MAX, MESSAGE_TIMEOUT, SMALL_MESSAGE_BYTES};

/// The right to have one large message in memory; goes with the request until its answer.
pub(super) type LargeSlot = OwnedSemaphorePermit;

/// What the owner of a connection knows about its bytes.
#[derive(Debug)]
pub(super) struct Meter {
    /// Bytes since the last whole message.
    pending: AtomicUsize,
    /// The handshake is done.
    is_open: AtomicBool,
    /// The last read found nothing: the peer is silent, not we.
    is_waiting: AtomicBool,
    slot: Mutex<Option<LargeSlot>>,
    heard: Mutex<Instant>,
}

impl Meter {
    /// The connection handshake is done: messages may be large now.
    pub(super) fn set_open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
        self.pending.store(0, Ordering::Relaxed);
    }

    /// A whole message was delivered; its slot, if it needed one, goes with it.
    pub(super) fn message_done(&self) -> Option<LargeSlot> {
        self.pending.store(0, Ordering::Relaxed);
        self.slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// A control frame, which may stand in the middle of a message, was delivered.
    pub(super) fn control_done(&self, payload_bytes: usize) {
        let frame = payload_bytes + 6;
        let pending = self.pending.load(Ordering::Relaxed);
        self.pending
            .store(pending.saturating_sub(frame), Ordering::Relaxed);
    }

    /// How long the peer has been silent while we listened.
    pub(super) fn silence(&self) -> Duration {
        if self.is_waiting.load(Ordering::Relaxed) {
            self.heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .elapsed()
        } else {
            Duration::ZERO
        }
    }
}

/// A stream under a meter.
#[derive(Debug)]
pub(super) struct Metered<S> {
    io: S,
    meter: Arc<Meter>,
    slots: PollSemaphore,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    pub(super) fn new(io: S, slots: Arc<Semaphore>) -> (Self, Arc<Meter>) {
        let meter = Arc::new(Meter {
            pending: AtomicUsize::new(0),
            is_open: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
            slot: Mutex::new(None),
            heard: Mutex::new(Instant::now()),
        });
        let metered = Self {
            io,
            meter: Arc::clone(&meter),
            slots: PollSemaphore::new(slots),
            deadline: None,
        };
        (metered, meter)
    }

    /// Whether more of the message in progress may be read now.
    fn poll_allowed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pending = self.meter.pending.load(Ordering::Relaxed);
        if !self.meter.is_open.load(Ordering::Relaxed) {
            return Poll::Ready(if pending > BYTES_BEFORE_HANDSHAKE_MAX {
                Err(io::ErrorKind::FileTooLarge.into())
            } else {
                Ok(())
            });
        }
        if pending == 0 {
            self.deadline = None;
            return Poll::Ready(Ok(()));
        }
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(MESSAGE_TIMEOUT)));
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if pending <= SMALL_MESSAGE_BYTES {
            return Poll::Ready(Ok(()));
        }
        let has_slot = self
            .meter
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        if !has_slot {
            let slot = ready!(self.slots.poll_acquire(cx));
            // A closed semaphore means that the relay stops: nothing large is read any more.
            let slot = slot.ok_or(io::ErrorKind::ConnectionAborted)?;
            *self
                .meter
                .slot
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(slot);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_allowed(cx))?;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.meter
            .is_waiting
            .store(polled.is_pending(), Ordering::Relaxed);
        ready!(polled)?;
        let read = buffer.filled().len() - before;
        self.meter.pending.fetch_add(read, Ordering::Relaxed);
        *self
            .meter
            .heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn read_some(metered: &mut Metered<tokio::io::DuplexStream>) -> io::Result<usize> {
        metered.read(&mut [0; 4096]).await
    }

    #[tokio::test]
    async fn too_much_before_the_handshake_is_refused() {
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        let (mut metered, _) = Metered::new(io, Arc::new(Semaphore::new(1)));
        peer.write_all(&vec![0; BYTES_BEFORE_HANDSHAKE_MAX + 4096])
            .await
            .unwrap();
        let mut bytes = 0;
        let refused = loop {
            match read_some(&mut metered).await {
                Ok(read) => bytes += read,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        assert!(bytes <= BYTES_BEFORE_HANDSHAKE_MAX + 4096);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_of_two_bytes_has_no_longer_than_any_other_and_silence_has_no_end() {
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        let (mut metered, meter) = Metered::new(io, Arc::new(Semaphore::new(1)));
        meter.set_open();
        for _ in 0..2 {
            let silence = tokio::time::timeout(MESSAGE_TIMEOUT * 10, read_some(&mut metered));
            assert!(silence.await.is_err(), "nothing has begun");
            peer.write_all(&[1]).await.unwrap();
            assert_eq!(read_some(&mut metered).await.unwrap(), 1);
            let within = MESSAGE_TIMEOUT - Duration::from_secs(1);
            let not_yet = tokio::time::timeout(within, read_some(&mut metered));
            assert!(not_yet.await.is_err());
            peer.write_all(&[1]).await.unwrap();
            assert_eq!(read_some(&mut metered).await.unwrap(), 1);
            drop(meter.message_done());
        }
        peer.write_all(&[1]).await.unwrap();
        assert_eq!(read_some(&mut metered).await.unwrap(), 1);
        let never = tokio::time::timeout(MESSAGE_TIMEOUT * 2, read_some(&mut metered));
        let refused = never.await.expect("an end").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_message_waits_for_a_slot_and_ends_in_time() {
        let slots = Arc::new(Semaphore::new(1));
        let other = Arc::clone(&slots).acquire_owned().await.unwrap();
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        let (mut metered, meter) = Metered::new(io, Arc::clone(&slots));
        meter.set_open();
        peer.write_all(&vec![0; SMALL_MESSAGE_BYTES + 8192])
            .await
            .unwrap();
        for _ in 0..=SMALL_MESSAGE_BYTES / 4096 {
            read_some(&mut metered).await.unwrap();
        }
        // Somebody else's large message is in the way; this one is not read on, and not dropped.
        let waiting = tokio::time::timeout(Duration::from_secs(1), read_some(&mut metered));
        assert!(waiting.await.is_err());
        assert_eq!(meter.silence(), Duration::ZERO);
        drop(other);
        read_some(&mut metered).await.unwrap();
        assert_eq!(slots.available_permits(), 0);
        // It is never finished.
        let refused = read_some(&mut metered).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        drop(meter.message_done());
        assert_eq!(slots.available_permits(), 1);
    }
}
