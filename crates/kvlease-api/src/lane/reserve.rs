//! The frame that asks for space to write objects into.

use kvlease_types::{BucketName, ByteSize, Key};

use super::{
    kind::Kind,
    list::{ListWriter, put_name},
    malformed::Malformed,
    names::{Unfit, bucket, key},
    reader::Reader,
};

/// A reserve as it was received.
#[derive(Clone, Debug)]
pub struct Reserve<'a> {
    /// The bucket of all its objects.
    pub bucket: &'a str,
    /// The objects.
    pub wishes: Wishes<'a>,
}

/// One object to reserve space for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish<'a> {
    /// Its exact length.
    pub len: ByteSize,
    /// Its key.
    pub key: &'a str,
}

/// The objects of a reserve, in their order.
#[derive(Clone, Debug)]
pub struct Wishes<'a>(std::vec::IntoIter<Wish<'a>>);

impl<'a> Reserve<'a> {
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let count = reader.count()?;
        reader.reserved::<4>()?;
        let bucket = bucket(&mut reader)?;
        let mut wishes = Vec::with_capacity(count);
        for _ in 0..count {
            wishes.push(wish(&mut reader)?);
        }
        reader.end()?;
        Ok(Self { bucket, wishes: Wishes(wishes.into_iter()) })
    }
}

impl<'a> Iterator for Wishes<'a> {
    type Item = Wish<'a>;

    fn next(&mut self) -> Option<Wish<'a>> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Wishes<'_> {}

fn wish<'a>(reader: &mut Reader<'a>) -> Result<Wish<'a>, Malformed> {
    Ok(Wish { len: ByteSize::new(reader.u64()?), key: key(reader)? })
}

/// Writer of a reserve. Without [`Self::finish`] it is no frame.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct ReserveWriter<'o>(ListWriter<'o>);

impl<'o> ReserveWriter<'o> {
    /// Begins the frame.
    pub fn begin(out: &'o mut Vec<u8>, request: u64, bucket: &BucketName) -> Self {
        let list = ListWriter::begin(out, (Kind::Reserve, 0, request), &[], &[0; 4]);
        put_name(list.out, bucket.as_str());
        Self(list)
    }

    /// Appends an object.
    pub fn push(&mut self, wish: Wish<'_>) -> Result<(), Unfit> {
        Key::check(wish.key)?;
        let out = self.0.item(10 + wish.key.len())?;
        out.extend_from_slice(&wish.len.bytes().to_le_bytes());
        put_name(out, wish.key);
        Ok(())
    }

    /// Ends the frame. Returns how many objects it names.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}
