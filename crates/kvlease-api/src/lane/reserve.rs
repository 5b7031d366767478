//! The frame that asks for space to write objects into.

use kvlease_types::{BucketName, ByteSize, Key};

use super::{
    kind::Kind,
    list::{ListWriter, put_name},
    malformed::Malformed,
    names::{Unfit, key, objects},
    reader::Reader,
};

/// A reserve as it was received.
#[derive(Clone, Debug)]
pub struct Reserve<'a> {
    /// The bucket of all its objects.
    pub bucket: &'a str,
    /// The objects.
    pub objects: RequestedObjects<'a>,
}

/// One object to reserve space for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestedObject<'a> {
    /// Its exact length.
    pub len: ByteSize,
    /// Its key.
    pub key: &'a str,
}

/// The objects of a reserve, in their order.
pub type RequestedObjects<'a> = std::vec::IntoIter<RequestedObject<'a>>;

impl<'a> Reserve<'a> {
    pub(super) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        let (bucket, objects) = objects(reader, requested_object)?;
        Ok(Self { bucket, objects })
    }
}

fn requested_object<'a>(reader: &mut Reader<'a>) -> Result<RequestedObject<'a>, Malformed> {
    Ok(RequestedObject { len: ByteSize::new(reader.u64()?), key: key(reader)? })
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
    pub fn push(&mut self, object: RequestedObject<'_>) -> Result<(), Unfit> {
        Key::check(object.key)?;
        let out = self.0.item(10 + object.key.len())?;
        out.extend_from_slice(&object.len.bytes().to_le_bytes());
        put_name(out, object.key);
        Ok(())
    }

    /// Ends the frame. Returns how many objects it names.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}
