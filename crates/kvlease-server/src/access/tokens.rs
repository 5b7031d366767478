//! Tokens of all tenants.

use std::collections::{HashMap, hash_map::Entry};

use kvlease_types::TenantId;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::{tenant::Tenant, token_file};
use crate::config::{ConfigError, TokenHash};

/// The most tokens of all tenants together: a login compares with each.
const TOKENS_MAX: usize = 1 << 14;

/// Hashes of all tokens, and whose they are.
#[derive(Default, Debug)]
pub(super) struct Tokens {
    known: Vec<(TokenHash, TenantId)>,
}

/// A token that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Known {
    pub(super) tenant: TenantId,
    /// Place of the token, compared only.
    pub(super) place: usize,
}

impl Tokens {
    /// Takes those of the configuration, and reads those of the files.
    pub(super) fn load(tenants: &[Tenant]) -> Result<Self, ConfigError> {
        let mut known = Vec::new();
        let mut owners: HashMap<[u8; 32], &str> = HashMap::new();
        for (place, Tenant { name, config, .. }) in tenants.iter().enumerate() {
            let tenant = TenantId::at(place).expect("the number of tenants is limited");
            let fault = |key: &str, value: String, remedy: String| ConfigError::Value {
                key: format!("tenant.{name}.{key}"),
                value,
                remedy,
                origin: "tokens".into(),
            };
            let mut hashes = config.token_sha256.clone();
            if let Some(path) = &config.token_file {
                let refused = |remedy| fault("token_file", path.display().to_string(), remedy);
                hashes.extend(token_file::read(path).map_err(refused)?);
            }
            for hash in hashes {
                match owners.entry(*hash.bytes()) {
                    Entry::Vacant(entry) => {
                        entry.insert(name);
                        known.push((hash, tenant));
                    }
                    // A token may be in the file and in the configuration.
                    Entry::Occupied(entry) if *entry.get() == name => {}
                    Entry::Occupied(entry) => {
                        let other = entry.get();
                        let text = format!(
                            "give each tenant tokens of its own: `{other}` has one of these"
                        );
                        return Err(fault("token_sha256", "not shown".into(), text));
                    }
                }
            }
            if known.len() > TOKENS_MAX {
                let text = format!("write at most {TOKENS_MAX} tokens for all tenants together");
                return Err(fault("token_sha256", "not shown".into(), text));
            }
        }
        Ok(Self { known })
    }

    /// Looks a token up. The time tells nothing of how much of it is right.
    pub(super) fn find(&self, token: &[u8]) -> Option<Known> {
        let hash = TokenHash::of(token);
        // 1 + the place of the token; 0 for none.
        let mut found = 0_u32;
        for (number, (known, _)) in (1..).zip(&self.known) {
            found.conditional_assign(&number, known.ct_eq(&hash));
        }
        let place = (found as usize).checked_sub(1)?;
        Some(Known { tenant: self.known[place].1, place })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::TenantConfig;

    fn tenant(name: &str, tokens: &[&str], token_file: Option<PathBuf>) -> Tenant {
        let token_sha256 = tokens.iter().map(|token| TokenHash::of(token.as_bytes())).collect();
        let config = TenantConfig { token_sha256, token_file, ..TenantConfig::default() };
        Tenant { name: name.to_owned(), arena: 0, config }
    }

    #[test]
    fn a_token_is_found_with_its_tenant() {
        let tokens = Tokens::load(&[tenant("a", &["x", "y"], None), tenant("b", &["z"], None)]);
        let tokens = tokens.unwrap();
        let of = |token: &str| tokens.find(token.as_bytes()).map(|known| known.tenant.place());
        assert_eq!(["x", "y", "z"].map(of), [Some(0), Some(0), Some(1)]);
        assert_eq!(["", "X", "xy", "x "].map(of), [None; 4]);
        assert_eq!(Tokens::default().find(b"x"), None);
    }

    #[test]
    fn a_token_of_two_tenants_and_a_file_without_any_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = || Some(file.path().to_owned());
        let line = Tokens::load(&[tenant("a", &["x"], None), tenant("b", &["x"], None)]);
        let line = line.unwrap_err().to_string();
        assert!(line.contains("tenant.b.token_sha256=`not shown`") && line.contains("`a` has"));
        let line = Tokens::load(&[tenant("a", &[], path())]).unwrap_err().to_string();
        assert!(line.contains("tenant.a.token_file=`/") && line.contains("at least one"), "{line}");
        std::fs::write(
            file.path(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
        )
        .unwrap();
        let both = Tokens::load(&[tenant("a", &["abc", "x"], path())]).unwrap();
        assert_eq!(both.len(), 2, "a token may be named twice for one tenant");
        assert!(Tokens::load(&[tenant("a", &[], path()), tenant("b", &["abc"], None)]).is_err());
    }
}
