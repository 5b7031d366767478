//! Knowledge of one node about the directory, and its next publication. No I/O.

use std::collections::HashMap;

use hashbrown::HashSet;

use super::entry::{Entry, Fingerprint};

/// The most fingerprints that a node publishes; the oldest half goes then.
const OWN_MAX: usize = 4 << 20;

/// The most fingerprints that a node keeps. With more the store is asked for every name.
const KNOWN_MAX: usize = 64 << 20;

/// Number of a fingerprint, in the order in which the node added them.
pub(super) type Ticket = u64;

/// Knowledge of one node about the directory.
#[derive(Debug)]
pub(super) struct Index {
    node: String,
    known: HashSet<Fingerprint>,
    /// True once all of the directory was read.
    is_read: bool,
    /// The last publication that was read, by node.
    read: HashMap<String, u64>,
    /// Fingerprints that this node has published, oldest first.
    own: Vec<Fingerprint>,
    /// The entries with that, oldest first, and the number of fingerprints in each.
    entries: Vec<(Entry, usize)>,
    /// Fingerprints of the next publication.
    new: Vec<Fingerprint>,
    added: Ticket,
}

/// Publication that is under way.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) entry: Entry,
    /// The fingerprints of the entry, those of the entries that it takes the place of among them.
    pub(super) fingerprints: Vec<Fingerprint>,
    /// Entries whose place it takes.
    pub(super) absorbed: Vec<Entry>,
    /// The last fingerprint that it has.
    pub(super) ticket: Ticket,
    added: usize,
}

impl Index {
    /// The index of a node that has read nothing yet.
    pub(super) fn new(node: String) -> Self {
        Self {
            node,
            known: HashSet::new(),
            is_read: false,
            read: HashMap::new(),
            own: Vec::new(),
            entries: Vec::new(),
            new: Vec::new(),
            added: 0,
        }
    }

    /// Whether the store may have an object.
    pub(super) fn may_have(&self, fingerprint: Fingerprint) -> bool {
        !self.is_read || self.known.len() > KNOWN_MAX || self.known.contains(&fingerprint)
    }

    /// Adds an object that this node is storing. It is in the directory once everything up to the
    /// ticket is published.
    pub(super) fn add(&mut self, fingerprint: Fingerprint) -> Ticket {
        if self.known.insert(fingerprint) {
            self.new.push(fingerprint);
            self.added += 1;
        }
        self.added
    }

    /// Takes note of an object that was found.
    pub(super) fn note(&mut self, fingerprint: Fingerprint) {
        // What is not published by this node is published by another one, or may be lost.
        if self.known.len() <= KNOWN_MAX {
            self.known.insert(fingerprint);
        }
    }

    /// The entries of these that have something new.
    pub(super) fn unread(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.retain(|entry| {
            let is_own = entry.node == self.node;
            let read = self.read.get(&entry.node);
            // What this node has written itself it does not read.
            if is_own && self.is_read { false } else { read.is_none_or(|read| entry.last > *read) }
        });
        // A node's entries in order, so that what was read is a number.
        entries.sort_unstable_by(|a, b| (&a.node, a.last).cmp(&(&b.node, b.last)));
        entries
    }

    /// Publishes everything again if the store has lost an entry of this node. These are all entries.
    pub(super) fn check_own(&mut self, entries: &[Entry]) {
        if self.entries.iter().any(|(own, _)| !entries.contains(own)) {
            // The numbers go on, so that other nodes read what comes.
            let last = self.entries.pop().map(|(entry, _)| entry);
            self.entries.clear();
            self.entries.extend(last.map(|entry| (entry, 0)));
            let mut again = std::mem::take(&mut self.own);
            again.append(&mut self.new);
            self.new = again;
        }
    }

    /// Takes an entry that was read.
    pub(super) fn learn(&mut self, entry: Entry, fingerprints: Vec<Fingerprint>) {
        if self.known.len() <= KNOWN_MAX {
            self.known.extend(&fingerprints);
        }
        self.read.insert(entry.node.clone(), entry.last);
        if entry.node == self.node {
            self.own.extend_from_slice(&fingerprints);
            self.entries.push((entry, fingerprints.len()));
        }
    }

    /// All of the directory was read.
    pub(super) fn set_read(&mut self) {
        self.is_read = true;
    }

    /// Whether all of the directory was read.
    pub(super) const fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether there is something to be published.
    pub(super) const fn has_new(&self) -> bool {
        !self.new.is_empty()
    }

    /// The next publication; `None` if there is nothing to publish. An entry takes the place of those
    /// before it that are no larger, so that there are few, and each fingerprint is written few times.
    pub(super) fn next_publication(&mut self) -> Option<Publication> {
        if self.new.is_empty() {
            return None;
        }
        let number = self.entries.last().map_or(1, |(entry, _)| entry.last + 1);
        let added = self.new.len();
        let mut entry = Entry { node: self.node.clone(), first: number, last: number };
        let mut count = added;
        let mut absorbed = Vec::new();
        for (earlier, len) in self.entries.iter().rev().take_while(|(_, len)| *len <= OWN_MAX) {
            if *len > count {
                break;
            }
            count += len;
            entry.first = earlier.first;
            absorbed.push(earlier.clone());
        }
        let mut fingerprints = self.own[self.own.len() - (count - added)..].to_vec();
        fingerprints.append(&mut self.new);
        Some(Publication { entry, fingerprints, absorbed, ticket: self.added, added })
    }

