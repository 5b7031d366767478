//! Requesters of operations: where a request came in, and from whom.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
};

/// Owner of leases and reservations, as the catalog keeps it: a number that is compared only.
///
/// Leases that were granted over HTTP have one common owner, or one for each tenant: a client may release
/// them over any connection, and their unguessable names protect them. A connection of the fast lane owns
/// what was granted on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner(u32);

impl Owner {
    /// The daemon itself.
    pub const DAEMON: Self = Self(0);

    /// All clients of HTTP.
    pub const HTTP: Self = Self(1);

    /// How many owners there are beside the connections of the fast lane: the two above, and the tenants.
    const RESERVED: u32 = 2 + u16::MAX as u32;

    /// All clients of HTTP that are this tenant, or that are none.
    const fn http_of(tenant: Option<TenantId>) -> Self {
        match tenant {
            Some(tenant) => Self(Self::HTTP.0 + tenant.number() as u32),
            None => Self::HTTP,
        }
    }

    /// The connection of the fast lane with this number. After 2^32 connections a number is used
    /// again; leases of the first connection have expired by then.
    pub const fn connection(number: u32) -> Self {
        Self(Self::RESERVED + number % (u32::MAX - Self::RESERVED))
    }

    /// Number of the connection of the fast lane that it is; `None` if it is none.
    pub const fn connection_number(self) -> Option<u32> {
        self.0.checked_sub(Self::RESERVED)
    }
}

/// User on whose behalf a request is made, as limits count: a value that is compared only.
///
/// A user has one share of leases and reservations, however many connections it opens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum User {
    /// The daemon itself.
    Daemon,
    /// All clients of HTTP, which tell no user.
    Http,
    /// Clients of the fast lane whose processes have this user id.
    Uid(u32),
}

/// Number of a tenant among those that the daemon was started with, from 1 on. It is compared only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TenantId(NonZeroU16);

impl TenantId {
    /// The tenant at this place among all of them, counted from 0; `None` beyond 65,534.
    pub fn at(place: usize) -> Option<Self> {
        u16::try_from(place + 1).ok().and_then(NonZeroU16::new).map(Self)
    }

    /// Its place among all tenants, counted from 0.
    pub const fn place(self) -> usize {
        self.number() as usize - 1
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0.get()
    }
}

/// Other end of the connection that a request came in on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// No connection: the daemon acts by itself.
    Daemon,
    /// A client of HTTP, by its address.
    Http(SocketAddr),
    /// A client of the fast lane, by the credentials of its process when it connected.
    Lane {
        /// User of the process.
        uid: u32,
        /// Group of the process.
        gid: u32,
        /// The process, where the system reports it.
        pid: Option<i32>,
    },
}

/// Requester of an operation. Made once per connection, when it is accepted, and carried by every
/// request into the engine and the catalog. Over HTTP each request tells its tenant by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Owner of the leases and reservations that it is granted.
    pub owner: Owner,
    /// The other end of its connection.
    pub peer: Peer,
    /// The tenant that it is; `None` where no tenants are configured.
    pub tenant: Option<TenantId>,
}

impl Caller {
    /// The daemon itself.
    pub const DAEMON: Self = Self { owner: Owner::DAEMON, peer: Peer::Daemon, tenant: None };

    /// A client of HTTP.
    pub const fn http(address: SocketAddr) -> Self {
        Self { owner: Owner::HTTP, peer: Peer::Http(address), tenant: None }
    }

    /// A client of the fast lane on the connection with this number.
    pub const fn lane(connection: u32, uid: u32, gid: u32, pid: Option<i32>) -> Self {
        let peer = Peer::Lane { uid, gid, pid };
        Self { owner: Owner::connection(connection), peer, tenant: None }
    }

    /// The same caller as this tenant.
    #[must_use]
    pub const fn of_tenant(self, tenant: Option<TenantId>) -> Self {
        let owner = match self.peer {
            Peer::Http(_) => Owner::http_of(tenant),
            Peer::Daemon | Peer::Lane { .. } => self.owner,
        };
        Self { tenant, owner, ..self }
    }

