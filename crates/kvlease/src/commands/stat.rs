//! `kvlease stat`: shows what is known of an object without reading it, and where it is.

use std::io::{Write, stdout};

use clap::Args;
use kvlease_client::{
    BucketName, ByteSize, Client, Error, HeldObject, Key, PolicedBucket, TiersReply,
    UnansweredTier, human_size,
};
use serde::Serialize;

use super::bucket;
use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    text::{no_such_object, pretty, printable},
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
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<&'a str>,
    /// The object as each tier has it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    held: &'a [HeldObject],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unanswered: &'a [UnansweredTier],
    /// The object's bucket, if it has a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<&'a PolicedBucket>,
}

/// Shows the object.
pub(crate) fn run(daemon: &DaemonArgs, args: StatArgs) -> Result<(), Failure> {
    let key = &args.key;
    let shown = super::wait_for(async {
        let client = daemon.client()?;
        Ok(match places(&client, key).await? {
            Some(places) => {
                let bucket = policed(&client, &daemon.bucket()?).await?;
                Some(text(key, &places, bucket.as_ref(), args.json))
            }
            // An object in no place, or a daemon that knows of none.
            None => client.head(key).await?.map(|info| {
                let checksum = info.checksum.map(|checksum| checksum.to_string());
                of_head(key, info.len, checksum, args.json)
            }),
        })
    })?;
    let shown = shown.ok_or_else(|| Failure::new(Status::Absent, no_such_object(key)))?;
    stdout().write_all(shown.as_bytes()).map_err(Failure::stdout)
}

/// The places of an object; `None` if there are none, or if the daemon does not tell them.
async fn places(client: &Client, key: &Key) -> Result<Option<TiersReply>, Error> {
    match client.tiers(key).await {
        Err(Error::Refused { status: 404 | 405 | 501, .. }) => Ok(None),
        // Places are for operators where answers take the time of their bucket: HEAD tells whether it is there.
        Err(Error::Denied { status: 403, .. }) => Ok(None),
        Ok(Some(places)) if places.held.is_empty() => Ok(None),
        places => places,
    }
}

/// The bucket with its policy; `None` if it has none, or if the daemon does not tell this caller of policies.
async fn policed(client: &Client, bucket: &BucketName) -> Result<Option<PolicedBucket>, Error> {
    match client.buckets().await {
        Err(Error::Refused { status: 404 | 405 | 501, .. } | Error::Denied { status: 403, .. }) => {
            Ok(None)
        }
        Ok(reply) => {
            let mut buckets = reply.buckets.into_iter();
            Ok(buckets.find(|policed| policed.bucket == bucket.as_str()))
        }
        Err(error) => Err(error),
    }
}

fn of_head(key: &Key, len: ByteSize, checksum: Option<String>, json: bool) -> String {
    if json {
        let (len, key) = (len.bytes(), key.as_str());
        let (tiers, held, unanswered) = (Vec::new(), &[][..], &[][..]);
        let (leases, bucket) = (None, None);
        return pretty(&Shown { key, len, checksum, leases, tiers, held, unanswered, bucket });
    }
    lines(key, len, checksum.as_deref())
}

fn text(key: &Key, places: &TiersReply, bucket: Option<&PolicedBucket>, json: bool) -> String {
    let TiersReply { held, unanswered } = places;
    let first = &held[0];
    if json {
        return pretty(&Shown {
            key: key.as_str(),
            len: first.len,
            checksum: Some(first.checksum.clone()),
            leases: Some(first.leases.unwrap_or(0)),
            tiers: held.iter().map(|held| held.tier.as_str()).collect(),
            held,
            unanswered,
            bucket,
        });
    }
    let mut shown = lines(key, ByteSize::new(first.len), Some(&first.checksum));
    for HeldObject { tier, len, checksum, leases } in held {
        shown.push_str(&format!("tier      {}", printable(tier)));
        if let Some(leases) = leases {
            shown.push_str(&format!(", {leases} leases"));
        }
        if (len, checksum) != (&first.len, &first.checksum) {
            shown.push_str(&format!(", other bytes: length {len}, checksum {checksum}"));
        }
        shown.push('\n');
    }
    for UnansweredTier { tier, reason } in unanswered {
        shown.push_str(&format!("unknown   {}: {}\n", printable(tier), printable(reason)));
    }
    shown + &bucket.map(bucket::lines).unwrap_or_default()
}

fn lines(key: &Key, len: ByteSize, checksum: Option<&str>) -> String {
    let key = printable(key.as_str());
    let mut lines = format!("key       {key}\nlength    {} ({})\n", len.bytes(), human_size(len));
    if let Some(checksum) = checksum {
        lines.push_str(&format!("checksum  {checksum}\n"));
    }
    lines
}
