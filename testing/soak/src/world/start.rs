//! Start of a daemon, and the judgement of it.

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use anyhow::Context;
use kvlease_harness::{STARTS_WITHIN, until};
use kvlease_testing::Draws;
use kvlease_types::ByteSize;

use super::{host::Machine, shared::Shared, strangers::Strangers};

/// Statuses of a start that is refused, as documented: an address, a name or a socket is in use, or
/// the segment or the socket cannot be created.
const REFUSED: [Option<i32>; 2] = [Some(69), Some(73)];

/// Begin of the one line of a start that is refused.
const LINE: &str = "kvlease serve: ";

/// Longest time until a start is cut off, if it is.
const CUT_OFF_MAX: Duration = Duration::from_millis(60);

/// Settings of a start.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) segment: usize,
    /// Whether the socket is the one that both daemons use now and then.
    pub(super) shares_socket: bool,
    pub(super) capacity: ByteSize,
    pub(super) cold: bool,
    /// Signal that cuts it off on the way.
    pub(super) cut_off: Option<CutOff>,
}

/// Signal that cuts a start off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CutOff {
    Kill,
    Terminate,
}

/// Starts a daemon that is down, and judges how that ends. Returns whether it serves.
pub(super) fn start(
    machine: &mut Machine,
    number: usize,
    start: &Start,
    (shared, strangers, draws): (&Shared, &Strangers, &mut Draws),
) -> anyhow::Result<bool> {
    let obstacles = obstacles(machine, start, strangers);
    let socket = start.shares_socket.then(|| machine.shared_socket.clone());
    let host = &mut machine.hosts[number];
    let mut launch = host.daemon.launch().clone().capacity(start.capacity.to_string());
    launch = launch.set([format!("cache.cold={}", start.cold)]);
    if let Some(socket) = &socket {
        launch = launch.set([format!("server.socket={}", socket.display())]);
    }
    host.daemon.take_segment(Arc::clone(&machine.segments[start.segment]));
    // From here on it may serve.
    shared.change(number, Some(start.segment), machine.lives[start.segment]);
    host.daemon.spawn_as(&launch)?;
    shared.count("starts", 1);
    if let Some(cut_off) = start.cut_off {
        thread::sleep(Duration::from_micros(draws.below(CUT_OFF_MAX.as_micros() as u64)));
        cut(machine, number, start, cut_off, shared)?;
        return Ok(false);
    }
    let ended = until(STARTS_WITHIN, || match host.daemon.is_alive() {
        Ok(false) => Some(Ok(true)),
        Ok(true) => host.daemon.output().contains(" listening on ").then_some(Ok(false)),
        Err(error) => Some(Err(error)),
    });
    let Some(ended) = ended else {
        shared.fault(format!("a start does not end, {start:?} log:\n{}", host.daemon.log()));
        host.daemon.kill()?;
        machine.ended(number, shared);
        return Ok(false);
    };
    if ended? {
        refused(machine, number, start, &obstacles, shared)?;
        return Ok(false);
    }
    host.daemon.await_listening()?;
    if machine.server_of(start.segment).is_some() {
        shared.fault(format!("two daemons serve one segment, {start:?}"));
    }
    let announced = machine.hosts[number].daemon.announced_socket()?;
    let host = &mut machine.hosts[number];
    (host.serves, host.socket) = (Some(start.segment), announced);
    shared.count("starts that serve", 1);
    Ok(true)
}

/// Everything that may keep this start from serving.
fn obstacles(machine: &Machine, start: &Start, strangers: &Strangers) -> Vec<String> {
    let mut obstacles = Vec::new();
    if machine.server_of(start.segment).is_some() {
        obstacles.push("another daemon serves the segment".to_owned());
    }
    let existing = machine.capacity(start.segment);
    if existing.is_some_and(|existing| existing != start.capacity) {
        obstacles.push(format!("the arena has another size, {existing:?}"));
    }
    if start.shares_socket
        && machine.hosts.iter().any(|host| host.socket.as_ref() == Some(&machine.shared_socket))
    {
        obstacles.push("another daemon serves the socket".to_owned());
    }
    let at = |path: &PathBuf| strangers.are_at(path);
    let socket = &machine.shared_socket;
    if strangers.of_segment(start.segment) || (start.shares_socket && at(socket)) {
        obstacles.push("a stranger is at one of the names".to_owned());
    }
    obstacles
}

/// Cuts a start off, which may be over by then, in either way.
fn cut(
    machine: &mut Machine,
    number: usize,
    start: &Start,
    cut_off: CutOff,
    shared: &Shared,
) -> anyhow::Result<()> {
    let host = &mut machine.hosts[number];
    let serves_alone = |machine: &Machine| machine.server_of(start.segment).is_none();
    let status = match cut_off {
        CutOff::Kill => {
            host.daemon.kill()?;
            None
        }
        CutOff::Terminate => {
            // It may have ended by itself.
            let _ = host.daemon.ask_to_end();
            Some(host.daemon.wait().context("SIGTERM during the start")?)
        }
    };
    if serves_alone(machine) {
        machine.hosts[number].serves = Some(start.segment);
    }
    machine.ended(number, shared);
    shared.count("starts cut off", 1);
    // Before it can hear the signal, the signal ends it.
    let by_signal = |status: &std::process::ExitStatus| {
        use std::os::unix::process::ExitStatusExt;
        status.signal() == Some(15)
    };
    if let Some(status) = status
        && !(status.success() || by_signal(&status) || REFUSED.contains(&status.code()))
    {
        let log = machine.hosts[number].daemon.log();
        shared.fault(format!("an undocumented end, status=`{status}` {start:?} log:\n{log}"));
    }
    Ok(())
}

/// Judges a start that is refused.
fn refused(
    machine: &mut Machine,
    number: usize,
    start: &Start,
    obstacles: &[String],
    shared: &Shared,
) -> anyhow::Result<()> {
    let daemon = &mut machine.hosts[number].daemon;
    let (status, log) = (daemon.wait()?, daemon.log());
    machine.ended(number, shared);
    shared.count("starts refused", 1);
    let lines = log.lines().filter(|line| line.starts_with(LINE)).count();
    let is_last = log.lines().last().is_some_and(|line| line.starts_with(LINE));
    if lines != 1 || !is_last || !REFUSED.contains(&status.code()) {
        shared.fault(format!(
            "a start that says not why in one line, status=`{status}` {start:?} log:\n{log}"
        ));
    }
    if obstacles.is_empty() {
        shared.fault(format!("a start is refused with nothing in its way, {start:?} log:\n{log}"));
    }
    Ok(())
}
