//! The connection handshake: Noise NK as responder, one message in and one out. SPEC: "Connection".
//!
//! A state that reads the peer's message is consumed by it, so nothing can be read twice or too
//! early.

use std::fmt;

use snow::{Builder, HandshakeState, StatelessTransportState};
use sotto_protocol::channel;
use sotto_protocol::limits::{NOISE_MESSAGE_BYTES_MAX, REQUEST_BYTES_MAX};
use sotto_protocol::proof::{NOISE_PATTERN, prologue};

use crate::identity::DayKey;

/// A Noise tag.
const TAG_BYTES: usize = 16;
/// Either handshake message of NK without payload: an ephemeral key and a tag.
const HANDSHAKE_MESSAGE_BYTES: usize = 32 + TAG_BYTES;

/// Why a handshake or transport message was refused. The peer's fault, all of them but one.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoiseError {
    /// It does not open: another key, another prologue, altered, replayed, or out of order.
    #[error("the message does not open")]
    NotAuthentic,
    /// Its length is none that this protocol uses.
    #[error("the message has a length that is not used")]
    Length,
    /// The Noise library refused its own parameters: a bug.
    #[error("noise could not be set up")]
    Setup,
}

/// Waits for the peer's handshake message.
pub(super) struct Responder {
    state: HandshakeState,
}

/// Both directions' keys, after the handshake.
pub(super) struct Transport {
    state: StatelessTransportState,
    hash: [u8; 32],
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport(…)")
    }
}

impl Responder {
    /// Starts with the key that the peer was greeted with.
    pub(super) fn new(day: &DayKey) -> Result<Self, NoiseError> {
        let greeting = day.greeting();
        let prologue = prologue(&greeting.identity, greeting.day);
        let setup = |_| NoiseError::Setup;
        let parameters = NOISE_PATTERN.parse().map_err(|_| NoiseError::Setup)?;
        let state = Builder::new(parameters)
            .local_private_key(day.secret().as_bytes())
            .map_err(setup)?
            .prologue(&prologue)
            .map_err(setup)?
            .build_responder()
            .map_err(setup)?;
        Ok(Self { state })
    }

    /// Reads the peer's message; gives the answer to send and the keys.
    pub(super) fn answer(mut self, message: &[u8]) -> Result<(Vec<u8>, Transport), NoiseError> {
        if message.len() != HANDSHAKE_MESSAGE_BYTES {
            return Err(NoiseError::Length);
        }
        self.state
            .read_message(message, &mut [])
            .map_err(|_| NoiseError::NotAuthentic)?;
        let mut answer = vec![0; HANDSHAKE_MESSAGE_BYTES];
        self.state
            .write_message(&[], &mut answer)
            .map_err(|_| NoiseError::Setup)?;
        let hash = self
            .state
            .get_handshake_hash()
            .try_into()
            .map_err(|_| NoiseError::Setup)?;
        let state = self
            .state
            .into_stateless_transport_mode()
            .map_err(|_| NoiseError::Setup)?;
        Ok((answer, Transport { state, hash }))
    }
}

impl Transport {
    /// What grant proofs and work are bound to.
    pub(super) const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The direction from the peer.
    pub(super) const fn opener(&self) -> Opener<'_> {
        Opener {
            transport: self,
            nonce: 0,
        }
    }

    /// The direction to the peer.
    pub(super) const fn sealer(&self) -> Sealer<'_> {
        Sealer {
            transport: self,
            nonce: 0,
        }
    }
}

/// Opens the peer's items, each once and in order.
pub(super) struct Opener<'a> {
    transport: &'a Transport,
    nonce: u64,
}

impl Opener<'_> {
    /// Opens the transport messages of one `noise` frame.
    pub(super) fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let pieces = sealed.len().div_ceil(NOISE_MESSAGE_BYTES_MAX);
        let length = sealed.len().saturating_sub(pieces * TAG_BYTES);
        if length == 0 || length > REQUEST_BYTES_MAX {
            return Err(NoiseError::Length);
        }
        let mut item = vec![0; length];
        let mut filled = 0;
        for message in channel::messages(sealed) {
            let room = item.get_mut(filled..).unwrap_or_default();
            filled += self
                .transport
                .state
                .read_message(self.nonce, message, room)
                .map_err(|_| NoiseError::NotAuthentic)?;
            self.nonce += 1;
        }
        item.truncate(filled);
        Ok(item)
    }
}

/// Seals the relay's items, in order.
pub(super) struct Sealer<'a> {
    transport: &'a Transport,
    nonce: u64,
}

impl Sealer<'_> {
    /// Seals one item as the content of a `noise` frame.
    pub(super) fn seal(&mut self, item: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let pieces = channel::pieces(item).count();
        let mut sealed = vec![0; item.len() + pieces * TAG_BYTES];
        let mut filled = 0;
        for piece in channel::pieces(item) {
            let room = sealed.get_mut(filled..).unwrap_or_default();
            filled += self
                .transport
                .state
                .write_message(self.nonce, piece, room)
                .map_err(|_| NoiseError::Setup)?;
            self.nonce += 1;
        }
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sotto_protocol::limits::NOISE_PAYLOAD_BYTES_MAX;

    use super::*;
    use crate::clock::ManualClock;
    use crate::identity::{DayKeys, Identity};

    /// What a client seals with, and the relay's side.
    fn connected() -> (snow::TransportState, Transport) {
        let clock = Arc::new(ManualClock::at_day(20_000));
        let days = DayKeys::new(Identity::generate().unwrap(), clock).unwrap();
        let day = days.today().unwrap();
        let greeting = day.greeting();
        let mut client = Builder::new(NOISE_PATTERN.parse().unwrap())
            .remote_public_key(greeting.key.as_bytes())
            .unwrap()
            .prologue(&prologue(&greeting.identity, greeting.day))
            .unwrap()
            .build_initiator()
            .unwrap();
        let mut message = vec![0; HANDSHAKE_MESSAGE_BYTES];
        client.write_message(&[], &mut message).unwrap();
        let (answer, transport) = Responder::new(&day).unwrap().answer(&message).unwrap();
        client.read_message(&answer, &mut []).unwrap();
        (client.into_transport_mode().unwrap(), transport)
    }

    #[test]
    fn an_item_of_the_largest_length_is_opened_and_a_longer_one_is_not() {
        let (mut client, transport) = connected();
        let mut opener = transport.opener();
        for (length, is_opened) in [
            (1, true),
            (NOISE_PAYLOAD_BYTES_MAX, true),
            (NOISE_PAYLOAD_BYTES_MAX + 1, true),
            (REQUEST_BYTES_MAX, true),
            (REQUEST_BYTES_MAX + 1, false),
        ] {
            let item = vec![7; length];
            let mut sealed = Vec::new();
            for piece in channel::pieces(&item) {
                let mut message = vec![0; NOISE_MESSAGE_BYTES_MAX];
                let written = client.write_message(piece, &mut message).unwrap();
                sealed.extend_from_slice(&message[..written]);
            }
            let opened = opener.open(&sealed);
            assert_eq!(
                opened.is_ok_and(|opened| opened == item),
                is_opened,
                "{length}"
            );
        }
    }
}
