//! Identification of callers.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use http::{HeaderMap, header::AUTHORIZATION};
use kvlease_types::{Caller, TenantId};

use super::{
    logins::{Logins, TooMany},
    tenant::Tenant,
    tokens::Tokens,
    who::{Means, Unknown},
};
use crate::{
    config::{Config, ConfigError, TenantConfig},
    tls::ClientNames,
};

/// Scheme of tokens in `Authorization`, which is compared without regard to case.
const BEARER: &str = "bearer";

/// Tenants of a daemon, and how their callers are known.
#[derive(Debug)]
pub(crate) struct Access {
    tenants: Vec<Tenant>,
    /// The tokens that hold now: they are read again while the daemon runs.
    tokens: RwLock<Arc<Tokens>>,
    logins: Logins,
    listeners: HashMap<String, TenantId>,
    certificate_names: HashMap<String, TenantId>,
    users: HashMap<u32, TenantId>,
    groups: HashMap<u32, TenantId>,
    has_arenas: bool,
}

/// Evidence that the connection of a request over HTTP gives of its client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// Address of the client.
    pub(crate) address: IpAddr,
    /// Name of the listener.
    pub(crate) listener: &'a str,
    /// Names in the client's certificate, if it showed one.
    pub(crate) certificate: Option<&'a ClientNames>,
}

impl Access {
    /// The tenants of the configuration; `None` if there are none. Files of tokens are read.
    pub(crate) fn configured(config: &Config) -> Result<Option<Self>, ConfigError> {
        if config.tenants.is_empty() {
            return Ok(None);
        }
        let tenants = config.tenants.iter();
        let tenants = tenants.map(|(name, tenant)| Tenant {
            name: name.clone(),
            arena: config.arena_place(tenant.arena.as_deref()),
            config: tenant.clone(),
        });
        let tenants: Vec<_> = tenants.collect();
        let tokens = Tokens::load(&tenants)?;
        Ok(Some(Self {
            listeners: owners(&tenants, |config| config.listeners.clone()),
            certificate_names: owners(&tenants, |config| config.certificate_names.clone()),
            users: owners(&tenants, |config| config.uids.clone()),
            groups: owners(&tenants, |config| config.gids.clone()),
            has_arenas: tenants.iter().any(|tenant| tenant.arena > 0),
            tokens: RwLock::new(Arc::new(tokens)),
            logins: Logins::default(),
            tenants,
        }))
    }

    /// Identifies the caller of a request over HTTP.
    pub(crate) fn identify(
        &self,
        evidence: &Evidence<'_>,
        headers: &HeaderMap,
    ) -> Result<(TenantId, Means), Unknown> {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        if let Some(authorization) = shown.next() {
            let token = bearer(authorization.as_bytes()).filter(|_| shown.next().is_none());
            return Ok((self.log_in(evidence.address, token)?, Means::Token));
        }
        let names = evidence.certificate.into_iter().flat_map(ClientNames::iter);
        let mut certified = names.filter_map(|name| self.certificate_names.get(name));
        if let Some(tenant) = certified.next() {
            if certified.any(|other| other != tenant) {
                return Err(Unknown::TwoTenants);
            }
            return Ok((*tenant, Means::Certificate));
        }
        let listener = self.listeners.get(evidence.listener);
        listener.map(|tenant| (*tenant, Means::Listener)).ok_or(Unknown::Nothing)
    }

    fn log_in(&self, address: IpAddr, token: Option<&[u8]>) -> Result<TenantId, Unknown> {
        let tokens = Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner));
        let known = token.and_then(|token| tokens.find(token));
        match self.logins.count(address, known.map(|known| known.place), Instant::now()) {
            Err(TooMany) => Err(Unknown::TooManyLogins),
            Ok(()) => known.map(|known| known.tenant).ok_or(Unknown::Token),
        }
    }

    /// Identifies the process of a client of the fast lane by its user, else by its group.
    pub(crate) fn identify_process(&self, uid: u32, gid: u32) -> Option<(TenantId, Means)> {
        let user = self.users.get(&uid).map(|tenant| (*tenant, Means::User));
        user.or_else(|| self.groups.get(&gid).map(|tenant| (*tenant, Means::Group)))
    }

    /// The tenant of a caller that was identified.
    pub(crate) fn tenant_of(&self, caller: &Caller) -> Option<&Tenant> {
        caller.tenant.map(|tenant| &self.tenants[tenant.place()])
    }

    /// Whether some tenant has another arena than the first.
    pub(crate) const fn has_arenas(&self) -> bool {
        self.has_arenas
    }

    /// All tenants.
    pub(crate) fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// Reads the files of tokens again. After an error the tokens are those of before. Returns how many
    /// there are.
    pub(super) fn reload(&self) -> Result<usize, ConfigError> {
        let tokens = Arc::new(Tokens::load(&self.tenants)?);
        let count = tokens.len();
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        self.logins.forget_tokens();
        Ok(count)
    }
}

