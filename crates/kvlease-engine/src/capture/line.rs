//! Lines of a capture: JSON, with hashes in place of names.

use std::{io::Write as _, time::SystemTime};

use kvlease_sys::{FingerprintKey, KeyFingerprints};
use kvlease_types::Hex;

use super::call::Record;
use crate::line_files::LineFileKind;

/// Version of the format.
pub(super) const VERSION: u32 = 1;

/// Files of captures.
pub(super) const KIND: LineFileKind =
    LineFileKind { name: "capture", setting: "capture.path", magic: b"{\"kvlease_capture\":" };

/// Names of what is hashed beside keys, in place of a bucket's.
const BUCKETS: &str = "kvlease capture: buckets";
const CLIENTS: &str = "kvlease capture: clients";
const CONNECTIONS: &str = "kvlease capture: connections";
const SECRET: &str = "kvlease capture: secret";

/// Maker of lines. The same secret makes the same hashes.
#[derive(Debug)]
pub(super) struct Lines {
    secret: FingerprintKey,
    buckets: KeyFingerprints,
    clients: KeyFingerprints,
    connections: KeyFingerprints,
    /// The bucket of the last line, with its hash and the hashes of its keys.
    bucket: Option<(String, Hex, KeyFingerprints)>,
}

impl Lines {
    pub(super) fn new(secret: FingerprintKey) -> Self {
        Self {
            secret,
            buckets: secret.of_bucket(BUCKETS),
            clients: secret.of_bucket(CLIENTS),
            connections: secret.of_bucket(CONNECTIONS),
            bucket: None,
        }
    }

    /// First line of a file: the part with this number of the capture `id`.
    pub(super) fn header(&self, id: u64, part: u64, started: SystemTime) -> Vec<u8> {
        let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Two captures with one such number have the same hashes.
        let secret = Hex::new(self.secret.of_bucket(SECRET).of_key("").low);
        format!(
            "{{\"kvlease_capture\":{VERSION},\"program\":\"{}\",\"capture\":\"{}\",\"part\":{part},\
             \"started_unix_ms\":{},\"secret\":\"{secret}\"}}\n",
            env!("CARGO_PKG_VERSION"),
            Hex::new(id),
            since.as_millis(),
        )
        .into_bytes()
    }

    /// Appends the line of a call.
    pub(super) fn call(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        let client = self.clients.of_key(&record.client.to_string());
        let connection = self.connections.of_key(&record.connection.to_string());
        let via = char::from(record.via);
        self.enter(record.bucket);
        let (_, bucket, keys) = self.bucket.as_ref().expect("it was entered");
        put(out, format_args!("{{\"at\":{},\"by\":\"{via}", record.at / 1_000));
        half(out, client.low);
        out.extend_from_slice(b"\",\"on\":\"");
        half(out, connection.low);
        put(out, format_args!("\",\"op\":\"{}\",\"bucket\":\"", record.op.word()));
        out.extend_from_slice(&bucket.as_str().as_bytes()[8..]);
        out.extend_from_slice(b"\",\"keys\":[");
        for (place, (key, ..)) in record.items().enumerate() {
            let separator: &[u8] = if place == 0 { b"\"" } else { b",\"" };
            out.extend_from_slice(separator);
            out.extend_from_slice(Hex::new(keys.of_key(key).low).as_str().as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"],\"found\":\"");
        out.extend(record.items().map(|(_, found, _)| found));
        out.push(b'"');
        lengths(out, record);
        out.extend_from_slice(b"}\n");
    }

    /// Appends the line that says how many calls are missing.
    pub(super) fn dropped(out: &mut Vec<u8>, at: u64, calls: u64) {
        put(out, format_args!("{{\"at\":{},\"dropped\":{calls}}}\n", at / 1_000));
    }

    fn enter(&mut self, bucket: &str) {
        if self.bucket.as_ref().is_some_and(|(name, ..)| name == bucket) {
            return;
        }
        let hash = Hex::new(self.buckets.of_key(bucket).low);
        self.bucket = Some((bucket.to_owned(), hash, self.secret.of_bucket(bucket)));
    }
}

/// Appends the lengths that are known: one number if all are the same.
fn lengths(out: &mut Vec<u8>, record: &Record<'_>) {
    let mut known = record.items().map(|(.., len)| len).filter(|len| *len > 0);
    let Some(first) = known.next() else { return };
    if known.all(|len| len == first) {
        return put(out, format_args!(",\"len\":{first}"));
    }
    out.extend_from_slice(b",\"lens\":[");
    for (place, (.., len)) in record.items().enumerate() {
        let separator = if place == 0 { "" } else { "," };
        put(out, format_args!("{separator}{len}"));
    }
    out.push(b']');
}

/// Appends the lower half of a number.
fn half(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&Hex::new(number).as_str().as_bytes()[8..]);
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = out.write_fmt(text);
}
