//! One connection's sealing: the greeting checked, the Noise handshake, transport messages.
//! SPEC: "Connection".

use sotto_protocol::cbor;
use sotto_protocol::channel;
use sotto_protocol::frame::{Bytes, Frame, Greeting, Proof};
use sotto_protocol::id::{LogId, PublicKey, RelayIdentity};
use sotto_protocol::limits;
use sotto_protocol::proof::{self, Purpose};
use x25519_dalek::StaticSecret;

use super::SessionError;

/// How far a connection is.
pub(super) enum Line {
    /// There is none.
    Down,
    /// It stands; the relay has not greeted.
    Silent,
    /// The relay has greeted, and our first handshake message went out.
    Shaking(Box<Shaking>),
    /// Sealed.
    Up(Box<Secured>),
}

/// The handshake under way.
pub(super) struct Shaking {
    noise: snow::HandshakeState,
    day_key: PublicKey,
    /// The relay's date, as far as the handshake proves it.
    pub(super) day: u32,
}

/// A sealed connection.
pub(super) struct Secured {
    noise: snow::TransportState,
    day_key: PublicKey,
    /// Both sides' handshake hash; proofs and work are bound to it.
    pub(super) handshake_hash: [u8; 32],
}

/// Room for a handshake message: a key, a tag, no payload.
const HANDSHAKE_BYTES_MAX: usize = 128;

fn noise_frame(sealed: Vec<u8>) -> Result<Vec<u8>, SessionError> {
    cbor::encode(&Frame::Noise(Bytes::from(sealed))).map_err(|_| SessionError::TooLarge)
}

impl Shaking {
    /// Believes the greeting or not; gives the first handshake message.
    pub(super) fn begin(
        pinned: &RelayIdentity,
        greeting: &Greeting,
        earliest: u32,
    ) -> Result<(Self, Vec<u8>), SessionError> {
        if greeting.identity != *pinned {
            return Err(SessionError::WrongRelay);
        }
        if !proof::verify_day(pinned, greeting.day, &greeting.key, &greeting.signature) {
            return Err(SessionError::BadSignature);
        }
        if greeting.day < earliest {
            return Err(SessionError::WrongDay);
        }
        let prologue = proof::prologue(pinned, greeting.day);
        let noise = || -> Result<snow::HandshakeState, snow::Error> {
            snow::Builder::new(proof::NOISE_PATTERN.parse()?)
                .prologue(&prologue)?
                .remote_public_key(greeting.key.as_bytes())?
                .build_initiator()
        };
        let mut noise = noise().map_err(|_| SessionError::Noise)?;
        let mut message = vec![0; HANDSHAKE_BYTES_MAX];
        let length = noise
            .write_message(&[], &mut message)
            .map_err(|_| SessionError::Noise)?;
        message.truncate(length);
        let shaking = Self {
            noise,
            day_key: greeting.key,
            day: greeting.day,
        };
        Ok((shaking, noise_frame(message)?))
    }

    /// Takes the relay's handshake message.
    pub(super) fn finish(mut self, message: &[u8]) -> Result<Secured, SessionError> {
        let mut payload = vec![0; HANDSHAKE_BYTES_MAX];
        let length = self
            .noise
            .read_message(message, &mut payload)
            .map_err(|_| SessionError::Noise)?;
        if length != 0 || !self.noise.is_handshake_finished() {
            return Err(SessionError::Noise);
        }
        let handshake_hash = self
            .noise
            .get_handshake_hash()
            .try_into()
            .map_err(|_| SessionError::Noise)?;
        let noise = self
            .noise
            .into_transport_mode()
            .map_err(|_| SessionError::Noise)?;
        Ok(Secured {
            noise,
            day_key: self.day_key,
            handshake_hash,
        })
    }
}

impl Secured {
    /// Seals one item into a WebSocket message.
    pub(super) fn seal(&mut self, item: &[u8]) -> Result<Vec<u8>, SessionError> {
        const TAG: usize = limits::NOISE_MESSAGE_BYTES_MAX - limits::NOISE_PAYLOAD_BYTES_MAX;
        let count = channel::pieces(item).count();
        let mut sealed = vec![0; item.len() + count * TAG];
        let mut rest = sealed.as_mut_slice();
        for piece in channel::pieces(item) {
            let (room, behind) = rest
                .split_at_mut_checked(piece.len() + TAG)
                .ok_or(SessionError::Noise)?;
            self.noise
                .write_message(piece, room)
                .map_err(|_| SessionError::Noise)?;
            rest = behind;
        }
        noise_frame(sealed)
    }

    /// Opens the bytes of a `noise` frame.
    pub(super) fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, SessionError> {
        let mut item = vec![0; sealed.len()];
        let mut end = 0;
        for message in channel::messages(sealed) {
            let room = item.get_mut(end..).ok_or(SessionError::Noise)?;
            end += self
                .noise
                .read_message(message, room)
                .map_err(|_| SessionError::Noise)?;
        }
        item.truncate(end);
        if item.len() > limits::ANSWER_BYTES_MAX {
            return Err(SessionError::TooLarge);
        }
        Ok(item)
    }

    /// Proves a key for a log on this connection.
    pub(super) fn prove(&self, key: &StaticSecret, purpose: Purpose, log: &LogId) -> Proof {
        Proof {
            key: proof::public_key(key),
            mac: proof::prove(key, &self.day_key, purpose, &self.handshake_hash, log),
        }
    }
}
