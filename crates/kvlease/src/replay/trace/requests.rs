//! Requests of engines, put together from the calls of their clients.
//!
//! Clients that ask for one key at a time walk along a prompt: they look its keys up to the first that is
//! absent, read those that are there, and put the rest once the engine has computed it. So
//!
//! * looks of a client are a walk for as long as each key is new in it, comes soon, and does not follow
//!   another key elsewhere. A batch is a walk by itself;
//! * a walk is a request, unless it reads what an earlier walk has found;
//! * a put goes on with the request that missed its key, and the puts behind it follow.
//!
//! Which key a key follows is learned on the way: from puts, or else from the first walk that has it.

use std::collections::{HashMap, VecDeque};

/// Time after which a request is over, in microseconds: an engine has put what it computed.
const OVER_AFTER: u64 = 120_000_000;

/// Longest pause within a walk, and between two puts, in microseconds.
const PAUSE_MAX: u64 = 1_000_000;

/// Longest pause to a key behind the first absent one, for clients that ask for all keys at once.
const AT_ONCE: u64 = 3_000;

/// The most requests that are put together at the same time.
const OPEN_MAX: usize = 4_096;

/// The most blocks of a request, and keys of a walk: what never ends must not take all memory.
const BLOCKS_MAX: usize = 1 << 17;

/// Key in place of the one before the first.
const NONE: u64 = 0;

/// Call for keys: looked up, or read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    /// Microseconds.
    pub(super) at: u64,
    /// Hashes of the process and of its connection.
    pub(super) client: u64,
    pub(super) connection: u64,
    pub(super) keys: &'a [u64],
    /// How many keys from the first one on were there.
    pub(super) found: usize,
}

/// Requests that may go on.
#[derive(Default, Debug)]
pub(super) struct Requests {
    open: VecDeque<Request>,
    /// Number of the first of them.
    first: u64,
    /// The current walk of each client.
    walks: HashMap<u64, Walk>,
    /// Requests that were looked up and not read yet: by client and keys.
    unread: HashMap<(u64, u64), VecDeque<u64>>,
    /// Requests that wait for the put of a key.
    missed: HashMap<u64, u64>,
    /// Request of the last put of a client.
    putting: HashMap<u64, u64>,
    /// The key before each key.
    before: HashMap<u64, u64>,
}

/// Keys that a client asks for one after the other.
#[derive(Debug)]
struct Walk {
    at: u64,
    last: u64,
    keys: Vec<u64>,
    /// How many of them were there, from the first one on.
    found: usize,
    connections: Vec<u64>,
}

/// Blocks of a prompt in their order, as far as they are known.
#[derive(Debug)]
struct Request {
    at: u64,
    last: u64,
    blocks: Vec<u64>,
    /// Its places in the tables of what is open.
    unread: Option<(u64, u64)>,
    missed: Option<u64>,
}

impl Walk {
    fn begin(look: &Look<'_>) -> Self {
        Self {
            at: look.at,
            last: look.at,
            keys: look.keys.to_vec(),
            found: look.found,
            connections: vec![look.connection],
        }
    }

    fn missed(&self) -> Option<u64> {
        self.keys.get(self.found).copied()
    }

    /// Whether a key may belong to it, by time and content.
    fn may_have(&self, look: &Look<'_>) -> bool {
        let pause = look.at.saturating_sub(self.last);
        let goes_on = match self.missed() {
            None => pause <= PAUSE_MAX,
            Some(_) => {
                look.found == 0 && pause <= AT_ONCE && !self.connections.contains(&look.connection)
            }
        };
        goes_on && self.keys.len() < BLOCKS_MAX && !self.keys.contains(&look.keys[0])
    }

    fn push(&mut self, look: &Look<'_>) {
        if self.missed().is_none() {
            self.found += look.found;
        }
        self.keys.extend_from_slice(look.keys);
        self.last = look.at;
        if !self.connections.contains(&look.connection) {
            self.connections.push(look.connection);
        }
    }
}

impl Requests {
    /// Takes a call for one key at least.
    pub(super) fn look(&mut self, look: &Look<'_>) {
        if look.keys.len() > 1 {
            self.end_walk(look.client);
            self.learn(NONE, look.keys);
            self.walked(look.client, Walk::begin(look));
            return;
        }
        let key = look.keys[0];
        let walk = self.walks.get(&look.client).filter(|walk| walk.may_have(look));
        let last = walk.and_then(|walk| walk.keys.last().copied()).filter(|last| {
            match self.before.get(&key) {
                Some(before) => before == last,
                None => !walk.is_some_and(|walk| self.is_read(look.client, &walk.keys)),
            }
        });
        if last.is_none() {
            self.end_walk(look.client);
        }
        self.learn(last.unwrap_or(NONE), look.keys);
        match self.walks.get_mut(&look.client) {
            Some(walk) => walk.push(look),
            None => drop(self.walks.insert(look.client, Walk::begin(look))),
        }
    }

