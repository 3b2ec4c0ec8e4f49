//! Hands a peer's long frames to the WebSocket library as fragments (RFC 6455, section 5.4).
//!
//! The library keeps the buffer that the longest frame needed for as long as the connection lives
//! (seen: 1.05 MiB after a frame of 1 MiB), and nothing above it can take it away; of a message in
//! fragments nothing stays. Clients cannot be asked for fragments: a browser does not let them
//! choose. This must not judge frames: what is not a long data frame goes through as it came.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sotto_protocol::limits::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::limits::FRAGMENT_BYTES;

/// The longest header of a frame: 2 bytes, a length of 8, a mask of 4.
const HEADER_BYTES_MAX: usize = 14;
/// Bytes of a mask, which is applied over and over: each fragment begins where it begins.
const MASK_BYTES: usize = 4;
const _: () = assert!(FRAGMENT_BYTES.is_multiple_of(MASK_BYTES));

const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_OF_2: u8 = 126;
const LENGTH_OF_8: u8 = 127;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    first: u8,
    payload: u64,
    mask: Option<[u8; MASK_BYTES]>,
}

impl Header {
    /// The header that these bytes begin with and its own length, if all of it is there.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (payload, rest) = match second & LENGTH {
            LENGTH_OF_2 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            LENGTH_OF_8 => {
                let (length, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        let (mask, rest) = if second & MASKED == 0 {
            (None, rest)
        } else {
            let (mask, rest) = rest.split_first_chunk::<MASK_BYTES>()?;
            (Some(*mask), rest)
        };
        let header = Self {
            first,
            payload,
            mask,
        };
        Some((header, bytes.len() - rest.len()))
    }

    /// At most as long as what [`Self::parse`] read for a frame of this length or more.
    fn encode(self) -> Vec<u8> {
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        let mut bytes = Vec::with_capacity(HEADER_BYTES_MAX);
        bytes.push(self.first);
        match (u8::try_from(self.payload), u16::try_from(self.payload)) {
            (Ok(short), _) if short < LENGTH_OF_2 => bytes.push(masked | short),
            (_, Ok(length)) => {
                bytes.push(masked | LENGTH_OF_2);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                bytes.push(masked | LENGTH_OF_8);
                bytes.extend_from_slice(&self.payload.to_be_bytes());
            }
        }
        bytes.extend(self.mask.into_iter().flatten());
        bytes
    }

    /// Whether it begins a data frame that is allowed and too long to go through in one.
    fn is_long(&self) -> bool {
        let allowed = usize::try_from(self.payload).is_ok_and(|bytes| bytes <= MESSAGE_BYTES_MAX);
        self.first & CONTROL == 0 && allowed && self.payload > widen(FRAGMENT_BYTES)
    }
}

fn widen(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// At most `most`, however large `bytes` is.
fn clip(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).map_or(most, |bytes| bytes.min(most))
}

/// What the next byte of the peer is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Not of a frame: the HTTP upgrade comes first.
    Upgrade,
    /// Of a header. Its beginning may be held already.
    Header,
    /// Of a payload that goes through as it is, with so many bytes left.
    Whole(u64),
    /// Of a payload that goes through in fragments.
    Long {
        /// The header of what follows this fragment.
        rest: Header,
        /// Bytes of this fragment that are left.
        left: usize,
    },
}

/// A stream whose long frames are read as fragments.
#[derive(Debug)]
pub(super) struct Fragmenting<S> {
    io: S,
    place: Place,
    /// In [`Place::Header`] its beginning, else a header that goes to the reader next.
    held: Vec<u8>,
}

impl<S> Fragmenting<S> {
    /// Everything goes through as it is until [`Self::begin`].
    pub(super) const fn new(io: S) -> Self {
        Self {
            io,
            place: Place::Upgrade,
            held: Vec::new(),
        }
    }

    /// From here on the peer sends frames.
    pub(super) const fn begin(&mut self) {
        self.place = Place::Header;
    }

