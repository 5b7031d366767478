//! One daemon after the other over one tier, with clients.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::Context;
use kvlease_harness::{Daemon, Endpoint};
use kvlease_testing::Draws;
use kvlease_types::ByteSize;

use super::{
    arguments::TiersArgs,
    below::{Store, Trouble},
    client::Client,
    copies::{await_copies, count_uncopied},
    report::TiersReport,
};
use crate::{interrupt::Interrupt, launch::launch};

/// Number of kills over one tier, which is more than the segments of its file.
const KILLS_PER_TIER: u64 = 25;

/// Bytes stored over one tier, beyond which the next kill has another one: a tier forgets what it has no
/// room for.
const STORED_PER_TIER: ByteSize = ByteSize::mib(256);

/// Size of the arena, which has room for a fifth of the objects.
const ARENA: ByteSize = ByteSize::mib(8);

/// First party whose draws decide when a daemon is killed, counted down; clients count from 0.
const KILLER: u64 = u64::MAX;

/// Longest life of a daemon.
const LIFE_MAX_MS: u64 = 200;

/// Further looks for objects that did not come, and the time between two: longer than a lease and its
/// grace.
const LOOKS: u32 = 30;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Daemons in turn, their clients, and what became of them.
pub(super) struct World<'a> {
    args: &'a TiersArgs,
    draws: Draws,
    clients: Vec<Client>,
    report: TiersReport,
    /// Values of the tier that another program changed.
    changed: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(args: &'a TiersArgs, seed: u64, number: u64) -> Self {
        let first = number * u64::from(args.clients);
        let clients = first..first + u64::from(args.clients);
        Self {
            args,
            draws: Draws::of(seed, KILLER - number),
            clients: clients.map(|client| Client::new(seed, client)).collect(),
            report: TiersReport::default(),
            changed: 0,
        }
    }

    /// Kills this often, or until an interrupt.
    pub(super) fn run(mut self, kills: u64, interrupt: &Interrupt) -> anyhow::Result<TiersReport> {
        while self.report.kills < kills && interrupt.check().is_ok() {
            let until = kills.min(self.report.kills + KILLS_PER_TIER);
            let mut store = Store::start(self.args)?;
            let mut settings = store.settings();
            for setting in ["lease.ttl_max_s=1", "lease.grace_s=0.5", "lease.wait_max_s=2"] {
                settings.push(setting.to_owned());
            }
            let mut daemon = Daemon::new(launch(self.args.daemon.as_deref(), ARENA, settings)?)?;
            self.clients.iter_mut().for_each(Client::forget_all);
            self.changed = 0;
            daemon.start_again()?;
            while self.report.kills < until && self.stored() < STORED_PER_TIER {
                self.live(&mut daemon, &mut store)?;
            }
            self.report.tiers += 1;
            daemon.kill()?;
        }
        for client in &mut self.clients {
            self.report.take(client.found());
        }
        Ok(self.report)
    }

    /// Bytes that the clients stored over this tier.
    fn stored(&self) -> ByteSize {
        ByteSize::new(self.clients.iter().map(Client::stored).sum())
    }

    /// One life of the daemon, its end, and the start of the next one.
    fn live(&mut self, daemon: &mut Daemon, store: &mut Store) -> anyhow::Result<()> {
        let at_rest = self.draws.one_in(3);
        let trouble = store.begin(&mut self.draws)?;
        self.changed += u64::from(trouble == Trouble::Changed);
        self.report.troubles += u64::from(trouble != Trouble::None);
        self.work(daemon, store, trouble, at_rest)?;
        store.end(trouble)?;
        let mut uncopied = None;
        if at_rest {
            // Reading brings objects back, and may push others out.
            let endpoint = Endpoint::at(daemon.address());
            self.clients.iter_mut().try_for_each(|client| client.look(&endpoint))?;
            await_copies(daemon, store.kind())?;
            uncopied = Some(count_uncopied(daemon, store.kind())? + self.changed);
            daemon.kill()?;
        }
        self.report.kills += 1;
        let reboot = self.draws.one_in(2);
        if reboot {
            self.report.reboots += 1;
            let segment = daemon.segment();
            fs::remove_file(segment.path()).context("the segment's public name")?;
            fs::remove_dir_all(segment.private_path()).context("the segment's directory")?;
        }
        // Now and then it is killed while it takes over.
        if self.draws.one_in(4) {
            daemon.spawn()?;
            thread::sleep(Duration::from_micros(self.draws.below(60_000)));
            daemon.kill()?;
            self.report.kills += 1;
        }
        daemon.start_again()?;
        uncopied.map_or(Ok(()), |uncopied| self.look_again(daemon, uncopied, reboot))
    }

    /// Lets the clients work for a while. Then they stop, or the daemon is killed.
    fn work(
        &mut self,
        daemon: &mut Daemon,
        store: &Store,
        trouble: Trouble,
        at_rest: bool,
    ) -> anyhow::Result<()> {
        let life = Duration::from_millis(self.draws.below(LIFE_MAX_MS));
        let stop = AtomicBool::new(false);
        let endpoint = Endpoint::at(daemon.address());
        thread::scope(|scope| -> anyhow::Result<()> {
            for client in &mut self.clients {
                scope.spawn(|| client.work(&endpoint, &stop));
            }
            let passed = store.pass(life, trouble);
            if at_rest {
                stop.store(true, Relaxed);
            } else {
                daemon.kill()?;
            }
            passed
        })
    }

    /// Looks for what was there before a kill at rest.
    fn look_again(&mut self, daemon: &Daemon, uncopied: u64, reboot: bool) -> anyhow::Result<()> {
        let endpoint = Endpoint::at(daemon.address());
        let mut look = || -> anyhow::Result<u64> {
            self.clients.iter_mut().map(|client| client.look_again(&endpoint)).sum()
        };
        let mut lost = look()?;
        // A load may have to wait until what was leased before the kill is free.
        for _ in 0..LOOKS {
            if lost <= uncopied {
                break;
            }
            thread::sleep(LOOK_PAUSE);
            lost = look()?;
        }
        self.report.rests += 1;
        self.report.lost += lost;
        if lost > uncopied {
            let which: Vec<String> = self.clients.iter().flat_map(Client::describe_lost).collect();
            self.report.faults.push(format!(
                "{lost} objects of a tier at rest were lost, {uncopied} were not copied or changed, \
                 reboot={reboot}: {}",
                which.join("; ")
            ));
        }
        Ok(())
    }
}
