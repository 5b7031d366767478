//! Removal of a new arena whose daemon does not come to serve.

use kvlease_sys::Identity;
use rustix::fs::{AtFlags, unlinkat};

use crate::directory::Directory;

/// Removes a new arena, with both of its names, when it is dropped: a start that fails late leaves
/// nothing behind. Keeps the segment locked until then.
#[derive(Debug)]
pub struct Undo {
    directory: Directory,
    arena: Identity,
    kept: bool,
}

impl Undo {
    pub(crate) fn new(directory: Directory, arena: Identity) -> Self {
        Self { directory, arena, kept: false }
    }

    /// Leaves the arena to its daemon: a drop removes nothing any more.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Removes the arena, also one that was kept. To be called once nothing uses it.
    pub fn remove(mut self) {
        self.kept = false;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let public = Identity::at(self.directory.public(), self.directory.name());
        if public.is_ok_and(|public| public == Some(self.arena)) {
            // The failure to report is that of the start.
            let _ = unlinkat(self.directory.public(), self.directory.name(), AtFlags::empty());
        }
        self.directory.remove_private();
    }
}
