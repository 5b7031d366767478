//! Publisher: a subscriber to the engine's events that publishes them as KV events over ZeroMQ.
//!
//! It has a thread and a runtime of its own, so that no request waits for it. ZeroMQ drops what a
//! subscriber's queue has no room for, and a subscriber that comes late has missed the past; numbers
//! alone do not tell a restart. So what is there is published again whenever one of these can be:
//!
//! * at the start, and when events were lost on the way here, behind `AllBlocksCleared`;
//! * when a client asks for batches that are not kept any more, or that are none of this incarnation,
//!   likewise;
//! * when a subscriber has connected, without `AllBlocksCleared`.
//!
//! The memory of all queues is bounded: when it is used up, all connections are closed, and subscribers
//! connect again.

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use kvlease_engine::{Delivery, Event, Snapshot, Subscription};
use kvlease_types::Key;
use tokio::{
    runtime,
    time::{Instant, sleep, sleep_until},
};

use super::{
    batch::{Batch, Blocks},
    blocks::ObjectBlocks,
    hash::NamedBlock,
    history::History,
    options::Options,
    sockets::{Incoming, Sockets},
};

/// The most events of one batch.
const EVENTS_PER_BATCH: usize = 256;

/// Time between the connection of a subscriber and the snapshot for it, in which it subscribes.
const JOIN_DELAY: Duration = Duration::from_millis(200);

/// Least time between two snapshots.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);

/// How long a snapshot waits for subscribers that do not take it.
const PACE_MAX: Duration = Duration::from_secs(5);

/// Time between two looks at the queues of subscribers.
const PACE_TURN: Duration = Duration::from_millis(2);

/// How long the last batches may take to the subscribers when the daemon ends.
const END_WAIT: Duration = Duration::from_millis(100);

/// Publisher without its sockets, which it outlives.
struct Publisher {
    options: Options,
    topic: Bytes,
    subscription: Subscription,
    history: History,
    memory_max: usize,
    /// Next snapshot, with the reason for `AllBlocksCleared` before it.
    snapshot: Option<(Instant, Option<&'static str>)>,
    /// Time and first batch of the latest snapshot behind `AllBlocksCleared`.
    cleared: Option<(Instant, u64)>,
    last_snapshot: Option<Instant>,
}

/// Bits of a number that count batches; those above are of the time of the start.
const COUNT_BITS: u32 = 20;

/// Number of the first batch: above those of earlier incarnations, so that a subscriber that lived
/// through a restart finds that it has missed something.
fn first_number(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default() << COUNT_BITS
}

/// Reason why sockets are closed.
enum End {
    Closed,
    QueuesFull,
}

/// Publishes until the engine's events end. Runs on a thread of its own.
pub(super) fn run(options: Options) {
    let Some(subscription) = options.engine.subscribe() else { return };
    let memory_max = usize::try_from(options.memory_max.bytes()).unwrap_or(usize::MAX);
    let mut publisher = Publisher {
        topic: Bytes::copy_from_slice(options.topic.as_bytes()),
        subscription,
        history: History::new(memory_max, first_number(SystemTime::now())),
        memory_max,
        snapshot: Some((Instant::now(), Some("start"))),
        cleared: None,
        last_snapshot: None,
        options,
    };
    loop {
        // The runtime goes with the sockets: a task that waits for a subscriber would keep its queue.
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!("KV events are not published: {error}"),
        };
        match runtime.block_on(publisher.serve()) {
            Ok(End::Closed) => return,
            Ok(End::QueuesFull) => tracing::warn!(
                "subscribers to KV events do not take them: closing their connections, \
                 events.memory_max=`{}`",
                publisher.options.memory_max
            ),
            Err(error) => {
                tracing::error!("KV events are not published for a while: {error}");
                thread::sleep(SNAPSHOT_PAUSE);
            }
        }
    }
}

impl Publisher {
    async fn serve(&mut self) -> Result<End, zeromq::ZmqError> {
        let mut sockets = Sockets::open(&self.options.listeners).await?;
        loop {
            let snapshot = self.snapshot;
            // What was lost comes with the snapshot: there is nothing to read before.
            let reads = snapshot.is_none_or(|(_, cleared)| cleared.is_none());
            tokio::select! {
                () = sleep_until(snapshot.map_or_else(Instant::now, |(when, _)| when)),
                    if snapshot.is_some() => self.take_snapshot(&mut sockets).await,
                delivery = self.subscription.next(EVENTS_PER_BATCH), if reads => match delivery {
                    Delivery::Events(events) => self.publish_events(&mut sockets, &events).await,
                    Delivery::Lost => self.schedule(Instant::now(), Some("lost")),
                    Delivery::Closed => {
                        sleep(END_WAIT).await;
                        return Ok(End::Closed);
                    }
                },
                incoming = sockets.next() => match incoming {
                    Incoming::Joined => self.schedule(Instant::now() + JOIN_DELAY, None),
                    Incoming::Replay(client, from) => {
                        self.replay(&mut sockets, &client, from).await;
                    }
                },
            }
            if self.history.queued() > self.memory_max {
                return Ok(End::QueuesFull);
            }
        }
    }

