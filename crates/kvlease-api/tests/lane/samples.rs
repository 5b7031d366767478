//! One frame of each kind, as this crate writes it.

use std::time::Duration;

use kvlease_api::lane::{
    Commit, CommitWriter, DoneStatus, Failure, FailureCode, Hello, IdsWriter, Indexed, KeysWriter,
    Kind, LeaseGrant, LeaseStatus, LeasesWriter, Mode, PrepareWriter, RequestedObject,
    ReservationsWriter, ReserveStatus, ReserveWriter, StoreWriter, StoredObject, UsedWriter,
    VERSION, Welcome, write_done, write_failure, write_index, write_renewed,
};
use kvlease_types::{BucketName, ByteSize, Checksum, Epoch, Extent, Offset};

/// The number of each sample's request.
pub(crate) const REQUEST: u64 = 0x0102_0304_0506_0708;

/// The keys of the samples that have some.
pub(crate) const KEYS: [&str; 3] = ["model@2@0@00c0ffee@half", "schlüssel", "k"];

/// The leases that samples name.
pub(crate) const SEQUENCES: [u64; 2] = [7, 0xde_adbe_ef01];

/// Objects that the sample of a reserve asks for.
pub(crate) const REQUESTED: [RequestedObject<'_>; 2] = [
    RequestedObject { len: ByteSize::mib(16), key: "big" },
    RequestedObject { len: ByteSize::ZERO, key: "empty" },
];

/// Reservations that the sample of a commit publishes.
pub(crate) const COMMITS: [Commit; 2] = [
    Commit { write: 1, checksum: Checksum::new(0x1122_3344_5566_7788) },
    Commit { write: 2, checksum: Checksum::new(0x99aa_bbcc_ddee_ff00) },
];

/// Lengths that the sample of a prepare asks for.
pub(crate) const LENGTHS: [ByteSize; 2] = [ByteSize::mib(1), ByteSize::kib(4)];

/// Objects that the sample of a store publishes.
pub(crate) const STORED: [StoredObject<'_>; 2] = [
    StoredObject {
        write: 1,
        checksum: Checksum::new(0x1122_3344_5566_7788),
        len: ByteSize::new(1_000_000),
        key: "large",
    },
    StoredObject {
        write: 2,
        checksum: Checksum::new(0x99aa_bbcc_ddee_ff00),
        len: ByteSize::kib(4),
        key: "k",
    },
];

pub(crate) const WELCOME: Welcome = Welcome {
    writes: true,
    epoch: Epoch::new(0xfeed_face),
    capacity: ByteSize::gib(8),
    object_len_max: ByteSize::gib(1),
    lease_ttl_max: Duration::from_secs(300),
    reservation_ttl: Duration::from_secs(30),
    keys_max: 4_096,
    frame_len_max: 1 << 20,
    slots: 100_000,
};

pub(crate) const INDEXED: Indexed = Indexed { secret: *b"0123456789abcdef", slots: 100_000 };

/// Reads that the sample of a report counts, and the objects that it names.
pub(crate) const READS: u64 = 1_000;
pub(crate) const USED: [(u32, u64); 2] = [(5, 41), (9, 43)];

pub(crate) const TTL: Duration = Duration::from_secs(30);

pub(crate) fn bucket() -> BucketName {
    BucketName::new("lmcache").unwrap()
}

pub(crate) fn extent(offset: u64, len: u64) -> Extent {
    Extent::new(Offset::new(offset), ByteSize::new(len))
}

/// The leases of the sample, with their extents.
pub(crate) fn grants() -> [(LeaseGrant, Vec<Extent>); 3] {
    let grant = |slot, sequence, generation, checksum, len| LeaseGrant {
        slot,
        sequence,
        generation,
        checksum: Checksum::new(checksum),
        len: ByteSize::new(len),
    };
    [
        (
            grant(5, 7, 41, 0x1122_3344_5566_7788, 10_000),
            vec![extent(8192, 4096), extent(0, 4096), extent(65_536, 1_808)],
        ),
        (grant(6, 8, 42, 0x2d06_8005_38d3_94c2, 0), vec![]),
        (
            grant(9, 9, 43, 0x99aa_bbcc_ddee_ff00, 5_000),
            vec![extent(1 << 32, 4096), extent(4096, 904)],
        ),
    ]
}

