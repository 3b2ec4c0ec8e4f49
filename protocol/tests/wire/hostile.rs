//! Truncated, perturbed and made-up bytes: no panic, and nothing has two encodings.

use sotto_protocol::cbor::{self, DecodeError};

use crate::json;
use crate::samples::{self, Kind};

/// Decodes as all three kinds; whatever passes must be encoded as it came.
fn one_encoding(bytes: &[u8]) {
    for kind in Kind::ALL {
        if let Ok(value) = kind.decode(bytes) {
            assert_eq!(value.encode(), bytes, "a second encoding of {value:?}");
        }
    }
}

/// Where to perturb: every place, but of a long run of one byte only its ends.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    (0..bytes.len()).filter(|place| {
        let around = place.saturating_sub(4)..(place + 5).min(bytes.len());
        let same = bytes[around].iter().all(|byte| byte == &bytes[*place]);
        !same
    })
}

#[test]
fn truncated_vectors_are_refused() {
    for sample in samples::all() {
        let bytes = sample.value.encode();
        for length in 0..bytes.len() {
            let cut = sample.value.kind().decode(&bytes[..length]);
            assert_eq!(cut, Err(DecodeError::Truncated), "{}", sample.name);
        }
    }
}

#[test]
fn vectors_with_more_behind_them_are_refused() {
    for sample in samples::all() {
        let mut bytes = sample.value.encode();
        bytes.push(0);
        let longer = sample.value.kind().decode(&bytes);
        assert_eq!(longer, Err(DecodeError::Trailing), "{}", sample.name);
    }
}

#[test]
fn perturbed_vectors_fail_or_are_another_item() {
    for sample in samples::all() {
        let mut bytes = sample.value.encode();
        for place in places(&bytes.clone()) {
            let right = bytes[place];
            for wrong in (0..=u8::MAX).filter(|wrong| *wrong != right) {
                bytes[place] = wrong;
                if let Ok(other) = sample.value.kind().decode(&bytes) {
                    assert_ne!(other, sample.value);
                    assert_eq!(other.encode(), bytes);
                }
            }
            bytes[place] = right;
        }
    }
}

/// As SPEC.md says, with room above it.
#[test]
fn the_deepest_vector_needs_nine_levels() {
    fn depth(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Array(items) => items.iter().map(depth).max().unwrap_or(0) + 1,
            serde_json::Value::Object(object) if !object.contains_key("hex") => {
                object.values().map(depth).max().unwrap_or(0) + 1
            }
            _ => 1,
        }
    }
    let samples = samples::all().into_iter();
    let depths = samples.map(|sample| depth(&json::from_cbor(&sample.value.encode())));
    assert_eq!(depths.max(), Some(9));
}

#[test]
fn lengths_that_promise_gigabytes_cost_nothing() {
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        let mut bytes = vec![head];
        bytes.extend(u64::MAX.to_be_bytes());
        assert_eq!(cbor::check(&bytes), Err(DecodeError::Truncated));
        one_encoding(&bytes);
    }
}

/// Spellings that a lenient decoder would take for the same item.
#[test]
fn other_spellings_of_an_item_are_refused() {
    let describe = |verb: &[u8]| [b"\xa2\x62do".as_slice(), verb, b"\x62id\x01"].concat();
    let log = [b"\xa1\x63log\x58\x20".as_slice(), &[0x11; 32]].concat();
    let right = describe(&[b"\xa1\x68describe".as_slice(), &log].concat());
    assert!(Kind::Request.decode(&right).is_ok());
    let wrong = [
        // The variant as a text with its content behind it, as an index, as an array.
        describe(&[b"\x68describe".as_slice(), &log].concat()),
        describe(&[b"\xa1\x10".as_slice(), &log].concat()),
        describe(&[b"\x82\x68describe".as_slice(), &log].concat()),
        // The struct as an array of its fields.
        describe(&[b"\xa1\x68describe\x81\x58\x20".as_slice(), &[0x11; 32]].concat()),
        // An id as an array of numbers, and as a text.
        describe(
            &[
                b"\xa1\x68describe\xa1\x63log\x98\x20".as_slice(),
                &[0x11; 32],
            ]
            .concat(),
        ),
        describe(
            &[
                b"\xa1\x68describe\xa1\x63log\x78\x20".as_slice(),
                &[0x11; 32],
            ]
            .concat(),
        ),
    ];
    for bytes in wrong {
        assert!(Kind::Request.decode(&bytes).is_err(), "{bytes:02x?}");
    }
    // `ok` with content, which a lenient decoder would leave lying.
    let done =
        |answer: &[u8]| [b"\xa1\x64done\xa2\x62id\x01\x66answer".as_slice(), answer].concat();
    assert!(Kind::FromRelay.decode(&done(b"\x62ok")).is_ok());
    assert!(Kind::FromRelay.decode(&done(b"\xa1\x62ok\x00")).is_err());
}

/// Every `true` that is left out when it is `false`.
#[test]
fn an_explicit_false_is_refused_where_absence_says_it() {
    let mut tried = 0;
    for sample in samples::all() {
        let bytes = sample.value.encode();
        for key in ["pin", "end", "cut", "last_resort"] {
            let spelt = [&[0x60 | u8::try_from(key.len()).unwrap()], key.as_bytes()].concat();
            let found = bytes.windows(spelt.len()).position(|part| part == spelt);
            let Some(value) = found.map(|start| start + spelt.len()) else {
                continue;
            };
            if bytes[value] == 0xf5 && sample.value.kind() == Kind::Request {
                let mut wrong = bytes.clone();
                wrong[value] = 0xf4;
                let refused = sample.value.kind().decode(&wrong);
                assert_eq!(refused, Err(DecodeError::Shape), "{key}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 4);
}
