//! The daemon's segment, attached by its name.

use std::{
    io,
    sync::{Arc, PoisonError},
};

use kvlease_attach::Attachment;

use crate::{Client, Error};

impl Client {
    /// The configured segment, mapped now or before. It is mapped anew when its name has become
    /// that of another file.
    ///
    /// # Errors
    ///
    /// [`Error::NoSharedMemory`] and [`Error::Attach`].
    pub fn attach(&self) -> Result<Arc<Attachment>, Error> {
        let config = &self.core.config;
        let name = config.shared_memory_name.as_ref().ok_or(Error::NoSharedMemory)?;
        // The section replaces one value: a panic cannot leave it half changed.
        let mut cached = self.core.attachment.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attachment) = cached.as_ref().filter(|attachment| attachment.is_current()) {
            return Ok(Arc::clone(attachment));
        }
        match (Attachment::open(&config.shared_memory_dir, name, config.trusted), cached.as_ref()) {
            (Ok(attachment), _) => Ok(Arc::clone(cached.insert(Arc::new(attachment)))),
            // The exit of some client removed the name; the daemon puts it back to the same file.
            (Err(error), Some(attachment)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Arc::clone(attachment))
            }
            (Err(source), _) => Err(Error::Attach { name: name.clone(), source }),
        }
    }

    /// Fails if the mapped file is not the one that the daemon announced in its last answer. A daemon
    /// that announces none cannot be checked.
    ///
    /// # Errors
    ///
    /// [`Error::OtherSegment`].
    pub fn ensure_announced(&self, attachment: &Attachment) -> Result<(), Error> {
        let (found, announced) = (attachment.identity(), self.core.announced_segment());
        match (announced, &self.core.config.shared_memory_name) {
            (Some(announced), Some(name)) if announced != found => {
                Err(Error::OtherSegment { name: name.clone(), found, announced })
            }
            _ => Ok(()),
        }
    }

    /// Releases what is kept for later calls: the mapping, which goes with its last reader, and the
    /// idle connections. A later call has to make them anew.
    pub fn release_resources(&self) {
        self.core.attachment.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.core.pool.close_idle();
    }
}
