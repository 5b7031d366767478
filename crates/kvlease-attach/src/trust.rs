//! Users whose memory and sockets a client takes for a daemon's.
//!
//! `/dev/shm` is writable for all users. After a daemon has ended, its names there can be taken by
//! any process, so a client asks the kernel for the owner of what it finds.

use rustix::process::geteuid;

/// The superuser, who may do everything anyway.
const ROOT: u32 = 0;

/// Users whose daemon a client trusts: the client's own, root, and a configured one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrustedUsers {
    /// The client's own user.
    pub client_uid: u32,
    /// The user that runs the daemon, if it is neither the client's own nor root.
    pub daemon_uid: Option<u32>,
}

impl TrustedUsers {
    /// Whether this user may be the daemon's.
    pub fn include(self, uid: u32) -> bool {
        uid == self.client_uid || uid == ROOT || self.daemon_uid == Some(uid)
    }
}

impl Default for TrustedUsers {
    /// The user of this process, and root.
    fn default() -> Self {
        Self { client_uid: geteuid().as_raw(), daemon_uid: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_user_root_and_the_configured_one_are_trusted() {
        let usual = TrustedUsers::default();
        let other = usual.client_uid + 4_242;
        let configured = TrustedUsers { daemon_uid: Some(other), ..usual };
        assert!(usual.include(geteuid().as_raw()) && usual.include(0));
        assert!(!usual.include(other) && configured.include(other));
        assert!(!configured.include(other + 1));
    }
}
