//! Blocks on machines without vectors of 32 bytes.

use std::{
    mem::MaybeUninit,
    sync::atomic::{Ordering, compiler_fence},
};

use super::{Accumulators, BLOCK, STRIPE};

/// Takes in whole blocks, and copies them to `target` if there is one.
///
/// # Safety
///
/// `source` must be readable and `target` writable for `blocks` blocks, and they must not overlap.
/// Either may be shared with other processes.
pub(crate) unsafe fn blocks(
    mut source: *const u8,
    mut target: Option<*mut u8>,
    blocks: usize,
    accumulators: &mut Accumulators,
) {
    // The private copy is summed and delivered, even if the source changes meanwhile.
    let mut private = MaybeUninit::<[u8; BLOCK]>::uninit();
    for _ in 0..blocks {
        // SAFETY: the caller promises as many blocks; the private one is written before it is read.
        let block = unsafe {
            copy_once(source, private.as_mut_ptr().cast(), BLOCK);
            private.assume_init_ref()
        };
        take_block(block, accumulators);
        if let Some(target) = &mut target {
            // SAFETY: the caller promises as many blocks.
            unsafe { block.as_ptr().copy_to_nonoverlapping(*target, BLOCK) };
            *target = target.wrapping_add(BLOCK);
        }
        source = source.wrapping_add(BLOCK);
    }
}

/// Copies bytes that other processes may change to private memory, which is used from then on.
///
/// # Safety
///
/// `source` must be readable and `target` writable for `len` bytes, and they must not overlap.
pub(crate) unsafe fn copy_once(source: *const u8, target: *mut u8, len: usize) {
    // SAFETY: the caller's promise is the same one.
    unsafe { source.copy_to_nonoverlapping(target, len) };
    // Without the fence the compiler may read the source again for a later copy of the target.
    compiler_fence(Ordering::SeqCst);
}

/// Takes in one block.
pub(crate) fn take_block(block: &[u8; BLOCK], accumulators: &mut Accumulators) {
    let (stripes, _) = block.as_chunks::<STRIPE>();
    for (number, stripe) in stripes.iter().enumerate() {
        accumulators.take(stripe, number);
    }
    accumulators.scramble();
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: usize = 3;

    #[test]
    fn blocks_are_summed_the_same_wherever_they_go_and_whatever_the_machine_has() {
        let source: Vec<u8> = (0..(BLOCKS * BLOCK) as u32)
            .map(|i| (i.wrapping_mul(0x9e37_79b1) >> 24) as u8)
            .collect();
        let mut summed = Accumulators::new();
        // SAFETY: the source has that many blocks, and nothing is written.
        unsafe { blocks(source.as_ptr(), None, BLOCKS, &mut summed) };
        let (mut copied, mut target) = (Accumulators::new(), vec![0; source.len()]);
        // SAFETY: the target is as long as the source.
        unsafe { blocks(source.as_ptr(), Some(target.as_mut_ptr()), BLOCKS, &mut copied) };
        assert_eq!((&summed.0, &target), (&copied.0, &source));
        #[cfg(target_arch = "x86_64")]
        if crate::copy::Engine::Avx2.is_available() {
            let mut wide = Accumulators::new();
            // SAFETY: the source has that many blocks, and the instructions were found.
            unsafe { super::super::avx2::sum(source.as_ptr(), BLOCKS, &mut wide) };
            assert_eq!(summed.0, wide.0);
        }
    }
}
