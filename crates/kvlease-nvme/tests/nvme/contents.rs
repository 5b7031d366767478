//! Objects come out as they went in; everything else is absence or an error.

use std::{fs, os::unix::fs::FileExt, sync::Arc, time::Duration};

use kvlease_nvme::{IoChoice, NvmeConfig, NvmeTier};
use kvlease_sys::Digest;
use kvlease_tier::{Presence, Source, SourceChanged, Stat, Stored, Tier, TierError};
use kvlease_types::{ByteSize, Checksum};

use crate::{
    fixture::{BUCKET, Outcome, Sink, block_on, bytes, load, name, object, store},
    opening::{config, folder},
};

#[test]
fn a_second_store_of_the_same_bytes_writes_nothing() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    block_on(async {
        assert_eq!(store(&tier, "a", b"one").await.unwrap(), Stored::Written(ByteSize::kib(4)));
        assert_eq!(store(&tier, "a", b"one").await.unwrap(), Stored::Present);
        let long = bytes("b", 0, 5000);
        assert_eq!(store(&tier, "b", &long).await.unwrap(), Stored::Written(ByteSize::kib(12)));
        assert_eq!(tier.usage().objects, Some(2));
        assert_eq!(tier.usage().used, Some(ByteSize::kib(16)));
        let keys = ["a", "none", "b"];
        let found = tier.find(BUCKET, &keys).await.unwrap();
        assert_eq!(found, [Some(stat_of(b"one")), None, Some(stat_of(&long))]);
    });
}

fn stat_of(bytes: &[u8]) -> Stat {
    object("any", bytes).stat
}

#[test]
fn objects_of_another_length_or_checksum_are_absent() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    block_on(async {
        store(&tier, "a", b"one").await.unwrap();
        assert_eq!(load(&tier, "b", stat_of(b"one")).await.unwrap(), None);
        assert_eq!(load(&tier, "a", stat_of(b"two")).await.unwrap(), None);
        // The later object of a name is the one that counts.
        store(&tier, "a", b"two").await.unwrap();
        assert_eq!(load(&tier, "a", stat_of(b"one")).await.unwrap(), None);
        assert_eq!(load(&tier, "a", stat_of(b"two")).await.unwrap(), Some(b"two".to_vec()));
    });
}

#[test]
fn removed_objects_stay_away() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let keys: Vec<String> = (0..600).map(|number| format!("key-{number}")).collect();
    block_on(async {
        for key in &keys {
            store(&tier, key, key.as_bytes()).await.unwrap();
        }
        let mut removed: Vec<&str> = keys[1..].iter().map(String::as_str).collect();
        removed.push("none");
        let found = tier.remove(BUCKET, &removed).await.unwrap();
        assert_eq!(found.iter().filter(|found| **found).count(), 599);
        assert!(!found[599]);
        store(&tier, "key-9", b"again").await.unwrap();
    });
    let check = |tier: &NvmeTier| {
        assert_eq!(tier.usage().objects, Some(2));
        assert_eq!(tier.presence(BUCKET, "key-1"), Presence::Absent);
        assert_eq!(tier.presence(BUCKET, "key-9"), Presence::Here(stat_of(b"again")));
    };
    check(&tier);
    drop(tier);
    // Once from a scan, and once from tables.
    for _ in 0..2 {
        let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
        check(&tier);
        block_on(tier.close()).unwrap();
    }
}

#[test]
fn a_source_that_changes_stores_nothing() {
    #[derive(Debug)]
    struct Changing(usize);
    impl Source for Changing {
        fn read(
            &mut self,
            into: &mut [u8],
            digest: Option<&mut Digest>,
        ) -> Result<(), SourceChanged> {
            self.0 = self.0.checked_sub(into.len()).ok_or(SourceChanged)?;
            into.fill(1);
            if let Some(digest) = digest {
                digest.update(into);
            }
            Ok(())
        }
    }
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let object = object("a", &vec![2; 3 << 20]);
    for known_at in [0, 1 << 20, 3 << 20] {
        let stored = block_on(tier.store(&object, Box::new(Changing(known_at))));
        assert!(matches!(stored, Err(TierError::SourceChanged(_))), "{stored:?}");
        assert_eq!(tier.presence(BUCKET, "a"), Presence::Absent);
    }
    drop(tier);
    let (tier, recovery) = NvmeTier::open(config(&folder)).unwrap();
    assert_eq!(recovery.objects, 0);
    assert_eq!(tier.presence(BUCKET, "a"), Presence::Absent);
}

