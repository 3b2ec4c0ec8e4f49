//! The half of a connection that writes: answers first, then pushes that it pulls when it has time.
//!
//! It has no queue but the few answers of [`REPLIES_MAX`]. A peer that takes nothing for the write
//! timeout is disconnected; it loses nothing, since it comes back with its cursor.

use std::time::Duration;

use bytes::Bytes;
use sotto_protocol::cbor;
use sotto_protocol::frame::{Ended, Frame, FromRelay, Notice};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::follow::Turn;
use super::handshake::Sealer;
use super::jitter;
use super::limits::{
    MESSAGE_TIMEOUT, PING_JITTER_PERCENT, PUSHES_PER_TURN, REPLIES_MAX, RESTART_LEAST,
    RESTART_SPREAD,
};
use super::meter::Meter;
use super::reply::Reply;
use super::session::Session;
use super::websocket::{End, Outgoing};

/// The writing half.
pub(super) struct Writer<'a, S> {
    outgoing: &'a mut Outgoing<S>,
    sealer: Sealer<'a>,
    session: &'a Session,
    meter: &'a Meter,
    replies: mpsc::Receiver<Box<Reply>>,
    ping_interval: Duration,
    next_ping: Instant,
    has_said_stop: bool,
}

/// What woke the writer.
enum Woken {
    Reply(Option<Box<Reply>>),
    Turn,
    Ping,
    Stop,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Writer<'a, S> {
    pub(super) fn new(
        outgoing: &'a mut Outgoing<S>,
        sealer: Sealer<'a>,
        session: &'a Session,
        meter: &'a Meter,
        replies: mpsc::Receiver<Box<Reply>>,
    ) -> Self {
        let interval = session.relay().settings().connections.ping_interval();
        let ping_interval = jitter::around(interval, PING_JITTER_PERCENT);
        Self {
            outgoing,
            sealer,
            session,
            meter,
            replies,
            ping_interval,
            next_ping: Instant::now() + ping_interval,
            has_said_stop: false,
        }
    }

    /// Writes until the connection fails or the relay stops and every answer is written.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> End {
        match self.write_all(stop).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn write_all(&mut self, stop: &CancellationToken) -> Result<End, End> {
        loop {
            // At most one queue of answers, then one turn of pushes: neither starves the other.
            for _ in 0..REPLIES_MAX {
                match self.replies.try_recv() {
                    Ok(reply) => self.reply(reply).await?,
                    Err(_) => break,
                }
            }
            let turn = if self.has_said_stop {
                None
            } else {
                self.session.follows().next_turn()
            };
            if let Some(turn) = turn {
                self.push(turn).await?;
                if Instant::now() < self.next_ping && !stop.is_cancelled() {
                    continue;
                }
            }
            if self.replies.is_empty() && turn.is_none() {
                self.flush().await?;
            }
            match self.wait(stop).await {
                Woken::Reply(Some(reply)) => self.reply(reply).await?,
                Woken::Reply(None) => {
                    self.flush().await?;
                    return Ok(End::Stopping);
                }
                Woken::Turn => {}
                Woken::Ping => self.check_peer().await?,
                Woken::Stop => self.say_stop().await?,
            }
        }
    }

    async fn wait(&mut self, stop: &CancellationToken) -> Woken {
        let follows = self.session.follows();
        tokio::select! {
            biased;
            () = stop.cancelled(), if !self.has_said_stop => Woken::Stop,
            () = tokio::time::sleep_until(self.next_ping) => Woken::Ping,
            reply = self.replies.recv() => Woken::Reply(reply),
            () = follows.wait(), if !self.has_said_stop => Woken::Turn,
        }
    }

    async fn reply(&mut self, reply: Box<Reply>) -> Result<(), End> {
        self.say(&reply.item).await?;
        drop(reply.page);
        if let Some(follow) = reply.starts {
            self.session.follows().start(follow);
        }
        match reply.closes {
            Some(end) => {
                self.flush().await?;
                Err(end)
            }
            None => Ok(()),
        }
    }

