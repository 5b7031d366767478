//! External memory that stays: many calls borrow regions of it, each for its own time.

use std::{error::Error, fmt, sync::Arc};

use crate::{ExternalBuffer, ExternalBytes, KeepAlive};

/// Blocks of external memory that calls borrow regions of.
///
/// A clone shares the blocks. They stay in place while a clone or a region lives.
#[derive(Clone, Debug)]
pub struct ExternalMemory {
    /// By address.
    blocks: Arc<[ExternalBuffer]>,
}

/// Reason why regions cannot be borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegionError {
    /// The region is in none of the blocks.
    Outside {
        /// Its address.
        address: usize,
        /// Its length.
        len: usize,
    },
    /// The region shares bytes with another one of the same call.
    Shared {
        /// Its address.
        address: usize,
    },
}

impl ExternalMemory {
    /// Memory of these blocks, whose owner keeps other users away from every region that a call
    /// borrows, for as long as it does.
    pub fn new(mut blocks: Vec<ExternalBuffer>) -> Self {
        blocks.sort_unstable_by_key(ExternalBuffer::address);
        Self { blocks: blocks.into() }
    }

    /// Regions to read from, each an address and a length. Their keep-alive is one, and is theirs
    /// alone.
    ///
    /// # Errors
    ///
    /// [`RegionError::Outside`].
    pub fn bytes(&self, regions: &[(usize, usize)]) -> Result<Vec<ExternalBytes>, RegionError> {
        let keep_alive = self.keep_alive();
        let bytes = |(address, len)| {
            let place = self.place(address, len)?;
            // SAFETY: the region is inside a block, which lives as long as the keep-alive.
            Ok(unsafe { ExternalBytes::new(place, len, Arc::clone(&keep_alive)) })
        };
        regions.iter().copied().map(bytes).collect()
    }

    /// Regions to write into, as [`Self::bytes`].
    ///
    /// # Errors
    ///
    /// [`RegionError`] if one is outside, or two of them share bytes.
    pub fn buffers(&self, regions: &[(usize, usize)]) -> Result<Vec<ExternalBuffer>, RegionError> {
        distinct(regions)?;
        let keep_alive = self.keep_alive();
        let buffer = |(address, len)| {
            let place = self.place(address, len)?;
            // SAFETY: the region is inside a block, which lives as long as the keep-alive; the owner of
            // the blocks keeps other users away, and no two regions share a byte.
            Ok(unsafe { ExternalBuffer::new(place, len, Arc::clone(&keep_alive)) })
        };
        regions.iter().copied().map(buffer).collect()
    }

    fn keep_alive(&self) -> KeepAlive {
        Arc::new(Arc::clone(&self.blocks))
    }

    /// The region's first byte, with the provenance of its block.
    fn place(&self, address: usize, len: usize) -> Result<*mut u8, RegionError> {
        let outside = RegionError::Outside { address, len };
        let behind = self.blocks.partition_point(|block| block.address() as usize <= address);
        let block = behind.checked_sub(1).map(|index| &self.blocks[index]).ok_or(outside)?;
        let offset = address - block.address() as usize;
        let fits = offset.checked_add(len).is_some_and(|end| end <= block.len());
        if fits { Ok(block.address().wrapping_add(offset)) } else { Err(outside) }
    }
}

/// Checks that no two regions share a byte.
fn distinct(regions: &[(usize, usize)]) -> Result<(), RegionError> {
    let mut places: Vec<_> = regions.iter().copied().filter(|(_, len)| *len > 0).collect();
    places.sort_unstable();
    let shared = |pair: &&[(usize, usize)]| pair[1].0 - pair[0].0 < pair[0].1;
    match places.windows(2).find(shared) {
        None => Ok(()),
        Some(pair) => Err(RegionError::Shared { address: pair[1].0 }),
    }
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { address, len } => write!(
                f,
                "the region is outside of the memory: pass one that is inside, \
                 address=`{address:#x}` len=`{len}`"
            ),
            Self::Shared { address } => write!(
                f,
                "two regions of the batch share memory: pass regions of their own for each key, \
                 address=`{address:#x}`"
            ),
        }
    }
}

impl Error for RegionError {}
