//! Unique name of a segment, and the files under it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

/// Directory of all segments.
pub const SHM_DIR: &str = "/dev/shm";

/// Segment name that nothing else uses. Dropping it removes whatever was made under it.
#[derive(Debug)]
pub struct Segment {
    name: String,
}

impl Segment {
    /// New name. Nothing is made.
    #[expect(clippy::new_without_default, reason = "every call makes another name")]
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.subsec_nanos());
        Self { name: format!("kvlease-test-{}-{count}-{nanos:08x}", process::id()) }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Public file.
    pub fn path(&self) -> PathBuf {
        Path::new(SHM_DIR).join(&self.name)
    }

    /// Private directory of the daemon.
    pub fn private_path(&self) -> PathBuf {
        Path::new(SHM_DIR).join(format!(".kvlease.{}", self.name))
    }

    /// Socket of the daemon's fast lane.
    pub fn socket_path(&self) -> PathBuf {
        Path::new(SHM_DIR).join(format!(".kvlane.{}", self.name)).join("sock")
    }

    /// Inode under the public name; `None` if the name is not taken.
    pub fn inode(&self) -> Option<u64> {
        fs::symlink_metadata(self.path()).ok().map(|metadata| metadata.ino())
    }

    /// True if nothing exists under the name.
    pub fn is_absent(&self) -> bool {
        let absent = |path: PathBuf| {
            fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        [self.path(), self.private_path(), self.socket_path()].into_iter().all(absent)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // A file that was never made cannot be removed, and an error has no reader here.
        let _ = fs::remove_file(self.path());
        let _ = fs::remove_dir_all(self.private_path());
        if let Some(directory) = self.socket_path().parent() {
            let _ = fs::remove_dir_all(directory);
        }
    }
}