    /// A publication is in the store. Returns entries to be removed.
    pub(super) fn published(&mut self, publication: Publication) -> Vec<Entry> {
        let Publication { entry, fingerprints, absorbed, added, .. } = publication;
        self.entries.truncate(self.entries.len() - absorbed.len());
        self.own.extend_from_slice(&fingerprints[fingerprints.len() - added..]);
        self.read.insert(entry.node.clone(), entry.last);
        self.entries.push((entry, fingerprints.len()));
        let mut removed = absorbed;
        while self.own.len() > OWN_MAX && self.entries.len() > 1 {
            let (oldest, len) = self.entries.remove(0);
            self.own.drain(..len);
            removed.push(oldest);
        }
        removed
    }

    /// A publication has failed: the next one has its fingerprints.
    pub(super) fn not_published(&mut self, mut publication: Publication) {
        let new = publication.fingerprints.len() - publication.added;
        let mut again = publication.fingerprints.split_off(new);
        again.append(&mut self.new);
        self.new = again;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(node: &str) -> Index {
        let mut index = Index::new(node.to_owned());
        index.set_read();
        index
    }

    /// Publishes what is new into a store, as the task does.
    fn publish(index: &mut Index, store: &mut HashMap<Entry, Vec<Fingerprint>>) {
        let publication = index.next_publication().unwrap();
        store.insert(publication.entry.clone(), publication.fingerprints.clone());
        for removed in index.published(publication) {
            store.remove(&removed).unwrap();
        }
    }

    fn read(index: &mut Index, store: &HashMap<Entry, Vec<Fingerprint>>) -> usize {
        let unread = index.unread(store.keys().cloned().collect());
        let count = unread.len();
        for entry in unread {
            let fingerprints = store[&entry].clone();
            index.learn(entry, fingerprints);
        }
        index.set_read();
        count
    }

    #[test]
    fn a_name_is_absent_once_all_was_read_and_nobody_has_it() {
        let mut index = Index::new("a".to_owned());
        assert!(index.may_have(1));
        index.set_read();
        assert!(!index.may_have(1));
        index.note(1);
        assert!(index.may_have(1));
        assert!(index.next_publication().is_none(), "what was found is published by another node");
    }

    #[test]
    fn every_reader_knows_all_that_was_published_however_it_is_merged() {
        let mut store = HashMap::new();
        let (mut writer, mut follower) = (ready("a"), Index::new("b".to_owned()));
        for number in 0..1000 {
            assert_eq!(writer.add(number), number + 1);
            publish(&mut writer, &mut store);
            if number % 7 == 0 {
                read(&mut follower, &store);
            }
            assert!(store.len() <= 11, "{} entries of {number} publications", store.len());
        }
        read(&mut follower, &store);
        let mut late = Index::new("c".to_owned());
        read(&mut late, &store);
        for number in 0..1000 {
            assert!(follower.may_have(number) && late.may_have(number), "{number}");
        }
        assert!(!follower.may_have(1000) && !late.may_have(1000));
        assert_eq!(read(&mut follower, &store), 0, "nothing is read twice");
    }

    #[test]
    fn a_node_that_starts_again_goes_on_where_it_was() {
        let mut store = HashMap::new();
        let mut first = ready("a");
        for number in 0..10 {
            first.add(number);
            publish(&mut first, &mut store);
        }
        let mut second = Index::new("a".to_owned());
        read(&mut second, &store);
        second.add(100);
        publish(&mut second, &mut store);
        let mut reader = Index::new("b".to_owned());
        read(&mut reader, &store);
        assert!((0..10).chain([100]).all(|number| reader.may_have(number)));
        let published: usize = store.values().map(Vec::len).sum();
        assert_eq!(published, 11, "{store:?}");
    }

    #[test]
    fn what_the_store_has_lost_is_published_again() {
        let mut store = HashMap::new();
        let mut index = ready("a");
        for number in 0..6 {
            index.add(number);
            publish(&mut index, &mut store);
        }
        index.check_own(&store.keys().cloned().collect::<Vec<_>>());
        assert!(index.next_publication().is_none());
        let mut follower = ready("b");
        read(&mut follower, &store);
        store.clear();
        index.check_own(&[]);
        index.add(6);
        let publication = index.next_publication().unwrap();
        store.insert(publication.entry.clone(), publication.fingerprints.clone());
        index.published(publication);
        read(&mut follower, &store);
        let mut late = Index::new("c".to_owned());
        read(&mut late, &store);
        assert!((0..7).all(|number| late.may_have(number)));
        assert!(follower.may_have(6), "a node that has read the lost ones reads on");
    }

    #[test]
    fn what_could_not_be_published_is_published_later() {
        let mut store = HashMap::new();
        let mut index = ready("a");
        index.add(1);
        let failed = index.next_publication().unwrap();
        assert_eq!(index.add(2), 2);
        index.not_published(failed);
        publish(&mut index, &mut store);
        assert_eq!(store.into_values().flatten().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(index.add(2), 2, "what is published already is not published again");
        assert!(index.next_publication().is_none());
    }
}
