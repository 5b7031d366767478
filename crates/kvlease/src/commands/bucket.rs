//! `kvlease bucket`: shows and changes the policies of buckets.

use std::io::{Write, stdout};

use clap::{Args, Subcommand};
use kvlease_client::{
    BucketName, BucketPolicy, BucketUse, BucketsReply, ByteSize, PolicedBucket, PolicyReply,
    human_size,
};

use crate::{
    arguments::DaemonArgs,
    failure::{Failure, Status},
    text::{counted_objects, pretty, printable},
};

/// The arguments of `bucket`.
#[derive(Args, Debug)]
pub(crate) struct BucketArgs {
    #[command(subcommand)]
    command: BucketCommand,
}

#[derive(Subcommand, Debug)]
enum BucketCommand {
    /// Show the buckets that have a policy, with what they have and had
    Ls {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give a bucket a policy, in place of the one that it has, until the daemon ends
    Set(SetArgs),
    /// Take the policy of a bucket away; its objects stay
    Rm {
        /// The bucket
        #[arg(value_name = "NAME", value_parser = bucket)]
        name: BucketName,
    },
}

/// The arguments of `bucket set`.
#[derive(Args, Debug)]
struct SetArgs {
    /// The bucket
    #[arg(value_name = "NAME", value_parser = bucket)]
    name: BucketName,
    /// Objects of a lower priority leave before any of a higher one [default: 0]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    priority: Option<String>,
    /// Among buckets of the same priority, the one that takes the most space for its weight gives room
    /// [default: 100, as all buckets without a policy have together]
    #[arg(long, value_name = "NUMBER")]
    weight: Option<String>,
    /// Remove objects this long after they were stored [default: never]
    #[arg(long, value_name = "SECONDS")]
    ttl_s: Option<String>,
    /// Keep eviction from objects whose keys begin with this; may be given several times
    #[arg(long, value_name = "TEXT")]
    pinned: Vec<String>,
}

fn bucket(text: &str) -> Result<BucketName, String> {
    BucketName::new(text).map_err(|error| error.to_string())
}

impl SetArgs {
    fn policy(&self) -> Result<BucketPolicy, Failure> {
        let Self { priority, weight, ttl_s, pinned, .. } = self;
        let single = [("priority", priority), ("weight", weight), ("ttl_s", ttl_s)];
        let single = single.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let mut policy = BucketPolicy::default();
        for (key, value) in single.chain(pinned.iter().map(|prefix| ("pinned", prefix))) {
            let set = policy.set(key, value);
            set.map_err(|error| Failure::new(Status::Usage, error.to_string()))?;
        }
        Ok(policy)
    }
}

/// Shows or changes policies.
pub(crate) fn run(daemon: &DaemonArgs, args: BucketArgs) -> Result<(), Failure> {
    let shown = super::wait_for(async {
        let client = daemon.client()?;
        Ok(match args.command {
            BucketCommand::Ls { json } => {
                let reply = client.buckets().await?;
                if json { pretty(&reply) } else { table(&reply) }
            }
            BucketCommand::Set(args) => {
                client.set_bucket_policy(&args.name, &args.policy()?).await?;
                String::new()
            }
            BucketCommand::Rm { name } => match client.remove_bucket_policy(&name).await? {
                true => String::new(),
                false => {
                    let name = printable(name.as_str());
                    let line =
                        format!("the bucket has no policy: see `bucket ls`, bucket=`{name}`");
                    return Err(Failure::new(Status::Absent, line));
                }
            },
        })
    })?;
    stdout().write_all(shown.as_bytes()).map_err(Failure::stdout)
}

const HEAD: [&str; 8] =
    ["bucket", "priority", "weight", "ttl", "objects", "taken", "evicted", "expired"];

/// A bucket's policy, and what it has, as lines that follow those of an object.
pub(super) fn lines(bucket: &PolicedBucket) -> String {
    let PolicedBucket { policy, usage, .. } = bucket;
    let ttl = policy.ttl_s.map_or_else(String::new, |seconds| format!(", ttl {seconds} s"));
    let pinned = policy.pinned.iter().map(|prefix| format!(", pins `{}`", printable(prefix)));
    let pinned: String = pinned.collect();
    let (priority, weight) = (policy.priority, policy.weight);
    let BucketUse { objects, taken, evictions, expirations, .. } = *usage;
    let (objects, taken) = (counted_objects(objects), human_size(ByteSize::new(taken)));
    format!(
        "policy    priority {priority}, weight {weight}{ttl}{pinned}\n\
         bucket    {objects}, {taken}, {evictions} evicted, {expirations} expired\n"
    )
}

/// Buckets as lines, each with its pinned prefixes behind it.
fn table(reply: &BucketsReply) -> String {
    let row = |name: String, policy: [String; 3], usage: &BucketUse| {
        let [priority, weight, ttl] = policy;
        let taken = human_size(ByteSize::new(usage.taken));
        let [objects, evicted, expired] =
            [usage.objects, usage.evictions, usage.expirations].map(|count| count.to_string());
        [name, priority, weight, ttl, objects, taken, evicted, expired]
    };
    let mut rows = vec![HEAD.map(str::to_owned)];
    let mut pins = Vec::new();
    for PolicedBucket { bucket, policy, usage } in &reply.buckets {
        let PolicyReply { priority, weight, ttl_s, pinned } = policy;
        let ttl = ttl_s.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s"));
        let bucket = printable(bucket);
        if !pinned.is_empty() {
            let prefixes: Vec<_> = pinned.iter().map(|prefix| printable(prefix)).collect();
            pins.push(format!(
                "pinned in {bucket}: {} ({}, {}; {} beyond)\n",
                prefixes.join(" "),
                counted_objects(usage.pinned_objects),
                human_size(ByteSize::new(usage.pinned_taken)),
                usage.unpinned,
            ));
        }
        rows.push(row(bucket, [priority.to_string(), weight.to_string(), ttl], usage));
    }
    let of_others = ["0", "100", "-"].map(str::to_owned);
    rows.push(row("(all others)".to_owned(), of_others, &reply.others));
    let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            text.push_str(&match column {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
        }
        text.push('\n');
    }
    text + &pins.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_bucket_one_for_all_others_and_the_pins() {
        let usage = BucketUse {
            objects: 12,
            taken: 3 << 20,
            pinned_objects: 2,
            pinned_taken: 1 << 20,
            evictions: 7,
            evicted: 9,
            expirations: 1,
            unpinned: 4,
        };
        let policy = PolicyReply {
            priority: -5,
            weight: 300,
            ttl_s: Some(90.5),
            pinned: vec!["sys/".to_owned(), "a\u{1b}".to_owned()],
        };
        let bucket = "chat".to_owned();
        let buckets = vec![PolicedBucket { bucket, policy, usage: usage.clone() }];
        let text = table(&BucketsReply { buckets, others: usage, pinned_max: 4 << 20 });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "bucket        priority  weight     ttl  objects   taken  evicted  expired",
                "chat                -5     300  90.5 s       12  3.0MiB        7        1",
                "(all others)         0     100       -       12  3.0MiB        7        1",
                "pinned in chat: sys/ a\\u{1b} (2 objects, 1.0MiB; 4 beyond)",
            ]
        );
    }
}
