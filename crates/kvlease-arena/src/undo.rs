//! Removal of an arena: of a new one whose daemon does not come to serve, and of one that no daemon
//! runs on.

use std::path::Path;

use kvlease_sys::Identity;
use kvlease_types::SegmentName;
use rustix::fs::{AtFlags, unlinkat};

use crate::{
    ArenaError,
    directory::{ARENA, Directory},
};

/// Removes the arena that daemons left, with both of its names and all private files. Returns false
/// if there is none. Clients that have mapped it keep their mapping.
///
/// # Errors
///
/// [`ArenaError::InUse`] while a daemon runs on it, and every error of opening the private directory.
pub fn remove_segment(dir: &Path, name: &SegmentName) -> Result<bool, ArenaError> {
    let Some(directory) = Directory::of_existing(dir, name)? else { return Ok(false) };
    let path = directory.private_path().join(ARENA);
    let arena = Identity::at(directory.private(), ARENA)
        .map_err(ArenaError::io("look at the arena", path))?;
    match arena {
        Some(arena) => drop(Undo::new(directory, arena)),
        // What has the public name is another file.
        None => directory.remove_private(),
    }
    Ok(true)
}

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
