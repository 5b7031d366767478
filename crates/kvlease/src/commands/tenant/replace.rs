//! Replacement of a file as a whole: readers see the old text or the new one.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Gid, Uid, fchown},
    process::{getegid, geteuid},
};
use tempfile::{Builder, NamedTempFile};

use crate::failure::{Failure, Status};

/// Mode of a file that was not there.
const NEW_MODE: u32 = 0o600;

/// Outcome for a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Replaced {
    /// It has the new text.
    Changed,
    /// It was not there.
    Made,
}

/// Gives a file another text, with the mode and the owner that it has, once `check` takes the new file
/// at its temporary path. `earlier` is the text that the change is based on; `None` for a new file.
pub(super) fn replace(
    path: &Path,
    earlier: Option<&str>,
    text: &str,
    check: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<Replaced, Failure> {
    // A link stays, and the file behind it is replaced.
    let path = &earlier.map_or_else(|| Ok(path.to_owned()), |_| fs::canonicalize(path));
    let path = path.as_ref().map_err(|error| {
        Failure::new(Status::Io, format!("cannot find the file: check the path, {error}"))
    })?;
    let written = write(path, earlier.is_some(), text);
    let file = written.map_err(Failure::file("write a new file beside", path))?;
    check(file.path())?;
    let persisted = match earlier {
        None => file.persist_noclobber(path),
        Some(earlier) => {
            let now = fs::read_to_string(path).map_err(Failure::file("read", path))?;
            if now != earlier {
                let line =
                    format!("the file was changed meanwhile: try again, path=`{}`", path.display());
                return Err(Failure::new(Status::Unavailable, line));
            }
            file.persist(path)
        }
    };
    persisted.map_err(|error| Failure::file("replace", path)(error.error))?;
    // The name may be lost with a power cut otherwise. A file system that cannot do it has no such names.
    let _ = File::open(directory(path)).and_then(|directory| directory.sync_all());
    Ok(if earlier.is_some() { Replaced::Changed } else { Replaced::Made })
}

fn write(path: &Path, exists: bool, text: &str) -> io::Result<NamedTempFile> {
    let mut file = Builder::new().prefix(".kvlease-").tempfile_in(directory(path))?;
    file.write_all(text.as_bytes())?;
    let mut mode = NEW_MODE;
    if exists {
        let metadata = fs::metadata(path)?;
        mode = metadata.mode() & 0o7777;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        if (uid, gid) != (geteuid().as_raw(), getegid().as_raw()) {
            fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
    }
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn directory(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or_else(|| PathBuf::from("."), Path::to_owned)
}