    /// The way that it came, in a word.
    pub const fn via(&self) -> &'static str {
        match self.peer {
            Peer::Daemon => "daemon",
            Peer::Http(_) => "http",
            Peer::Lane { .. } => "lane",
        }
    }

    /// Number of the process that calls, or of the machine where HTTP tells no process. It is compared only:
    /// two may have one number.
    pub fn client(&self) -> u64 {
        match self.peer {
            Peer::Daemon => 0,
            Peer::Http(address) => number_of(address.ip()),
            Peer::Lane { uid, pid, .. } => {
                pid.map_or(u64::from(uid), |pid| u64::from(pid.unsigned_abs()) | 1 << 32)
            }
        }
    }

    /// Number of the connection that it calls on, compared only as well.
    pub fn connection(&self) -> u64 {
        match self.peer {
            Peer::Daemon => 0,
            Peer::Http(address) => {
                number_of(address.ip()).rotate_left(16) ^ u64::from(address.port())
            }
            Peer::Lane { .. } => self.owner.connection_number().map_or(0, u64::from) | 1 << 32,
        }
    }

    /// The user whose share its leases and reservations count for.
    pub const fn user(&self) -> User {
        match self.peer {
            Peer::Daemon => User::Daemon,
            Peer::Http(_) => User::Http,
            Peer::Lane { uid, .. } => User::Uid(uid),
        }
    }
}

fn number_of(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Peer::Daemon => f.write_str("the daemon"),
            Peer::Http(address) => write!(f, "{address}"),
            Peer::Lane { uid, gid, pid: Some(pid) } => write!(f, "uid {uid} gid {gid} pid {pid}"),
            Peer::Lane { uid, gid, pid: None } => write!(f, "uid {uid} gid {gid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_share_an_owner_with_http_or_the_daemon() {
        for number in [0, 1, u32::MAX - 3, u32::MAX - 2, u32::MAX - 1, u32::MAX] {
            let owner = Owner::connection(number);
            assert!(owner != Owner::DAEMON && owner != Owner::HTTP, "{number}");
            for place in [0, 1, 65_534 - 1, 65_534] {
                assert_ne!(owner, Owner::http_of(TenantId::at(place)), "{number} {place}");
            }
        }
        let http = |place| Owner::http_of(TenantId::at(place));
        assert!(http(0) != http(1) && http(0) != Owner::HTTP && http(0) != Owner::DAEMON);
        assert_ne!(Owner::connection(0), Owner::connection(1));
        assert_eq!(Owner::connection(7).connection_number(), Some(7));
        assert_eq!(
            (Owner::HTTP.connection_number(), Owner::DAEMON.connection_number()),
            (None, None)
        );
    }

    #[test]
    fn connections_of_one_uid_and_all_of_http_are_one_user_each() {
        let lane = |connection, uid| Caller::lane(connection, uid, 0, None).user();
        let http = |port| Caller::http(([127, 0, 0, 1], port).into()).user();
        assert_eq!(lane(1, 7), lane(2, 7));
        assert_ne!(lane(1, 7), lane(1, 8));
        assert_eq!(http(80), http(81));
        let users = [lane(1, 0), lane(1, u32::MAX), http(80), Caller::DAEMON.user()];
        for (place, user) in users.iter().enumerate() {
            assert!(!users[..place].contains(user), "{user:?}");
        }
    }

    #[test]
    fn a_client_has_one_number_and_each_of_its_connections_another() {
        let http = |host, port| Caller::http(([127, 0, 0, host], port).into());
        let lane = |connection, pid| Caller::lane(connection, 0, 0, pid);
        for (one, other) in [(http(1, 80), http(1, 81)), (lane(1, Some(7)), lane(2, Some(7)))] {
            assert_eq!(one.client(), other.client());
            assert_ne!(one.connection(), other.connection());
        }
        assert_ne!(http(1, 80).client(), http(2, 80).client());
        assert_ne!(lane(1, Some(7)).client(), lane(1, Some(8)).client());
    }

    #[test]
    fn a_tenant_has_its_place() {
        for place in [0, 1, 65_534] {
            let tenant = TenantId::at(place).unwrap();
            assert_eq!((tenant.place(), usize::from(tenant.number())), (place, place + 1));
        }
        assert_eq!(TenantId::at(65_535), None);
    }

    #[test]
    fn logs_name_the_peer() {
        let http = Caller::http(([127, 0, 0, 1], 80).into());
        assert_eq!(http.to_string(), "127.0.0.1:80");
        assert_eq!(Caller::lane(7, 1, 2, Some(3)).to_string(), "uid 1 gid 2 pid 3");
    }
}