    /// Begins a fragment of what is left of a long frame: its header, and how many bytes it has.
    fn fragment(&mut self, mut rest: Header) -> Vec<u8> {
        let left = clip(rest.payload, FRAGMENT_BYTES);
        let after = rest.payload - widen(left);
        let mut header = rest;
        header.payload = widen(left);
        if after > 0 {
            header.first &= !FINAL;
        }
        rest.payload = after;
        // What follows a first fragment are continuations.
        rest.first &= !OPCODE;
        self.place = Place::Long { rest, left };
        header.encode()
    }

    /// A payload goes on by so many bytes.
    fn advance(&mut self, bytes: usize) {
        match self.place {
            Place::Whole(left) => match left.saturating_sub(widen(bytes)) {
                0 => self.place = Place::Header,
                left => self.place = Place::Whole(left),
            },
            Place::Long { rest, left } => match left.saturating_sub(bytes) {
                0 if rest.payload == 0 => self.place = Place::Header,
                0 => self.held = self.fragment(rest),
                left => self.place = Place::Long { rest, left },
            },
            Place::Upgrade | Place::Header => {}
        }
    }

    /// Looks at what was read after `at`: puts a fragment's header in the place of a long frame's,
    /// and holds the beginning of a header back.
    fn look(&mut self, buffer: &mut ReadBuf<'_>, mut at: usize) {
        loop {
            let fresh = buffer.filled().get(at..).unwrap_or_default();
            if fresh.is_empty() {
                return;
            }
            match self.place {
                Place::Upgrade => return,
                Place::Whole(left) => {
                    let bytes = clip(left, fresh.len());
                    at += bytes;
                    self.advance(bytes);
                }
                Place::Long { .. } => {
                    // No more was read than the fragment has left.
                    let bytes = fresh.len();
                    self.advance(bytes);
                    return;
                }
                Place::Header => match Header::parse(fresh) {
                    None => {
                        self.held = fresh.to_vec();
                        buffer.set_filled(at);
                        return;
                    }
                    Some((header, bytes)) if header.is_long() => {
                        let payload = fresh.get(bytes..).unwrap_or_default().to_vec();
                        let header = self.fragment(header);
                        buffer.set_filled(at);
                        buffer.put_slice(&header);
                        at += header.len();
                        buffer.put_slice(&payload);
                    }
                    Some((header, bytes)) => {
                        self.place = Place::Whole(header.payload);
                        at += bytes;
                        self.advance(0);
                    }
                },
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Fragmenting<S> {
    /// Reads on in a header whose beginning is held; `false` at the end of the stream.
    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut one))?;
            if one.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.held.extend_from_slice(one.filled());
            let Some((header, _)) = Header::parse(&self.held) else {
                continue;
            };
            if header.is_long() {
                self.held = self.fragment(header);
            } else {
                self.place = Place::Whole(header.payload);
            }
            return Poll::Ready(Ok(true));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Fragmenting<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            if !this.held.is_empty() {
                if matches!(this.place, Place::Header) && !ready!(this.poll_header(cx))? {
                    // The peer is gone in the middle of a header: there is nothing to put in order.
                    this.place = Place::Upgrade;
                }
                let bytes = this.held.len().min(buffer.remaining());
                buffer.put_slice(this.held.get(..bytes).unwrap_or_default());
                this.held.drain(..bytes);
                if this.held.is_empty() {
                    // A frame without payload is over with its header.
                    this.advance(0);
                }
                return Poll::Ready(Ok(()));
            }
            let most = match this.place {
                Place::Long { left, .. } => left,
                // In one read there is never more than the first fragment of a long frame.
                _ => FRAGMENT_BYTES,
            };
            let room = most.min(buffer.remaining());
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            this.look(buffer, before);
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Fragmenting<S> {
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
    use bytes::Bytes;
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::super::websocket::config;
    use super::*;

    fn begun(io: DuplexStream) -> Fragmenting<DuplexStream> {
        let mut fragmenting = Fragmenting::new(io);
        fragmenting.begin();
        fragmenting
    }

    fn message(length: usize) -> Bytes {
        let bytes = (0..length).map(|at| u8::try_from(at % 251).unwrap());
        bytes.collect()
    }

    /// Lengths at every edge of the framing and of the fragments.
    fn lengths() -> Vec<usize> {
        let edges = [0, 125, 126, FRAGMENT_BYTES, 2 * FRAGMENT_BYTES, 65_535];
        let around = edges.iter().flat_map(|edge| {
            let edge: usize = *edge;
            [edge.saturating_sub(1), edge, edge + 1]
        });
        around.chain([1 << 20]).collect()
    }

    #[tokio::test]
    async fn messages_of_every_length_arrive_as_they_were_sent_however_the_line_cuts_them() {
        for (pipe, longest) in [(1, 20_000), (3, 40_000), (7, 70_000), (4_096, 1 << 20)] {
            let lengths = || {
                lengths()
                    .into_iter()
                    .filter(move |length| *length <= longest)
            };
            let (near, far) = tokio::io::duplex(pipe);
            let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
            let sending = async move {
                for length in lengths() {
                    client.feed(Message::Ping(message(length % 126))).await?;
                    client.send(Message::Binary(message(length))).await?;
                }
                client.close(None).await
            };
            let receiving = async move {
                let config = Some(config());
                let io = begun(far);
                let mut relay = WebSocketStream::from_raw_socket(io, Role::Server, config).await;
                for length in lengths() {
                    let ping = relay.next().await.unwrap().unwrap();
                    assert_eq!(ping.into_data(), message(length % 126));
                    let got = relay.next().await.unwrap().unwrap();
                    assert!(
                        got.is_binary() && got.into_data() == message(length),
                        "{length}"
                    );
                }
                while let Some(Ok(_)) = relay.next().await {}
            };
            let (sent, ()) = tokio::join!(sending, receiving);
            sent.unwrap();
        }
    }

    /// The headers of all frames in these bytes.
    fn headers(mut bytes: &[u8]) -> Vec<Header> {
        let mut headers = Vec::new();
        while let Some((header, length)) = Header::parse(bytes) {
            bytes = &bytes[length + usize::try_from(header.payload).unwrap()..];
            headers.push(header);
        }
        assert!(bytes.is_empty());
        headers
    }

    #[tokio::test]
    async fn no_frame_that_the_library_sees_is_longer_than_a_fragment() {
        let header = |first, payload| Header {
            first,
            payload: widen(payload),
            mask: Some([1, 2, 3, 4]),
        };
        let long = 3 * FRAGMENT_BYTES + 5;
        // A whole message, the last part of one, and a ping in between.
        let sent = [header(0x82, long), header(0x89, 3), header(0x80, long)];
        let mut bytes = Vec::new();
        for header in sent {
            bytes.extend(header.encode());
            bytes.extend(message(usize::try_from(header.payload).unwrap()));
        }
        let (mut near, far) = tokio::io::duplex(bytes.len());
        near.write_all(&bytes).await.unwrap();
        drop(near);
        let mut seen = Vec::new();
        begun(far).read_to_end(&mut seen).await.unwrap();
        let part = |first| header(first, FRAGMENT_BYTES);
        let expected = [
            part(0x02),
            part(0x00),
            part(0x00),
            header(0x80, 5),
            header(0x89, 3),
            part(0x00),
            part(0x00),
            part(0x00),
            header(0x80, 5),
        ];
        assert_eq!(headers(&seen), expected);
    }

    #[tokio::test]
    async fn what_is_no_long_data_frame_goes_through_as_it_came() {
        let header = |first, payload| Header {
            first,
            payload,
            mask: None,
        };
        let too_long = header(0x82, widen(MESSAGE_BYTES_MAX) + 1).encode();
        let control = header(0x89, 70_000).encode();
        let cases = [
            too_long,
            control,
            vec![0xff; 30],
            vec![0x82, 0x00],
            // The peer is gone in the middle of a header.
            vec![0x82],
            vec![0x82, 0xff, 0, 0],
        ];
        for bytes in cases {
            for pipe in [1, 64] {
                let (mut near, far) = tokio::io::duplex(pipe);
                let writing = async {
                    near.write_all(&bytes).await.unwrap();
                    drop(near);
                };
                let mut seen = Vec::new();
                let mut through = begun(far);
                let ((), read) = tokio::join!(writing, through.read_to_end(&mut seen));
                read.unwrap();
                assert_eq!(seen, bytes);
            }
        }
    }
}
