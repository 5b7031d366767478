//! Requests of a client.

use std::time::Duration;

use kvlease_types::Mode;

use super::{
    commit::Commits,
    frame::Frame,
    hello::{Hello, requested_ttl},
    ids::{Ids, SILENT},
    index::Used,
    kind::Kind,
    malformed::Malformed,
    names::{Keys, bucket, mode, mode_number},
    prepare::Lengths,
    reader::Reader,
    reserve::Reserve,
    store::Store,
};

/// Request of a client, as the daemon reads it.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// Open the connection.
    Hello(Hello),
    /// Lease objects.
    Acquire(Acquire<'a>),
    /// End leases.
    Release {
        /// Their sequences.
        ids: Ids<'a>,
        /// Whether the client wants no answer.
        silent: bool,
    },
    /// Extend leases.
    Renew {
        /// Their sequences.
        ids: Ids<'a>,
        /// The requested time to live.
        ttl: Option<Duration>,
    },
    /// Say which objects are there.
    Exists(Lookup<'a>),
    /// Remove objects.
    Remove(Lookup<'a>),
    /// Give space to write objects into.
    Reserve(Reserve<'a>),
    /// Publish what was written.
    Commit(Commits<'a>),
    /// Discard what was written.
    Abort {
        /// The reservations.
        ids: Ids<'a>,
        /// Whether the client wants no answer.
        silent: bool,
    },
    /// Pass the published index.
    Index,
    /// Take note of what was read without a lease.
    Used(Used<'a>),
    /// Give space ahead of need, for objects of these lengths.
    Prepare(Lengths<'a>),
    /// Publish what was written into such space.
    Store(Store<'a>),
}

/// An acquire.
#[derive(Clone, Debug)]
pub struct Acquire<'a> {
    /// Selection of the keys.
    pub mode: Mode,
    /// How long the client waits for pending objects, for all of them together.
    pub wait: Duration,
    /// The requested time to live of the leases.
    pub ttl: Option<Duration>,
    /// The bucket of all keys.
    pub bucket: &'a str,
    /// The keys.
    pub keys: Keys<'a>,
}

/// An exists or a remove.
#[derive(Clone, Debug)]
pub struct Lookup<'a> {
    /// Selection of the keys.
    pub mode: Mode,
    /// The bucket of all keys.
    pub bucket: &'a str,
    /// The keys.
    pub keys: Keys<'a>,
}

impl<'a> Request<'a> {
    /// Reads a client's frame.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, Malformed> {
        let reader = Reader::new(frame.payload);
        let unknown = Malformed::Kind { kind: frame.kind };
        let kind = frame.kind().ok_or(unknown)?;
        // Flags belong to kinds: only these can be silent.
        let flags_known = match kind {
            Kind::Release | Kind::Abort | Kind::Used => SILENT,
            _ => 0,
        };
        if frame.flags & !flags_known != 0 {
            return Err(Malformed::Flags { flags: frame.flags });
        }
        let silent = frame.flags & SILENT != 0;
        Ok(match kind {
            Kind::Hello => Self::Hello(Hello::decode(reader)?),
            Kind::Acquire => Self::Acquire(Acquire::decode(reader)?),
            Kind::Release => Self::Release { ids: ids(reader)?, silent },
            Kind::Renew => renew(reader)?,
            Kind::Exists => Self::Exists(Lookup::decode(reader)?),
            // A remove has the payload of an exists, without the prefix mode.
            Kind::Remove => match Lookup::decode(reader)? {
                Lookup { mode: Mode::Prefix, .. } => {
                    return Err(Malformed::Mode { mode: mode_number(Mode::Prefix) });
                }
                lookup => Self::Remove(lookup),
            },
            Kind::Reserve => Self::Reserve(Reserve::decode(reader)?),
            Kind::Commit => Self::Commit(Commits::decode(reader)?),
            Kind::Abort => Self::Abort { ids: ids(reader)?, silent },
            Kind::Index => {
                reader.end()?;
                Self::Index
            }
            Kind::Used => Self::Used(Used::decode(reader, silent)?),
            Kind::Prepare => Self::Prepare(Lengths::decode(reader)?),
            Kind::Store => Self::Store(Store::decode(reader)?),
            // The remaining kinds are answers.
            _ => return Err(unknown),
        })
    }
}

impl<'a> Acquire<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let mode = mode(&mut reader)?;
        reader.reserved::<3>()?;
        let wait = Duration::from_millis(reader.u32()?.into());
        let ttl = requested_ttl(reader.u32()?);
        let count = reader.count()?;
        let bucket = bucket(&mut reader)?;
        Ok(Self { mode, wait, ttl, bucket, keys: Keys::decode(reader, count)? })
    }
}

impl<'a> Lookup<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let mode = mode(&mut reader)?;
        reader.reserved::<3>()?;
        let count = reader.count()?;
        let bucket = bucket(&mut reader)?;
        Ok(Self { mode, bucket, keys: Keys::decode(reader, count)? })
    }
}

fn ids(mut reader: Reader<'_>) -> Result<Ids<'_>, Malformed> {
    let count = reader.count()?;
    reader.reserved::<4>()?;
    Ids::decode(reader, count)
}

fn renew(mut reader: Reader<'_>) -> Result<Request<'_>, Malformed> {
    let ttl = requested_ttl(reader.u32()?);
    let count = reader.count()?;
    Ok(Request::Renew { ids: Ids::decode(reader, count)?, ttl })
}
