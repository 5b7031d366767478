//! `kvlease ls`: lists the objects of a bucket, sorted by key.

use std::io::{BufWriter, IsTerminal, Write, stdout};

use clap::Args;
use kvlease_client::{ByteSize, ListedObject, ListedTiers, UnansweredTier};

use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    text::{human_size, human_span, printable},
};

/// The arguments of `ls`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease ls -l some/
  kvlease ls --json --tier all | jq length")]
pub(crate) struct LsArgs {
    /// List only keys that start with this
    #[arg(default_value = "")]
    prefix: String,
    /// List these tiers: `local` is memory and the tier on the node's disk
    #[arg(long, value_name = "TIER", default_value = "local", value_parser = arguments::tiers())]
    tier: ListedTiers,
    /// Show a table: length, age, live leases, checksum, tiers, key
    #[arg(long, short)]
    long: bool,
    /// Print one JSON array, which has all of that
    #[arg(long)]
    json: bool,
}

/// Lists the objects. Fails after that if a tier did not answer.
pub(crate) fn run(daemon: &DaemonArgs, args: LsArgs) -> Result<(), Failure> {
    let listing = super::wait_for(async {
        Ok(daemon.client()?.list_all(&args.prefix, args.tier, usize::MAX).await?)
    })?;
    let mut out = BufWriter::new(stdout().lock());
    let objects = &listing.objects;
    if args.long && !args.json && stdout().is_terminal() {
        writeln!(out, "{}", row(HEAD)).map_err(Failure::stdout)?;
    }
    let printed = if args.json {
        serde_json::to_writer_pretty(&mut out, objects)
            .map_err(Into::into)
            .and_then(|()| writeln!(out))
    } else {
        objects.iter().try_for_each(|object| writeln!(out, "{}", line(object, args.long)))
    };
    printed.and_then(|()| out.flush()).map_err(Failure::stdout)?;
    check_answered(&listing.unanswered)
}

/// The failure of a command that some tiers did not answer.
pub(super) fn check_answered(unanswered: &[UnansweredTier]) -> Result<(), Failure> {
    if unanswered.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = unanswered
        .iter()
        .map(|tier| format!("a tier was not listed, tier=`{}`: {}", tier.tier, tier.reason))
        .collect();
    Err(Failure::new(Status::Unavailable, lines.join("\nkvlease: ")))
}

fn line(object: &ListedObject, long: bool) -> String {
    let key = printable(&object.key);
    if !long {
        return key;
    }
    let size = human_size(ByteSize::new(object.len));
    let age = match object.age_s {
        None => "-".to_owned(),
        Some(seconds @ 0..60) => format!("{seconds} s"),
        Some(seconds) => human_span(seconds as f64),
    };
    let leases = object.leases.to_string();
    let checksum = object.checksum.as_deref().unwrap_or("-");
    row([&size, &age, &leases, checksum, &object.tiers.join(","), &key])
}

/// Headings of the table.
const HEAD: [&str; 6] = ["length", "age", "leases", "checksum", "tiers", "key"];

fn row([size, age, leases, checksum, tiers, key]: [&str; 6]) -> String {
    format!("{size:>10}  {age:>13}  {leases:>6}  {checksum:>16}  {tiers:<12}  {key}")
}
