//! `kvlease rm`: removes objects.

use std::io::{BufWriter, Write, stdout};

use clap::{ArgGroup, Args};
use kvlease_client::{Client, Key};

use super::ls;
use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    text::{no_such_object, note, printable},
};

/// The arguments of `rm`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).args(["keys", "prefix", "all"]))]
pub(crate) struct RmArgs {
    /// The objects' keys
    #[arg(value_parser = arguments::key)]
    keys: Vec<Key>,
    /// Remove every object of the bucket whose key begins with this
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    prefix: Option<String>,
    /// Remove every object of the bucket
    #[arg(long)]
    all: bool,
    /// Print the keys of the objects that would be removed, and remove none
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// Removes the objects that are there, and fails if one that was named was not.
pub(crate) fn run(daemon: &DaemonArgs, args: RmArgs) -> Result<(), Failure> {
    super::wait_for(async {
        let client = daemon.client()?;
        match args.keys.is_empty() {
            true => remove_all(&client, &args.prefix.unwrap_or_default(), args.dry_run).await,
            false => remove_named(&client, &args.keys, args.dry_run).await,
        }
    })
}

async fn remove_named(client: &Client, keys: &[Key], dry_run: bool) -> Result<(), Failure> {
    let mut absent = Vec::new();
    let mut found = Vec::new();
    for key in keys {
        let exists = match dry_run {
            true => client.head(key).await?.is_some(),
            false => client.remove(key).await?,
        };
        match exists {
            true => found.push(key.as_str()),
            false => absent.push(no_such_object(key)),
        }
    }
    if dry_run {
        print(&found)?;
    }
    match absent.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Status::Absent, absent.join("\nkvlease: "))),
    }
}

/// Removes what a listing finds. An object that leaves meanwhile is no failure.
async fn remove_all(client: &Client, prefix: &str, dry_run: bool) -> Result<(), Failure> {
    let mut objects = ls::list(client, prefix).await?;
    objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    if dry_run {
        return print(&objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>());
    }
    let mut removed = 0_u64;
    for object in &objects {
        let key = Key::new(object.key.as_str()).map_err(kvlease_client::Error::from)?;
        removed += u64::from(client.remove(&key).await?);
    }
    note(format_args!("removed {removed} objects"));
    Ok(())
}

fn print(keys: &[&str]) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    let printed = keys.iter().try_for_each(|key| writeln!(out, "{}", printable(key)));
    printed.and_then(|()| out.flush()).map_err(Failure::stdout)
}
