//! The nouns of kvlease as newtypes: what is stored (buckets, keys, checksums), where it is
//! stored (offsets, extents), who asks (callers), who may read it until when (leases, timestamps),
//! how big things are (sizes), how requests end (outcomes), and how errors are told (causes).
//!
//! Nothing here does I/O, reads a clock or allocates beyond the names themselves. Every other
//! crate of the workspace uses these types, so a size can never be passed where an offset is
//! meant, nor a bucket where a key is.

#![forbid(unsafe_code)]

mod bucket_policy;
mod cache_salt;
mod caller;
mod causes;
mod extent;
mod hex;
mod key_group;
mod lease;
mod name;
mod object;
mod outcome;
mod quota;
mod segment_name;
mod size;
mod size_text;
mod time;

pub use bucket_policy::{
    BUCKET_POLICIES_MAX, BUCKET_WEIGHT_DEFAULT, BucketPolicy, BucketPolicyError,
    PINNED_PREFIX_LEN_MAX, PINNED_PREFIXES_MAX,
};
pub use cache_salt::{CacheSalt, SALT_EXCLUDES};
pub use caller::{Caller, Owner, Peer, TenantId, User};
pub use causes::with_causes;
pub use extent::{Extent, Offset};
pub use hex::Hex;
pub use key_group::{KeyGroup, RANKS_MAX, keys_of_ranks};
pub use lease::{Epoch, LeaseId, ParseLeaseIdError};
pub use name::{
    BUCKET_LEN_MAX, BucketName, Checksum, KEY_LEN_MAX, Key, NameError, RETAINED_PREFIX,
};
pub use object::SealedObject;
pub use outcome::{Miss, Mode, RemoveRefused, WriteRefused};
pub use quota::{Quota, QuotaOf, QuotaValue};
pub use segment_name::{DEFAULT_SEGMENT_DIR, SEGMENT_NAME_LEN_MAX, SegmentName, SegmentNameError};
pub use size::{ByteSize, ParseByteSizeError};
pub use size_text::human_size;
pub use time::Timestamp;
