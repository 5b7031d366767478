//! Reads.

use std::{iter::repeat, slice};

use kvlease_http::Error;
use kvlease_sys::ExternalBuffer;
use kvlease_types::{ByteSize, Key};

use super::{
    Connector, OpenObject,
    open::{Hold, Opened, open_shared, open_streamed},
    streamed::Next,
    window::each,
};

/// How many objects of a batch are leased at a time to be read: as many as one frame asks for, and no
/// more than are read in a moment.
const READ_WINDOW: usize = 128;

impl Connector {
    /// Reads an object. `None` on a miss.
    ///
    /// # Errors
    ///
    /// Those of [`OpenObject::read_rest`]; [`Error::Closed`].
    pub async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.ensure_open()?;
        read_whole(self.open_one(key, 0, Hold::Unleased, Next::ReadNow).await).await
    }

    /// Reads many objects.
    pub async fn batched_get(&self, keys: &[Key]) -> Vec<Result<Option<Vec<u8>>, Error>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        self.read_each(keys, repeat(()), |opened, ()| read_whole(opened)).await
    }

    /// Reads an object into a buffer of exactly its length. `false` on a miss.
    ///
    /// # Errors
    ///
    /// [`Error::LengthMismatch`] if the buffer has another length; those of [`Self::get`].
    pub async fn get_into(&self, key: &Key, into: ExternalBuffer) -> Result<bool, Error> {
        self.ensure_open()?;
        read_whole_into(self.open_one(key, 0, Hold::Unleased, Next::ReadNow).await, into).await
    }

    /// Reads many objects, each into its buffer.
    pub async fn batched_get_into(
        &self,
        objects: Vec<(Key, ExternalBuffer)>,
    ) -> Vec<Result<bool, Error>> {
        let (keys, buffers): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        self.read_each(&keys, buffers.into_iter(), read_whole_into).await
    }

    /// Finds an object, leases it, and reads its first `head_len` bytes, or all if it has fewer. `None`
    /// on a miss, and for an object that is larger than
    /// [`lease_len_max`](super::ConnectorConfig::lease_len_max).
    ///
    /// # Errors
    ///
    /// [`Error::OutsideSegment`] and [`Error::LeaseEnded`]; those of any call; [`Error::Closed`].
    pub async fn open(&self, key: &Key, head_len: usize) -> Result<Option<OpenObject>, Error> {
        self.ensure_open()?;
        self.open_one(key, head_len, Hold::Leased, Next::ReadLater).await
    }

    /// Finds and leases many objects.
    pub async fn batched_open(
        &self,
        keys: &[Key],
        head_len: usize,
    ) -> Vec<Result<Option<OpenObject>, Error>> {
        self.open_each(keys, head_len, Hold::Leased).await
    }

    /// Finds many objects to be read soon. They are not leased if the daemon's published index names
    /// them: then they have no [view](OpenObject::into_view).
    pub async fn batched_peek(
        &self,
        keys: &[Key],
        head_len: usize,
    ) -> Vec<Result<Option<OpenObject>, Error>> {
        self.open_each(keys, head_len, Hold::Unleased).await
    }

    async fn open_each(
        &self,
        keys: &[Key],
        head_len: usize,
        hold: Hold,
    ) -> Vec<Result<Option<OpenObject>, Error>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        let mut opened = open_shared(&self.inner.reads, keys, head_len, hold).await;
        if opened.len() < keys.len() {
            let rest = &keys[opened.len()..];
            let open = |key| open_streamed(&self.inner.reads, key, head_len, Next::ReadLater);
            opened.extend(each(rest, self.window(), open).await);
        }
        opened
    }

    /// Opens objects and reads each of them with what belongs to it.
    async fn read_each<I, T, F: Future<Output = Result<T, Error>>>(
        &self,
        keys: &[Key],
        mut items: impl Iterator<Item = I>,
        read: impl Fn(Opened, I) -> F,
    ) -> Vec<Result<T, Error>> {
        let mut answers = Vec::with_capacity(keys.len());
        while answers.len() < keys.len() {
            let rest = &keys[answers.len()..];
            let window = &rest[..rest.len().min(READ_WINDOW)];
            let opened = open_shared(&self.inner.reads, window, 0, Hold::Unleased).await;
            if opened.is_empty() {
                break;
            }
            let reads = opened.into_iter().zip(items.by_ref());
            answers.extend(each(reads, self.window(), |(opened, item)| read(opened, item)).await);
        }
        // A stream holds a connection until it was read: each is read before others are opened.
        let streams = keys[answers.len()..].iter().zip(items);
        let stream = async |(key, item)| {
            read(open_streamed(&self.inner.reads, key, 0, Next::ReadNow).await, item).await
        };
        answers.extend(each(streams, self.window(), stream).await);
        answers
    }

    async fn open_one(&self, key: &Key, head_len: usize, hold: Hold, next: Next) -> Opened {
        let reads = &self.inner.reads;
        match open_shared(reads, slice::from_ref(key), head_len, hold).await.pop() {
            Some(opened) => opened,
            None => open_streamed(reads, key, head_len, next).await,
        }
    }
}

/// Reads an open object into memory of its own.
async fn read_whole(opened: Opened) -> Result<Option<Vec<u8>>, Error> {
    let Some(object) = opened? else { return Ok(None) };
    // The length was checked against the segment, or is that of a stream of this length.
    let (buffer, memory) = ExternalBuffer::of_vec(vec![0; object.len().bytes() as usize]);
    if !object.read_while_there(buffer).await? {
        return Ok(None);
    }
    Ok(Some(memory.take_back().expect("a read that is over has given its buffer up")))
}

/// Reads an open object into a buffer of exactly its length.
async fn read_whole_into(opened: Opened, into: ExternalBuffer) -> Result<bool, Error> {
    let Some(object) = opened? else { return Ok(false) };
    let buffer = ByteSize::new(into.len() as u64);
    if object.len() != buffer {
        let (key, object) = (object.key().clone(), object.len());
        return Err(Error::LengthMismatch { key, object, buffer });
    }
    object.read_while_there(into).await
}