    /// Takes puts.
    pub(super) fn put(&mut self, at: u64, client: u64, keys: &[u64]) {
        if self.walks.get(&client).is_some_and(|walk| walk.missed().is_some()) {
            self.end_walk(client);
        }
        for key in keys {
            let number = self.of_put(at, client, *key);
            self.putting.insert(client, number);
            let request = self.get_mut(number).expect("it is open");
            request.last = at;
            if request.blocks.len() < BLOCKS_MAX && !request.blocks.contains(key) {
                let before = request.blocks.last().copied().unwrap_or(NONE);
                request.blocks.push(*key);
                self.before.insert(*key, before);
            }
        }
    }

    /// Hands over the requests that are over at this time, or all, in the order of their begin.
    pub(super) fn close(&mut self, now: Option<u64>, mut each: impl FnMut(u64, &[u64])) {
        if now.is_none() {
            let clients: Vec<u64> = self.walks.keys().copied().collect();
            clients.into_iter().for_each(|client| self.end_walk(client));
        }
        while let Some(oldest) = self.open.front() {
            let is_over = now.is_none_or(|now| now.saturating_sub(oldest.last) > OVER_AFTER);
            if !is_over && self.open.len() <= OPEN_MAX {
                return;
            }
            let request = self.open.pop_front().expect("there is one");
            self.forget(&request);
            self.first += 1;
            each(request.at, &request.blocks);
        }
    }

    /// Takes the first request out of the tables.
    fn forget(&mut self, request: &Request) {
        if let Some(keys) = &request.unread
            && let Some(unread) = self.unread.get_mut(keys)
        {
            unread.retain(|number| *number != self.first);
            if unread.is_empty() {
                self.unread.remove(keys);
            }
        }
        if let Some(missed) = &request.missed
            && self.missed.get(missed) == Some(&self.first)
        {
            self.missed.remove(missed);
        }
    }

    /// The request that a put belongs to.
    fn of_put(&mut self, at: u64, client: u64, key: u64) -> u64 {
        if let Some(number) = self.missed.remove(&key)
            && let Some(request) = self.get_mut(number)
        {
            // What was asked for behind it may have been another prompt's.
            let place = request.blocks.iter().position(|block| *block == key);
            request.blocks.truncate(place.unwrap_or(request.blocks.len()));
            return number;
        }
        let going_on = self.putting.get(&client).copied().filter(|number| {
            self.get(*number).is_some_and(|request| at.saturating_sub(request.last) <= PAUSE_MAX)
        });
        going_on.unwrap_or_else(|| self.begin(at, Vec::new()))
    }

    fn end_walk(&mut self, client: u64) {
        if let Some(walk) = self.walks.remove(&client) {
            self.walked(client, walk);
        }
    }

    /// Makes a request of a walk, unless it reads what an earlier one has found.
    fn walked(&mut self, client: u64, walk: Walk) {
        let keys = (client, hash(&walk.keys));
        if walk.missed().is_none()
            && let Some(unread) = self.unread.get_mut(&keys)
            && let Some(number) = unread.pop_front()
        {
            if unread.is_empty() {
                self.unread.remove(&keys);
            }
            if let Some(request) = self.get_mut(number) {
                request.last = walk.last;
                return;
            }
        }
        let missed = walk.missed();
        let unread = (walk.found > 0).then(|| (client, hash(&walk.keys[..walk.found])));
        let number = self.begin(walk.at, walk.keys);
        let request = self.get_mut(number).expect("it was begun");
        (request.unread, request.missed) = (unread, missed);
        if let Some(keys) = unread {
            self.unread.entry(keys).or_default().push_back(number);
        }
        if let Some(missed) = missed {
            self.missed.insert(missed, number);
        }
    }

    fn begin(&mut self, at: u64, blocks: Vec<u64>) -> u64 {
        self.open.push_back(Request { at, last: at, blocks, unread: None, missed: None });
        self.first + self.open.len() as u64 - 1
    }

    /// Whether an earlier walk of the client has found just these keys, and they were not read yet.
    fn is_read(&self, client: u64, keys: &[u64]) -> bool {
        self.unread.contains_key(&(client, hash(keys)))
    }

    /// Notes which key each of these follows, unless that is known.
    fn learn(&mut self, mut before: u64, keys: &[u64]) {
        for key in keys {
            self.before.entry(*key).or_insert(before);
            before = *key;
        }
    }

