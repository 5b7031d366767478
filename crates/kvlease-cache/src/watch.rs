//! Who wants to hear which object every slot holds.

use std::fmt::Debug;

use kvlease_types::SealedObject;

/// Hears what every slot holds at the instant it changes, within the call that changes it.
///
/// For tables that others look into, in other processes or after this one has ended: what is told
/// here is known before any other effect of the call can be seen. The calls must be short, since
/// the catalog waits.
pub trait SlotWatch: Send + Debug {
    /// An object was sealed in `slot`, or restored to it.
    fn sealed(&mut self, slot: u32, object: &SealedObject<'_>);

    /// What was sealed in `slot` is found under its name no more: it was removed or evicted.
    fn concealed(&mut self, slot: u32);

    /// What was concealed in `slot` is gone and nobody may read it: its extents are handed out to
    /// others after this.
    fn freed(&mut self, slot: u32);
}
