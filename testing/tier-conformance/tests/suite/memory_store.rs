//! Store of the tier in memory, right or with a planted fault.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use kvlease_tier::{Name, Tier};
use kvlease_tier_conformance::{
    Damage, MemoryServer, MemoryTier, NotPossible, ROOM_MIN, Step, Store,
};
use kvlease_types::ByteSize;

use crate::mutant::{Fault, Grave, Mutant};

/// Text that must not be shown.
pub(crate) const SECRET: &str = "correct-horse";

/// Store whose hooks are the switches of its server.
pub(crate) struct MemoryStore {
    server: Arc<MemoryServer>,
    fault: Option<Fault>,
    is_presence_unknown: bool,
    has_hooks: bool,
    grave: Arc<Mutex<Grave>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        let server = MemoryServer::default();
        server.set_capacity(ByteSize::new(ROOM_MIN));
        Self {
            server: Arc::new(server),
            fault: None,
            is_presence_unknown: false,
            has_hooks: true,
            grave: Arc::default(),
        }
    }
}

impl MemoryStore {
    pub(crate) fn without_presence() -> Self {
        Self { is_presence_unknown: true, ..Self::default() }
    }

    pub(crate) fn without_hooks() -> Self {
        Self { has_hooks: false, ..Self::default() }
    }

    pub(crate) fn with_fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    fn hook<'a>(&'a self, act: impl FnOnce(&MemoryServer)) -> Step<'a, Result<(), NotPossible>> {
        if self.has_hooks {
            act(&self.server);
        }
        let done = if self.has_hooks { Ok(()) } else { Err(NotPossible("slowed down")) };
        Box::pin(async move { done })
    }

    fn set_slow(&self, delay: Duration) {
        self.grave.lock().unwrap().is_slow = !delay.is_zero();
    }

    fn set_trouble(&self, is_stopped: bool) {
        self.grave.lock().unwrap().is_stopped = is_stopped;
    }
}

impl Store for MemoryStore {
    fn open(&self) -> Step<'_, Arc<dyn Tier>> {
        let tier = MemoryTier::of(Arc::clone(&self.server));
        tier.set_presence_unknown(self.is_presence_unknown);
        let tier: Arc<dyn Tier> = match self.fault {
            None => Arc::new(tier),
            Some(fault) => Arc::new(Mutant::open(tier, fault, Arc::clone(&self.grave))),
        };
        Box::pin(async { tier })
    }

    fn secrets(&self) -> Result<Vec<String>, NotPossible> {
        Ok(vec![SECRET.to_owned()])
    }

    fn damage<'a>(&'a self, name: &'a Name, damage: Damage) -> Step<'a, Result<(), NotPossible>> {
        self.hook(|server| server.damage(name, &damage))
    }

    fn stop(&self) -> Step<'_, Result<(), NotPossible>> {
        self.set_trouble(true);
        self.hook(|server| server.set_stopped(true))
    }

    fn start(&self) -> Step<'_, Result<(), NotPossible>> {
        self.set_trouble(false);
        self.hook(|server| server.set_stopped(false))
    }

    fn slow(&self, delay: Duration) -> Step<'_, Result<(), NotPossible>> {
        self.set_slow(delay);
        self.hook(|server| server.set_delay(delay))
    }

    fn fill(&self) -> Step<'_, Result<(), NotPossible>> {
        self.hook(|server| server.set_full(true))
    }

    fn relieve(&self) -> Step<'_, Result<(), NotPossible>> {
        self.hook(|server| server.set_full(false))
    }
}
