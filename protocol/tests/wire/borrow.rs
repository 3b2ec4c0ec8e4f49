//! Sealed bytes are not copied while decoding.

use sotto_protocol::cbor;
use sotto_protocol::frame::{Answer, Frame, FromRelay, Request, Verb};

use crate::samples::{self, Kind};

fn lies_within(part: &[u8], whole: &[u8]) -> bool {
    whole.as_ptr_range().contains(&part.as_ptr()) && part.len() <= whole.len()
}

/// The encodings of every sample of a kind whose name begins with `start`.
fn encoded(kind: Kind, start: &str) -> Vec<Vec<u8>> {
    let samples = samples::all().into_iter();
    let found: Vec<_> = samples
        .filter(|sample| sample.value.kind() == kind && sample.name.starts_with(start))
        .map(|sample| sample.value.encode())
        .collect();
    assert!(!found.is_empty(), "no sample begins with {start}");
    found
}

#[test]
fn a_push_borrows_its_sealed_bytes() {
    for bytes in encoded(Kind::Frame, "push") {
        let Frame::Push(push) = cbor::decode(&bytes).unwrap() else {
            panic!("not a push");
        };
        assert!(lies_within(push.entry.sealed.as_slice(), &bytes));
    }
}

#[test]
fn a_noise_frame_borrows_its_bytes() {
    for bytes in encoded(Kind::Frame, "noise") {
        let Frame::Noise(noise) = cbor::decode(&bytes).unwrap() else {
            panic!("not a noise frame");
        };
        assert!(lies_within(noise.as_slice(), &bytes));
    }
}

#[test]
fn an_append_borrows_sealed_and_held_bytes() {
    let mut parts = 0;
    for bytes in encoded(Kind::Request, "append") {
        let request: Request<'_> = cbor::decode(&bytes).unwrap();
        let Verb::Append(append) = request.verb else {
            panic!("not an append");
        };
        for entry in append.items.iter().flat_map(|item| &item.entries) {
            let held = entry.held.as_ref().map(|held| held.as_slice());
            for part in held.into_iter().chain([entry.sealed.as_slice()]) {
                assert!(lies_within(part, &bytes));
                parts += 1;
            }
        }
    }
    assert_eq!(parts, 3);
}

#[test]
fn a_page_borrows_its_sealed_bytes() {
    for bytes in encoded(Kind::FromRelay, "done, page") {
        let FromRelay::Done(done) = cbor::decode(&bytes).unwrap() else {
            panic!("not an answer");
        };
        let Answer::Page(page) = done.answer else {
            panic!("not a page");
        };
        for entry in &page.entries {
            assert!(lies_within(entry.sealed.as_slice(), &bytes));
        }
    }
}

#[test]
fn the_comparison_tells_buffers_apart() {
    let bytes = [1, 2, 3];
    assert!(lies_within(&bytes[1..], &bytes));
    assert!(!lies_within(&[1, 2, 3], &bytes[1..]));
}
