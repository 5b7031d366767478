//! Names of findings. Scripts and `docs/doctor.md` use them, so that they stay.

/// Makes the enum and its tables.
macro_rules! names {
    ($($variant:ident $name:literal,)*) => {
        /// Name of a finding.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Name {
            $($variant,)*
        }

        impl Name {
            /// All names, in the order in which they are reported.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name as it is printed.
            pub(super) const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

names! {
    UrlUnresolved "url-unresolved",
    SettingsRefused "settings-refused",
    SettingsUnknown "settings-unknown",
    UnfullChunks "unfull-chunks-off",
    HashSeed "hash-seed-unset",
    WaitBeyondTimeout "wait-beyond-timeout",
    Proxy "proxy-in-the-way",
    Clock "clock-shifted",
    Unreachable "daemon-unreachable",
    NotReady "daemon-not-ready",
    SegmentDiffers "segment-name-differs",
    SegmentMissing "segment-missing",
    SharedMemorySmall "shared-memory-small",
    OtherSegment "segment-not-the-daemons",
    SegmentDenied "segment-denied",
    SegmentForeign "segment-of-other-user",
    DirectoryMounted "directory-mounted",
    SocketUnreachable "socket-unreachable",
    SocketForeign "socket-of-other-user",
    SocketRefuses "socket-refuses",
    SocketOfOther "socket-of-other-daemon",
    Index "index-unusable",
    NoHits "stores-without-hits",
    LeasesExpire "leases-expire",
    ReportsUnfounded "reports-unfounded",
    UsersRefused "users-refused",
    CallerRefused "caller-refused",
    TierBroken "tier-broken",
    TierRefuses "tier-refuses-objects",
    QuotaReached "quota-reached",
    Configuration "configuration-refused",
    Room "arena-does-not-fit",
    OnDisk "directory-on-disk",
    SegmentTaken "segment-name-taken",
    OtherUser "segment-left-by-other-user",
    SharedArena "tenants-share-arena",
    Guarantees "guarantees-do-not-fit",
    QuotaBelowObject "quota-below-object",
    TokenFileUnusable "token-file-unusable",
    TokenFileOpen "token-file-open",
    BucketsShared "buckets-shared",
    Port "port-taken",
    OpenFiles "open-files-few",
    HugePages "huge-pages-off",
    TierPath "tier-path-unusable",
    IoUring "io-uring-denied",
    LockedMemory "locked-memory-small",
    Certificates "certificates-unusable",
    Store "store-unusable",
}
