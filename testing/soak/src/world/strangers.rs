//! Strangers of a world: processes of another user at a socket or at a name.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use kvlease_testing::Draws;

use super::host::Machine;
use crate::neighbour::{NameKind, Neighbour};

/// Length of a stranger's files.
const LEN: usize = 1 << 20;

/// Epoch that a stranger claims.
const EPOCH: &str = "1";

/// Strangers that are there.
#[derive(Default)]
pub(super) struct Strangers(Vec<Stranger>);

struct Stranger {
    process: Neighbour,
    path: PathBuf,
    /// Segment whose name or socket it has.
    segment: Option<usize>,
}

impl Strangers {
    /// True if one is at this path.
    pub(super) fn are_at(&self, path: &Path) -> bool {
        self.0.iter().any(|stranger| stranger.path == path)
    }

    /// True if one is at a name of this segment.
    pub(super) fn of_segment(&self, segment: usize) -> bool {
        self.0.iter().any(|stranger| stranger.segment == Some(segment))
    }

    /// Puts one at a socket: the one that daemons share, or that of this segment, which no daemon
    /// serves.
    pub(super) fn impersonate(
        &mut self,
        machine: &Machine,
        segment: Option<usize>,
    ) -> anyhow::Result<()> {
        let socket = |segment: usize| machine.segments[segment].socket_path();
        let path = segment.map_or_else(|| machine.shared_socket.clone(), socket);
        self.attack(["impostor", "--epoch", EPOCH], path, segment)
    }

    /// Puts one at a name of this segment, which no daemon serves.
    pub(super) fn take_name(
        &mut self,
        machine: &Machine,
        segment: usize,
        draws: &mut Draws,
    ) -> anyhow::Result<()> {
        let files = &machine.segments[segment];
        let paths = [files.path(), files.private_path(), files.socket_path()];
        let path = paths[draws.index(paths.len())].clone();
        let kinds = NameKind::value_variants();
        let kind = kinds[draws.index(kinds.len())].to_possible_value();
        let kind = kind.expect("every kind has a name");
        let len = LEN.to_string();
        self.attack(["names", "--kind", kind.get_name(), "--len", &len], path, Some(segment))
    }

    fn attack<const N: usize>(
        &mut self,
        arguments: [&str; N],
        path: PathBuf,
        segment: Option<usize>,
    ) -> anyhow::Result<()> {
        let mut arguments: Vec<OsString> = arguments.map(Into::into).into();
        arguments.push(path.clone().into_os_string());
        let process = Neighbour::attack(&env::current_exe()?, arguments)?;
        self.0.push(Stranger { process, path, segment });
        Ok(())
    }

    /// Ends one of them, if there is one.
    pub(super) fn end_one(&mut self, draws: &mut Draws) -> anyhow::Result<()> {
        draws.take(&mut self.0).map_or(Ok(()), |stranger| stranger.process.end().map(drop))
    }

    /// Ends all of them.
    pub(super) fn end_all(&mut self) -> anyhow::Result<()> {
        self.0.drain(..).try_for_each(|stranger| stranger.process.end().map(drop))
    }
}
