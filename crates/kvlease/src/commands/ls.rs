//! `kvlease ls`: lists the objects of a bucket, sorted by key.

use std::io::{BufWriter, Write, stdout};

use clap::Args;
use kvlease_client::{ByteSize, Client, ListedObject};

use crate::{
    arguments::DaemonArgs,
    failure::Failure,
    text::{human_size, printable},
};

/// The arguments of `ls`.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    /// List only keys that start with this
    #[arg(default_value = "")]
    prefix: String,
    /// Show length, live leases and checksum as well
    #[arg(long, short, conflicts_with = "json")]
    long: bool,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Lists the objects.
pub(crate) fn run(daemon: &DaemonArgs, args: LsArgs) -> Result<(), Failure> {
    let mut objects = super::wait_for(async { list(&daemon.client()?, &args.prefix).await })?;
    objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let mut out = BufWriter::new(stdout().lock());
    let printed = if args.json {
        serde_json::to_writer_pretty(&mut out, &objects)
            .map_err(Into::into)
            .and_then(|()| writeln!(out))
    } else {
        objects.iter().try_for_each(|object| writeln!(out, "{}", line(object, args.long)))
    };
    printed.and_then(|()| out.flush()).map_err(Failure::stdout)
}

/// All objects whose keys begin with the prefix, in no order.
pub(super) async fn list(client: &Client, prefix: &str) -> Result<Vec<ListedObject>, Failure> {
    let mut objects = Vec::new();
    let mut cursor = 0;
    loop {
        let page = client.list(prefix, cursor).await?;
        objects.extend(page.objects);
        match page.next_cursor {
            // A cursor that does not move would never end.
            Some(next) if next != cursor => cursor = next,
            _ => return Ok(objects),
        }
    }
}

fn line(object: &ListedObject, long: bool) -> String {
    let key = printable(&object.key);
    if !long {
        return key;
    }
    let size = human_size(ByteSize::new(object.len));
    format!("{size:>10}  {:>6}  {}  {key}", object.leases, object.checksum)
}
