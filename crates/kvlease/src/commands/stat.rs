//! `kvlease stat`: shows what is known of an object without reading it.

use std::io::{Write, stdout};

use clap::Args;
use kvlease_client::Key;
use serde::Serialize;

use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    text::{human_size, no_such_object, printable},
};

/// The arguments of `stat`.
#[derive(Args, Debug)]
pub(crate) struct StatArgs {
    /// The object's key
    #[arg(value_parser = arguments::key)]
    key: Key,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// An object as `--json` prints it, with the names that `ls --json` has.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    len: u64,
    checksum: Option<String>,
}

/// Shows the object.
pub(crate) fn run(daemon: &DaemonArgs, args: StatArgs) -> Result<(), Failure> {
    let info = super::wait_for(async { Ok(daemon.client()?.head(&args.key).await?) })?;
    let info = info.ok_or_else(|| Failure::new(Status::Absent, no_such_object(&args.key)))?;
    if args.json {
        let shown = Shown {
            key: args.key.as_str(),
            len: info.len.bytes(),
            checksum: info.checksum.map(|checksum| checksum.to_string()),
        };
        let mut json = serde_json::to_string_pretty(&shown)
            .expect("a text and a number are JSON without a fault");
        json.push('\n');
        return stdout().write_all(json.as_bytes()).map_err(Failure::stdout);
    }
    let mut lines = format!(
        "key       {}\nlength    {} ({})\n",
        printable(args.key.as_str()),
        info.len.bytes(),
        human_size(info.len)
    );
    if let Some(checksum) = info.checksum {
        lines.push_str(&format!("checksum  {checksum}\n"));
    }
    stdout().write_all(lines.as_bytes()).map_err(Failure::stdout)
}
