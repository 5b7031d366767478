//! Objects on their way in.

use std::{iter, sync::Arc};

use kvlease_sys::Digest;
use kvlease_types::{BucketName, ByteSize, Caller, Extent, Key, WriteRefused};

use crate::{
    clock::now,
    cursor::Cursor,
    held_space::HeldSpace,
    shared::Shared,
    write::{Stored, Write},
};

/// Part of the arena that uploads may take before their bytes come: within it each takes its space
/// at once, and so mostly in one extent. Beyond it they take space in steps.
const UNFILLED_PART: u64 = 8;

/// First step, and the least later one.
const STEP_MIN: u64 = 64 << 10;

/// How much more than what has come a step takes. So bytes that did not come take little room from
/// other objects, and a long body still has few extents.
const STEP_GROWTH: u64 = 3;

/// The largest step.
const STEP_MAX: u64 = 64 << 20;

/// The first step of an object whose length is not known beforehand, where there is room.
const UNSIZED_FIRST: ByteSize = ByteSize::mib(1);

/// A pending object whose bytes come through the daemon. It is invisible before [`Put::seal`];
/// dropping it discards it and gives its extents back.
#[derive(Debug)]
pub struct Put {
    write: Write,
    announced: Option<ByteSize>,
    extents: Vec<Extent>,
    cursor: Cursor,
    reserved: u64,
    received: u64,
    /// Space that was reserved and whose bytes were not received.
    unfilled: HeldSpace,
    digest: Digest,
}

impl Put {
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        caller: &Caller,
        bucket: BucketName,
        key: Key,
        len: Option<ByteSize>,
    ) -> Result<Self, WriteRefused> {
        let object_len_max = shared.len_max(&bucket);
        if len.is_some_and(|len| len > object_len_max) {
            return Err(WriteRefused::TooLarge { object_len_max });
        }
        let mut unfilled = HeldSpace::none(&shared.unfilled);
        let all = len.unwrap_or(UNSIZED_FIRST.min(object_len_max));
        let first = if bucket.is_retained() {
            // Within a quota of its own. What would not fit is refused before any byte of it comes.
            unfilled.take(all.bytes());
            all
        } else {
            ByteSize::new(take_step(&mut unfilled, shared, all.bytes(), STEP_MIN))
        };
        // What cannot be had as a whole is refused before any of it comes.
        let lens = (first, len.unwrap_or(first));
        let name = shared.capture.as_ref().map(|capture| (capture, bucket.clone(), key.clone()));
        let begun = Write::begin(shared, &mut shared.state(), caller, (bucket, key), lens, now());
        if let (Err(refused), Some((capture, bucket, key))) = (&begun, &name) {
            let put = (key, lens.1.bytes(), Some(*refused));
            capture.put(caller, bucket.as_str(), iter::once(put));
        }
        let (write, extents) = begun?;
        Ok(Self {
            write,
            announced: len,
            extents: extents.to_vec(),
            cursor: Cursor::default(),
            reserved: first.bytes(),
            received: 0,
            unfilled,
            digest: Digest::new(),
        })
    }

    /// Generation that the object has, and no other one of the incarnation.
    pub const fn generation(&self) -> u64 {
        self.write.generation()
    }

    /// Appends bytes, straight into the arena.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteRefused> {
        self.make_room(bytes.len() as u64)?;
        self.received += bytes.len() as u64;
        self.unfilled.give_back(bytes.len() as u64);
        while !bytes.is_empty() {
            let run = self.cursor.advance(&self.extents, bytes.len() as u64);
            let (now, later) = bytes.split_at(run.len.bytes() as usize);
            self.write.shared.arena.write(run.offset, now, &mut self.digest);
            bytes = later;
        }
        Ok(())
    }

    /// Publishes the object.
    pub fn seal(self) -> Result<Stored, WriteRefused> {
        let len = ByteSize::new(self.received);
        if let Some(announced) = self.announced.filter(|announced| *announced != len) {
            return Err(WriteRefused::Incomplete { received: len, announced });
        }
        let (shared, caller) = (Arc::clone(&self.write.shared), self.write.caller);
        let name = self.write.name.clone();
        let stored = self.write.seal(&mut shared.state(), len, self.digest.finish(), now());
        if let (Some(capture), Some((bucket, key))) = (&shared.capture, &name) {
            capture.put(&caller, bucket.as_str(), iter::once((key, len.bytes(), None)));
        }
        Ok(stored)
    }

    fn make_room(&mut self, more: u64) -> Result<(), WriteRefused> {
        let needed = self.received.saturating_add(more);
        if needed <= self.reserved {
            return Ok(());
        }
        let object_len_max = self.write.shared.config.object_len_max;
        let max = match self.announced {
            Some(announced) if needed > announced.bytes() => {
                return Err(WriteRefused::TooLong { announced });
            }
            None if needed > object_len_max.bytes() => {
                return Err(WriteRefused::TooLarge { object_len_max });
            }
            announced => announced.unwrap_or(object_len_max).bytes(),
        };
        let left = max - self.reserved;
        let needed = needed - self.reserved;
        let all = if self.announced.is_some() { left } else { self.reserved.min(STEP_MAX) };
        let least = (STEP_GROWTH * self.received).clamp(STEP_MIN, STEP_MAX).max(needed);
        let (all, least) = (all.max(needed).min(left), least.min(left));
        let step = take_step(&mut self.unfilled, &self.write.shared, all, least);
        self.extend(step, needed)
    }

    /// Takes `step` bytes, or less where there is no space for them, at least `needed`.
    fn extend(&mut self, mut step: u64, needed: u64) -> Result<(), WriteRefused> {
        use WriteRefused::{BeyondCapacity, Fragmented, OnlyLeased};
        loop {
            match self.write.extend(ByteSize::new(step)) {
                Ok(extents) => {
                    self.extents.extend_from_slice(&extents);
                    self.reserved += step;
                    return Ok(());
                }
                // A step is a guess of what will come: the rest of the body may be shorter.
                Err(OnlyLeased | Fragmented | BeyondCapacity { .. }) if step > needed => {
                    let less = (step / 2).max(needed);
                    self.unfilled.give_back(step - less);
                    step = less;
                }
                Err(refused) => {
                    self.unfilled.give_back(step);
                    return Err(refused);
                }
            }
        }
    }
}

/// Takes `all` if uploads may have as much ahead of their bytes, and else no more than `least`.
/// Returns how much.
fn take_step(unfilled: &mut HeldSpace, shared: &Shared, all: u64, least: u64) -> u64 {
    let most = ByteSize::new(shared.arena.capacity().bytes() / UNFILLED_PART);
    if unfilled.try_take(all, most) {
        return all;
    }
    let step = least.min(all);
    unfilled.take(step);
    step
}
