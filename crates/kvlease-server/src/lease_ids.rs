//! Names of leases over HTTP, which cannot be guessed.
//!
//! A name is `<epoch>-<sequence>-<tag>`, 16 hexadecimal digits each. The tag is keyed with a secret
//! of this incarnation, so only a client that was granted a lease, or was passed its name, can
//! release or renew it; and it has the tenant, so no client of another one can. Leases of the fast lane
//! have no such name: they end on their connection.

use std::{fmt, io};

use kvlease_types::{Epoch, Hex, LeaseId, TenantId};
use siphasher::sip::SipHasher24;

/// Makes names of leases, and reads them.
pub(crate) struct LeaseIds {
    epoch: Epoch,
    key: [u8; 16],
}

impl LeaseIds {
    pub(crate) fn new(epoch: Epoch) -> io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Self { epoch, key })
    }

    /// The name of a lease of this incarnation that was granted to this tenant.
    pub(crate) fn name(&self, id: LeaseId, tenant: Option<TenantId>) -> String {
        let (epoch, sequence) = (Hex::new(id.epoch.number()), Hex::new(id.sequence));
        [epoch.as_str(), sequence.as_str(), Hex::new(self.tag(id, tenant)).as_str()].join("-")
    }

    /// The lease of this name; `None` for a name that this incarnation never gave to this tenant.
    pub(crate) fn find(&self, name: &str, tenant: Option<TenantId>) -> Option<LeaseId> {
        let (id, tag) = name.rsplit_once('-')?;
        let id: LeaseId = id.parse().ok().filter(|id: &LeaseId| id.epoch == self.epoch)?;
        let tag = Hex::parse(tag)?;
        // Compared as one number: the time says nothing of how much of a guess was right.
        (tag == self.tag(id, tenant)).then_some(id)
    }

    fn tag(&self, id: LeaseId, tenant: Option<TenantId>) -> u64 {
        let mut bytes = [0; 18];
        bytes[..8].copy_from_slice(&id.epoch.number().to_le_bytes());
        bytes[8..16].copy_from_slice(&id.sequence.to_le_bytes());
        bytes[16..].copy_from_slice(&tenant.map_or(0, TenantId::number).to_le_bytes());
        SipHasher24::new_with_key(&self.key).hash(&bytes)
    }
}

/// The key stays out of logs.
impl fmt::Debug for LeaseIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseIds").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, sequence: u64) -> LeaseId {
        LeaseId { epoch: Epoch::new(epoch), sequence }
    }

    #[test]
    fn a_name_is_found_and_every_other_name_is_not() {
        let ids = LeaseIds::new(Epoch::new(7)).unwrap();
        for sequence in [1, 2, u64::MAX] {
            let name = ids.name(id(7, sequence), None);
            assert_eq!(ids.find(&name, None), Some(id(7, sequence)));
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
            // One digit of the tag or of the sequence is another.
            for at in 17..name.len() {
                let mut guess = name.clone().into_bytes();
                if guess[at] != b'-' {
                    guess[at] = if guess[at] == b'0' { b'1' } else { b'0' };
                    assert_eq!(ids.find(std::str::from_utf8(&guess).unwrap(), None), None);
                }
            }
        }
        let bare = id(7, 1).to_string();
        for strange in [bare.as_str(), "", "-", "x-y-z", &format!("{bare}-"), &format!("{bare}-0")]
        {
            assert_eq!(ids.find(strange, None), None, "{strange}");
        }
    }

    #[test]
    fn names_of_another_incarnation_are_unknown() {
        let (ids, others) = (LeaseIds::new(Epoch::new(7)), LeaseIds::new(Epoch::new(7)));
        let (ids, others) = (ids.unwrap(), others.unwrap());
        assert_eq!(ids.find(&others.name(id(7, 1), None), None), None, "of another key");
        assert_eq!(ids.find(&ids.name(id(8, 1), None), None), None, "of another epoch");
    }

    #[test]
    fn a_name_is_of_no_use_to_another_tenant() {
        let ids = LeaseIds::new(Epoch::new(7)).unwrap();
        let tenants = [None, TenantId::at(0), TenantId::at(1)];
        for granted in tenants {
            let name = ids.name(id(7, 1), granted);
            for tenant in tenants {
                let found = ids.find(&name, tenant);
                assert_eq!(found, (tenant == granted).then_some(id(7, 1)));
            }
        }
    }
}
