//! Mappings of a daemon's memory, passed once and shared by all connections.

use std::{io, os::fd::OwnedFd, sync::Arc};

use kvlease_api::lane::Welcome;
use kvlease_attach::{Attachment, GenerationsView, WritableAttachment};

/// One incarnation of a daemon: its welcome, and the mappings of its descriptors.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) welcome: Welcome,
    attachment: Arc<Attachment>,
    writable: Option<Arc<WritableAttachment>>,
    generations: GenerationsView,
}

impl Session {
    pub(super) fn map(welcome: Welcome, arena: OwnedFd, generations: OwnedFd) -> io::Result<Self> {
        let (attachment, writable) = if welcome.writes {
            let writable = WritableAttachment::from_descriptor(arena, welcome.capacity)?;
            (Arc::clone(writable.reader()), Some(Arc::new(writable)))
        } else {
            (Arc::new(Attachment::from_descriptor(arena, welcome.capacity)?), None)
        };
        let generations = GenerationsView::from_descriptor(generations)?;
        Ok(Self { welcome, attachment, writable, generations })
    }

    pub(super) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// The mapping to write into, if the daemon lets this client.
    pub(super) fn writable(&self) -> Option<&Arc<WritableAttachment>> {
        self.writable.as_ref()
    }

    /// Whether the slot still holds the object of this generation.
    pub(super) fn holds(&self, slot: u32, generation: u64) -> bool {
        generation != 0 && self.generations.get(slot) == generation
    }
}
