//! The arena's names, watched while the daemon runs.
//!
//! A stock Python client of the same user unlinks the public name when it exits: CPython's
//! resource tracker takes every segment for its own. The inode lives on, and the private hard
//! link gives it its name back.

use rustix::{
    fs::{AtFlags, linkat},
    io::Errno,
};

use crate::{ArenaError, Identity, directory::Directory, segment::PRIVATE_LINK};

/// How the public name was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkStatus {
    /// It is the arena.
    Intact,
    /// It was gone and is back, with the same inode.
    Restored,
    /// Another file has it: clients that attach now get the wrong segment.
    Taken,
}

/// Looks at both names and puts back the one that is missing.
pub(crate) fn keep(directory: &Directory, arena: Identity) -> Result<LinkStatus, ArenaError> {
    let path = directory.public_path();
    let public = Identity::at(directory.public(), directory.name())
        .map_err(ArenaError::io("look at the public name", path))?;
    let private_path = directory.private_path().join(PRIVATE_LINK);
    let private = Identity::at(directory.private(), PRIVATE_LINK)
        .map_err(ArenaError::io("look at the private link", &private_path))?;
    let flags = AtFlags::empty();
    match (public == Some(arena), private == Some(arena)) {
        (true, true) => Ok(LinkStatus::Intact),
        (true, false) => {
            directory.discard(PRIVATE_LINK)?;
            linkat(directory.public(), directory.name(), directory.private(), PRIVATE_LINK, flags)
                .map_err(ArenaError::io("restore the private link", private_path))?;
            Ok(LinkStatus::Intact)
        }
        (false, _) if public.is_some() => Ok(LinkStatus::Taken),
        (false, true) => {
            let name = directory.name();
            match linkat(directory.private(), PRIVATE_LINK, directory.public(), name, flags) {
                Ok(()) => Ok(LinkStatus::Restored),
                Err(Errno::EXIST) => Ok(LinkStatus::Taken),
                Err(errno) => Err(ArenaError::io("restore the public name", path)(errno)),
            }
        }
        (false, false) => Err(ArenaError::Unlinked { path: path.to_owned() }),
    }
}
