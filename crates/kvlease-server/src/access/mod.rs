//! Access: who calls, which tenant that is, and what the tenant may do.
//!
//! Without tenants there is no [`Access`], and nothing is asked of a request. With tenants a caller is
//! identified in this order: over HTTP by its token, by a name in its certificate, by the listener that it
//! came to; over the fast lane by its user, by its group. The first that it shows decides, so a token that
//! is not known is refused at every listener. [`needs`] has the tables of what a request needs,
//! [`Tenant::decide`] says what becomes of it, and [`KeyRules`] of the keys that it names.

mod identity;
mod logins;
mod needs;
mod reload;
mod salts;
mod tenant;
mod token_file;
mod tokens;
mod warnings;
mod who;

pub(crate) use identity::{Access, Evidence};
pub use needs::{Need, Right, need_of_endpoint, need_of_frame};
pub(crate) use reload::watch_tokens;
pub(crate) use salts::KeyRules;
pub(crate) use tenant::{Decision, Tenant};
pub use token_file::check_token_file;
pub use warnings::tenants_that_share;
pub(crate) use warnings::warn_of_tenants;
pub(crate) use who::{Means, Unknown};

/// Reads a file of tokens, and returns how many it has: the door for the fuzzer, in its builds alone.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn parse_token_file(text: &[u8]) -> Result<usize, String> {
    token_file::parse(text).map(|tokens| tokens.len())
}
