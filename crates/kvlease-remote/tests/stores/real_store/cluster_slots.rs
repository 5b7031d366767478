//! Slots that go from one server of the cluster to another.

use redis::{FromRedisValue, cmd};

use crate::real_store::{
    cluster_server::{ClusterServer, SERVERS},
    valkey_server::PASSWORD,
};

/// Time in which a value goes to another server, in ms: longer than a busy machine takes.
const CARRY_WITHIN: usize = 600_000;

/// Slot of a name on its way from the server that has it to the next one.
#[derive(Debug)]
pub(crate) struct Move<'a> {
    cluster: &'a ClusterServer,
    name: String,
    slot: usize,
    from: usize,
    to: usize,
}

impl ClusterServer {
    /// Puts the slot of a name, which never moved, on its way. The values that it has stay where they are.
    pub(crate) async fn begin_move(&self, name: &str) -> Move<'_> {
        let from = self.owner_of(name).await;
        let to = (from + 1) % SERVERS;
        let slot = self.ask(from, &["CLUSTER", "KEYSLOT", name]).await;
        let moving = Move { cluster: self, name: name.to_owned(), slot, from, to };
        moving.set(to, "IMPORTING", from).await;
        moving.set(from, "MIGRATING", to).await;
        moving
    }

    /// Times that servers have sent a caller to another one, with the word `ASK` or `MOVED`, since
    /// [`Self::forget_redirects`].
    pub(crate) async fn redirects(&self, word: &str) -> usize {
        let mut sum = 0;
        for member in 0..SERVERS {
            let counts: String = self.ask(member, &["INFO", "errorstats"]).await;
            let start = format!("errorstat_{word}:count=");
            let count = counts.lines().find_map(|line| line.strip_prefix(&start));
            sum += count.map_or(0, |count| count.parse::<usize>().expect("a count is a number"));
        }
        sum
    }

    /// Begins to count [`Self::redirects`] again.
    pub(crate) async fn forget_redirects(&self) {
        for member in 0..SERVERS {
            let _: String = self.ask(member, &["CONFIG", "RESETSTAT"]).await;
        }
    }

    async fn ask<T: FromRedisValue>(&self, member: usize, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        let mut connection = self.members[member].connection().await;
        command.query_async(&mut connection).await.expect("the server does it")
    }
}

impl Move<'_> {
    /// Carries the value of the name to where the slot goes, ahead of the slot.
    pub(crate) async fn carry(&self) {
        let port = self.cluster.members[self.to].process.port.to_string();
        let within = CARRY_WITHIN.to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, &self.name, "0", &within, "AUTH", PASSWORD];
        let answer: String = self.cluster.ask(self.from, &words).await;
        assert_eq!(answer, "OK", "{} is not there", self.name);
    }

    /// Gives the slot to where it goes, once no values are left behind. All servers know it then.
    pub(crate) async fn finish(&self) {
        for member in [self.to, self.from, (self.to + 1) % SERVERS] {
            self.set(member, "NODE", self.to).await;
        }
    }

    /// Tells a member what the slot is to another one.
    async fn set(&self, member: usize, what: &str, other: usize) {
        let id: String = self.cluster.ask(other, &["CLUSTER", "MYID"]).await;
        let slot = self.slot.to_string();
        let words = ["CLUSTER", "SETSLOT", &slot, what, &id];
        let answer: String = self.cluster.ask(member, &words).await;
        assert_eq!(answer, "OK");
    }
}
