//! Task that publishes what this node stored, and reads what the others published.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all, stream};
use kvlease_tier::TierError;
use tokio::time::{self, Instant};

use super::{
    entry::{Entry, decode, encode},
    shared::Shared,
    shelf::Shelf,
};

/// Time between two readings of the directory.
const READ_AFTER: Duration = Duration::from_secs(5);

/// Time between the starts of two publications, in which the next one gathers.
const PUBLISH_AFTER: Duration = Duration::from_millis(2);

/// Time after which a publication or a reading that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Entries that are read at once.
const READS_AT_ONCE: usize = 8;

/// Publishes and reads until the tier is closed.
pub(super) async fn run<S: Shelf>(shelf: Arc<S>, shared: Arc<Shared>) {
    let mut read_at = Instant::now();
    let mut is_failing = false;
    loop {
        if Instant::now() >= read_at {
            let outcome = read(&*shelf, &shared).await;
            report(&*shelf, &shared, outcome.as_ref().err(), is_failing);
            is_failing = outcome.is_err();
            read_at = Instant::now() + if is_failing { RETRY_AFTER } else { READ_AFTER };
        }
        let publish_at = Instant::now() + PUBLISH_AFTER;
        let is_published = publish(&*shelf, &shared).await;
        let is_over = {
            let now = shared.progress.borrow();
            now.is_closing && (is_published || now.failures > 0)
        };
        if is_over {
            shared.progress.send_modify(|now| now.is_over = true);
            return;
        }
        if is_published {
            time::sleep_until(publish_at).await;
            tokio::select! {
                () = shared.wake.notified() => {}
                () = time::sleep_until(read_at) => {}
            }
        } else {
            time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Says when readings begin to fail and when they succeed again. A store that is not used yet is read as well, so that
/// a mistake in its settings is told at the start.
fn report<S: Shelf>(shelf: &S, shared: &Shared, error: Option<&TierError>, was_failing: bool) {
    let (tier, place) = (shelf.kind(), shelf.place());
    match error {
        Some(error) => {
            shared.progress.send_modify(|now| now.reason = error.to_string().into());
            if !was_failing {
                tracing::warn!(
                    tier, %place,
                    "the directory of the remote tier cannot be read, so objects of other nodes may not be found: {error}"
                );
            }
        }
        None if was_failing => {
            tracing::info!(tier, %place, "the directory of the remote tier can be read again");
        }
        None => {}
    }
}

/// Publishes everything that is new; false if that fails.
async fn publish<S: Shelf>(shelf: &S, shared: &Shared) -> bool {
    // A node has to know its own entries before it adds one.
    let publication = {
        let mut index = shared.index();
        if !index.is_read() && index.has_new() {
            drop(index);
            shared.progress.send_modify(|now| now.failures += 1);
            return false;
        }
        index.next_publication()
    };
    let Some(publication) = publication else { return true };
    let (name, bytes) = (publication.entry.to_string(), encode(&publication.fingerprints));
    if let Err(error) = shelf.write_entry(&name, bytes).await {
        tracing::debug!("the directory of the remote tier cannot be written: {error}");
        shared.index().not_published(publication);
        shared.progress.send_modify(|now| {
            now.failures += 1;
            now.reason = error.to_string().into();
        });
        return false;
    }
    let ticket = publication.ticket;
    let removed = shared.index().published(publication);
    shared.progress.send_modify(|now| now.published = ticket);
    let removals = removed.iter().map(|entry| async move {
        // An entry that stays is read once more by nodes that start.
        if let Err(error) = shelf.remove_entry(&entry.to_string()).await {
            tracing::debug!("an old entry of the directory cannot be removed: {error}");
        }
    });
    join_all(removals.collect::<Vec<_>>()).await;
    true
}

/// Reads what is new in the directory.
async fn read<S: Shelf>(shelf: &S, shared: &Shared) -> Result<(), TierError> {
    let names = shelf.entries().await?;
    let entries: Vec<_> = names.iter().filter_map(|name| Entry::read(name)).collect();
    shared.index().check_own(&entries);
    let unread = shared.index().unread(entries);
    let reads = unread.into_iter().map(|entry| async move {
        let bytes = shelf.read_entry(&entry.to_string()).await?;
        Ok::<_, TierError>((entry, bytes))
    });
    let mut reads = std::pin::pin!(stream::iter(reads).buffered(READS_AT_ONCE));
    while let Some(answer) = reads.next().await {
        let (entry, bytes) = answer?;
        // An entry that is gone has another in its place, which the next reading finds.
        let Some(bytes) = bytes else { continue };
        match decode(&bytes) {
            Some(fingerprints) => shared.index().learn(entry, fingerprints),
            None => tracing::debug!("an entry of the directory is corrupt, entry=`{entry}`"),
        }
    }
    shared.index().set_read();
    Ok(())
}
