//! Director of a world: it takes the steps.

use std::{
    fs,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use kvlease_harness::{STARTS_WITHIN, until};
use kvlease_testing::Draws;
use kvlease_types::ByteSize;

use super::{
    arguments::WorldArgs,
    host::Machine,
    shared::{DAEMONS, Shared},
    start::{CutOff, Start, start},
    strangers::Strangers,
    versions::SEGMENTS,
    watch::TOLERANCE,
};
use crate::interrupt::Interrupt;

/// Longest pause between two steps.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Stop of a daemon that is longer than any call may take, once in every world.
const LONG_STOP: Duration = Duration::from_secs(8).saturating_add(TOLERANCE);

/// Limit for every client to work at full function again.
const CALM_WITHIN: Duration = Duration::from_secs(60);

/// Chances of a start, in percent: on the other daemon's segment, on the shared socket, with another
/// capacity, without the objects, and one that is cut off.
const OTHERS_SEGMENT: u64 = 20;
const SHARED_SOCKET: u64 = 30;
const OTHER_CAPACITY: u64 = 10;
const COLD: u64 = 5;
const CUT_OFF: u64 = 15;

/// Director of a world.
pub(super) struct Director<'a> {
    capacity: ByteSize,
    draws: Draws,
    machine: Machine,
    strangers: Strangers,
    /// Whether other users can be had.
    has_strangers: bool,
    interrupt: &'a Interrupt,
    shared: Option<Arc<Shared>>,
}

impl<'a> Director<'a> {
    pub(super) fn new(
        args: &WorldArgs,
        mut draws: Draws,
        interrupt: &'a Interrupt,
    ) -> anyhow::Result<Self> {
        let machine = Machine::new(args, &mut draws)?;
        Ok(Self {
            capacity: args.capacity,
            draws,
            machine,
            strangers: Strangers::default(),
            has_strangers: rustix::process::geteuid().is_root(),
            interrupt,
            shared: None,
        })
    }

    pub(super) fn addresses(&self) -> [SocketAddr; DAEMONS] {
        self.machine.hosts.each_ref().map(|host| host.address)
    }

    pub(super) fn names(&self) -> [String; SEGMENTS] {
        self.machine.segments.each_ref().map(|segment| segment.name().to_owned())
    }

    /// Shares what the clients share.
    pub(super) fn begin(&mut self, shared: Arc<Shared>) {
        self.shared = Some(shared);
    }

    pub(super) fn logs(&self) -> String {
        format!("the daemons' logs:\n{}", self.machine.logs())
    }

    /// Takes the steps. In the middle of them a daemon is stopped for longer than any call may take.
    pub(super) fn run(&mut self, steps: u64) -> anyhow::Result<()> {
        for step in 0..steps {
            if self.interrupt.check().is_err() {
                return Ok(());
            }
            if step == steps / 2 {
                self.long_stop()?;
            }
            self.step()?;
            self.shared().count("steps", 1);
            self.look();
            let pause = self.draws.below(PAUSE_MAX.as_micros() as u64);
            thread::sleep(Duration::from_micros(pause));
        }
        Ok(())
    }

    fn shared(&self) -> Arc<Shared> {
        Arc::clone(self.shared.as_ref().expect("a world begins before its first step"))
    }

    /// Looks for calls that are late.
    fn look(&self) {
        let shared = self.shared();
        for late in shared.watch.late() {
            shared.count("late calls", 1);
            shared.fault(late);
        }
    }

    fn step(&mut self) -> anyhow::Result<()> {
        let number = self.draws.index(DAEMONS);
        if self.machine.hosts[number].serves.is_none() {
            return self.step_of_one_that_is_down(number);
        }
        if self.machine.hosts[number].is_stopped {
            return match self.draws.below(4) {
                0 => self.kill(number),
                _ => self.resume(number),
            };
        }
        match self.draws.below(20) {
            0..3 => self.terminate(number),
            3..7 => self.kill(number),
            7..11 => self.stop(number),
            11..13 => self.remove_public_name(number),
            13..15 => self.remove_socket(number),
            15 => self.remove_deadlines(self.machine.hosts[number].serves),
            16 => self.strangers.end_one(&mut self.draws),
            17 => self.impersonate(None),
            // It works on.
            _ => Ok(()),
        }
    }

    fn step_of_one_that_is_down(&mut self, number: usize) -> anyhow::Result<()> {
        let segment = self.draws.index(SEGMENTS);
        let is_free = self.machine.server_of(segment).is_none();
        match self.draws.below(20) {
            0 if is_free => {
                let shared = self.shared();
                self.machine.erase(segment, &shared);
                Ok(())
            }
            1 if is_free => self.remove_deadlines(Some(segment)),
            2 if is_free => self.impersonate(Some(segment)),
            3 if is_free => self.take_name(segment),
            4 => self.impersonate(None),
            5 => self.strangers.end_one(&mut self.draws),
            _ => self.start(number),
        }
    }

    fn start(&mut self, number: usize) -> anyhow::Result<()> {
        let draws = &mut self.draws;
        let others = draws.percent(OTHERS_SEGMENT);
        let segment = if others { (number + 1) % SEGMENTS } else { number };
        let existing = self.machine.capacity(segment).unwrap_or(self.capacity);
        let other = ByteSize::new(self.capacity.bytes() * 2);
        let capacity = if draws.percent(OTHER_CAPACITY) { other } else { existing };
        let cut_off = [CutOff::Kill, CutOff::Terminate][draws.index(2)];
        let settings = Start {
            segment,
            shares_socket: draws.percent(SHARED_SOCKET),
            capacity,
            cold: draws.percent(COLD),
            cut_off: draws.percent(CUT_OFF).then_some(cut_off),
        };
        let shared = self.shared();
        start(&mut self.machine, number, &settings, (&shared, &self.strangers, &mut self.draws))?;
        Ok(())
    }

