//! One connection: WebSocket, greeting, Noise, then a reader and a writer under one owner.
//! SPEC: "Connection".
//!
//! Either half ending ends the other. Nothing here knows what a verb does, and nothing here knows
//! who is at the other end.

mod follow;
mod fragments;
mod handshake;
mod jitter;
pub mod limits;
mod meter;
mod rate;
mod reader;
pub(crate) mod reply;
pub(crate) mod session;
mod websocket;
mod writer;

use std::sync::Arc;

use sotto_protocol::cbor;
use sotto_protocol::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::Instrument;

use self::handshake::{Responder, Transport};
use self::limits::{CLOSE_TIMEOUT, REPLIES_MAX};
use self::meter::Meter;
use self::reader::{Reader, ReaderEnd};
use self::session::Session;
pub use self::websocket::End;
use self::websocket::{Incoming, Outgoing};
use self::writer::Writer;
use crate::identity::DayKey;
use crate::metrics::GaugeGuard;
use crate::server::Relay;

/// Serves one connection to its end.
pub(crate) async fn serve<S>(relay: Arc<Relay>, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut number = [0; 4];
    // Only a name for log lines; without randomness it is zero.
    let _ = getrandom::fill(&mut number);
    let span = tracing::debug_span!("connection", conn = u32::from_be_bytes(number));
    run(relay, io).instrument(span).await;
}

async fn run<S>(relay: Arc<Relay>, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let metrics = relay.metrics().clone();
    metrics.connections_accepted().increment(1);
    let _open = GaugeGuard::raise(metrics.connections_open());
    let within = relay.settings().connections.handshake_timeout();
    let deadline = tokio::time::Instant::now() + within;
    let accepting = websocket::accept(io, relay.large_slots());
    let Ok(Ok((mut incoming, mut outgoing, meter))) =
        tokio::time::timeout_at(deadline, Box::pin(accepting)).await
    else {
        metrics.handshakes_failed().increment(1);
        return;
    };
    let greeted = tokio::time::timeout_at(
        deadline,
        Box::pin(greet(&relay, &mut incoming, &mut outgoing)),
    )
    .await
    .unwrap_or(Err(End::HandshakeTimeout));
    let end = match greeted {
        Ok((day, transport)) => {
            metrics.handshakes_done().increment(1);
            meter.set_open();
            let session = Session::new(Arc::clone(&relay), day, *transport.hash());
            talk(&session, &transport, &meter, &mut incoming, &mut outgoing).await
        }
        Err(end) => {
            metrics.handshakes_failed().increment(1);
            end
        }
    };
    match end {
        End::Malformed | End::TooLarge | End::OutOfOrder | End::NotAuthentic => {
            metrics.connections_malformed().increment(1);
        }
        End::Stalled => metrics.connections_stalled().increment(1),
        End::Internal => tracing::error!(cause = %end, "connection ended"),
        End::Gone | End::HandshakeTimeout | End::Stopping => {}
    }
    tracing::debug!(cause = %end, "connection ended");
    if end != End::Gone {
        // A peer that does not take or answer the close frame in time is left alone.
        let _ = timeout(CLOSE_TIMEOUT, async {
            outgoing.close(end).await?;
            incoming.drain().await;
            Ok::<_, websocket::SocketError>(())
        })
        .await;
    }
}

/// Sends the greeting and carries the connection handshake out.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    relay: &Relay,
    incoming: &mut Incoming<S>,
    outgoing: &mut Outgoing<S>,
) -> Result<(Arc<DayKey>, Transport), End> {
    let day = relay.days().today().map_err(|_| End::Internal)?;
    let within = relay.settings().connections.write_timeout();
    outgoing.send(day.frame(), within).await?;
    outgoing.flush().await?;
    let message = tokio::select! {
        received = incoming.next() => received?.bytes,
        () = relay.stopping().cancelled() => return Err(End::Stopping),
    };
    let (answer, transport) = match cbor::decode(&message).map_err(|_| End::Malformed)? {
        Frame::Noise(message) => Responder::new(&day)?.answer(message.as_slice())?,
        Frame::Greeting(_) | Frame::Push(_) => return Err(End::OutOfOrder),
    };
    let frame = cbor::encode(&Frame::Noise(answer.into())).map_err(|_| End::Internal)?;
    outgoing.send(frame.into(), within).await?;
    outgoing.flush().await?;
    Ok((day, transport))
}

/// Reads and writes until either ends.
async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send>(
    session: &Session,
    transport: &Transport,
    meter: &Meter,
    incoming: &mut Incoming<S>,
    outgoing: &mut Outgoing<S>,
) -> End {
    // Boxed: the channel sets room for 32 values aside, for idle connections too.
    let (send, receive) = mpsc::channel(REPLIES_MAX);
    let stop = session.relay().stopping().clone();
    let reader = Reader::new(incoming, transport.opener(), session, send);
    let writer = Writer::new(outgoing, transport.sealer(), session, meter, receive);
    let mut reader = Box::pin(reader.run(&stop));
    let mut writer = Box::pin(writer.run(&stop));
    let drained = tokio::select! {
        end = &mut reader => end,
        end = &mut writer => return end,
    };
    match drained {
        ReaderEnd::Over(end) => end,
        ReaderEnd::Drained => {
            // The answers that were promised; the last sender is gone with the reader.
            drop(reader);
            writer.await
        }
    }
}
