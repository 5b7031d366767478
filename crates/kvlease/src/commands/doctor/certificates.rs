//! Check of the certificates of a daemon that is to start.

use std::time::{SystemTime, UNIX_EPOCH};

use kvlease_server::{CertificateError, config::Config};

use super::report::{Outcome, Trouble};

/// Certificates that the daemon would not start with, and those that clients refuse.
pub(super) fn check(config: &Config) -> Outcome {
    let found = match kvlease_server::certificates(config) {
        Ok(found) if found.is_empty() => return Outcome::unseen("no certificates are configured"),
        Ok(found) => found,
        Err(error) => return Outcome::unseen(error.to_string()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let trouble = |found: Result<i64, CertificateError>| match found {
        Ok(expires) if u64::try_from(expires).is_ok_and(|expires| expires > now) => None,
        Ok(_) => Some(Trouble::new(
            "a certificate of the daemon has expired, and clients will refuse it",
            "renew it: the daemon reads new files by itself",
        )),
        Err(error) => {
            let CertificateError { section, key, path, remedy, reason } = error;
            let what = format!(
                "the daemon has no TLS with these files: {reason}, {section}.{key}=`{}`",
                path.display()
            );
            Some(Trouble::new(what, remedy))
        }
    };
    let troubles: Vec<_> = found.into_iter().filter_map(trouble).collect();
    if troubles.is_empty() { Outcome::Right } else { Outcome::Wrong(troubles) }
}
