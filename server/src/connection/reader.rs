//! The half of a connection that reads: opens messages, starts requests in the order they came.
//!
//! It never reads further than it has room for: too many unanswered requests, a used-up rate or a
//! relay that is busy with others' large messages make it stop reading, and the peer's line fills.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sotto_protocol::cbor;
use sotto_protocol::frame::{Frame, Request};
use sotto_protocol::limits::REQUESTS_IN_FLIGHT_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handshake::{NoiseError, Opener};
use super::meter::LargeSlot;
use super::rate::Bucket;
use super::reply::Reply;
use super::session::Session;
use super::websocket::{End, Incoming, Received};
use crate::command::{self, Prepared};

/// A request that is being carried out; gives its id.
type Running<'a> = Pin<Box<dyn Future<Output = u64> + Send + 'a>>;

/// How the reader came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReaderEnd {
    /// The connection is over.
    Over(End),
    /// The relay stops: every request that was read has its answer with the writer.
    Drained,
}

/// The reading half.
pub(super) struct Reader<'a, S> {
    incoming: &'a mut Incoming<S>,
    opener: Opener<'a>,
    session: &'a Session,
    replies: mpsc::Sender<Box<Reply>>,
    requests: Bucket,
    bytes: Bucket,
    unanswered: HashSet<u64>,
    running: FuturesUnordered<Running<'a>>,
    /// A request that waits until those before it are done.
    next_alone: Option<Running<'a>>,
    /// Nothing is read until a request that runs alone is done.
    is_blocked: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Reader<'a, S> {
    pub(super) fn new(
        incoming: &'a mut Incoming<S>,
        opener: Opener<'a>,
        session: &'a Session,
        replies: mpsc::Sender<Box<Reply>>,
    ) -> Self {
        let relay = session.relay();
        let settings = &relay.settings().connections;
        let now = relay.clock().monotonic();
        Self {
            incoming,
            opener,
            session,
            replies,
            requests: Bucket::new(settings.requests_per_second, settings.requests_burst, now),
            bytes: Bucket::new(settings.bytes_per_second, settings.bytes_burst, now),
            unanswered: HashSet::new(),
            running: FuturesUnordered::new(),
            next_alone: None,
            is_blocked: false,
        }
    }

    /// Reads until the connection ends, or until the relay stops and all that was read is answered.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> ReaderEnd {
        let mut go_on = Instant::now();
        loop {
            if self.running.is_empty() {
                match self.next_alone.take() {
                    Some(request) => self.running.push(request),
                    None => self.is_blocked = false,
                }
            }
            let is_stopping = stop.is_cancelled();
            if is_stopping && self.running.is_empty() {
                return ReaderEnd::Drained;
            }
            let is_resting = Instant::now() < go_on;
            let may_read = !is_stopping
                && !is_resting
                && !self.is_blocked
                && self.unanswered.len() < REQUESTS_IN_FLIGHT_MAX;
            tokio::select! {
                Some(id) = self.running.next() => {
                    self.unanswered.remove(&id);
                }
                () = stop.cancelled(), if !is_stopping => {}
                () = tokio::time::sleep_until(go_on), if is_resting => {}
                received = self.incoming.next(), if may_read => {
                    match self.receive(received.map_err(End::from)).await {
                        Ok(wait) => go_on = Instant::now() + wait,
                        Err(end) => return ReaderEnd::Over(end),
                    }
                }
            }
        }
    }

    /// Starts a request; says how long to rest before the next.
    async fn receive(&mut self, received: Result<Received, End>) -> Result<Duration, End> {
        let Received { bytes, slot } = received?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let relay = self.session.relay();
        relay.metrics().bytes_received().increment(length.into());
        relay.metrics().requests().increment(1);
        let now = relay.clock().monotonic();
        let wait = self.bytes.take(length, now).max(self.requests.take(1, now));
        if !wait.is_zero() {
            relay.metrics().rate_waits().increment(1);
        }

        let item = self.open(&bytes)?;
        drop(bytes);
        let request: Request<'_> = cbor::decode(&item).map_err(|_| End::Malformed)?;
        if !self.unanswered.insert(request.id) {
            return Err(End::OutOfOrder);
        }
        let id = request.id;
        let prepared = match request.check_bounds() {
            Ok(()) => command::prepare(self.session, request.verb),
            Err(code) => Prepared::refused(code),
        };
        drop(item);
        self.start(id, prepared, slot).await;
        Ok(wait)
    }

    fn open(&mut self, bytes: &[u8]) -> Result<Vec<u8>, End> {
        match cbor::decode(bytes).map_err(|_| End::Malformed)? {
            Frame::Noise(sealed) => Ok(self.opener.open(sealed.as_slice())?),
            Frame::Greeting(_) | Frame::Push(_) => Err(End::OutOfOrder),
        }
    }

    /// Polls a request once before the next is read: changes reach the log in the order they came.
    async fn start(&mut self, id: u64, prepared: Prepared<'a>, slot: Option<LargeSlot>) {
        let runs_alone = prepared.runs_alone();
        let (session, replies) = (self.session, self.replies.clone());
        let mut request: Running<'a> = Box::pin(async move {
            let outcome = prepared.carry_out().await;
            drop(slot);
            if let Some(outcome) = outcome.transpose() {
                let reply = Reply::new(id, outcome, session.relay().metrics());
                // The writer is gone only when the connection is: nobody is left to be answered.
                let _ = replies.send(Box::new(reply)).await;
            }
            id
        });
        if runs_alone {
            self.is_blocked = true;
            self.next_alone = Some(request);
        } else if let Poll::Ready(id) = futures_util::poll!(&mut request) {
            self.unanswered.remove(&id);
        } else {
            self.running.push(request);
        }
    }
}

impl From<NoiseError> for End {
    fn from(error: NoiseError) -> Self {
        match error {
            NoiseError::NotAuthentic => Self::NotAuthentic,
            NoiseError::Length => Self::Malformed,
            NoiseError::Setup => Self::Internal,
        }
    }
}
