//! Attacks on leases: those of others, and more of its own than any client needs.

use std::{thread, time::Duration};

use kvlease_api::{
    LeaseReply,
    lane::{Answer, DoneStatus, IdsWriter, KEYS_MAX, KeysWriter, LeaseRecord, Mode},
};
use kvlease_harness::{Endpoint, object, wire::Wire};
use kvlease_types::BucketName;

use super::{
    end::{ATTACKING, End},
    lane_wire::LaneWire,
};
use crate::{clients::Target, output::print};

/// Own leases whose names the guesses begin from, and distance of the farthest guess.
const SAMPLES: usize = 8;
const FARTHEST: u64 = 64;

/// Sequences of the fast lane that are guessed.
const SEQUENCES: u64 = 100_000;

/// Times to live: what a neighbour wants leases of others cut to, and its own to last.
const SHORTEST_S: f64 = 0.001;
const LONGEST: Duration = Duration::from_secs(300);

const POLL: Duration = Duration::from_millis(10);

/// Arguments of the flood of leases.
#[derive(Clone, Debug, clap::Args)]
pub struct LeaseFloodArgs {
    #[command(flatten)]
    target: Target,
    /// Leases to ask for over the fast lane
    #[arg(long)]
    lane: usize,
    /// Connections that ask for them
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Leases to ask for over HTTP
    #[arg(long)]
    http: usize,
}

/// Releases and renews everything that it can guess, over HTTP and over the fast lane.
pub(super) fn attack_foreign(target: &Target, end: &End) -> anyhow::Result<String> {
    print(ATTACKING)?;
    let mut wire = Wire::try_open(target.place.address)?;
    let (mut tried, mut renewed) = (0_u64, 0_u64);
    for own in own_names(target, &mut wire)? {
        for name in guesses(&own) {
            let renew = format!("/v1/leases/{name}/renew?ttl_s={SHORTEST_S}");
            renewed += u64::from(wire.try_call("POST", &renew, b"")?.status == 200);
            wire.try_call("POST", &format!("/v1/leases/{name}/release"), b"")?;
            tried += 1;
        }
    }
    let mut done = 0;
    let mut lane = LaneWire::open(&target.place.socket)?;
    let sequences: Vec<u64> = (0..SEQUENCES).collect();
    for (request, part) in sequences.chunks(KEYS_MAX).enumerate() {
        let (mut renew, mut release) = (Vec::new(), Vec::new());
        let mut writers = [
            IdsWriter::renew(&mut renew, request as u64, Some(Duration::from_millis(1))),
            IdsWriter::release(&mut release, request as u64, false),
        ];
        for writer in &mut writers {
            for sequence in part {
                writer.push(*sequence)?;
            }
        }
        let [renews, releases] = writers;
        renews.finish();
        releases.finish();
        for frame in [renew, release] {
            done += lane.call(&frame, |frame| match Answer::decode(frame) {
                Ok(Answer::Done(statuses) | Answer::Renewed { statuses, .. }) => {
                    statuses.filter(|status| *status == DoneStatus::Done).count()
                }
                _ => 0,
            })?;
            tried += part.len() as u64;
        }
    }
    print(&format!("tried={tried} renewed={renewed} done={done}"))?;
    wait(end);
    Ok(String::new())
}

/// Names of leases of its own.
fn own_names(target: &Target, wire: &mut Wire) -> anyhow::Result<Vec<String>> {
    let path = format!("{}/leases?ttl_s=30", object(&target.bucket, &target.key));
    let name = |_| {
        let reply = wire.try_call("POST", &path, b"")?;
        anyhow::Ok(serde_json::from_slice::<LeaseReply>(&reply.body)?.id)
    };
    (0..SAMPLES).map(name).collect()
}

/// Names near this one: each of its parts that is a number, a little higher or lower; and those
/// with a part left out.
fn guesses(own: &str) -> Vec<String> {
    let parts: Vec<&str> = own.split('-').collect();
    let mut guesses = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let with = |other: &str| {
            let mut parts = parts.clone();
            parts[place] = other;
            parts.join("-")
        };
        if let Ok(number) = u64::from_str_radix(part, 16) {
            for distance in 1..=FARTHEST {
                for near in [number.wrapping_sub(distance), number.wrapping_add(distance)] {
                    let near = with(&format!("{near:016x}"));
                    // The same without its last part, as a name without a secret.
                    let short = near.rsplit_once('-').map(|(short, _)| short.to_owned());
                    guesses.extend(short);
                    guesses.push(near);
                }
            }
        }
    }
    guesses
}

/// Takes leases of one object until it has as many, or is refused, and keeps them.
pub(super) fn flood(args: &LeaseFloodArgs, end: &End) -> anyhow::Result<String> {
    let Target { place, bucket, key } = &args.target;
    let bucket_name = BucketName::new(bucket.as_str())?;
    let connections = (0..args.connections).map(|_| LaneWire::open(&place.socket));
    let mut connections = connections.collect::<Result<Vec<_>, _>>()?;
    let (mut asked, mut granted) = (0, 0);
    while asked < args.lane {
        for (request, lane) in (0..).zip(&mut connections) {
            let mut frame = Vec::new();
            let mut keys = KeysWriter::acquire(
                &mut frame,
                request,
                &bucket_name,
                Mode::Each,
                Duration::ZERO,
                Some(LONGEST),
            );
            for _ in 0..KEYS_MAX.min(args.lane - asked) {
                keys.push(key)?;
                asked += 1;
            }
            keys.finish();
            granted += lane.call(&frame, |frame| match Answer::decode(frame) {
                Ok(Answer::Leases(leases)) => {
                    leases.filter(|lease| matches!(lease, LeaseRecord::Granted(..))).count()
                }
                _ => 0,
            })?;
        }
    }
    let endpoint = Endpoint::at(place.address);
    let path = format!("{}/leases?ttl_s=300", object(bucket, key));
    let mut wire = endpoint.connect()?;
    for _ in 0..args.http {
        granted += usize::from(wire.try_call("POST", &path, b"")?.status == 200);
    }
    print(&format!("{ATTACKING} {granted}"))?;
    wait(end);
    Ok(format!("granted={granted}"))
}

fn wait(end: &End) {
    while !end.has_come() {
        thread::sleep(POLL);
    }
}
