//! How an item travels in Noise transport messages. SPEC: "Connection".
//!
//! An item longer than a Noise message is cut into pieces of
//! [`NOISE_PAYLOAD_BYTES_MAX`], all full but the last; each becomes one
//! transport message, and the messages stand one behind the other in a single `noise` frame.
//!
//! [`NOISE_PAYLOAD_BYTES_MAX`]: crate::limits::NOISE_PAYLOAD_BYTES_MAX

use crate::limits::{NOISE_MESSAGE_BYTES_MAX, NOISE_PAYLOAD_BYTES_MAX};

/// The pieces of a plaintext item; an empty item is one empty piece.
pub fn pieces(item: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = item.is_empty().then_some(item);
    empty
        .into_iter()
        .chain(item.chunks(NOISE_PAYLOAD_BYTES_MAX))
}

/// The transport messages of a `noise` frame's bytes.
pub fn messages(sealed: &[u8]) -> impl Iterator<Item = &[u8]> {
    sealed.chunks(NOISE_MESSAGE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_full_but_the_last() {
        let item = vec![0; NOISE_PAYLOAD_BYTES_MAX * 2 + 1];
        let lengths: Vec<_> = pieces(&item).map(<[u8]>::len).collect();
        assert_eq!(
            lengths,
            [NOISE_PAYLOAD_BYTES_MAX, NOISE_PAYLOAD_BYTES_MAX, 1]
        );
        assert_eq!(pieces(&[]).count(), 1);
    }
}
