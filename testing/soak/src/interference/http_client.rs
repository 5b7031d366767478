//! Client of HTTP: it stores, reads, leases and removes small objects of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kvlease_api::LeaseReply;
use kvlease_harness::{Endpoint, Payload, object, wire::Wire};
use kvlease_testing::Draws;

use super::{
    pause::{BUCKET, rest},
    report::Tally,
};
use crate::clients::Place;

/// Number of its objects, and their shortest and longest length.
const KEYS: u64 = 8;
const LEN_MIN: u64 = 1 << 10;
const LEN_MAX: u64 = 64 << 10;

pub(super) struct HttpClient {
    connection: Wire,
    draws: Draws,
    number: usize,
    tally: Tally,
}

impl HttpClient {
    pub(super) fn open(place: &Place, seed: u64, number: usize) -> anyhow::Result<Self> {
        let connection = Endpoint::at(place.address).connect()?;
        let draws = Draws::of(seed, number as u64);
        Ok(Self { connection, draws, number, tally: Tally::default() })
    }

    /// Works while `goes_on`, and removes its objects.
    pub(super) fn work(
        mut self,
        pause: Duration,
        goes_on: impl Fn() -> bool,
    ) -> anyhow::Result<Tally> {
        while goes_on() {
            let key = format!("http {} {}", self.number, self.draws.below(KEYS));
            let path = object(BUCKET, &key);
            match self.draws.below(4) {
                0 => self.store(&key, &path)?,
                1 => self.lease(&path)?,
                _ => self.read(&key, &path)?,
            }
            rest(pause);
        }
        for place in 0..KEYS {
            let path = object(BUCKET, &format!("http {} {place}", self.number));
            self.call("DELETE", &path, b"", &[200, 404])?;
        }
        Ok(self.tally)
    }

    fn store(&mut self, key: &str, path: &str) -> anyhow::Result<()> {
        self.call("DELETE", path, b"", &[200, 404])?;
        let len = self.draws.log_between(LEN_MIN, LEN_MAX) as usize;
        let bytes = Payload::new(key, self.tally.calls.len() as u64, len).bytes();
        self.tally.bytes += len as u64;
        // There is no space if all of it is leased or pending.
        self.call("PUT", path, &bytes, &[200, 507]).map(drop)
    }

    fn read(&mut self, key: &str, path: &str) -> anyhow::Result<()> {
        let (status, body) = self.call("GET", path, b"", &[200, 404])?;
        if status == 200 {
            let verified = Payload::verify(key, &body);
            verified.map_err(|wrong| anyhow::anyhow!("wrong bytes, key=`{key}` {wrong}"))?;
            self.tally.bytes += body.len() as u64;
        }
        Ok(())
    }

    fn lease(&mut self, path: &str) -> anyhow::Result<()> {
        let (status, body) = self.call("POST", &format!("{path}/leases"), b"", &[200, 404])?;
        if status == 200 {
            let lease: LeaseReply = serde_json::from_slice(&body)?;
            self.call("POST", &format!("/v1/leases/{}/release", lease.id), b"", &[200])?;
        }
        Ok(())
    }

    fn call(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        expected: &[u16],
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        let started = Instant::now();
        let reply = self.connection.try_call(method, path, body);
        let reply = reply.with_context(|| format!("{method} {path}"))?;
        self.tally.calls.push(started.elapsed());
        ensure!(expected.contains(&reply.status), "{method} {path} reply=`{reply:?}`");
        Ok((reply.status, reply.body))
    }
}