    /// Has a snapshot published at this time, or soon behind the one before it.
    fn schedule(&mut self, when: Instant, cleared: Option<&'static str>) {
        let earliest = self.last_snapshot.map_or(when, |last| when.max(last + SNAPSHOT_PAUSE));
        self.snapshot = Some(match self.snapshot {
            None => (earliest, cleared),
            Some((first, before)) => (first.min(earliest), before.or(cleared)),
        });
    }

    async fn take_snapshot(&mut self, sockets: &mut Sockets) {
        let Some((_, cleared)) = self.snapshot.take() else { return };
        let now = Instant::now();
        self.last_snapshot = Some(now);
        let mut snapshot = match cleared {
            Some(_) => self.subscription.snapshot(),
            // The events that were not read yet are published behind it.
            None => self.subscription.objects(),
        };
        if let Some(reason) = cleared {
            self.cleared = Some((now, self.history.next()));
            let mut batch = Batch::default();
            batch.clear(reason);
            self.publish(sockets, &batch).await;
        }
        self.options.blocks.begin_snapshot();
        while let Some(batch) = self.page(&mut snapshot) {
            self.publish(sockets, &batch).await;
            self.pace(now + PACE_MAX).await;
        }
        self.options.blocks.end_snapshot();
    }

    /// Blocks of one page of the objects that are there.
    fn page(&self, snapshot: &mut Snapshot) -> Option<Batch> {
        let mut batch = Batch::default();
        for object in snapshot.page(EVENTS_PER_BATCH)? {
            let told = self.options.blocks.see(object.generation);
            if let Some(blocks) = blocks_of(told, &object.key) {
                batch.store(blocks);
            }
        }
        Some(batch)
    }

    /// Waits for subscribers that are behind.
    async fn pace(&self, until: Instant) {
        while self.history.queued() > self.memory_max / 2 && Instant::now() < until {
            sleep(PACE_TURN).await;
        }
        // The sockets' tasks are on this thread.
        tokio::task::yield_now().await;
    }

    async fn publish_events(&mut self, sockets: &mut Sockets, events: &[Event]) {
        let mut batch = Batch::default();
        for event in events {
            let (table, comes) = (&self.options.blocks, event.kind.publishes());
            let told = match comes {
                true => table.get(event.generation),
                false => table.take(event.generation),
            };
            match blocks_of(told, &event.key) {
                Some(blocks) if comes => batch.store(blocks),
                Some(blocks) => batch.remove(blocks),
                None => {}
            }
        }
        self.publish(sockets, &batch).await;
    }

    async fn publish(&mut self, sockets: &mut Sockets, batch: &Batch) {
        if batch.is_empty() {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let bytes = batch.encode(time, self.options.epoch, self.options.format);
        let (number, bytes) = self.history.append(bytes);
        sockets.publish(&self.topic, number, bytes).await;
    }

    /// Answers a request for batches. What is not kept any more is replaced by a snapshot, which all
    /// subscribers get.
    async fn replay(&mut self, sockets: &mut Sockets, client: &Bytes, from: u64) {
        let mut from = from;
        if !self.history.has(from) {
            let is_recent = |(when, first): &(Instant, u64)| {
                when.elapsed() < SNAPSHOT_PAUSE && self.history.has(*first)
            };
            if !self.cleared.as_ref().is_some_and(is_recent) {
                self.snapshot = Some((Instant::now(), Some("replay")));
                self.take_snapshot(sockets).await;
            }
            from = self.cleared.map_or(0, |(_, first)| first);
        }
        sockets.replay(client, &self.topic, &self.history, from).await;
    }
}

/// Blocks of an object: those that its client told, or the one that its key has.
fn blocks_of(told: Option<Arc<ObjectBlocks>>, key: &Key) -> Option<Blocks> {
    let named = || NamedBlock::of_key(key.as_str()).map(Blocks::Named);
    told.map(Blocks::Told).or_else(named)
}
