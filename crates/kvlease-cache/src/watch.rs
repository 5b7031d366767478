//! Who wants to hear which object every slot holds.

use std::fmt::Debug;

/// Hears what every slot holds at the instant it changes, within the call that changes it.
///
/// For tables that readers of other processes look into: what is told here is known before any
/// other effect of the call can be seen. The calls must be short, since the catalog waits.
pub trait SlotWatch: Send + Debug {
    /// An object was sealed in `slot`. No other object of this catalog has its generation.
    fn sealed(&mut self, slot: u32, generation: u64);

    /// What was sealed in `slot` is gone and nobody may read it: its extents are handed out to
    /// others after this.
    fn freed(&mut self, slot: u32);
}