    fn get(&self, number: u64) -> Option<&Request> {
        self.open.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Request> {
        self.open.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// Hash of keys in their order; they are hashes themselves.
fn hash(keys: &[u64]) -> u64 {
    let fold =
        |hash: u64, key: &u64| (hash.rotate_left(23) ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    keys.iter().fold(keys.len() as u64, fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Client whose calls are a millisecond apart.
    #[derive(Default)]
    struct Calls {
        requests: Requests,
        now: u64,
    }

    impl Calls {
        fn look(&mut self, keys: &[u64], found: usize) -> &mut Self {
            self.now += 10_000;
            let look = Look { at: self.now, client: 1, connection: 1, keys, found };
            self.requests.look(&look);
            self
        }

        /// Single calls up to the first absent key, of which `found` are there.
        fn walk(&mut self, keys: &[u64], found: usize) -> &mut Self {
            for (place, key) in keys.iter().take(found + 1).enumerate() {
                self.look(&[*key], usize::from(place < found));
            }
            self
        }

        fn put(&mut self, keys: &[u64]) -> &mut Self {
            for key in keys {
                self.now += 10_000;
                self.requests.put(self.now, 1, &[*key]);
            }
            self
        }

        fn requests(&mut self) -> Vec<Vec<u64>> {
            let mut found = Vec::new();
            self.requests.close(None, |_, blocks| found.push(blocks.to_vec()));
            found
        }
    }

    #[test]
    fn a_stock_client_looks_up_reads_and_puts_the_rest() {
        let mut calls = Calls::default();
        calls.walk(&[1, 2, 3], 0).put(&[1, 2, 3]);
        calls.walk(&[1, 2, 3, 4], 3).walk(&[1, 2, 3], 3).put(&[4, 5]);
        calls.walk(&[1, 2, 9], 2).walk(&[1, 2], 2).put(&[9]);
        calls.walk(&[1, 2, 3, 4], 4).walk(&[1, 2, 3, 4], 4);
        let expected: [&[u64]; 4] = [&[1, 2, 3], &[1, 2, 3, 4, 5], &[1, 2, 9], &[1, 2, 3, 4]];
        assert_eq!(calls.requests(), expected);
    }

    #[test]
    fn engines_look_several_prompts_up_before_they_read_and_put_them_later_still() {
        let mut calls = Calls::default();
        calls.walk(&[1, 2], 0).put(&[1, 2]).walk(&[7, 8], 0).put(&[7, 8]);
        // Both are there as a whole, and one behind the other.
        calls.walk(&[1, 2], 2).walk(&[7, 8], 2).walk(&[1, 2], 2).walk(&[7, 8], 2);
        calls.walk(&[1, 2, 3], 2).walk(&[7, 8, 9], 2).walk(&[1, 2], 2).walk(&[7, 8], 2);
        calls.put(&[9, 10]).put(&[3, 4]);
        let expected: [&[u64]; 6] =
            [&[1, 2], &[7, 8], &[1, 2], &[7, 8], &[1, 2, 3, 4], &[7, 8, 9, 10]];
        assert_eq!(calls.requests(), expected);
    }

    #[test]
    fn a_batch_is_a_prompt() {
        let mut calls = Calls::default();
        calls.look(&[1, 2, 3], 0).put(&[1, 2, 3]);
        calls.look(&[1, 2, 3, 4], 3).look(&[1, 2, 3], 3).put(&[4]);
        calls.look(&[1, 2, 3], 3).look(&[1, 2, 3], 3).look(&[1, 2, 3], 3);
        let expected: [&[u64]; 4] = [&[1, 2, 3], &[1, 2, 3, 4], &[1, 2, 3], &[1, 2, 3]];
        assert_eq!(calls.requests(), expected);
    }

    #[test]
    fn a_client_that_asks_for_all_keys_at_once_is_one_prompt() {
        let mut requests = Requests::default();
        for (connection, key) in [1, 2, 3, 4].into_iter().enumerate() {
            let look = Look {
                at: 1_000 + connection as u64,
                client: 1,
                connection: connection as u64,
                keys: &[key],
                found: usize::from(key < 3),
            };
            requests.look(&look);
        }
        requests.put(2_000_000, 1, &[3, 4, 5]);
        let mut found = Vec::new();
        requests.close(None, |at, blocks| found.push((at, blocks.to_vec())));
        assert_eq!(found, [(1_000, vec![1, 2, 3, 4, 5])]);
    }

    #[test]
    fn what_is_open_is_bounded_and_over_after_a_while() {
        let mut requests = Requests::default();
        let mut closed = 0;
        for number in 0..10_000_u64 {
            let keys = [2 * number + 1, 2 * number + 2];
            let look = Look { at: number, client: number, connection: 0, keys: &keys, found: 0 };
            requests.look(&look);
            requests.close(Some(number), |_, _| closed += 1);
        }
        assert_eq!((closed, requests.open.len()), (10_000 - OPEN_MAX as u64, OPEN_MAX));
        requests.close(Some(10_000 + OVER_AFTER), |_, _| closed += 1);
        assert_eq!((closed, requests.open.len()), (10_000, 0));
    }
}
