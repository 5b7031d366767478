//! Tier below the daemon, and its trouble.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use kvlease_harness::Valkey;
use kvlease_testing::Draws;
use tempfile::TempDir;

use super::arguments::{Below, TiersArgs};

/// Size of the tier's file: it forgets nothing of what is stored over one tier.
const DISK: &str = "1GiB";

/// Parts of the time in which a slow store goes on and stands still.
const SLOW_GOES: Duration = Duration::from_millis(3);
const SLOW_STANDS: Duration = Duration::from_millis(20);

/// Names of whole objects in a store.
const OBJECTS: &str = "kvlease/v1/*";

/// Tier of one daemon after the other.
pub(super) enum Store {
    Disk(TempDir),
    Valkey(Valkey),
}

/// Trouble of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    None,
    Stopped,
    Slow,
    Full,
    Killed,
    /// Values that another program changes.
    Changed,
}

impl Trouble {
    const ALL: [Self; 6] =
        [Self::None, Self::Stopped, Self::Slow, Self::Full, Self::Killed, Self::Changed];
}

impl Store {
    pub(super) fn start(args: &TiersArgs) -> anyhow::Result<Self> {
        Ok(match args.tier {
            Below::Nvme => {
                // On a disk: a tmpfs is memory.
                let beside = || -> anyhow::Result<PathBuf> {
                    let executable = std::env::current_exe()?;
                    Ok(executable.parent().context("an executable is in a directory")?.to_owned())
                };
                let dir = args.dir.clone().map_or_else(beside, Ok)?;
                Self::Disk(TempDir::with_prefix_in("kvlease-tier-", dir)?)
            }
            Below::Valkey => Self::Valkey(Valkey::start()?),
        })
    }

    /// Its name in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Disk(_) => "nvme",
            Self::Valkey(_) => "valkey",
        }
    }

    /// Settings of a daemon over it.
    pub(super) fn settings(&self) -> Vec<String> {
        match self {
            Self::Disk(dir) => vec![
                format!("tier.nvme.path={}", dir.path().display()),
                format!("tier.nvme.capacity={DISK}"),
                "tier.nvme.write_through=all".to_owned(),
                "tier.nvme.rate_min=none".to_owned(),
            ],
            Self::Valkey(server) => vec![
                format!("tier.remote.url={}", server.url()),
                "tier.remote.rate_min=none".to_owned(),
                "tier.remote.timeout_s=1".to_owned(),
            ],
        }
    }

    /// Begins some trouble, or none. A disk has none but that its daemon is killed.
    pub(super) fn begin(&mut self, draws: &mut Draws) -> anyhow::Result<Trouble> {
        let Self::Valkey(server) = self else { return Ok(Trouble::None) };
        let trouble = Trouble::ALL[draws.index(Trouble::ALL.len())];
        match trouble {
            Trouble::None | Trouble::Slow => {}
            Trouble::Stopped => server.stop()?,
            Trouble::Full => server.set_full(true)?,
            Trouble::Killed => server.kill()?,
            Trouble::Changed => change(server, draws)?,
        }
        Ok(trouble)
    }

    /// Lets time pass.
    pub(super) fn pass(&self, span: Duration, trouble: Trouble) -> anyhow::Result<()> {
        let until = Instant::now() + span;
        if let (Self::Valkey(server), Trouble::Slow) = (self, trouble) {
            while Instant::now() < until {
                server.stop()?;
                thread::sleep(SLOW_STANDS);
                server.resume()?;
                thread::sleep(SLOW_GOES);
            }
        }
        thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(())
    }

    /// Ends the trouble.
    pub(super) fn end(&mut self, trouble: Trouble) -> anyhow::Result<()> {
        let Self::Valkey(server) = self else { return Ok(()) };
        match trouble {
            Trouble::None | Trouble::Slow | Trouble::Changed => Ok(()),
            Trouble::Stopped => server.resume(),
            Trouble::Full => server.set_full(false),
            Trouble::Killed => server.start_again(),
        }
    }
}

/// Changes an object's value to garbage, or to the value of another one.
fn change(server: &Valkey, draws: &mut Draws) -> anyhow::Result<()> {
    let names = server.names(OBJECTS)?;
    if names.is_empty() {
        return Ok(());
    }
    let (name, other) = (&names[draws.index(names.len())], &names[draws.index(names.len())]);
    if name == other || draws.one_in(2) {
        server.set(name, b"no object")
    } else {
        server.copy(other, name)
    }
}
