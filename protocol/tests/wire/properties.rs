//! Arbitrary values come back as they went; arbitrary bytes never panic.

use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};
use sotto_protocol::{cbor, channel};

use crate::draw::Draw;
use crate::json;
use crate::samples::Kind;

proptest! {
    #[test]
    fn values_come_back_as_they_went(entropy in vec(any::<u8>(), 0..1500)) {
        let value = Draw(&entropy).wire();
        let bytes = value.encode();
        prop_assert_eq!(cbor::check(&bytes), Ok(()));
        prop_assert_eq!(value.kind().decode(&bytes), Ok(value.clone()));
    }

    /// The independent codec of the tests agrees on what deterministic order is.
    #[test]
    fn another_codec_writes_the_same_bytes(entropy in vec(any::<u8>(), 0..1500)) {
        let bytes = Draw(&entropy).wire().encode();
        prop_assert_eq!(json::to_cbor(&json::from_cbor(&bytes)), bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_have_one_encoding(bytes in vec(any::<u8>(), 0..300)) {
        for kind in Kind::ALL {
            if let Ok(value) = kind.decode(&bytes) {
                prop_assert_eq!(&value.encode(), &bytes);
            }
        }
    }

    #[test]
    fn several_wrong_bytes_never_make_a_second_encoding(
        entropy in vec(any::<u8>(), 0..600),
        wrong in vec((any::<usize>(), any::<u8>()), 1..5),
    ) {
        let value = Draw(&entropy).wire();
        let mut bytes = value.encode();
        let length = bytes.len();
        for (place, byte) in wrong {
            bytes[place % length] = byte;
        }
        if let Ok(other) = value.kind().decode(&bytes) {
            prop_assert_eq!(&other.encode(), &bytes);
        }
    }

    #[test]
    fn pieces_and_messages_fit(length in 0_usize..200_000) {
        let item = vec![0; length];
        let sealed: usize = channel::pieces(&item).map(|piece| piece.len() + 16).sum();
        let messages = vec![0; sealed];
        let back: usize = channel::messages(&messages).map(|message| message.len() - 16).sum();
        prop_assert_eq!(back, length);
        prop_assert!(channel::messages(&messages).all(|message| message.len() >= 16));
    }
}
