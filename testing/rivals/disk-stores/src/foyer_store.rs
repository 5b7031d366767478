//! foyer's hybrid cache, whose memory holds next to nothing, so that gets come from the disk.

use std::path::Path;

use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    IoEngineConfig, PsyncIoEngineConfig, UringIoEngineConfig,
};
use futures_util::{StreamExt, stream};
use tokio::runtime::{Builder, Runtime};

use crate::{CAPACITY, Outcome, Store, TURN, arena::filled, at_a_time};

/// As long as its longest entry has to fit.
const BLOCK_LEN: usize = 128 << 20;

pub(crate) struct Foyer {
    cache: HybridCache<u64, Vec<u8>>,
    source: Vec<u8>,
    runtime: Runtime,
    io: &'static str,
}

impl Foyer {
    pub(crate) fn open(directory: &Path, with_uring: bool) -> Outcome<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let device = FsDeviceBuilder::new(directory).with_capacity(CAPACITY as usize);
        #[cfg(target_os = "linux")]
        let device = device.with_direct(true).build()?;
        let engine = BlockEngineConfig::new(device)
            .with_block_size(BLOCK_LEN)
            .with_flushers(2)
            // An entry that does not fit its flusher's part is dropped.
            .with_buffer_pool_size(8 * BLOCK_LEN)
            .with_submit_queue_size_threshold(8 * BLOCK_LEN);
        let builder = HybridCacheBuilder::new().memory(1).with_weighter(weight).storage();
        let builder = builder.with_engine_config(engine);
        let builder = match with_uring {
            true => {
                let config: Box<dyn IoEngineConfig> = UringIoEngineConfig::new().boxed();
                builder.with_io_engine_config(config)
            }
            false => builder.with_io_engine_config(PsyncIoEngineConfig::new()),
        };
        let cache = runtime.block_on(async { builder.build().await })?;
        let source = filled(TURN);
        Ok(Self { cache, source, runtime, io: if with_uring { "io_uring" } else { "psync" } })
    }
}

fn weight(_key: &u64, value: &Vec<u8>) -> usize {
    value.len()
}

impl Store for Foyer {
    fn greeting(&self) -> String {
        format!("0.22, {}, direct", self.io)
    }

    fn put(&mut self, size: usize, first: usize, count: usize) -> Outcome<()> {
        self.runtime.block_on(async {
            for number in 0..count {
                let at = number * size % TURN;
                // It takes values that it owns.
                let value = self.source[at..at + size].to_vec();
                self.cache.storage_writer((first + number) as u64).insert(value);
                if number % at_a_time(size) == at_a_time(size) - 1 {
                    self.cache.storage().wait().await;
                }
            }
            self.cache.storage().wait().await;
        });
        Ok(())
    }

    fn get(&mut self, size: usize, first: usize, count: usize) -> Outcome<()> {
        let keys = (first..first + count).map(|key| key as u64);
        let cache = &self.cache;
        let loads = keys.map(|key| async move {
            let found = cache.get(&key).await;
            found.ok().flatten().map_or(0, |entry| entry.value().len())
        });
        let loads = stream::iter(loads).buffer_unordered(at_a_time(size)).collect::<Vec<_>>();
        let found = self.runtime.block_on(loads);
        let missing = found.iter().filter(|len| **len != size).count();
        match missing {
            0 => Ok(()),
            _ => Err(format!("{missing} of {count} objects were lost, size=`{size}`").into()),
        }
    }
}
