//! Attack with uploads: much is announced, and little comes.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use kvlease_api::lane::{Answer, RequestedObject, ReservationRecord, ReserveWriter};
use kvlease_harness::object;
use kvlease_types::{BucketName, ByteSize};

use super::{
    end::{ATTACKING, End},
    lane_wire::LaneWire,
};
use crate::{clients::Place, output::print};

/// Bytes that come of each upload at a time, and the pause between two of them.
const TRICKLE: [u8; 16] = [0x5a; 16];
const TRICKLE_EVERY: Duration = Duration::from_secs(1);

/// Limit of a connect and of a write.
const WITHIN: Duration = Duration::from_millis(200);

/// Objects of one reserve.
const RESERVED: u64 = 64;

/// Arguments of the attack with uploads.
#[derive(Clone, Debug, clap::Args)]
pub struct UploadsArgs {
    #[command(flatten)]
    place: Place,
    /// Bucket of the uploads
    #[arg(long)]
    bucket: String,
    /// Length that each upload announces
    #[arg(long)]
    len: u64,
    /// Uploads at the same time over HTTP
    #[arg(long)]
    http: usize,
    /// Connections that reserve over the fast lane
    #[arg(long)]
    lane: usize,
}

/// Announces uploads and sends a few bytes of each now and then; reserves as much as it is given,
/// and commits nothing. What is refused or cut off is begun again.
pub(super) fn attack(args: &UploadsArgs, end: &End) -> anyhow::Result<String> {
    let mut uploads: Vec<Option<TcpStream>> = (0..args.http).map(|_| None).collect();
    let mut lanes = Vec::new();
    let (mut first, mut number, mut begun, mut reserved) = (true, 0_u64, 0_u64, 0_u64);
    let mut trickled = Instant::now();
    while !end.has_come() {
        for upload in &mut uploads {
            if upload.is_none() {
                number += 1;
                *upload = begin(args, number).ok();
                begun += u64::from(upload.is_some());
            }
        }
        if trickled.elapsed() >= TRICKLE_EVERY {
            for upload in &mut uploads {
                let sent = upload.as_mut().map(|stream| stream.write_all(&TRICKLE));
                if sent.is_none_or(|sent| sent.is_err()) {
                    *upload = None;
                }
            }
            trickled = Instant::now();
        }
        while lanes.len() < args.lane {
            lanes.push(LaneWire::open(&args.place.socket)?);
        }
        lanes.retain_mut(|lane| match reserve(args, lane, &mut number) {
            Ok(granted) => {
                reserved += granted;
                true
            }
            Err(_) => false,
        });
        if first {
            print(ATTACKING)?;
            first = false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(format!("begun={begun} reserved={reserved}"))
}

fn begin(args: &UploadsArgs, number: u64) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&args.place.address, WITHIN)?;
    stream.set_write_timeout(Some(WITHIN))?;
    let path = object(&args.bucket, &format!("trickle-{number}"));
    let len = args.len;
    write!(stream, "PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n")?;
    stream.write_all(&TRICKLE)?;
    Ok(stream)
}

/// Reserves for further objects. Returns how many were granted.
fn reserve(args: &UploadsArgs, lane: &mut LaneWire, number: &mut u64) -> anyhow::Result<u64> {
    let (mut frame, bucket) = (Vec::new(), BucketName::new(args.bucket.as_str())?);
    let mut objects = ReserveWriter::begin(&mut frame, 0, &bucket);
    for _ in 0..RESERVED {
        *number += 1;
        let key = format!("reserved-{number}");
        objects.push(RequestedObject { len: ByteSize::new(args.len / RESERVED), key: &key })?;
    }
    objects.finish();
    Ok(lane.call(&frame, |frame| match Answer::decode(frame) {
        Ok(Answer::Reservations(reservations)) => {
            let granted = |record: &_| matches!(record, ReservationRecord::Granted { .. });
            reservations.filter(granted).count() as u64
        }
        _ => 0,
    })?)
}
