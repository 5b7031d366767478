//! The tier where seccomp forbids io_uring, as it does in most containers.

use kvlease_nvme::{IoWay, NvmeTier};
use kvlease_testing::without_io_uring;
use kvlease_tier::Tier;

use crate::{
    fixture::{block_on, bytes, load, object, store},
    opening::{config, folder},
};

#[test]
fn a_seccomp_filter_that_forbids_io_uring_leaves_threads_and_every_byte() {
    let folder = folder();
    let lens = [1, 4096, 100_000, 1 << 20, (3 << 20) + 17];
    without_io_uring(|| {
        let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
        assert_eq!(tier.way().io, IoWay::Threads);
        assert_eq!(Tier::way(&tier).as_deref(), Some("threads, direct"));
        let reason = tier.way().reason.clone().unwrap();
        assert!(reason.starts_with("the kernel refuses io_uring: "), "{reason}");
        assert!(reason.contains("not permitted"), "{reason}");
        block_on(async {
            for len in lens {
                let key = len.to_string();
                store(&tier, &key, &bytes(&key, 0, len)).await.unwrap();
            }
        });
    });
    // What threads wrote is what threads read, and what io_uring reads.
    let read_all = || {
        let (tier, recovery) = NvmeTier::open(config(&folder)).unwrap();
        assert_eq!(recovery.objects, lens.len() as u64);
        for len in lens {
            let key = len.to_string();
            let expected = bytes(&key, 0, len);
            let loaded = block_on(load(&tier, &key, object(&key, &expected).stat));
            assert!(loaded.unwrap() == Some(expected), "{len}");
        }
        tier.way().io
    };
    assert_eq!(without_io_uring(read_all), IoWay::Threads);
    assert!(matches!(read_all(), IoWay::Ring { .. }));
}
