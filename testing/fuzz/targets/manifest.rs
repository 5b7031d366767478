//! The manifest that a daemon finds, and the catalog that takes it over.

#![no_main]

use kvlease_arena::StoredManifest;
use kvlease_cache::{Catalog, CatalogConfig, Restoration};
use kvlease_types::{ByteSize, Epoch, Timestamp};
use libfuzzer_sys::fuzz_target;

const CAPACITY: ByteSize = ByteSize::mib(1);

/// Length of the header in front of the cells of a manifest, which this target does not read.
const HEADER_LEN: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let mut manifest = [&[0; HEADER_LEN], bytes].concat();
    // Sums that hold: what is behind them is what there is to find.
    StoredManifest::seal(&mut manifest);
    let mut restoration = Restoration::default();
    StoredManifest::from_bytes(manifest).for_each(|object| {
        let leased_until = Timestamp::from_nanos(object.generation % 3);
        restoration.add(object, leased_until);
    });
    let config = CatalogConfig { capacity: CAPACITY, ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    let restored = catalog.restore(restoration, CAPACITY, Timestamp::from_nanos(1), |_| ());
    catalog.check();
    assert_eq!(catalog.stats(Timestamp::default()).objects, restored.objects);
});
