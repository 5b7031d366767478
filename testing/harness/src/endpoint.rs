//! Calls to the daemon at an address.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use kvlease_api::{ListReply, SOCKET_HEADER, StatsReply, encode};
use serde::de::DeserializeOwned;

use crate::wire::{Reply, Wire};

/// Keys on one page of a listing.
const PAGE: usize = 1000;

/// Daemon at an address, whatever started it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoint(SocketAddr);

impl Endpoint {
    /// Daemon that listens on this address.
    pub const fn at(address: SocketAddr) -> Self {
        Self(address)
    }

    /// Address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.0
    }

    /// Base URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.0)
    }

    /// New connection.
    pub fn connect(&self) -> anyhow::Result<Wire> {
        Wire::try_open(self.0).context("cannot connect to the daemon")
    }

    /// Reply to one request on a connection of its own.
    pub fn call(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Reply> {
        let reply = self.connect()?.try_call(method, path, body);
        reply.with_context(|| format!("{method} {path}"))
    }

    /// Value at a path, from JSON.
    pub fn fetch<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let reply = self.call("GET", path, b"")?;
        serde_json::from_slice(&reply.body)
            .with_context(|| format!("not the expected reply, path=`{path}` {reply:?}"))
    }

    /// State of the daemon.
    pub fn stats(&self) -> anyhow::Result<StatsReply> {
        self.fetch("/v1/stats")
    }

    /// Text of all metrics.
    pub fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.call("GET", "/metrics", b"")?.text())
    }

    /// Value of one series, which is named with its labels.
    ///
    /// # Errors
    ///
    /// If there is no such series.
    pub fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let text = self.metrics()?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.with_context(|| format!("no such series, name=`{series}` in\n{text}"))?;
        value.parse().with_context(|| format!("no number, {series}=`{value}`"))
    }

    /// Socket of the fast lane, as the daemon announces it.
    pub fn announced_socket(&self) -> anyhow::Result<Option<PathBuf>> {
        let reply = self.call("GET", &object("none", "none"), b"")?;
        Ok(reply.header(SOCKET_HEADER).map(PathBuf::from))
    }

    /// Keys of all objects of a bucket, in memory and on the node's disk.
    pub fn keys(&self, bucket: &str) -> anyhow::Result<Vec<String>> {
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let cursor_of = cursor.map(|cursor| format!("&cursor={}", encode(&cursor)));
            let cursor_of = cursor_of.unwrap_or_default();
            let path = format!("/v1/kv/{}?limit={PAGE}{cursor_of}", encode(bucket));
            let page: ListReply = self.fetch(&path)?;
            cursor = page.cursor();
            keys.extend(page.objects.into_iter().map(|object| object.key));
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Removes every object of a bucket, and returns their number.
    pub fn remove_all(&self, bucket: &str) -> anyhow::Result<u64> {
        let mut connection = self.connect()?;
        let mut removed = 0;
        for key in self.keys(bucket)? {
            match connection.try_call("DELETE", &object(bucket, &key), b"")?.status {
                200 => removed += 1,
                404 => {}
                status => bail!("cannot remove, key=`{key}` status=`{status}`"),
            }
        }
        Ok(removed)
    }
}

/// Path of an object.
pub fn object(bucket: &str, key: &str) -> String {
    format!("/v1/kv/{}/{}", encode(bucket), encode(key))
}
