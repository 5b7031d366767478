//! Names of the arena, checked while the daemon runs.
//!
//! A stock Python client of the same user unlinks the public name when it exits: CPython's
//! resource tracker takes every segment for its own. The inode lives on, and the name is linked to
//! it again from the private hard link.

use kvlease_sys::Identity;
use rustix::{
    fs::{AtFlags, linkat},
    io::Errno,
};

use crate::{
    ArenaError,
    directory::{ARENA, Directory},
};

/// State of the public name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkStatus {
    /// It is the arena's.
    Intact,
    /// It was gone, and was linked to the same inode again.
    Restored,
    /// It is another file's: clients that attach now get the wrong segment.
    Taken,
}

/// Checks both names, and restores the one that is missing.
pub(crate) fn keep(directory: &Directory, arena: Identity) -> Result<LinkStatus, ArenaError> {
    let path = directory.public_path();
    let public = Identity::at(directory.public(), directory.name())
        .map_err(ArenaError::io("look at the public name", path))?;
    let private_path = directory.private_path().join(ARENA);
    let private = Identity::at(directory.private(), ARENA)
        .map_err(ArenaError::io("look at the private link", &private_path))?;
    let flags = AtFlags::empty();
    match (public == Some(arena), private == Some(arena)) {
        (true, true) => Ok(LinkStatus::Intact),
        (true, false) => {
            directory.discard(ARENA)?;
            linkat(directory.public(), directory.name(), directory.private(), ARENA, flags)
                .map_err(ArenaError::io("restore the private link", private_path))?;
            Ok(LinkStatus::Intact)
        }
        (false, _) if public.is_some() => Ok(LinkStatus::Taken),
        (false, true) => {
            let name = directory.name();
            match linkat(directory.private(), ARENA, directory.public(), name, flags) {
                Ok(()) => Ok(LinkStatus::Restored),
                Err(Errno::EXIST) => Ok(LinkStatus::Taken),
                Err(errno) => Err(ArenaError::io("restore the public name", path)(errno)),
            }
        }
        (false, false) => Err(ArenaError::Unlinked { path: path.to_owned() }),
    }
}
