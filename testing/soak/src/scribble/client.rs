//! Client that stores, reads and removes, and is told of corrupt objects.

use std::slice;

use kvlease_harness::oracle::KeyState;
use kvlease_testing::Draws;
use kvlease_types::Key;

use super::common::Common;
use crate::{
    clients::{Error, ExternalBuffer, Place, PutOutcome, Seen, blocking, connector_config},
    limits::CALL_WITHIN,
};

/// Bucket of all objects.
const BUCKET: &str = "scribble";

/// Share of turns that store, and of stores with a removal before, in percent.
const STORE_PERCENT: u64 = 15;
const REMOVE_PERCENT: u64 = 50;

/// Number of objects that are read together.
const BATCH: u64 = 8;

/// Client with keys of its own.
pub(super) struct Client<'a> {
    common: &'a Common,
    number: usize,
    draws: Draws,
    connector: blocking::Connector,
}

impl<'a> Client<'a> {
    pub(super) fn new(common: &'a Common, place: &Place, number: usize) -> anyhow::Result<Self> {
        let connector = blocking::Connector::new(connector_config(place, BUCKET, CALL_WITHIN)?)?;
        let draws = Draws::of(common.seed, number as u64);
        Ok(Self { common, number, draws, connector })
    }

    /// Works until the end.
    pub(super) fn run(mut self) {
        while !self.common.has_ended() {
            match self.draws.below(100) {
                dice if dice < STORE_PERCENT => self.store(),
                dice if dice % 3 == 0 => self.read(),
                dice if dice % 3 == 1 => self.read_into(),
                _ => self.read_batch(),
            }
        }
        let stats = self.connector.stats();
        self.common.count("objects found in the index", stats.index_hits);
        self.common.count("reads that were repeated with a lease", stats.leases_ended);
    }

    fn key(&self, index: usize) -> Key {
        Key::new(self.common.workload.key(index)).expect("keys of a workload are valid names")
    }

    /// Stores the next version of one of its own keys.
    fn store(&mut self) {
        let Common { oracle, workload, clients, .. } = self.common;
        let own = (workload.keys() - self.number).div_ceil(*clients);
        let index = self.number + self.draws.index(own) * clients;
        let key = self.key(index);
        if self.draws.percent(REMOVE_PERCENT) {
            oracle.update(index, KeyState::remove);
            let removed = self.connector.batched_remove(slice::from_ref(&key));
            match removed.map(|mut answers| answers.pop()) {
                Ok(Some(Ok(_))) => oracle.update(index, KeyState::gone),
                other => return self.common.fault(format!("a removal: {other:?}")),
            }
            self.common.count("removals", 1);
        }
        let version = oracle.update(index, KeyState::begin);
        let bytes = workload.payload(index, version).bytes();
        match self.connector.put(&key, bytes) {
            Ok(PutOutcome::Stored) => {
                oracle.update(index, KeyState::stored);
                self.common.count("objects stored", 1);
            }
            Ok(PutOutcome::Exists) => oracle.update(index, KeyState::refused),
            Err(error) => self.common.fault(format!("a store: {error:?}")),
        }
    }

    /// A key, and the state that it has.
    fn any(&mut self) -> (usize, KeyState) {
        let index = self.common.workload.wanted(&mut self.draws);
        (index, self.common.oracle.get(index))
    }

    fn read(&mut self) {
        let (index, before) = self.any();
        let got = self.connector.get(&self.key(index));
        self.judge(index, &before, got);
    }

    /// Reads into a buffer of the length of the latest version.
    fn read_into(&mut self) {
        let (index, before) = self.any();
        let version = self.draws.below(2) + before.latest().saturating_sub(1);
        let bytes = vec![0; self.common.workload.len(index, version)];
        let (buffer, bytes) = ExternalBuffer::of_vec(bytes);
        match self.connector.get_into(&self.key(index), buffer) {
            Err(Error::LengthMismatch { .. }) => {}
            got => {
                let Some(bytes) = bytes.take_back() else { return };
                self.judge(index, &before, got.map(|found| found.then_some(bytes)));
            }
        }
    }

    fn read_batch(&mut self) {
        let wanted: Vec<_> = (0..BATCH).map(|_| self.any()).collect();
        let keys: Vec<_> = wanted.iter().map(|(index, _)| self.key(*index)).collect();
        match self.connector.batched_get(&keys) {
            Ok(answers) => {
                for ((index, before), got) in wanted.into_iter().zip(answers) {
                    self.judge(index, &before, got);
                }
            }
            Err(error) => self.common.fault(format!("a batch: {error:?}")),
        }
    }

    fn judge(&self, index: usize, before: &KeyState, got: Result<Option<Vec<u8>>, Error>) {
        match got {
            Ok(Some(bytes)) => {
                self.common.judge(index, before, &Seen::of(&self.key(index), &bytes));
            }
            Ok(None) => self.common.count("misses", 1),
            Err(Error::Corrupt { .. }) => self.common.count("objects found corrupt", 1),
            Err(error) => self.common.fault(format!("a read: {error:?}")),
        }
    }
}
