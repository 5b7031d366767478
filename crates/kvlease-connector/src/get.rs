//! Reads.

use kvlease_http::Error;
use kvlease_sys::{ExternalBuffer, ExternalVec};
use kvlease_types::{ByteSize, Key};

use super::{
    Connector, OpenObject,
    destination::Destination,
    open::{Hold, Opened, open_shared, open_streamed, settle},
    streamed::Next,
    window::each,
};

impl Connector {
    /// Reads an object. `None` on a miss.
    ///
    /// # Errors
    ///
    /// Those of [`OpenObject::read_rest`]; [`Error::Closed`].
    pub async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.get_with(key, of_vec).await?.map(take_back))
    }

    /// Reads an object into memory that `memory` makes for its length. Returns what was made beside the
    /// buffer, with the object in it; `None` on a miss. The buffer is gone by then.
    ///
    /// # Errors
    ///
    /// Those of [`Self::get`].
    pub async fn get_with<M>(
        &self,
        key: &Key,
        memory: impl FnOnce(usize) -> (ExternalBuffer, M),
    ) -> Result<Option<M>, Error> {
        self.ensure_open()?;
        read_whole(self.open_one(key, 0, Hold::Unleased, Next::ReadNow).await, memory).await
    }

    /// Reads many objects.
    pub async fn batched_get(&self, keys: &[Key]) -> Vec<Result<Option<Vec<u8>>, Error>> {
        let read = self.batched_get_with(keys, keys.iter().map(|_| of_vec)).await;
        read.into_iter().map(|read| Ok(read?.map(take_back))).collect()
    }

    /// Reads many objects, each into memory that its item of `memories` makes for its length, as
    /// [`Self::get_with`].
    pub async fn batched_get_with<M, F: FnOnce(usize) -> (ExternalBuffer, M)>(
        &self,
        keys: &[Key],
        memories: impl Iterator<Item = F>,
    ) -> Vec<Result<Option<M>, Error>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        self.read_each(keys, memories, read_whole).await
    }

    /// Reads an object into a buffer, or several, of exactly its length. `false` on a miss.
    ///
    /// # Errors
    ///
    /// [`Error::LengthMismatch`] if the buffer has another length; those of [`Self::get`].
    pub async fn get_into(&self, key: &Key, into: impl Into<Destination>) -> Result<bool, Error> {
        self.ensure_open()?;
        let into = into.into();
        read_whole_into(self.open_one(key, 0, Hold::Unleased, Next::ReadNow).await, into).await
    }

    /// Reads many objects, each into its buffer, or its several.
    pub async fn batched_get_into(
        &self,
        objects: Vec<(Key, impl Into<Destination>)>,
    ) -> Vec<Result<bool, Error>> {
        let (keys, buffers): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        self.read_each(&keys, buffers.into_iter().map(Into::into), read_whole_into).await
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

    /// Finds and leases many objects. One that the arena has no room for beside the others is a miss.
    pub async fn batched_open(
        &self,
        keys: &[Key],
        head_len: usize,
    ) -> Vec<Result<Option<OpenObject>, Error>> {
        let opened = self.open_each(keys, head_len, Hold::Leased).await.into_iter();
        opened.map(|opened| settle(&self.inner.reads, opened)).collect()
    }

    /// Finds many objects to be read soon. They are not leased if the daemon's published index names
    /// them: then they have no [view](OpenObject::into_view).
    ///
    /// [`Error::StillWriting`] is the answer for one that may come once those that were leased have
    /// been read: ask for it again then.
    pub async fn batched_peek(
        &self,
        keys: &[Key],
        head_len: usize,
    ) -> Vec<Result<Option<OpenObject>, Error>> {
        let opened = self.open_each(keys, head_len, Hold::Unleased).await;
        if opened.iter().flatten().flatten().any(OpenObject::is_pinned) {
            return opened;
        }
        opened.into_iter().map(|opened| settle(&self.inner.reads, opened)).collect()
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
        let asked: Vec<&Key> = keys.iter().collect();
        let mut opened = open_shared(&self.inner.reads, &asked, head_len, hold).await;
        if opened.len() < keys.len() {
            let rest = &keys[opened.len()..];
            let open = |key| open_streamed(&self.inner.reads, key, head_len, Next::ReadLater);
            opened.extend(each(rest, self.window(), open).await);
        }
        opened
    }

    async fn open_one(&self, key: &Key, head_len: usize, hold: Hold, next: Next) -> Opened {
        let reads = &self.inner.reads;
        match open_shared(reads, &[key], head_len, hold).await.pop() {
            Some(opened) => settle(reads, opened),
            None => open_streamed(reads, key, head_len, next).await,
        }
    }
}

/// Reads an open object into memory of its own.
async fn read_whole<M>(
    opened: Opened,
    memory: impl FnOnce(usize) -> (ExternalBuffer, M),
) -> Result<Option<M>, Error> {
    let Some(object) = opened? else { return Ok(None) };
    // The length was checked against the segment, or is that of a stream of this length.
    let (buffer, memory) = memory(object.len().bytes() as usize);
    Ok(object.read_while_there(buffer.into()).await?.then_some(memory))
}

/// A vector of this length.
fn of_vec(len: usize) -> (ExternalBuffer, ExternalVec) {
    ExternalBuffer::of_vec(vec![0; len])
}

/// The vector that an object was read into.
fn take_back(memory: ExternalVec) -> Vec<u8> {
    memory.take_back().expect("a read that is over has given its buffer up")
}

/// Reads an open object into memory of exactly its length.
async fn read_whole_into(opened: Opened, into: Destination) -> Result<bool, Error> {
    let Some(object) = opened? else { return Ok(false) };
    let buffer = ByteSize::new(into.len() as u64);
    if object.len() != buffer {
        let (key, object) = (object.key().clone(), object.len());
        return Err(Error::LengthMismatch { key, object, buffer });
    }
    object.read_while_there(into).await
}
