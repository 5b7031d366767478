//! Reads of batches that are larger than the arena.
//!
//! A lease keeps its object in place, and an object that comes from a tier takes the place of one
//! without a lease. So the leases of a batch can leave the daemon without room for the rest of the
//! batch. What has come is read, which ends its leases, and the rest is asked for again, for as long
//! as each round brings an object.

use kvlease_http::Error;
use kvlease_types::Key;

use super::{
    Connector,
    open::{Hold, Opened, open_shared, open_streamed},
    streamed::Next,
    window::each,
};

/// How many objects of a batch are leased at a time to be read: as many as one frame asks for, and no
/// more than are read in a moment.
const READ_WINDOW: usize = 128;

/// Object of a batch.
struct Item<'k, I> {
    /// Its place in the batch.
    place: usize,
    key: &'k Key,
    /// Second argument of its read.
    with: I,
}

/// The answers of a batch, each in its place.
type Slots<T> = Vec<Option<Result<T, Error>>>;

impl Connector {
    /// Opens objects and reads each of them with what belongs to it.
    pub(super) async fn read_each<I, T, F: Future<Output = Result<T, Error>>>(
        &self,
        keys: &[Key],
        withs: impl Iterator<Item = I>,
        read: impl Fn(Opened, I) -> F,
    ) -> Vec<Result<T, Error>> {
        let mut answers: Slots<T> = keys.iter().map(|_| None).collect();
        let items = keys.iter().zip(withs).enumerate();
        let items = items.map(|(place, (key, with))| Item { place, key, with });
        // Leases of a look-up before keep room from the others: they are used first.
        let cached = self.inner.cache.has_each(keys);
        let is_cached = |item: &Item<'_, I>| cached.get(item.place) == Some(&true);
        let (cached, others): (Vec<_>, Vec<_>) = items.partition(is_cached);
        let mut late = self.read_round(cached, &read, &mut answers).await;
        late.extend(self.read_round(others, &read, &mut answers).await);
        let mut asked = keys.len();
        while !late.is_empty() && late.len() < asked {
            asked = late.len();
            self.inner.backends.flush();
            late = self.read_round(late, &read, &mut answers).await;
        }
        for Item { place, with, .. } in late {
            self.inner.terms.counters.found(false);
            answers[place] = Some(read(Ok(None), with).await);
        }
        let answer = |answer: Option<_>| answer.expect("every object of the batch was answered");
        answers.into_iter().map(answer).collect()
    }

    /// Asks once for each object, and reads those that have come. Returns the others.
    async fn read_round<'k, I, T, F: Future<Output = Result<T, Error>>>(
        &self,
        items: Vec<Item<'k, I>>,
        read: &impl Fn(Opened, I) -> F,
        answers: &mut Slots<T>,
    ) -> Vec<Item<'k, I>> {
        let mut late = Vec::new();
        let mut items = items.into_iter();
        while items.len() > 0 {
            let window = &items.as_slice()[..items.len().min(READ_WINDOW)];
            let keys: Vec<&Key> = window.iter().map(|item| item.key).collect();
            let opened = open_shared(&self.inner.reads, &keys, 0, Hold::Unleased).await;
            if opened.is_empty() {
                break;
            }
            let mut reads = Vec::with_capacity(opened.len());
            for (opened, item) in opened.into_iter().zip(items.by_ref()) {
                match opened {
                    Err(Error::StillWriting { .. }) => late.push(item),
                    opened => reads.push((opened, item)),
                }
            }
            let read = async |(opened, item): (Opened, Item<'k, I>)| {
                (item.place, read(opened, item.with).await)
            };
            for (place, answer) in each(reads, self.window(), read).await {
                answers[place] = Some(answer);
            }
        }
        // A stream holds a connection until it was read: each is read before others are opened.
        let stream = async |item: Item<'k, I>| {
            let opened = open_streamed(&self.inner.reads, item.key, 0, Next::ReadNow).await;
            (item.place, read(opened, item.with).await)
        };
        for (place, answer) in each(items, self.window(), stream).await {
            answers[place] = Some(answer);
        }
        late
    }
}
