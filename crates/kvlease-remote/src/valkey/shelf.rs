//! Entries of the directory: each is a value of its own, and a hash has their names.

use kvlease_tier::Answer;
use redis::{Cmd, Value};

use super::{answer, node::Purpose, values::Valkey};
use crate::{directory::Shelf, layout::Layout};

impl Shelf for Valkey {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn entries(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async {
            let directory = self.layout.directory();
            let mut command = Cmd::new();
            command.arg("HKEYS").arg(&directory);
            let answer = self.servers.query(Purpose::LookUp, &directory, &command).await?;
            let Value::Array(names) = answer else {
                return Err(answer::QueryError::Unexpected.into());
            };
            let names = names.into_iter().filter_map(|name| match name {
                Value::BulkString(name) => String::from_utf8(name).ok(),
                _ => None,
            });
            Ok(names.collect())
        })
    }

    fn read_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let name = self.layout.entry(entry);
            let mut command = Cmd::new();
            command.arg("GET").arg(&name);
            let answer = self.servers.query(Purpose::Transfer, &name, &command).await?;
            Ok(answer::bytes(answer)?)
        })
    }

    fn write_entry<'a>(&'a self, entry: &'a str, bytes: Vec<u8>) -> Answer<'a, ()> {
        Box::pin(async move {
            let (name, directory) = (self.layout.entry(entry), self.layout.directory());
            let mut set = Cmd::new();
            set.arg("SET").arg(&name).arg(bytes);
            self.servers.query(Purpose::Transfer, &name, &set).await?;
            let mut add = Cmd::new();
            add.arg("HSET").arg(&directory).arg(entry).arg("");
            self.servers.query(Purpose::LookUp, &directory, &add).await?;
            Ok(())
        })
    }

    fn remove_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let (name, directory) = (self.layout.entry(entry), self.layout.directory());
            let mut forget = Cmd::new();
            forget.arg("HDEL").arg(&directory).arg(entry);
            self.servers.query(Purpose::LookUp, &directory, &forget).await?;
            let mut remove = Cmd::new();
            remove.arg("UNLINK").arg(&name);
            self.servers.query(Purpose::LookUp, &name, &remove).await?;
            Ok(())
        })
    }
}
