//! Rates over the number of client processes and of their connections.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use kvlease_client::ByteSize;

use super::{
    super::{figures::median, lane, session::Session, wire::failed},
    process,
    sweep::Sweep,
    worker::{HOT, Line, OBJECT_LEN, OBJECTS, Operation, Order},
};
use crate::{curves::Figure, failure::Failure};

/// How long all processes work in a round.
const ROUND: Duration = Duration::from_millis(400);

/// Processes that the connections are dealt to.
const CONNECTED_PROCESSES: usize = 16;

/// Arena for the objects that are read, and those that are stored.
const CAPACITY: ByteSize = ByteSize::mib(256);

/// Memory of one process with one connection, and of one more connection.
const PROCESS_MEMORY: u64 = 12 << 20;
const CONNECTION_MEMORY: u64 = 128 << 10;

/// Measures all numbers of processes and of connections.
pub(super) fn measure(sweep: &mut Sweep<'_>) -> Result<Vec<Figure>, Failure> {
    let title = "Calls of 4 KiB by client processes, one connection each";
    let mut processes = Figure::new("scale-processes", title, "processes", "calls a second");
    let title = "Calls of 4 KiB by connections of 16 processes";
    let mut connections = Figure::new("scale-connections", title, "connections", "calls a second");
    let title = "The daemon's memory by connections";
    let mut memory = Figure::new("scale-connection-memory", title, "connections", "KiB in all");
    let session = sweep.session(CAPACITY, None, &[])?;
    let client = match lane::open(&session)? {
        Ok(client) => client,
        Err(why) => {
            sweep.leave_out(&format!("clients: {why}"));
            return Ok(Vec::new());
        }
    };
    let hot = client.keys(HOT, 0..OBJECTS);
    // Puts of a round may evict them on a fast machine. So each pool finds them stored anew, and reads
    // before it stores.
    let store_hot = || {
        client.remove(&hot)?;
        client.put(&hot, OBJECT_LEN, |_| &[7; OBJECT_LEN])
    };
    for count in sweep.args.clients.iter().map(|count| usize::from(*count)) {
        let what = format!("{count} processes");
        sweep.step(&what)?;
        if sweep.has_memory(needed(count, count), &what)? {
            store_hot().map_err(failed)?;
            let pool = Pool::start(&session, count, count)?;
            measure_pool(sweep, pool, count, &Operation::ALL, &mut processes)?;
        }
    }
    for count in sweep.args.connections.iter().map(|count| usize::from(*count)) {
        let what = format!("{count} connections");
        sweep.step(&what)?;
        let among = count.min(CONNECTED_PROCESSES);
        if sweep.has_memory(needed(among, count), &what)? {
            store_hot().map_err(failed)?;
            let pool = Pool::start(&session, among, count)?;
            memory.add("daemon's own memory", count as f64, own_kib(&session)? as f64);
            measure_pool(sweep, pool, count, &[Operation::Get, Operation::Put], &mut connections)?;
        }
    }
    Ok(vec![processes, connections, memory])
}

fn needed(processes: usize, connections: usize) -> ByteSize {
    let (processes, connections) = (processes as u64, connections as u64);
    ByteSize::new(processes * PROCESS_MEMORY + connections * CONNECTION_MEMORY)
}

fn own_kib(session: &Session) -> Result<u64, Failure> {
    let memory = process::memory(session.daemon_pid().unwrap_or_default());
    Ok(memory.map_err(failed)?.own.bytes() >> 10)
}

fn measure_pool(
    sweep: &Sweep<'_>,
    mut pool: Pool,
    x: usize,
    operations: &[Operation],
    figure: &mut Figure,
) -> Result<(), Failure> {
    for operation in operations {
        let mut rounds = Vec::new();
        for number in 0..=sweep.args.rounds {
            sweep.interrupted.check()?;
            let order = Order { operation: *operation, duration: ROUND };
            let rate = pool.round(order).map_err(failed)?;
            // The first round warms up page tables.
            rounds.extend((number > 0).then_some(rate));
        }
        figure.add(operation.name(), x as f64, median(&rounds).unwrap_or_default());
    }
    Ok(())
}

impl Operation {
    /// Reads come before puts, which may evict what is read.
    const ALL: [Self; 3] = [Self::Read, Self::Get, Self::Put];

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get, asked",
            Self::Read => "get, index",
            Self::Put => "put",
        }
    }
}

/// Client processes that wait for orders. They end when it is dropped.
struct Pool(Vec<Worker>);

impl Pool {
    /// Starts this many processes with as many connections in all, and waits until they are ready.
    fn start(session: &Session, processes: usize, connections: usize) -> Result<Self, Failure> {
        let no_lane = || failed(io::Error::other("the daemon has no fast lane"));
        let socket = lane::find_socket(session)?.ok_or_else(no_lane)?;
        let share =
            |number: usize| connections / processes + usize::from(number < connections % processes);
        let start = |number| Worker::start(session, &socket, number, share(number));
        let workers = (0..processes).map(start).collect::<io::Result<Vec<_>>>();
        let mut pool = Self(workers.map_err(failed)?);
        for worker in &mut pool.0 {
            worker.read().map_err(failed)?;
        }
        Ok(pool)
    }

    /// Calls a second of all processes together.
    fn round(&mut self, order: Order) -> io::Result<f64> {
        self.0.iter_mut().try_for_each(|worker| worker.order(order))?;
        let mut rate = 0.0;
        for worker in &mut self.0 {
            if let Line::Done { calls, taken } = worker.read()? {
                rate += calls as f64 / taken.as_secs_f64();
            }
        }
        Ok(rate)
    }
}

/// One client process.
struct Worker {
    child: Child,
    orders: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Worker {
    fn start(
        session: &Session,
        socket: &Path,
        number: usize,
        connections: usize,
    ) -> io::Result<Self> {
        let place = session.lane_place(socket.to_owned());
        let mut child = Command::new(std::env::current_exe()?)
            .arg("bench-client")
            .arg("--socket")
            .arg(&place.socket)
            .args(["--address", &place.address.to_string()])
            .args(["--bucket-name", place.bucket.as_str()])
            .args(["--key-prefix", &place.key_prefix])
            .args(["--connections", &connections.to_string()])
            .args(["--number", &number.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the terminal is the benchmark's, which then ends its clients.
            .process_group(0)
            .spawn()?;
        let piped = "both ends are piped";
        let orders = child.stdin.take().expect(piped);
        let lines = BufReader::new(child.stdout.take().expect(piped));
        Ok(Self { child, orders, lines })
    }

    fn order(&mut self, order: Order) -> io::Result<()> {
        serde_json::to_writer(&mut self.orders, &order)?;
        self.orders.write_all(b"\n")
    }

    fn read(&mut self) -> io::Result<Line> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Err(io::Error::other("a client process ended: see its message above")),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has nothing to clean up: the daemon notices by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
