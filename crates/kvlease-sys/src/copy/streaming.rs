//! Loops of vector copies, for vectors of any width.

/// Defines `stream` and `stream_pages`, which copy with the non-temporal stores of one instruction set:
/// plainly up to the first aligned store and after the last one.
macro_rules! streaming {
    ($feature:literal, $vector:ty, $load:ident, $stream:ident) => {
        use std::arch::x86_64::{_MM_HINT_NTA, _mm_prefetch};

        use super::pages::{GROUP, PAGE, PAGES};

        const VECTOR: usize = size_of::<$vector>();
        /// Bytes per round of the loop.
        const ROUND: usize = 4 * VECTOR;
        const LINE: usize = 64;
        /// Distance, in bytes, of the prefetch ahead of the loads.
        const AHEAD: usize = 1024;

        /// Copies with non-temporal stores, plainly up to the first aligned store and after the
        /// last one. Asks for the source ahead of the loads with `PREFETCHES`.
        ///
        /// # Safety
        ///
        /// That of [`super::copy`]; the processor must have the instructions; a fence must follow.
        #[target_feature(enable = $feature)]
        pub(super) unsafe fn stream<const PREFETCHES: bool>(
            source: *const u8,
            target: *mut u8,
            len: usize,
        ) {
            // Streaming stores need an aligned target.
            let head = target.align_offset(VECTOR).min(len);
            // SAFETY: `head <= len`.
            unsafe { source.copy_to_nonoverlapping(target, head) };
            let mut done = head;
            for _ in 0..(len - head) / ROUND {
                // SAFETY: as many rounds fit into the length; the target is aligned after the
                // head; a prefetch may name any address.
                unsafe {
                    let (from, to) = (source.add(done), target.add(done));
                    for line in (0..if PREFETCHES { ROUND } else { 0 }).step_by(LINE) {
                        _mm_prefetch::<_MM_HINT_NTA>(from.wrapping_add(AHEAD + line).cast());
                    }
                    let vectors = [
                        $load(from.cast()),
                        $load(from.add(VECTOR).cast()),
                        $load(from.add(2 * VECTOR).cast()),
                        $load(from.add(3 * VECTOR).cast()),
                    ];
                    for (index, vector) in vectors.into_iter().enumerate() {
                        $stream(to.add(index * VECTOR).cast(), vector);
                    }
                }
                done += ROUND;
            }
            // SAFETY: `done <= len`.
            unsafe { source.add(done).copy_to_nonoverlapping(target.add(done), len - done) };
        }

        /// As [`stream`], with a line of each of several pages in turn, as long as there are that many.
        ///
        /// # Safety
        ///
        /// That of [`stream`].
        #[target_feature(enable = $feature)]
        pub(super) unsafe fn stream_pages(source: *const u8, target: *mut u8, len: usize) {
            let head = target.align_offset(VECTOR).min(len);
            // SAFETY: `head <= len`.
            unsafe { source.copy_to_nonoverlapping(target, head) };
            let mut done = head;
            for _ in 0..(len - head) / GROUP {
                for line in (done..done + PAGE).step_by(LINE) {
                    // SAFETY: as many groups fit into the length; the target is aligned after the head.
                    unsafe {
                        let (from, to) = (source.add(line), target.add(line));
                        let mut vectors = [[$load(from.cast()); LINE / VECTOR]; PAGES];
                        for (page, vectors) in vectors.iter_mut().enumerate() {
                            for (index, vector) in vectors.iter_mut().enumerate() {
                                *vector = $load(from.add(page * PAGE + index * VECTOR).cast());
                            }
                        }
                        for (page, vectors) in vectors.into_iter().enumerate() {
                            for (index, vector) in vectors.into_iter().enumerate() {
                                $stream(to.add(page * PAGE + index * VECTOR).cast(), vector);
                            }
                        }
                    }
                }
                done += GROUP;
            }
            // SAFETY: `done <= len`.
            unsafe { stream::<false>(source.add(done), target.add(done), len - done) };
        }
    };
}

pub(super) use streaming;
