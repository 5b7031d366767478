//! Limit of failed logins by address.
//!
//! Addresses share a table of fixed size: the place of one is that of a keyed hash, so no client can choose
//! addresses that share a place with another one. Tokens that were right before are right during a pause
//! as well: a client with a wrong token does not keep its neighbours at the same address out.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Places of the table.
const PLACES: usize = 4_096;

/// Failed logins of an address that are answered one after the other.
const FAILURES_MAX: u32 = 16;

/// Time after which an address may fail once more.
const FAILURE_TIME: Duration = Duration::from_secs(2);

/// Failed logins by address.
#[derive(Debug)]
pub(super) struct Logins {
    hasher: RandomState,
    places: Box<[Mutex<Place>]>,
}

/// Logins of the addresses of one place.
#[derive(Clone, Copy, Default, Debug)]
struct Place {
    /// Failed logins that are counted still, as of the time of the last one.
    failures: u32,
    last: Option<Instant>,
    /// One bit for each token that was right, by its place: several tokens share a bit.
    right: u64,
}

/// The address failed too often, and has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooMany;

impl Default for Logins {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| Mutex::default()).collect();
        Self { hasher: RandomState::new(), places }
    }
}

impl Logins {
    /// Counts a login with the token at this place, or with one that is not known. Returns an error if the
    /// address has to wait, whatever its token is.
    pub(super) fn count(
        &self,
        address: IpAddr,
        token: Option<usize>,
        now: Instant,
    ) -> Result<(), TooMany> {
        let hash = self.hasher.hash_one(network(address));
        let place = &self.places[hash as usize % PLACES];
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let bit = token.map_or(0, |token| 1 << (token % 64));
        if place.right & bit != 0 {
            return Ok(());
        }
        place.forget(now);
        if place.failures >= FAILURES_MAX {
            return Err(TooMany);
        }
        place.right |= bit;
        if token.is_none() {
            place.failures += 1;
            place.last = Some(now);
        }
        Ok(())
    }
}

impl Logins {
    /// Forgets which tokens were right: their places are those of other ones.
    pub(super) fn forget_tokens(&self) {
        for place in &self.places {
            place.lock().unwrap_or_else(PoisonError::into_inner).right = 0;
        }
    }
}

impl Place {
    /// Leaves out what is long enough ago.
    fn forget(&mut self, now: Instant) {
        let Some(last) = self.last else { return };
        let passed = now.saturating_duration_since(last).as_nanos() / FAILURE_TIME.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_sub(passed);
        self.last = match self.failures {
            0 => None,
            _ => Some(last + FAILURE_TIME * passed),
        };
    }
}

/// Address that one client has for itself: of IPv6 it has a whole network.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_address_that_failed_too_often_waits_whatever_its_token_is() {
        let (logins, now) = (Logins::default(), Instant::now());
        for _ in 0..FAILURES_MAX {
            assert_eq!(logins.count(HERE, None, now), Ok(()));
        }
        assert_eq!(logins.count(HERE, None, now), Err(TooMany));
        assert_eq!(logins.count(HERE, Some(0), now), Err(TooMany));
        let later = now + FAILURE_TIME;
        assert_eq!(logins.count(HERE, None, later), Ok(()));
        assert_eq!(logins.count(HERE, Some(0), later), Err(TooMany));
        assert_eq!(logins.count(HERE, Some(0), later + FAILURE_TIME), Ok(()));
    }

    #[test]
    fn a_token_that_was_right_is_right_during_a_pause() {
        let (logins, now) = (Logins::default(), Instant::now());
        assert_eq!(logins.count(HERE, Some(3), now), Ok(()));
        for _ in 0..FAILURES_MAX {
            assert_eq!(logins.count(HERE, None, now), Ok(()));
        }
        assert_eq!(logins.count(HERE, Some(3), now), Ok(()));
        assert_eq!(logins.count(HERE, Some(4), now), Err(TooMany));
        logins.forget_tokens();
        assert_eq!(logins.count(HERE, Some(3), now), Err(TooMany));
        // All that failed is forgotten one after the other.
        let later = now + FAILURE_TIME * FAILURES_MAX;
        for _ in 0..FAILURES_MAX {
            assert_eq!(logins.count(HERE, None, later), Ok(()));
        }
        assert_eq!(logins.count(HERE, None, later), Err(TooMany));
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("fd00::1"), address("fd00::ffff:1"));
        assert_ne!(address("fd00::1"), address("fd00:0:0:1::1"));
        assert_eq!(address("10.0.0.1"), address("::ffff:10.0.0.1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
    }
}