    fn terminate(&mut self, number: usize) -> anyhow::Result<()> {
        let shared = self.shared();
        let daemon = &mut self.machine.hosts[number].daemon;
        match daemon.terminate() {
            Ok(status) if status.success() => shared.count("ends by SIGTERM", 1),
            other => {
                let log = daemon.log();
                shared.fault(format!("an end by SIGTERM that is none, {other:?} log:\n{log}"));
            }
        }
        self.machine.ended(number, &shared);
        Ok(())
    }

    fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let shared = self.shared();
        let daemon = &mut self.machine.hosts[number].daemon;
        if !daemon.is_alive()? {
            shared.fault(format!("a daemon ended by itself, log:\n{}", daemon.log()));
        }
        daemon.kill()?;
        self.machine.ended(number, &shared);
        shared.count("ends by SIGKILL", 1);
        Ok(())
    }

    fn stop(&mut self, number: usize) -> anyhow::Result<()> {
        self.shared().count("stops by SIGSTOP", 1);
        self.machine.hosts[number].is_stopped = true;
        self.machine.hosts[number].daemon.stop()
    }

    fn resume(&mut self, number: usize) -> anyhow::Result<()> {
        self.machine.hosts[number].is_stopped = false;
        self.machine.hosts[number].daemon.resume()
    }

    /// Stops a daemon for longer than any call may take: clients that wait for it hang.
    fn long_stop(&mut self) -> anyhow::Result<()> {
        let number = self.draws.index(DAEMONS);
        for _ in 0..STARTS_WITHIN.as_secs() {
            if self.machine.hosts[number].serves.is_some() {
                break;
            }
            self.strangers.end_all()?;
            self.start(number)?;
        }
        ensure!(self.machine.hosts[number].serves.is_some(), "no daemon to be stopped");
        if !self.machine.hosts[number].is_stopped {
            self.stop(number)?;
        }
        let begun = Instant::now();
        while begun.elapsed() < LONG_STOP && self.interrupt.check().is_ok() {
            thread::sleep(PAUSE_MAX);
            self.look();
        }
        self.resume(number)
    }

    fn remove_public_name(&mut self, number: usize) -> anyhow::Result<()> {
        let Some(segment) = self.machine.hosts[number].serves else { return Ok(()) };
        // A stranger who waits for the name would have it: stock clients could then read its bytes.
        if !self.strangers.of_segment(segment) {
            // The name may be gone already.
            let _ = fs::remove_file(self.machine.segments[segment].path());
            self.shared().count("public names removed", 1);
        }
        Ok(())
    }

    fn remove_socket(&mut self, number: usize) -> anyhow::Result<()> {
        if let Some(socket) = self.machine.hosts[number].socket.clone()
            && !self.strangers.are_at(&socket)
        {
            // It may be gone already.
            let _ = fs::remove_file(socket);
            self.shared().count("sockets removed", 1);
        }
        Ok(())
    }

    fn remove_deadlines(&mut self, segment: Option<usize>) -> anyhow::Result<()> {
        if let Some(segment) = segment {
            let files = &self.machine.segments[segment];
            // The segment may have no files yet.
            let _ = fs::remove_file(files.private_path().join("horizon"));
            self.shared().count("lease deadlines removed", 1);
        }
        Ok(())
    }

    fn impersonate(&mut self, segment: Option<usize>) -> anyhow::Result<()> {
        if self.has_strangers {
            self.shared().count("strangers at a socket", 1);
            self.strangers.impersonate(&self.machine, segment)?;
        }
        Ok(())
    }

    fn take_name(&mut self, segment: usize) -> anyhow::Result<()> {
        if self.has_strangers {
            self.shared().count("strangers at a name", 1);
            self.strangers.take_name(&self.machine, segment, &mut self.draws)?;
        }
        Ok(())
    }

    /// Starts both daemons without anything in their way, and waits until every client works at full
    /// function.
    pub(super) fn calm(&mut self) -> anyhow::Result<()> {
        let shared = self.shared();
        self.strangers.end_all()?;
        for number in 0..DAEMONS {
            if self.machine.hosts[number].is_stopped {
                self.resume(number)?;
            }
            if self.machine.hosts[number].serves.is_some() {
                self.terminate(number)?;
            }
        }
        for number in 0..DAEMONS {
            let capacity = self.machine.capacity(number).unwrap_or(self.capacity);
            let settings = Start {
                segment: number,
                shares_socket: false,
                capacity,
                cold: false,
                cut_off: None,
            };
            let context = (&*shared, &self.strangers, &mut self.draws);
            start(&mut self.machine, number, &settings, context)?;
        }
        shared.calm();
        let calmed = until(CALM_WITHIN, || {
            self.look();
            (shared.waiting().is_empty() || self.interrupt.check().is_err()).then_some(())
        });
        if calmed.is_none() {
            for waiting in shared.waiting() {
                let fault = format!("not at full function in the calm, {waiting}");
                shared.fault(format!("{fault} {}", self.logs()));
            }
        }
        shared.count("clients at full function in the calm", {
            shared.clients.saturating_sub(shared.waiting().len()) as u64
        });
        Ok(())
    }

    /// Ends both daemons.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        for number in 0..DAEMONS {
            if self.machine.hosts[number].serves.is_some() {
                self.terminate(number)?;
            }
        }
        Ok(())
    }
}