    /// Pulls what one followed log has, as far as credit goes, and writes it.
    async fn push(&mut self, turn: Turn) -> Result<(), End> {
        let follows = self.session.follows();
        let relay = self.session.relay();
        let Some(keys) = self.session.keys(&turn.log) else {
            return self.end_follow(turn).await;
        };
        let most = PUSHES_PER_TURN.min(usize::try_from(turn.credit).unwrap_or(usize::MAX));
        // Watched before it is read, so that no change falls between the two.
        let mut watch = relay.logs().watch(&turn.log);
        let pulled = relay
            .logs()
            .pushes(&turn.log, &keys, turn.lane, turn.after, most)
            .await;
        let pushes = match pulled {
            Ok(pushes) => pushes,
            Err(refusal) => {
                // The relay's own trouble. The peer's cursor stands; it comes back later.
                relay.metrics().refusal(refusal.code);
                return Err(End::Internal);
            }
        };
        let used = u32::try_from(pushes.frames.len()).unwrap_or(u32::MAX);
        for (_seq, frame) in pushes.frames {
            if !follows.is_current(turn.id) {
                return Ok(());
            }
            self.send(frame).await?;
            relay.metrics().pushes().increment(1);
        }
        if pushes.ended {
            return self.end_follow(turn).await;
        }
        // Only a pull that brings nothing shows that there is no more.
        let is_behind = pushes.cursor > turn.after;
        let changed = Box::pin(async move { watch.changed().await });
        follows.turn_done(turn.id, pushes.cursor, used, is_behind, changed);
        Ok(())
    }

    /// Tells the peer that a followed log gives no more.
    async fn end_follow(&mut self, turn: Turn) -> Result<(), End> {
        let relay = self.session.relay();
        relay.metrics().follows_ended().increment(1);
        self.session.follows().end(turn.id);
        self.notice(Notice::Ended(Ended { tag: turn.tag })).await
    }

    /// Pings a silent peer, ends one that stays silent.
    async fn check_peer(&mut self) -> Result<(), End> {
        let silence = self.meter.silence();
        if silence >= self.ping_interval * 2 {
            return Err(End::Stalled);
        }
        if silence >= self.ping_interval {
            self.in_time(async |outgoing| outgoing.ping().await.map_err(End::from))
                .await?;
        }
        let heard_in = self.ping_interval.saturating_sub(silence);
        self.next_ping = Instant::now()
            + if heard_in.is_zero() {
                self.ping_interval
            } else {
                heard_in
            };
        Ok(())
    }

    /// Tells the peer when to come back: a different moment for each.
    async fn say_stop(&mut self) -> Result<(), End> {
        self.has_said_stop = true;
        let wait = RESTART_LEAST + jitter::below(RESTART_SPREAD);
        let ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.notice(Notice::Restarting(ms)).await
    }

    async fn notice(&mut self, notice: Notice) -> Result<(), End> {
        let item = cbor::encode(&FromRelay::Notice(notice)).map_err(|_| End::Internal)?;
        self.say(&item).await
    }

    /// Seals and writes one item.
    async fn say(&mut self, item: &[u8]) -> Result<(), End> {
        let sealed = self.sealer.seal(item)?;
        let frame = cbor::encode(&Frame::Noise(sealed.into())).map_err(|_| End::Internal)?;
        self.send(frame.into()).await
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), End> {
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let write_timeout = self.write_timeout();
        let sending = self.outgoing.send(frame, write_timeout);
        match timeout(MESSAGE_TIMEOUT.max(write_timeout), sending).await {
            Ok(sent) => sent?,
            Err(_) => return Err(End::Stalled),
        }
        self.session
            .relay()
            .metrics()
            .bytes_sent()
            .increment(length);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.in_time(async |outgoing| outgoing.flush().await.map_err(End::from))
            .await
    }

    async fn in_time(
        &mut self,
        write: impl AsyncFnOnce(&mut Outgoing<S>) -> Result<(), End>,
    ) -> Result<(), End> {
        timeout(self.write_timeout(), write(self.outgoing))
            .await
            .unwrap_or(Err(End::Stalled))
    }

    fn write_timeout(&self) -> Duration {
        self.session.relay().settings().connections.write_timeout()
    }
}
