//! The tier on a device in memory that records its writes, cuts the power and fails on request.

#[path = "../../tests/nvme/fixture.rs"]
mod fixture;

mod faults;
mod format;
mod memory;
mod power_loss;
mod reclaim;
mod restarts;

use std::{path::PathBuf, sync::Arc};

use crate::{
    NvmeConfig, NvmeRecovery, NvmeTier, config::IoChoice, fingerprint::Secret, geometry::Geometry,
};
use memory::MemoryDevice;

/// Division of the devices in memory: small segments, so that few objects fill one.
pub(crate) const GEOMETRY: Geometry = Geometry { segment_len: 64 << 10, segments: 12 };

/// Opens the tier on a device in memory.
fn open(device: &Arc<MemoryDevice>) -> (NvmeTier, NvmeRecovery) {
    let config = NvmeConfig {
        depth: 4,
        workers: 2,
        io: IoChoice::Threads,
        ..NvmeConfig::new(PathBuf::from("memory"))
    };
    let device = Arc::<MemoryDevice>::clone(device);
    let secret = Secret::new([7; Secret::LEN]);
    NvmeTier::on(device, GEOMETRY, secret, &config, PathBuf::from("memory"))
        .expect("the device can be read")
}
