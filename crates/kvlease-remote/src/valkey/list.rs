//! Listings.
//!
//! A server lists its names in steps, and a step may give more names than a page has room for. So a
//! position is that of a step, and the last name of it that was listed.

use futures_util::future::try_join_all;
use kvlease_tier::{Listed, Page, TierError};
use redis::{Cmd, Value};

use super::{answer::QueryError, call::Purpose, node::Node, values::Valkey};
use crate::{
    head::{HEAD_LEN_MAX, Head},
    segment::Segment,
};

/// Names that a server looks at in a step.
const STEP: usize = 1000;

/// Steps of a page. A page may be empty though more follow.
const STEPS_MAX: usize = 16;

/// Where a page starts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Position {
    /// The server.
    server: String,
    /// The step.
    cursor: u64,
    /// The last name of the step that was listed.
    after: String,
}

impl Position {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let (server, cursor, after) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            server: server.to_owned(),
            cursor: cursor.parse().ok()?,
            after: after.to_owned(),
        })
    }

    fn write(&self) -> String {
        format!("{} {} {}", self.server, self.cursor, self.after)
    }
}

impl Valkey {
    /// One page of a bucket's objects. The lengths come from the heads, which are read together.
    pub(super) async fn list_page(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Page, TierError> {
        self.check_open()?;
        let nodes = self.servers.all().await?;
        let mut position = from.and_then(Position::read).unwrap_or_default();
        let mut names = Vec::new();
        let mut next = None;
        for _ in 0..STEPS_MAX {
            // A server that has left is skipped.
            let node = nodes.iter().find(|node| node.server().to_string() >= position.server);
            let Some(node) = node else {
                next = None;
                break;
            };
            let server = node.server().to_string();
            if server != position.server {
                position = Position { server, ..Position::default() };
            }
            position = self.step(node, bucket, prefix, position, limit, &mut names).await?;
            next = Some(position.write());
            if names.len() >= limit {
                break;
            }
        }
        Ok(Page { objects: self.listed(bucket, prefix, &names).await?, next })
    }

    /// Appends the names of a step, as far as there is room. Returns where the next one starts.
    async fn step(
        &self,
        node: &Node,
        bucket: &str,
        prefix: &str,
        position: Position,
        limit: usize,
        names: &mut Vec<String>,
    ) -> Result<Position, TierError> {
        let start = self.layout.bucket(bucket);
        let pattern = self.layout.objects(bucket, prefix) + "*";
        let (cursor, found) = scan(node, position.cursor, &pattern).await?;
        let mut segments: Vec<_> =
            found.iter().filter_map(|name| name.strip_prefix(&start)).collect();
        segments.sort_unstable();
        segments.dedup();
        let left = segments.partition_point(|segment| *segment <= position.after.as_str());
        let left = &segments[left..];
        let room = limit.saturating_sub(names.len());
        names.extend(left.iter().take(room).map(|segment| (*segment).to_owned()));
        if let (true, Some(last)) = (left.len() > room, names.last()) {
            return Ok(Position { after: last.clone(), ..position });
        }
        // A cursor of 0 is the end: what sorts behind this server is the next one.
        let server = if cursor == 0 { position.server + "\0" } else { position.server };
        Ok(Position { server, cursor, after: String::new() })
    }

    async fn listed(
        &self,
        bucket: &str,
        prefix: &str,
        names: &[String],
    ) -> Result<Vec<Listed>, TierError> {
        let heads = try_join_all(names.iter().map(|name| self.named_head(bucket, name))).await?;
        let objects = heads
            .into_iter()
            .flatten()
            .map(|head| Listed { key: head.name.key, len: head.stat.len });
        Ok(objects.filter(|object| object.key.as_str().starts_with(prefix)).collect())
    }

    /// Head under a listed name; `None` if there is none, or not that of the object.
    async fn named_head(&self, bucket: &str, segment: &str) -> Result<Option<Head>, QueryError> {
        match self.layout.read(segment) {
            None => Ok(None),
            Some(Segment::Whole(key)) => Ok(self.head(bucket, &key).await?.and_then(Result::ok)),
            Some(Segment::Shortened) => {
                let name = self.layout.bucket(bucket) + segment;
                let start = self.start_of(Purpose::LookUp, &name, HEAD_LEN_MAX as u64).await?;
                let head = start.and_then(|start| Head::decode(&start[0]).ok());
                Ok(head.filter(|head| {
                    let (bucket, key) = (head.name.bucket.as_str(), head.name.key.as_str());
                    self.layout.object(bucket, key) == name
                }))
            }
        }
    }
}

/// One step over a server's names: where the next one starts, and the names.
async fn scan(node: &Node, cursor: u64, pattern: &str) -> Result<(u64, Vec<String>), QueryError> {
    let mut command = Cmd::new();
    command.arg("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
    let answer = node.query(Purpose::LookUp, &command, false).await?;
    let Value::Array(parts) = answer else { return Err(QueryError::Unexpected) };
    let [Value::BulkString(cursor), Value::Array(names)] = parts.as_slice() else {
        return Err(QueryError::Unexpected);
    };
    let cursor = std::str::from_utf8(cursor).ok().and_then(|cursor| cursor.parse().ok());
    let names = names.iter().filter_map(|name| match name {
        Value::BulkString(name) => String::from_utf8(name.clone()).ok(),
        _ => None,
    });
    Ok((cursor.ok_or(QueryError::Unexpected)?, names.collect()))
}
