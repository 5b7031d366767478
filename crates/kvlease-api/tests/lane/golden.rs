//! The bytes of each kind do not change: both ends are built at different times.

use kvlease_api::lane::Kind;

use crate::samples::sample;

/// The golden file of each kind: bytes in hexadecimal, `#` begins a comment.
#[rustfmt::skip]
pub(crate) fn file(kind: Kind) -> &'static str {
    match kind {
        Kind::Hello => include_str!("golden/hello.hex"),
        Kind::Acquire => include_str!("golden/acquire.hex"),
        Kind::Release => include_str!("golden/release.hex"),
        Kind::Renew => include_str!("golden/renew.hex"),
        Kind::Exists => include_str!("golden/exists.hex"),
        Kind::Remove => include_str!("golden/remove.hex"),
        Kind::Reserve => include_str!("golden/reserve.hex"),
        Kind::Commit => include_str!("golden/commit.hex"),
        Kind::Abort => include_str!("golden/abort.hex"),
        Kind::Index => include_str!("golden/index.hex"),
        Kind::Used => include_str!("golden/used.hex"),
        Kind::Prepare => include_str!("golden/prepare.hex"),
        Kind::Store => include_str!("golden/store.hex"),
        Kind::Welcome => include_str!("golden/welcome.hex"),
        Kind::Leases => include_str!("golden/leases.hex"),
        Kind::Done => include_str!("golden/done.hex"),
        Kind::Renewed => include_str!("golden/renewed.hex"),
        Kind::Reservations => include_str!("golden/reservations.hex"),
        Kind::Indexed => include_str!("golden/indexed.hex"),
        Kind::Error => include_str!("golden/error.hex"),
    }
}

/// The golden frame of this kind.
pub(crate) fn golden(kind: Kind) -> Vec<u8> {
    let bytes = file(kind).lines().flat_map(|line| {
        let (bytes, _) = line.split_once('#').unwrap_or((line, ""));
        bytes.split_whitespace()
    });
    bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn every_kind_of_frame_is_written_as_its_golden_file_has_it() {
    for kind in Kind::ALL {
        assert_eq!(sample(*kind), golden(*kind), "{}", kind.name());
    }
}
