//! Frames that name objects of one bucket: acquire, exists, remove.

use std::{time::Duration, vec};

use kvlease_types::{BucketName, Key, Mode, NameError};

use super::{
    hello::millis_u32,
    kind::Kind,
    limits::KEYS_MAX,
    list::{Full, ListWriter, put_name},
    malformed::Malformed,
    reader::Reader,
};

/// The keys of a frame, in their order: each of them valid, or hidden.
#[derive(Clone, Debug)]
pub struct Keys<'a>(vec::IntoIter<&'a str>);

impl<'a> Keys<'a> {
    /// Reads `count` keys; nothing may follow them.
    pub(super) fn decode(mut reader: Reader<'a>, count: usize) -> Result<Self, Malformed> {
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            keys.push(key(&mut reader)?);
        }
        reader.end()?;
        Ok(Self(keys.into_iter()))
    }
}

impl<'a> Keys<'a> {
    /// The keys that are left.
    pub fn as_slice(&self) -> &[&'a str] {
        self.0.as_slice()
    }

    /// Puts an empty text, which is the key of no object, in the place of each key that is left and is not one
    /// to keep.
    pub fn hide_but(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.as_mut_slice().iter_mut().filter(|key| !keep(key)).for_each(|key| *key = "");
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Keys<'_> {}

/// Reads the bucket of a frame and its objects, behind their number and four reserved bytes; nothing may
/// follow them.
pub(super) fn objects<'a, T>(
    mut reader: Reader<'a>,
    object: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<(&'a str, vec::IntoIter<T>), Malformed> {
    let count = reader.count()?;
    reader.reserved::<4>()?;
    let bucket = bucket(&mut reader)?;
    let mut objects = Vec::with_capacity(count);
    for _ in 0..count {
        objects.push(object(&mut reader)?);
    }
    reader.end()?;
    Ok((bucket, objects.into_iter()))
}

/// Reads a key and checks it.
pub(super) fn key<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let key = text(reader)?;
    Key::check(key)?;
    Ok(key)
}

/// Reads a bucket's name and checks it.
pub(super) fn bucket<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let name = text(reader)?;
    BucketName::check(name)?;
    Ok(name)
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    std::str::from_utf8(reader.sized()?).map_err(|_| Malformed::Text)
}

/// The number of a mode on the wire.
pub(super) const fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Each => 0,
        Mode::Prefix => 1,
    }
}

pub(super) fn mode(reader: &mut Reader<'_>) -> Result<Mode, Malformed> {
    let mode = reader.u8()?;
    match mode {
        0 => Ok(Mode::Each),
        1 => Ok(Mode::Prefix),
        _ => Err(Malformed::Mode { mode }),
    }
}

/// Reason why a key cannot be appended to a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    /// The frame holds as much as a client may send at once.
    #[error("the frame is full: finish it and begin another, keys_max=`{KEYS_MAX}`")]
    Full,
    /// No object can have this key.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl From<Full> for Unfit {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// Writer of a frame of keys. Without [`Self::finish`] it is no frame.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct KeysWriter<'o>(ListWriter<'o>);

impl<'o> KeysWriter<'o> {
    /// Begins an acquire: lease the keys of `bucket`, for `ttl` or the daemon's default time, and
    /// wait up to `wait` for those that are pending.
    pub fn acquire(
        out: &'o mut Vec<u8>,
        request: u64,
        bucket: &BucketName,
        mode: Mode,
        wait: Duration,
        ttl: Option<Duration>,
    ) -> Self {
        let mut before = [0; 12];
        before[0] = mode_number(mode);
        before[4..8].copy_from_slice(&millis_u32(wait).to_le_bytes());
        // Zero asks for the default time, so the shortest request is a millisecond.
        let ttl = ttl.map_or(0, |ttl| millis_u32(ttl).max(1));
        before[8..].copy_from_slice(&ttl.to_le_bytes());
        Self::begin(out, (Kind::Acquire, 0, request), &before, bucket)
    }

    /// Begins an exists: which of the keys of `bucket` are there.
    pub fn exists(out: &'o mut Vec<u8>, request: u64, bucket: &BucketName, mode: Mode) -> Self {
        let before = [mode_number(mode), 0, 0, 0];
        Self::begin(out, (Kind::Exists, 0, request), &before, bucket)
    }

    /// Begins a remove of objects of `bucket`.
    pub fn remove(out: &'o mut Vec<u8>, request: u64, bucket: &BucketName) -> Self {
        let before = [mode_number(Mode::Each), 0, 0, 0];
        Self::begin(out, (Kind::Remove, 0, request), &before, bucket)
    }

    fn begin(
        out: &'o mut Vec<u8>,
        head: (Kind, u16, u64),
        before: &[u8],
        bucket: &BucketName,
    ) -> Self {
        let list = ListWriter::begin(out, head, before, &[]);
        put_name(list.out, bucket.as_str());
        Self(list)
    }

    /// Appends a key.
    pub fn push(&mut self, key: &str) -> Result<(), Unfit> {
        Key::check(key)?;
        put_name(self.0.item(2 + key.len())?, key);
        Ok(())
    }

    /// Ends the frame. Returns how many keys it names.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}
