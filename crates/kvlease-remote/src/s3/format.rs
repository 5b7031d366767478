//! How large values are transferred.

use kvlease_types::ByteSize;

/// Length of the parts of a transfer, except for the last one. Stores take no parts below 5 MiB.
pub(super) const PART_LEN: u64 = 8 << 20;

/// The largest object: within 10,000 parts, S3's limit.
pub(super) const LEN_MAX: ByteSize = ByteSize::gib(16);

/// Parts of a transfer that are under way at once.
pub(super) const PARTS_AT_ONCE: usize = 8;

/// Small requests of a call that are under way at once.
pub(super) const REQUESTS_AT_ONCE: usize = 64;
