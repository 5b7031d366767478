//! The frame that publishes what was written into spare reservations.

use kvlease_types::{BucketName, ByteSize, Checksum, Key};

use super::{
    kind::Kind,
    list::{ListWriter, put_name},
    malformed::Malformed,
    names::{Unfit, key, objects},
    reader::Reader,
};

/// Bytes of an object beside its key.
const ITEM_LEN: usize = 26;

/// A store as it was received.
#[derive(Clone, Debug)]
pub struct Store<'a> {
    /// The bucket of all its objects.
    pub bucket: &'a str,
    /// The objects.
    pub objects: StoredObjects<'a>,
}

/// One object to publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredObject<'a> {
    /// The spare reservation that its bytes are in.
    pub write: u64,
    /// The checksum of its bytes.
    pub checksum: Checksum,
    /// Its length: no more than the reservation has.
    pub len: ByteSize,
    /// Its key.
    pub key: &'a str,
}

/// The objects of a store, in their order.
pub type StoredObjects<'a> = std::vec::IntoIter<StoredObject<'a>>;

impl<'a> Store<'a> {
    pub(super) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        let (bucket, objects) = objects(reader, stored_object)?;
        Ok(Self { bucket, objects })
    }
}

fn stored_object<'a>(reader: &mut Reader<'a>) -> Result<StoredObject<'a>, Malformed> {
    let (write, checksum) = (reader.u64()?, Checksum::new(reader.u64()?));
    let len = ByteSize::new(reader.u64()?);
    Ok(StoredObject { write, checksum, len, key: key(reader)? })
}

/// Writer of a store. Without [`Self::finish`] it is no frame.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct StoreWriter<'o>(ListWriter<'o>);

impl<'o> StoreWriter<'o> {
    /// Begins the frame.
    pub fn begin(out: &'o mut Vec<u8>, request: u64, bucket: &BucketName) -> Self {
        let list = ListWriter::begin(out, (Kind::Store, 0, request), &[], &[0; 4]);
        put_name(list.out, bucket.as_str());
        Self(list)
    }

    /// Appends an object.
    pub fn push(&mut self, object: StoredObject<'_>) -> Result<(), Unfit> {
        Key::check(object.key)?;
        let out = self.0.item(ITEM_LEN + object.key.len())?;
        out.extend_from_slice(&object.write.to_le_bytes());
        out.extend_from_slice(&object.checksum.xxh3_64().to_le_bytes());
        out.extend_from_slice(&object.len.bytes().to_le_bytes());
        put_name(out, object.key);
        Ok(())
    }

    /// Ends the frame. Returns how many objects it names.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}
