//! Users that may use the fast lane.

use rustix::process::geteuid;

use crate::config::Config;

/// Bits of a file mode that let a group or all users connect.
const OPEN_TO_OTHERS: u32 = 0o022;

/// Whether a client of this user may use the socket: the daemon's own user, root, the owner of
/// the segment; and every user that could connect, where the socket's mode lets more of them.
pub(super) fn may_use(config: &Config, uid: u32) -> bool {
    uid == geteuid().as_raw()
        || uid == 0
        || config.segment_uid == Some(uid)
        || config.socket_mode & OPEN_TO_OTHERS != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mode_that_says_so_lets_others_in() {
        let other = geteuid().as_raw() + 4_242;
        let config =
            |socket_mode, segment_uid| Config { socket_mode, segment_uid, ..Config::default() };
        assert!(may_use(&config(0o600, None), geteuid().as_raw()));
        assert!(may_use(&config(0o600, None), 0));
        assert!(!may_use(&config(0o600, None), other));
        assert!(!may_use(&config(0o644, None), other));
        assert!(may_use(&config(0o600, Some(other)), other));
        assert!(may_use(&config(0o660, None), other));
        assert!(may_use(&config(0o666, None), other));
    }
}
