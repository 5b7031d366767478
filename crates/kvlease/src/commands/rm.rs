//! `kvlease rm`: removes objects.

use std::io::{BufWriter, IsTerminal, Write, stderr, stdin, stdout};

use clap::{ArgGroup, Args};
use futures_util::{StreamExt, stream};
use kvlease_client::{ByteSize, Client, Error, ErrorCode, Key, ListedTiers, Listing};

use super::ls;
use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    progress,
    text::{counted_objects, human_size, no_such_object, note, printable},
};

/// The arguments of `rm`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).args(["keys", "prefix", "all"]), after_help = "\
Examples:
  kvlease rm some/key other/key
  kvlease rm --dry-run --prefix some/
  kvlease rm --bucket tenant-a --all --yes")]
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
    /// Look in these tiers for `--prefix` and `--all`: `local` is memory and the node's disk. What is found
    /// is removed from all tiers
    #[arg(long, value_name = "TIER", default_value = "local", value_parser = arguments::tiers(), conflicts_with = "keys")]
    tier: ListedTiers,
    /// Print the keys of the objects that would be removed, and remove none
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Do not ask, on a terminal, before the objects of `--prefix` or `--all` are removed
    #[arg(long, short)]
    yes: bool,
}

/// Objects that are removed at a time.
const REMOVALS: usize = 32;

/// Removes the objects that are there, and fails if one that was named was not, or if one may still be
/// in a tier.
pub(crate) fn run(daemon: &DaemonArgs, args: RmArgs) -> Result<(), Failure> {
    super::wait_for(async {
        let client = daemon.client()?;
        match args.keys.is_empty() {
            true => remove_all(&client, &args).await,
            false => remove_named(&client, &args.keys, args.dry_run).await,
        }
    })
}

async fn remove_named(client: &Client, keys: &[Key], dry_run: bool) -> Result<(), Failure> {
    let (mut failures, mut found) = (Failures::default(), Vec::new());
    for key in keys {
        let exists = match dry_run {
            true => Some(client.head(key).await?.is_some()),
            false => failures.remove(client, key).await?,
        };
        match exists {
            Some(true) => found.push(key.as_str()),
            Some(false) => failures.note(Status::Absent, no_such_object(key)),
            None => {}
        }
    }
    if dry_run {
        print(&found)?;
    }
    failures.check()
}

/// Removes what a listing finds, several objects at a time. An object that leaves meanwhile is no failure.
async fn remove_all(client: &Client, args: &RmArgs) -> Result<(), Failure> {
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let Listing { objects, unanswered } = client.list_all(prefix, args.tier, usize::MAX).await?;
    let bytes = human_size(ByteSize::new(
        objects.iter().map(|object| object.len).fold(0, u64::saturating_add),
    ));
    let (count, counted) = (objects.len(), counted_objects(objects.len() as u64));
    if args.dry_run {
        print(&objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>())?;
        note(format_args!("{counted} of {bytes} would be removed"));
        return ls::check_answered(&unanswered);
    }
    let bucket = printable(client.config().bucket.as_str());
    if count > 0
        && !args.yes
        && !confirmed(&format!("remove {counted} of {bytes} from bucket `{bucket}`?"))
    {
        note(format_args!("removed nothing"));
        return Ok(());
    }
    let keys: Result<Vec<_>, _> =
        objects.iter().map(|object| Key::new(object.key.as_str())).collect();
    let keys = keys.map_err(Error::from)?;
    let (mut failures, mut removed) = (Failures::default(), 0_u64);
    let bar = progress::objects(count);
    let removals = keys.iter().map(|key| async move { (key, client.remove(key).await) });
    let mut removals = stream::iter(removals).buffer_unordered(REMOVALS);
    while let Some((key, outcome)) = removals.next().await {
        match failures.judge(key, outcome) {
            Ok(was_there) => removed += u64::from(was_there == Some(true)),
            Err(failure) => {
                bar.abandon();
                note(format_args!("removed {removed} of {counted}"));
                return Err(failure);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    note(format_args!("removed {}", counted_objects(removed)));
    failures.check()?;
    ls::check_answered(&unanswered)
}

/// Asks a person. Without a terminal there is none, and what a script says is done.
fn confirmed(question: &str) -> bool {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return true;
    }
    let mut answer = String::new();
    let asked = write!(stderr(), "{question} [y/N] ").and_then(|()| stdin().read_line(&mut answer));
    asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Objects that were not removed.
#[derive(Default)]
struct Failures {
    status: Option<Status>,
    lines: Vec<String>,
}

impl Failures {
    fn note(&mut self, status: Status, line: String) {
        // What a tier may have still is worse than what was not there.
        if self.status.is_none_or(|noted| noted == Status::Absent) {
            self.status = Some(status);
        }
        self.lines.push(line);
    }

    /// Removes an object. Whether it was there; `None`, noted, for one that a tier may have still: the
    /// others have nothing to do with it.
    async fn remove(&mut self, client: &Client, key: &Key) -> Result<Option<bool>, Failure> {
        let outcome = client.remove(key).await;
        self.judge(key, outcome)
    }

    /// The same for an outcome that is there.
    fn judge(&mut self, key: &Key, outcome: Result<bool, Error>) -> Result<Option<bool>, Failure> {
        match outcome {
            Err(Error::Refused { code: Some(ErrorCode::Unavailable), message, .. }) => {
                let key = printable(key.as_str());
                self.note(Status::Unavailable, format!("{message}, key=`{key}`"));
                Ok(None)
            }
            removed => Ok(Some(removed?)),
        }
    }

    fn check(self) -> Result<(), Failure> {
        match self.status {
            None => Ok(()),
            Some(status) => Err(Failure::new(status, self.lines.join("\nkvlease: "))),
        }
    }
}

fn print(keys: &[&str]) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    let printed = keys.iter().try_for_each(|key| writeln!(out, "{}", printable(key)));
    printed.and_then(|()| out.flush()).map_err(Failure::stdout)
}
