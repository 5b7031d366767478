//! `kvlease tenant add`: a section for a new tenant.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use toml_edit::{Item, Table, value};

use super::{
    document::{Document, list},
    token::Token,
};
use crate::failure::{Failure, Status};

/// The arguments of `tenant add`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("known by").required(true).multiple(true)
    .args(["token", "token_file", "uids", "gids", "listeners", "certificate_names"]))]
#[command(group = ArgGroup::new("rights").required(true).multiple(true)
    .args(["read", "write", "remove", "list", "admin"]))]
pub(super) struct AddArgs {
    /// The tenant's name
    pub(super) name: String,
    /// Make a token, print it once, and keep its hash in the file of --token-file or in the configuration
    #[arg(long)]
    token: bool,
    /// File with hashes of the tenant's tokens, an absolute path
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// User whose processes are the tenant's callers over the fast lane; may be given several times
    #[arg(long = "uid", value_name = "NUMBER")]
    uids: Vec<u32>,
    /// Group, likewise
    #[arg(long = "gid", value_name = "NUMBER")]
    gids: Vec<u32>,
    /// Listener whose callers are all the tenant's
    #[arg(long = "listener", value_name = "NAME")]
    listeners: Vec<String>,
    /// Name in certificates of the tenant's callers
    #[arg(long = "certificate-name", value_name = "NAME")]
    certificate_names: Vec<String>,
    /// Pattern of buckets whose objects it may read and look up; may be given several times
    #[arg(long, value_name = "BUCKETS")]
    read: Vec<String>,
    /// Pattern of buckets that it may store into
    #[arg(long, value_name = "BUCKETS")]
    write: Vec<String>,
    /// Pattern of buckets whose objects it may remove
    #[arg(long, value_name = "BUCKETS")]
    remove: Vec<String>,
    /// Pattern of buckets that it may list
    #[arg(long, value_name = "BUCKETS")]
    list: Vec<String>,
    /// Let it do what operators do
    #[arg(long)]
    admin: bool,
    /// Let it map an arena that has objects which it may not read
    #[arg(long)]
    shares_arena: bool,
    /// Pattern of cache salts in keys of LMCache: it may name keys with one of these alone
    #[arg(long = "cache-salt", value_name = "SALTS")]
    cache_salts: Vec<String>,
    /// Refuse it keys of LMCache without a cache salt
    #[arg(long)]
    cache_salt_required: bool,
    /// Arena that its callers have, a section `[arena."NAME"]` [default: that of `[cache]`]
    #[arg(long, value_name = "NAME")]
    arena: Option<String>,
    #[command(flatten)]
    quota: QuotaArgs,
}

/// Limits of what it may have, and what others leave it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Quota, without a limit for what is not given")]
struct QuotaArgs {
    /// Most space of its objects, such as 64GiB
    #[arg(long, value_name = "SIZE")]
    bytes_max: Option<String>,
    /// Space that others leave it
    #[arg(long, value_name = "SIZE")]
    bytes_guaranteed: Option<String>,
    /// Most objects
    #[arg(long, value_name = "NUMBER")]
    objects_max: Option<u32>,
    /// Most live leases
    #[arg(long, value_name = "NUMBER")]
    leases_max: Option<u32>,
    /// Most requests about objects in a second
    #[arg(long, value_name = "NUMBER")]
    requests_per_s: Option<u32>,
    /// Most open connections
    #[arg(long, value_name = "NUMBER")]
    connections_max: Option<u32>,
}

/// Adds the tenant to the document. Returns the token that was made for it, whose hash belongs into the
/// file of tokens, if one was named.
pub(super) fn add(document: &mut Document, args: &AddArgs) -> Result<Option<Token>, Failure> {
    let token = args.token.then(Token::draw).transpose()?;
    let mut section = args.section()?;
    if let Some(token) = token.as_ref().filter(|_| args.token_file.is_none()) {
        section.insert("token_sha256", list([token.digits()]));
    }
    if !document.add(&args.name, section)? {
        let line = format!(
            "the tenant exists: choose another name, or make a token with `kvlease tenant token`, \
             tenant=`{}`",
            args.name
        );
        return Err(Failure::new(Status::Absent, line));
    }
    Ok(token)
}

impl AddArgs {
    fn section(&self) -> Result<Table, Failure> {
        let mut section = Table::new();
        if let Some(path) = &self.token_file {
            let text = path.to_str().filter(|_| path.is_absolute()).ok_or_else(|| {
                let line = format!(
                    "the daemon needs an absolute path in UTF-8, --token-file=`{}`",
                    path.display()
                );
                Failure::new(Status::Usage, line)
            })?;
            section.insert("token_file", value(text));
        }
        let ids = |ids: &[u32]| list(ids.iter().map(|id| i64::from(*id)));
        let names = |names: &[String]| list(names.iter().map(String::as_str));
        let lists: [(&str, usize, Item); 9] = [
            ("uids", self.uids.len(), ids(&self.uids)),
            ("gids", self.gids.len(), ids(&self.gids)),
            ("listeners", self.listeners.len(), names(&self.listeners)),
            ("certificate_names", self.certificate_names.len(), names(&self.certificate_names)),
            ("read", self.read.len(), names(&self.read)),
            ("write", self.write.len(), names(&self.write)),
            ("remove", self.remove.len(), names(&self.remove)),
            ("list", self.list.len(), names(&self.list)),
            ("cache_salts", self.cache_salts.len(), names(&self.cache_salts)),
        ];
        for (key, _, values) in lists.into_iter().filter(|(_, len, _)| *len > 0) {
            section.insert(key, values);
        }
        let flags = [
            ("admin", self.admin),
            ("shares_arena", self.shares_arena),
            ("cache_salt_required", self.cache_salt_required),
        ];
        for (key, flag) in flags {
            if flag {
                section.insert(key, value(true));
            }
        }
        let quota = &self.quota;
        let texts = [
            ("arena", &self.arena),
            ("bytes_max", &quota.bytes_max),
            ("bytes_guaranteed", &quota.bytes_guaranteed),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                section.insert(key, value(text.as_str()));
            }
        }
        let numbers = [
            ("objects_max", quota.objects_max),
            ("leases_max", quota.leases_max),
            ("requests_per_s", quota.requests_per_s),
            ("connections_max", quota.connections_max),
        ];
        for (key, number) in numbers {
            if let Some(number) = number {
                section.insert(key, value(i64::from(number)));
            }
        }
        Ok(section)
    }
}
