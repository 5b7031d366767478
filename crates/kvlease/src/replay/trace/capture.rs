//! Captures of a daemon: headers of their files, and the calls in them.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::requests::{Look, Requests};

/// Version of the format that is read.
const VERSION: u32 = 1;

/// First line of a file of a capture.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(in crate::replay) struct Header {
    capture: String,
    part: u64,
    started_unix_ms: u64,
    /// The same number, the same hashes.
    pub(super) secret: String,
}

/// Reader of the calls of one secret.
#[derive(Default, Debug)]
pub(super) struct Calls {
    requests: Requests,
    /// Begin of the file in microseconds.
    started: u64,
    pub(super) tally: Tally,
}

/// Totals of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::replay) struct Tally {
    pub(in crate::replay) calls: u64,
    /// Calls that the daemon could not write down.
    pub(in crate::replay) dropped: u64,
    /// Objects whose length is known, and their bytes.
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Header {
    /// Header in the first line of a file; `None` if that is no capture.
    ///
    /// # Errors
    ///
    /// The reason why a capture cannot be read.
    pub(super) fn parse(line: &[u8]) -> Option<Result<Self, String>> {
        #[derive(Deserialize)]
        struct Version {
            kvlease_capture: u32,
        }
        let Version { kvlease_capture } = serde_json::from_slice(line).ok()?;
        Some(match kvlease_capture {
            VERSION => serde_json::from_slice(line).map_err(|error| error.to_string()),
            version => Err(format!(
                "its format is version {version} and this program reads {VERSION}: take the program of that daemon"
            )),
        })
    }

    /// Place of a file among those with the same hashes.
    pub(super) fn order(&self) -> (u64, &str, u64) {
        (self.started_unix_ms, &self.capture, self.part)
    }
}

impl Calls {
    /// Goes on with a file.
    pub(super) fn enter(&mut self, header: &Header) {
        self.started = header.started_unix_ms.saturating_mul(1_000);
    }

    /// Takes a line, and hands over the requests that are over by then.
    ///
    /// # Errors
    ///
    /// The reason why it is no call.
    pub(super) fn line(
        &mut self,
        line: &[u8],
        each: impl FnMut(u64, &[u64]),
    ) -> Result<(), String> {
        let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let at = self.started.saturating_add(line.at);
        self.tally.dropped += line.dropped;
        if line.dropped == 0 {
            self.tally.calls += 1;
            self.call(at, &line);
        }
        self.requests.close(Some(at), each);
        Ok(())
    }

    /// Hands over the rest.
    pub(super) fn end(&mut self, each: impl FnMut(u64, &[u64])) {
        self.requests.close(None, each);
    }

    fn call(&mut self, at: u64, line: &Line<'_>) {
        let keys: Vec<u64> = line.keys.iter().map(|hash| hash.0).collect();
        if keys.is_empty() {
            return;
        }
        self.measure(line);
        let (client, connection) = (line.by.0, line.on.0);
        match line.op {
            "get" | "get_prefix" | "exists" | "exists_prefix" | "read" => {
                let found = line.found.bytes().take_while(|found| *found == b'1').count();
                self.requests.look(&Look { at, client, connection, keys: &keys, found });
            }
            // What was there already was asked for as well. What was refused is asked for again.
            "put" => {
                let stored = keys.iter().zip(line.found.bytes());
                let stored: Vec<u64> =
                    stored.filter(|(_, found)| *found != b'0').map(|(key, _)| *key).collect();
                self.requests.put(at, client, &stored);
            }
            // Late answers are those of an earlier call. Others are for later versions.
            _ => {}
        }
    }

    fn measure(&mut self, line: &Line<'_>) {
        for (place, found) in line.found.bytes().enumerate() {
            let len = line.lens.get(place).copied().unwrap_or(line.len);
            if found == b'1' && len > 0 {
                self.tally.objects += 1;
                self.tally.bytes += len;
            }
        }
    }
}

/// A line behind the first.
#[derive(Deserialize)]
struct Line<'a> {
    at: u64,
    #[serde(default)]
    dropped: u64,
    #[serde(default)]
    by: Hash,
    #[serde(default)]
    on: Hash,
    #[serde(default)]
    op: &'a str,
    #[serde(default)]
    keys: Vec<Hash>,
    #[serde(default)]
    found: &'a str,
    #[serde(default)]
    len: u64,
    #[serde(default)]
    lens: Vec<u64>,
}

/// A hash, written in hexadecimal digits. A letter before it, which names a transport, counts as well.
#[derive(Clone, Copy, Default)]
struct Hash(u64);

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Digits)
    }
}

struct Digits;

impl de::Visitor<'_> for Digits {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash in hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Hash, E> {
        let transport = text.bytes().next().filter(|byte| matches!(byte, b'h' | b'l'));
        let digits = &text[usize::from(transport.is_some())..];
        let number = u64::from_str_radix(digits, 16).map_err(E::custom)?;
        Ok(Hash(number | u64::from(transport.unwrap_or(0)) << 40))
    }
}
