//! Loss of power, or of the process, at every write: what was answered is there, what was removed stays
//! away, and nothing else is ever served.

use std::collections::BTreeMap;

use kvlease_testing::Draws;
use kvlease_tier::{Presence, Stat, Tier};

use super::{
    GEOMETRY,
    fixture::{BUCKET, block_on, bytes, load, object, store},
    memory::{Event, Left, MemoryDevice, Replay},
    open,
};

/// Call of the workload.
#[derive(Clone, Debug)]
enum Call {
    Store { key: String, version: u32, len: usize },
    Remove { key: String },
    Load { key: String, version: u32, len: usize },
}

/// Remarks on the device: each call has one when it begins, and one when it was answered.
fn began(call: usize) -> usize {
    2 * call
}

fn answered(call: usize) -> usize {
    2 * call + 1
}

/// Contents that a name may have.
type Possible = Vec<Option<Stat>>;

fn stat(key: &str, version: u32, len: usize) -> Stat {
    object(key, &bytes(key, version, len)).stat
}

/// Draws calls. Versions of a name differ, as no client's would, so that an old one is seen.
fn workload(draws: &mut Draws, calls: usize, names: u64) -> Vec<Call> {
    let mut stored: BTreeMap<String, (u32, usize)> = BTreeMap::new();
    let draw = |number: usize| {
        let key = format!("key-{}", draws.below(names));
        let version = number as u32;
        match (draws.below(8), stored.get(&key)) {
            (0 | 1, Some(_)) => {
                stored.remove(&key);
                Call::Remove { key }
            }
            (2, Some(&(version, len))) => Call::Load { key, version, len },
            _ => {
                let len = [0, 900, 4096, 9000, 30_000][draws.below(5) as usize];
                stored.insert(key.clone(), (version, len));
                Call::Store { key, version, len }
            }
        }
    };
    (0..calls).map(draw).collect()
}

/// Runs the calls, several at a time if their names differ, and records what the device sees.
fn run(calls: &[Call], at_a_time: usize) -> Vec<Event<usize>> {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    let one = async |number: usize, call: &Call| {
        device.note(began(number));
        match call {
            Call::Store { key, version, len } => {
                store(&tier, key, &bytes(key, *version, *len)).await.unwrap();
            }
            Call::Remove { key } => {
                tier.remove(BUCKET, &[key.as_str()]).await.unwrap();
            }
            Call::Load { key, version, len } => {
                let loaded = load(&tier, key, stat(key, *version, *len)).await.unwrap();
                // Reclaim may have forgotten it.
                assert!(loaded.is_none_or(|loaded| loaded == bytes(key, *version, *len)));
            }
        }
        device.note(answered(number));
    };
    block_on(async {
        let numbered: Vec<_> = calls.iter().enumerate().collect();
        for group in numbered.chunks(at_a_time) {
            let distinct: BTreeMap<&str, _> =
                group.iter().map(|(number, call)| (call.key(), (*number, *call))).collect();
            let mut futures: Vec<_> =
                distinct.into_values().map(|(number, call)| Box::pin(one(number, call))).collect();
            std::future::poll_fn(|context| {
                futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
                if futures.is_empty() {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        }
        tier.close().await.unwrap();
    });
    device.events()
}

impl Call {
    fn key(&self) -> &str {
        match self {
            Self::Store { key, .. } | Self::Remove { key } | Self::Load { key, .. } => key,
        }
    }

    /// Contents of its name after the call.
    fn after(&self) -> Option<Option<Stat>> {
        match self {
            Self::Store { key, version, len } => Some(Some(stat(key, *version, *len))),
            Self::Remove { .. } => Some(None),
            Self::Load { .. } => None,
        }
    }
}

/// Opens the tier from what a loss of power left, and compares.
fn check(
    image: Vec<u8>,
    possible: &BTreeMap<&str, Possible>,
    (may_forget, starts): (bool, usize),
    at: &str,
) {
    let device = MemoryDevice::with(image);
    for start in 0..starts {
        let (tier, _) = open(&device);
        for (key, possible) in possible {
            let found = match tier.presence(BUCKET, key) {
                Presence::Here(stat) => Some(stat),
                _ => None,
            };
            let is_forgotten = may_forget && found.is_none();
            assert!(
                is_forgotten || possible.contains(&found),
                "{at}, start {start}: `{key}` is {found:?}, not of {possible:?}"
            );
            if let Some(stat) = found {
                let loaded = block_on(load(&tier, key, stat)).unwrap();
                assert!(loaded.is_some() || may_forget, "{at}: `{key}` is not whole");
            }
        }
    }
}

/// Cuts the power at every write and sync of a run.
fn cut_everywhere(calls: &[Call], events: &[Event<usize>], may_forget: bool, seed: u64) -> usize {
    let mut draws = Draws::new(seed);
    let mut replay = Replay::new(&GEOMETRY);
    let mut possible: BTreeMap<&str, Possible> = BTreeMap::new();
    let mut cuts = 0;
    for (at, event) in events.iter().enumerate() {
        replay.apply(event);
        if let Event::Note(note) = event {
            let call = &calls[note / 2];
            let Some(after) = call.after() else { continue };
            let possible = possible.entry(call.key()).or_insert_with(|| vec![None]);
            if *note == began(note / 2) {
                possible.push(after);
            } else {
                *possible = vec![after];
            }
            continue;
        }
        for left in [Left::All, Left::Nothing, Left::SomeBlocks] {
            let at = format!("seed {seed}, cut at {at}, {left:?} left");
            // The second start is from the tables that the first one wrote; now and then is enough.
            let starts = 1 + usize::from(cuts % 5 == 0);
            check(replay.image(left, &mut draws), &possible, (may_forget, starts), &at);
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn what_was_answered_survives_a_cut_at_any_write() {
    for (seed, at_a_time) in [(1, 1), (2, 5)] {
        let calls = workload(&mut Draws::new(seed), 30, 9);
        let events = run(&calls, at_a_time);
        let cuts = cut_everywhere(&calls, &events, false, seed);
        assert!(cuts > 100, "only {cuts} cuts");
    }
}

#[test]
fn nothing_removed_or_old_comes_back_with_reclaim_under_way() {
    for (seed, at_a_time) in [(3, 1), (4, 4)] {
        let calls = workload(&mut Draws::new(seed), 110, 30);
        let events = run(&calls, at_a_time);
        let zeroed = |event: &&Event<usize>| matches!(event, Event::Write { bytes, .. } if bytes.iter().all(|byte| *byte == 0));
        assert!(events.iter().filter(zeroed).count() > 3, "no segment was reclaimed");
        let cuts = cut_everywhere(&calls, &events, true, seed);
        assert!(cuts > 300, "only {cuts} cuts");
    }
}
