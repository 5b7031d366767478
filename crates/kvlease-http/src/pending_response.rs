//! A response that is read later, before the next request on its connection.
//!
//! A release is sent on an idle connection and its response read before the next request there, when
//! it has long arrived: no thread has to wake for it. No second request is ever sent before that,
//! so that daemons need not know pipelining.

use std::{io, sync::Arc};

use bytes::BytesMut;

use crate::{
    counters::Counting,
    framing::{Framing, Step},
    head,
};

/// The response that is to come. It is counted once: as good when all of it came and said so, as
/// failed otherwise.
#[derive(Debug)]
pub(crate) struct PendingResponse {
    counting: Arc<Counting>,
    /// The facts of its head, once that was read.
    head: Option<HeadSeen>,
    counted: bool,
}

#[derive(Clone, Copy, Debug)]
struct HeadSeen {
    is_success: bool,
    keeps_alive: bool,
}

impl PendingResponse {
    /// The response to a release.
    pub(crate) fn new(counting: Arc<Counting>) -> Self {
        Self { counting, head: None, counted: false }
    }

    /// Whether another request may follow on the connection, as far as the response says.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.head.is_none_or(|head| head.keeps_alive)
    }

    /// Takes what has arrived of it; whether that was all.
    pub(crate) fn advance(
        &mut self,
        framing: &mut Framing,
        arrived: &mut BytesMut,
    ) -> io::Result<bool> {
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}"));
        let head = match self.head {
            Some(head) => head,
            None => {
                let parsed = head::parse(arrived, false).map_err(malformed)?;
                let Some((head, len)) = parsed else { return Ok(false) };
                let _ = arrived.split_to(len);
                *framing = head.framing;
                let (is_success, keeps_alive) = (head.status.is_success(), head.keeps_alive);
                *self.head.insert(HeadSeen { is_success, keeps_alive })
            }
        };
        // The body is of no use.
        loop {
            match framing.next(arrived).map_err(malformed)? {
                Step::Bytes(_) => {}
                Step::More => return Ok(false),
                Step::End => break,
            }
        }
        self.count(head.is_success);
        Ok(true)
    }

    fn count(&mut self, is_released: bool) {
        self.counted = true;
        self.counting.count_release(is_released);
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if !self.counted {
            // The connection is gone. The lease may be as well, and ends by its time to live if not.
            self.counting.count_release(false);
        }
    }
}
