//! Arbitrary bytes as each item of the wire: refused, or encoded as they came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_protocol::cbor;
use sotto_protocol::channel;
use sotto_protocol::frame::{Frame, FromRelay, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = cbor::decode::<Frame<'_>>(bytes) {
        assert_eq!(cbor::encode(&frame).as_deref(), Ok(bytes));
        if let Frame::Noise(sealed) = frame {
            let all: usize = channel::messages(sealed.as_slice()).map(<[u8]>::len).sum();
            assert_eq!(all, sealed.as_slice().len());
        }
    }
    if let Ok(request) = cbor::decode::<Request<'_>>(bytes) {
        assert_eq!(cbor::encode(&request).as_deref(), Ok(bytes));
        // Bounds hold or not, but asking never panics.
        let _ = request.check_bounds();
        let _ = request.verb.retry();
    }
    if let Ok(item) = cbor::decode::<FromRelay<'_>>(bytes) {
        assert_eq!(cbor::encode(&item).as_deref(), Ok(bytes));
    }
});
