//! The two frames that open a connection.

use kvlease_types::{ByteSize, Epoch};
use std::time::Duration;

use super::{
    frame::{begin, end},
    kind::Kind,
    malformed::Malformed,
    reader::Reader,
};

/// First bytes of a hello.
pub const MAGIC: [u8; 8] = *b"KVLEASE\0";

/// The version of the format that this crate speaks.
pub const VERSION: u16 = 1;

/// The client wants to write objects; the daemon's answer: it may.
const WRITES: u16 = 1;

/// The client's first frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The version that the client speaks.
    pub version: u16,
    /// Whether it wants a descriptor that it can write through.
    pub writes: bool,
}

/// The daemon's first frame. Two descriptors come with it: the arena's, and that of the
/// generations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// Whether the arena's descriptor can be written through.
    pub writes: bool,
    /// The incarnation of the daemon; part of every lease's name.
    pub epoch: Epoch,
    /// Length of the arena.
    pub capacity: ByteSize,
    /// The largest object that is taken.
    pub object_len_max: ByteSize,
    /// The longest time to live of a lease; in milliseconds on the wire.
    pub lease_ttl_max: Duration,
    /// The time for which a reservation can be committed; in milliseconds on the wire.
    pub reservation_ttl: Duration,
    /// The most items that a frame may name.
    pub keys_max: u32,
    /// The longest payload that the client may send.
    pub frame_len_max: u32,
    /// How many generations the second descriptor holds, of eight bytes each.
    pub slots: u64,
}

impl Hello {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let start = begin(out, Kind::Hello, 0, request);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&flags(self.writes).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        end(out, start);
    }

    /// Reads the payload. What a later version adds is left alone: its number tells.
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        if reader.take(MAGIC.len()).ok() != Some(&MAGIC) {
            return Err(Malformed::Magic);
        }
        let version = reader.u16()?;
        let flags = reader.u16()?;
        if version != VERSION {
            return Ok(Self { version, writes: false });
        }
        reader.reserved::<4>()?;
        reader.end()?;
        Ok(Self { version, writes: writes(flags)? })
    }
}

impl Welcome {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let start = begin(out, Kind::Welcome, 0, request);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&flags(self.writes).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let numbers = [
            self.epoch.number(),
            self.capacity.bytes(),
            self.object_len_max.bytes(),
            millis(self.lease_ttl_max),
            millis(self.reservation_ttl),
        ];
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        out.extend_from_slice(&self.keys_max.to_le_bytes());
        out.extend_from_slice(&self.frame_len_max.to_le_bytes());
        out.extend_from_slice(&self.slots.to_le_bytes());
        end(out, start);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let version = reader.u16()?;
        if version != VERSION {
            return Err(Malformed::Version { version });
        }
        let flags = reader.u16()?;
        reader.reserved::<4>()?;
        let welcome = Self {
            writes: writes(flags)?,
            epoch: Epoch::new(reader.u64()?),
            capacity: ByteSize::new(reader.u64()?),
            object_len_max: ByteSize::new(reader.u64()?),
            lease_ttl_max: Duration::from_millis(reader.u64()?),
            reservation_ttl: Duration::from_millis(reader.u64()?),
            keys_max: reader.u32()?,
            frame_len_max: reader.u32()?,
            slots: reader.u64()?,
        };
        reader.end()?;
        Ok(welcome)
    }
}

fn flags(writes: bool) -> u16 {
    if writes { WRITES } else { 0 }
}

fn writes(flags: u16) -> Result<bool, Malformed> {
    if flags & !WRITES == 0 { Ok(flags & WRITES != 0) } else { Err(Malformed::Flags { flags }) }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A time as requests and answers carry it: whole milliseconds, as many as fit.
pub(super) fn millis_u32(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

/// Requested time to live; zero is none.
pub(super) fn requested_ttl(millis: u32) -> Option<Duration> {
    (millis != 0).then(|| Duration::from_millis(millis.into()))
}
