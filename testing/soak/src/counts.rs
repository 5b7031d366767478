//! Kinds of things that clients count.

use std::collections::BTreeMap;

macro_rules! counts {
    ($($variant:ident $name:literal $about:literal),* $(,)?) => {
        /// Kind of thing that a client counts.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Count {
            $(#[doc = $about] $variant,)*
        }

        impl Count {
            /// All kinds, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Name in reports for programs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Name in reports for people.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

counts! {
    Stored "stored" "objects stored with Content-Length",
    StoredChunked "stored_chunked" "objects stored with a chunked body",
    StoredLane "stored_lane" "objects stored over the fast lane",
    GivenUp "given_up" "reservations given up",
    FilledLate "filled_late" "reservations that were over before they were committed",
    Exists "exists" "uploads refused because the key was taken",
    NoSpace "no_space" "uploads refused because there was no space",
    Removed "removed" "objects removed",
    RemovedAbsent "removed_absent" "removals that found nothing",
    Busy "busy" "removals refused because the object was pending",
    Leased "leased" "leases granted",
    LeasedLane "leased_lane" "leases granted over the fast lane",
    Indexed "indexed" "objects found in the published index, without a lease",
    Missed "missed" "lease requests that found nothing",
    Copied "copied" "copies out of shared memory that ended within their lease",
    CopiedAgain "copied_again" "further copies under a lease that was held meanwhile",
    Viewed "viewed" "objects verified where they are, within their lease",
    Late "late" "copies discarded because their lease ended first",
    Released "released" "leases released",
    Abandoned "abandoned" "leases left to expire",
    Renewed "renewed" "leases renewed",
    RenewedLate "renewed_late" "renewals refused because the lease had ended",
    Fetched "fetched" "objects read over HTTP",
    FetchMissed "fetch_missed" "reads over HTTP that found nothing",
    Looked "looked" "lengths asked for",
    BytesStored "bytes_stored" "bytes stored",
    BytesVerified "bytes_verified" "bytes verified",
    WrongBytes "wrong_bytes" "wrong bytes",
    WrongVersions "wrong_versions" "objects of a version that the oracle rules out",
    Errors "errors" "calls that failed in a way that no client should see",
}

/// Counts of all kinds by their names.
pub(crate) fn named(counts: &[u64]) -> BTreeMap<String, u64> {
    let names = Count::ALL.iter().map(|count| count.name().to_owned());
    names.zip(counts.iter().copied()).collect()
}
