//! Frames of the fast lane, read by either end.

#![no_main]

use kvlease_api::lane::{Answer, FRAME_LEN_MAX, Frame, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((frame, taken))) = Frame::split(rest, FRAME_LEN_MAX) {
        // Whatever is borrowed is looked at as well: what is shown has been walked through.
        if let Ok(request) = Request::decode(&frame) {
            let _ = format!("{request:?}");
        }
        if let Ok(answer) = Answer::decode(&frame) {
            let _ = format!("{answer:?}");
        }
        rest = &rest[taken..];
    }
});
