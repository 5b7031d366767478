//! Random bytes of the system.

use std::io;

use crate::exit::ServeError;

/// Random bytes, as for a secret of this incarnation: clients choose names, and must not find two with
/// one fingerprint.
pub(crate) fn random<const LEN: usize>() -> Result<[u8; LEN], ServeError> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(|error| no_random(error.into()))?;
    Ok(bytes)
}

/// The error for random bytes that the system refuses.
pub(crate) fn no_random(source: io::Error) -> ServeError {
    ServeError::System { what: "random bytes", source }
}
