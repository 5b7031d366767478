//! Answers of the daemon.

use std::time::Duration;

use super::{
    done::Statuses, failure::Failure, frame::Frame, hello::Welcome, index::Indexed, kind::Kind,
    leases::Leases, malformed::Malformed, reader::Reader, reservations::Reservations,
};

/// Answer of the daemon, as a client reads it.
#[derive(Clone, Debug)]
pub enum Answer<'a> {
    /// The connection is open.
    Welcome(Welcome),
    /// To an acquire.
    Leases(Leases<'a>),
    /// To a release, exists, remove, commit or abort.
    Done(Statuses<'a>),
    /// To a renew.
    Renewed {
        /// The time to live that was granted from now on.
        ttl: Duration,
        /// Status of each lease.
        statuses: Statuses<'a>,
    },
    /// To a reserve.
    Reservations(Reservations<'a>),
    /// To an index.
    Indexed(Indexed),
    /// The request was refused as a whole.
    Error(Failure<'a>),
}

impl<'a> Answer<'a> {
    /// Reads a frame of the daemon.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, Malformed> {
        let mut reader = Reader::new(frame.payload);
        if frame.flags != 0 {
            return Err(Malformed::Flags { flags: frame.flags });
        }
        let unknown = Malformed::Kind { kind: frame.kind };
        Ok(match frame.kind().ok_or(unknown)? {
            Kind::Welcome => Self::Welcome(Welcome::decode(reader)?),
            Kind::Leases => Self::Leases(Leases::decode(reader)?),
            Kind::Done => {
                let count = reader.count()?;
                reader.reserved::<4>()?;
                Self::Done(Statuses::decode(reader, count)?)
            }
            Kind::Renewed => {
                let ttl = Duration::from_millis(reader.u32()?.into());
                let count = reader.count()?;
                Self::Renewed { ttl, statuses: Statuses::decode(reader, count)? }
            }
            Kind::Reservations => Self::Reservations(Reservations::decode(reader)?),
            Kind::Indexed => Self::Indexed(Indexed::decode(reader)?),
            Kind::Error => Self::Error(Failure::decode(reader)?),
            _ => return Err(unknown),
        })
    }
}
