//! Directory of the fast lane's socket at its default place.
//!
//! `/dev/shm` is writable for all users: after a daemon has ended, any process could bind the name of
//! a socket there. So the socket lies in a directory that only the daemon's user can write to. All
//! users may pass through it; the mode of the socket decides which of them may connect.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::process::geteuid;

/// Mode of the directory.
const MODE: u32 = 0o711;

/// Makes the directory of the socket at `path`, or takes over the one that an earlier daemon of the
/// same user left.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] if it belongs to another user,
/// [`io::ErrorKind::AlreadyExists`] if its name is that of another kind of file, and the kernel's
/// error.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    match DirBuilder::new().mode(MODE).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A link is not followed: another user may have made it.
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    if found.uid() != geteuid().as_raw() {
        let text = "its directory belongs to another user: have that removed";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    // The umask may have taken bits; an operator may have added some.
    fs::set_permissions(dir, Permissions::from_mode(MODE))
}

/// Removes the directory of the socket at `path`, if nothing is left in it.
pub(crate) fn remove(path: &Path) {
    if let Some(dir) = path.parent() {
        // Another daemon may have its socket there by now.
        let _ = fs::remove_dir(dir);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_the_daemons_user_can_write_to_it_and_all_can_pass() {
        let parent = TempDir::new().unwrap();
        let dir = parent.path().join("lane");
        let mode = || fs::metadata(&dir).unwrap().mode() & 0o777;
        make(&dir.join("sock")).unwrap();
        assert_eq!(mode(), MODE);
        fs::set_permissions(&dir, Permissions::from_mode(0o600)).unwrap();
        make(&dir.join("sock")).unwrap();
        assert_eq!(mode(), MODE);
        remove(&dir.join("sock"));
        assert!(!dir.exists());
    }

    #[test]
    fn what_another_user_may_have_made_is_refused() {
        let parent = TempDir::new().unwrap();
        let refused = |name: &str| make(&parent.path().join(name).join("sock")).unwrap_err().kind();
        fs::write(parent.path().join("file"), b"").unwrap();
        assert_eq!(refused("file"), io::ErrorKind::AlreadyExists);
        symlink(parent.path(), parent.path().join("link")).unwrap();
        assert_eq!(refused("link"), io::ErrorKind::AlreadyExists);
        let foreign = parent.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        // Only root can give a directory away.
        if chown(&foreign, Some(4_242), None).is_ok() {
            assert_eq!(refused("foreign"), io::ErrorKind::PermissionDenied);
        }
    }
}
