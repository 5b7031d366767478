//! Attack on connections: every one that there is, taken and stalled.

use std::{
    io::Write,
    net::TcpStream,
    os::{fd::AsFd, unix::net::UnixStream},
    thread,
    time::Duration,
};

use clap::ValueEnum;
use kvlease_api::lane::{KEYS_MAX, KeysWriter, Kind, Mode};
use kvlease_types::BucketName;
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{
    end::{ATTACKING, End},
    lane_wire::LaneWire,
};
use crate::{clients::Place, output::print};

/// Pause between two rounds, in which lost connections are taken again.
const PAUSE: Duration = Duration::from_millis(20);

/// Limit of a connect and of a write: a neighbour that waits does not attack.
const WITHIN: Duration = Duration::from_millis(200);

/// Limit of a write that the daemon need not take: it ends when the daemon is full.
const STUCK_WITHIN: Duration = Duration::from_millis(20);

/// Requests of large answers that are sent at once, and not read.
const UNREAD: usize = 200;

/// Length that half a frame announces, and how much of it is sent.
const FRAME_LEN: u32 = 1 << 20;
const HALF_LEN: usize = 600 << 10;

/// Arguments of the attack on connections.
#[derive(Clone, Debug, clap::Args)]
pub struct StallsArgs {
    #[command(flatten)]
    place: Place,
    /// Bucket with many objects
    #[arg(long)]
    bucket: String,
    /// Connections to HTTP
    #[arg(long)]
    http: usize,
    /// Connections to the fast lane
    #[arg(long)]
    lane: usize,
    /// Kind of all of them [default: in turns]
    #[arg(long)]
    kind: Option<Stall>,
}

/// Kind of a stalled connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Stall {
    /// It sends nothing.
    Silent,
    /// It sends half of a head or of a frame.
    Half,
    /// It does not read its answers.
    Unread,
}

impl StallsArgs {
    /// Kind of the connection of this number.
    fn kind(&self, number: usize) -> Stall {
        let kinds = Stall::value_variants();
        self.kind.unwrap_or(kinds[number % kinds.len()])
    }
}

/// Takes all connections, in turns with nothing sent, half a head, and answers that it does not read; on
/// the fast lane with no hello, half a frame, and answers that it does not read. Those that it
/// loses it takes again.
pub(super) fn attack(args: &StallsArgs, end: &End) -> anyhow::Result<String> {
    let mut http: Vec<Option<TcpStream>> = (0..args.http).map(|_| None).collect();
    let mut lane: Vec<Option<Stalled>> = (0..args.lane).map(|_| None).collect();
    let (mut first, mut taken) = (true, [0_u64; 2]);
    while !end.has_come() {
        for (number, place) in http.iter_mut().enumerate() {
            if place.as_ref().is_none_or(is_lost) {
                *place = stall_http(args, args.kind(number)).ok();
                taken[0] += u64::from(place.is_some());
            }
        }
        for (number, place) in lane.iter_mut().enumerate() {
            if place.as_ref().is_none_or(Stalled::is_lost) {
                *place = stall_lane(args, args.kind(number)).ok();
                taken[1] += u64::from(place.is_some());
            }
        }
        if first {
            print(ATTACKING)?;
            first = false;
        }
        thread::sleep(PAUSE);
    }
    Ok(format!("taken {taken:?}"))
}

/// Stalled connection of the fast lane.
enum Stalled {
    Silent(UnixStream),
    Greeted(LaneWire),
}

impl Stalled {
    fn is_lost(&self) -> bool {
        match self {
            Self::Silent(stream) => is_lost(stream),
            Self::Greeted(wire) => is_lost(wire),
        }
    }
}

/// True if the daemon has closed it. What it has sent stays unread.
fn is_lost(stream: &impl AsFd) -> bool {
    let peeked = recv(stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Ok((_, 0))) || peeked.is_err_and(|error| error != Errno::AGAIN)
}

fn stall_http(args: &StallsArgs, kind: Stall) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&args.place.address, WITHIN)?;
    stream.set_write_timeout(Some(WITHIN))?;
    match kind {
        Stall::Silent => {}
        Stall::Half => stream.write_all(b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nX: ")?,
        Stall::Unread => {
            let path = format!("/v1/kv/{}?limit=1000", args.bucket);
            let list = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.set_write_timeout(Some(STUCK_WITHIN))?;
            // It ends with a write that the daemon no longer takes.
            let _ = stream.write_all(list.repeat(UNREAD).as_bytes());
        }
    }
    Ok(stream)
}

fn stall_lane(args: &StallsArgs, kind: Stall) -> anyhow::Result<Stalled> {
    let socket = &args.place.socket;
    if kind == Stall::Silent {
        return Ok(Stalled::Silent(UnixStream::connect(socket)?));
    }
    let mut wire = LaneWire::open(socket)?;
    if kind == Stall::Half {
        let mut half = Vec::new();
        half.extend(FRAME_LEN.to_le_bytes());
        half.extend(Kind::Acquire.number().to_le_bytes());
        // An acquire of zeros: it would be refused, once it were whole.
        half.resize(HALF_LEN, 0);
        // The daemon may take less than that.
        wire.send_until_stuck(&half, STUCK_WITHIN);
    } else {
        let (mut frame, bucket) = (Vec::new(), BucketName::new(args.bucket.as_str())?);
        let mut keys = KeysWriter::exists(&mut frame, 0, &bucket, Mode::Each);
        for _ in 0..KEYS_MAX {
            keys.push("none")?;
        }
        keys.finish();
        wire.send_until_stuck(&frame.repeat(UNREAD), STUCK_WITHIN);
    }
    Ok(Stalled::Greeted(wire))
}