#[test]
fn changed_bytes_on_the_device_are_dropped_for_good() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let (whole, cut) = (bytes("whole", 0, 3 << 20), bytes("cut", 0, 3 << 20));
    block_on(async {
        store(&tier, "whole", &whole).await.unwrap();
        store(&tier, "cut", &cut).await.unwrap();
        tier.close().await.unwrap();
    });
    drop(tier);
    let file = folder.path().join("kvlease.tier");
    let content = fs::read(&file).unwrap();
    let find = |part: &[u8]| content.windows(part.len()).position(|found| found == part).unwrap();
    let bytes_at = find(&whole[..64]);
    let header_at = find(b"bucketcut");
    let broken = fs::OpenOptions::new().write(true).open(&file).unwrap();
    broken.write_all_at(&[0x55; 3], (bytes_at + (2 << 20)) as u64).unwrap();
    broken.write_all_at(b"bucketout", header_at as u64).unwrap();
    let (tier, recovery) = NvmeTier::open(config(&folder)).unwrap();
    assert_eq!(recovery.objects, 2);
    block_on(async {
        let loaded = load(&tier, "whole", stat_of(&whole)).await;
        assert!(matches!(loaded, Err(TierError::Corrupt { .. })), "{loaded:?}");
        let loaded = load(&tier, "cut", stat_of(&cut)).await;
        assert!(matches!(loaded, Err(TierError::Foreign { .. })), "{loaded:?}");
        assert_eq!(tier.presence(BUCKET, "whole"), Presence::Absent);
        assert_eq!(load(&tier, "cut", stat_of(&cut)).await.unwrap(), None);
    });
    drop(tier);
    let (tier, recovery) = NvmeTier::open(config(&folder)).unwrap();
    assert_eq!(recovery.objects, 0);
    block_on(store(&tier, "whole", &whole)).unwrap();
    assert_eq!(block_on(load(&tier, "whole", stat_of(&whole))).unwrap(), Some(whole));
}

#[test]
fn a_dropped_load_discards_its_destination() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let large = bytes("a", 0, 3 << 20);
    block_on(async {
        store(&tier, "a", &large).await.unwrap();
        for _ in 0..50 {
            let (sink, outcome) = Sink::new();
            let name = name("a");
            let mut load = tier.load(&name, stat_of(&large), sink);
            let polled = tokio::time::timeout(Duration::ZERO, &mut load).await;
            drop(load);
            if polled.is_ok() {
                assert_eq!(*outcome.lock().unwrap(), Outcome::Complete(large.clone()));
                continue;
            }
            while *outcome.lock().unwrap() == Outcome::Open {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // No reader is left: the tier ends.
        tier.close().await.unwrap();
    });
}

#[test]
fn writers_and_readers_at_the_same_time_get_the_right_bytes() {
    for io in [IoChoice::Auto, IoChoice::Threads] {
        let folder = folder();
        let roomy = NvmeConfig { capacity: Some(ByteSize::mib(256)), io, ..config(&folder) };
        // Fewer pieces at a time than the objects have.
        let narrow = NvmeConfig { depth: 2, ..roomy.clone() };
        for config in [roomy, narrow] {
            write_and_read_at_the_same_time(config);
        }
    }
}

fn write_and_read_at_the_same_time(config: NvmeConfig) {
    let (tier, _) = NvmeTier::open(config).expect("a new file");
    let tier = Arc::new(tier);
    let threads: Vec<_> = (0..6)
        .map(|thread| {
            let tier = Arc::clone(&tier);
            std::thread::spawn(move || {
                block_on(async {
                    // All names are shared by two threads.
                    for round in 0..12 {
                        let key = format!("key-{}-{round}", thread / 2);
                        let len = [10, 4096, 300_000, (3 << 20) + 1][round % 4];
                        let bytes = bytes(&key, 0, len);
                        store(&*tier, &key, &bytes).await.expect("it fits");
                        let loaded =
                            load(&*tier, &key, stat_of(&bytes)).await.expect("it is right");
                        assert_eq!(loaded, Some(bytes));
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no comparison failed"));
    assert_eq!(tier.usage().objects, Some(36));
}

#[test]
fn objects_that_fit_no_segment_are_refused_and_the_longest_one_fits() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let longest = bytes("a", 0, tier.len_max() as usize);
    block_on(async {
        store(&tier, "a", &longest).await.unwrap();
        assert_eq!(load(&tier, "a", stat_of(&longest)).await.unwrap(), Some(longest.clone()));
        let longer = vec![0; longest.len() + 1];
        let stored = store(&tier, "b", &longer).await;
        assert!(matches!(stored, Err(TierError::TooLarge { .. })), "{stored:?}");
    });
}

#[test]
fn a_closed_tier_says_so() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    block_on(async {
        tier.close().await.unwrap();
        let stat = Stat { len: ByteSize::new(1), checksum: Checksum::new(1) };
        assert!(matches!(store(&tier, "a", b"a").await, Err(TierError::Closed)));
        assert!(matches!(load(&tier, "a", stat).await, Err(TierError::Closed)));
        assert!(matches!(tier.find(BUCKET, &["a"]).await, Err(TierError::Closed)));
        assert!(matches!(tier.remove(BUCKET, &["a"]).await, Err(TierError::Closed)));
        assert!(matches!(tier.list(BUCKET, "", None, 1).await, Err(TierError::Closed)));
    });
}
