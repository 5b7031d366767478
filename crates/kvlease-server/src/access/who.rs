//! Ways in which callers are identified, and in which they are not.

/// Way in which a caller was identified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Means {
    /// By a bearer token.
    Token,
    /// By a name in its certificate.
    Certificate,
    /// By the listener that it came to.
    Listener,
    /// By the user of its process.
    User,
    /// By the group of its process.
    Group,
}

impl Means {
    /// The word for it in the audit log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Listener => "listener",
            Self::User => "uid",
            Self::Group => "gid",
        }
    }
}

/// Reason why a caller is no tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unknown {
    /// It shows nothing by which a tenant is known.
    Nothing,
    /// Its `Authorization` is no bearer token, or one that no tenant has.
    Token,
    /// Too many logins from its address failed.
    TooManyLogins,
    /// Its certificate has names of two tenants.
    TwoTenants,
}

impl Unknown {
    /// Reason with its remedy.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Nothing => {
                "this daemon serves tenants alone: send `Authorization: Bearer TOKEN` with a tenant's \
                 token"
            }
            Self::Token => {
                "no tenant has this token: send `Authorization: Bearer TOKEN` with the token whose \
                 SHA-256 is configured in token_sha256 or token_file of the tenant"
            }
            Self::TooManyLogins => {
                "too many logins from this address failed: correct the token, and try again later"
            }
            Self::TwoTenants => {
                "the certificate has names of two tenants: use one whose names are of one tenant"
            }
        }
    }
}
