//! Entries of the directory: a hash for each node has its entries, and a set has the nodes. So a node
//! whose entries the server has evicted notices it: they are in no listing.

use futures_util::future::try_join_all;
use kvlease_tier::{Answer, Object, Source, Stored, TierError};
use redis::{Cmd, Value};

use super::{
    answer::{self, QueryError},
    call::Purpose,
    values::Valkey,
};
use crate::{directory::Shelf, layout::Layout};

impl Shelf for Valkey {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn write<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored> {
        Box::pin(self.write_object(object, source))
    }

    fn entries(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let nodes = self.texts("SMEMBERS", &self.layout.directory()).await?;
            let entries = nodes.iter().map(|node| async move {
                let numbers = self.texts("HKEYS", &self.layout.entry(node)).await?;
                let names = numbers.into_iter().map(|numbers| format!("{node}/{numbers}"));
                Ok::<_, TierError>(names.collect::<Vec<_>>())
            });
            Ok(try_join_all(entries).await?.concat())
        })
    }

    fn read_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let (hash, numbers) = self.place_of(entry);
            let mut command = Cmd::new();
            command.arg("HGET").arg(&hash).arg(numbers);
            let answer = self.servers.query(Purpose::Transfer, &hash, &command).await?;
            Ok(answer::bytes(answer)?)
        })
    }

    fn write_entry<'a>(&'a self, entry: &'a str, bytes: Vec<u8>) -> Answer<'a, ()> {
        Box::pin(async move {
            let (hash, numbers) = self.place_of(entry);
            let mut set = Cmd::new();
            set.arg("HSET").arg(&hash).arg(numbers).arg(bytes);
            self.servers.query(Purpose::Transfer, &hash, &set).await?;
            let (directory, node) = (self.layout.directory(), entry.split('/').next());
            let mut add = Cmd::new();
            add.arg("SADD").arg(&directory).arg(node);
            self.servers.query(Purpose::LookUp, &directory, &add).await?;
            Ok(())
        })
    }

    fn remove_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let (hash, numbers) = self.place_of(entry);
            let mut remove = Cmd::new();
            remove.arg("HDEL").arg(&hash).arg(numbers);
            self.servers.query(Purpose::LookUp, &hash, &remove).await?;
            Ok(())
        })
    }
}

impl Valkey {
    /// The hash of an entry's node, and the field of the entry.
    fn place_of<'a>(&self, entry: &'a str) -> (String, &'a str) {
        let (node, numbers) = entry.split_once('/').unwrap_or((entry, ""));
        (self.layout.entry(node), numbers)
    }

    /// The texts that a command on a name lists.
    async fn texts(&self, word: &str, name: &str) -> Result<Vec<String>, TierError> {
        let mut command = Cmd::new();
        command.arg(word).arg(name);
        let answer = self.servers.query(Purpose::LookUp, name, &command).await?;
        let Value::Array(texts) = answer else { return Err(QueryError::Unexpected.into()) };
        let texts = texts.into_iter().filter_map(|text| match text {
            Value::BulkString(text) => String::from_utf8(text).ok(),
            _ => None,
        });
        Ok(texts.collect())
    }
}