/// Owners of values of the configuration.
fn owners<T: Eq + std::hash::Hash>(
    tenants: &[Tenant],
    of: impl Fn(&TenantConfig) -> Vec<T>,
) -> HashMap<T, TenantId> {
    let numbered = tenants.iter().enumerate();
    let numbered = numbered.filter_map(|(place, tenant)| Some((TenantId::at(place)?, tenant)));
    let owned = numbered.flat_map(|(number, tenant)| {
        of(&tenant.config).into_iter().map(move |value| (value, number))
    });
    owned.collect()
}

/// The token of an `Authorization` header, if it has one.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(BEARER.len())?;
    let token = token.strip_prefix(b" ")?.trim_ascii();
    (scheme.eq_ignore_ascii_case(BEARER.as_bytes()) && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::config::TokenHash;

    fn access() -> Access {
        let tenant = |token: &str, id: u32, listener: &str, name: &str| TenantConfig {
            token_sha256: vec![TokenHash::of(token.as_bytes())],
            uids: vec![id],
            gids: vec![id + 100],
            listeners: vec![listener.to_owned()],
            certificate_names: vec![name.to_owned()],
            ..TenantConfig::default()
        };
        let mut config = Config::default();
        config.tenants.insert("a".into(), tenant("alpha", 1, "la", "a.example"));
        config.tenants.insert("b".into(), tenant("beta", 2, "lb", "b.example"));
        Access::configured(&config).unwrap().unwrap()
    }

    fn headers(authorization: &[&str]) -> HeaderMap {
        let header = |text: &&str| (AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        let mut headers = HeaderMap::new();
        authorization.iter().map(header).for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn what_a_caller_shows_first_decides() {
        let access = access();
        let found = |token: &[&str], names: &[&str], listener| {
            let dns = names.iter().map(|name| (*name).to_owned()).collect();
            let names = ClientNames { dns, ..ClientNames::default() };
            let certificate = Some(&names);
            let evidence = Evidence { address: [127, 0, 0, 1].into(), listener, certificate };
            let found = access.identify(&evidence, &headers(token));
            found.map(|(tenant, means)| (access.tenants[tenant.place()].name.clone(), means))
        };
        let (a, b) = (|means| Ok(("a".to_owned(), means)), |means| Ok(("b".to_owned(), means)));
        assert_eq!(found(&["Bearer alpha"], &["b.example"], "lb"), a(Means::Token));
        assert_eq!(found(&["bEARER  beta "], &[], "server"), b(Means::Token));
        assert_eq!(found(&[], &["x", "a.example"], "lb"), a(Means::Certificate));
        assert_eq!(found(&[], &["x"], "lb"), b(Means::Listener));
        // A wrong token is not made good by anything else.
        for wrong in [
            &["Bearer x"][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic alpha"],
            &["alpha"],
            &["Bearer alpha", "Bearer alpha"],
        ] {
            assert_eq!(found(wrong, &["a.example"], "la"), Err(Unknown::Token), "{wrong:?}");
        }
        assert_eq!(found(&[], &["a.example", "b.example"], "server"), Err(Unknown::TwoTenants));
        assert_eq!(found(&[], &["x"], "server"), Err(Unknown::Nothing));
        assert_eq!(found(&[], &[], "server"), Err(Unknown::Nothing));
    }

    #[test]
    fn a_process_is_known_by_its_user_and_else_by_its_group() {
        let access = access();
        let found = |uid, gid| {
            let found = access.identify_process(uid, gid);
            found.map(|(tenant, means)| (tenant.place(), means))
        };
        assert_eq!(found(1, 102), Some((0, Means::User)));
        assert_eq!(found(3, 102), Some((1, Means::Group)));
        assert_eq!(found(3, 1), None);
        assert_eq!(found(0, 0), None);
    }

    #[test]
    fn without_tenants_nothing_is_asked() {
        assert!(Access::configured(&Config::default()).unwrap().is_none());
    }
}