/// The sample of this kind.
pub(crate) fn sample(kind: Kind) -> Vec<u8> {
    let mut out = Vec::new();
    let bucket = bucket();
    match kind {
        Kind::Hello => Hello { version: VERSION, writes: true }.write(&mut out, REQUEST),
        Kind::Acquire => {
            let wait = Duration::from_millis(250);
            keys(KeysWriter::acquire(&mut out, REQUEST, &bucket, Mode::Prefix, wait, Some(TTL)));
        }
        Kind::Release => ids(IdsWriter::release(&mut out, REQUEST, true), &SEQUENCES),
        Kind::Renew => ids(IdsWriter::renew(&mut out, REQUEST, None), &SEQUENCES),
        Kind::Exists => keys(KeysWriter::exists(&mut out, REQUEST, &bucket, Mode::Each)),
        Kind::Remove => keys(KeysWriter::remove(&mut out, REQUEST, &bucket)),
        Kind::Reserve => {
            let mut frame = ReserveWriter::begin(&mut out, REQUEST, &bucket);
            REQUESTED.iter().for_each(|object| frame.push(*object).unwrap());
            assert_eq!(frame.finish(), 2);
        }
        Kind::Commit => {
            let mut frame = CommitWriter::begin(&mut out, REQUEST);
            COMMITS.iter().for_each(|commit| frame.push(*commit).unwrap());
            assert_eq!(frame.finish(), 2);
        }
        Kind::Abort => ids(IdsWriter::abort(&mut out, REQUEST, false), &[3]),
        Kind::Index => write_index(&mut out, REQUEST),
        Kind::Used => {
            let mut frame = UsedWriter::begin(&mut out, REQUEST, READS, true);
            USED.iter().for_each(|(slot, generation)| frame.push(*slot, *generation).unwrap());
            assert_eq!(frame.finish(), USED.len());
        }
        Kind::Prepare => {
            let mut frame = PrepareWriter::begin(&mut out, REQUEST);
            LENGTHS.iter().for_each(|len| frame.push(*len).unwrap());
            assert_eq!(frame.finish(), LENGTHS.len());
        }
        Kind::Store => {
            let mut frame = StoreWriter::begin(&mut out, REQUEST, &bucket);
            STORED.iter().for_each(|object| frame.push(*object).unwrap());
            assert_eq!(frame.finish(), STORED.len());
        }
        Kind::Welcome => WELCOME.write(&mut out, REQUEST),
        Kind::Leases => return leases(),
        Kind::Done => write_done(&mut out, REQUEST, DoneStatus::ALL),
        Kind::Renewed => {
            let statuses = [DoneStatus::Done, DoneStatus::Unknown];
            write_renewed(&mut out, REQUEST, TTL, &statuses);
        }
        Kind::Reservations => {
            let mut frame = ReservationsWriter::begin(&mut out, REQUEST, TTL);
            frame.granted(1, &[extent(8192, 4096), extent(0, 904)]);
            frame.refused(ReserveStatus::Exists);
            frame.granted(2, &[]);
            frame.finish();
        }
        Kind::Indexed => INDEXED.write(&mut out, REQUEST),
        Kind::Error => {
            let text = "the payload is too short";
            let failure = Failure { code: FailureCode::Malformed, text };
            write_failure(&mut out, REQUEST, &failure);
        }
    }
    out
}

fn keys(mut frame: KeysWriter<'_>) {
    KEYS.iter().for_each(|key| frame.push(key).unwrap());
    assert_eq!(frame.finish(), KEYS.len());
}

fn ids(mut frame: IdsWriter<'_>, ids: &[u64]) {
    ids.iter().for_each(|id| frame.push(*id).unwrap());
    assert_eq!(frame.finish(), ids.len());
}

fn leases() -> Vec<u8> {
    let mut frame = LeasesWriter::begin(Vec::new(), REQUEST);
    let grants = grants();
    frame.granted(&grants[0].0, &grants[0].1);
    frame.refused(LeaseStatus::Evicted);
    frame.granted(&grants[1].0, &grants[1].1);
    frame.granted(&grants[2].0, &grants[2].1);
    frame.finish(TTL)
}
