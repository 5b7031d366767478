//! A daemon of the built program, on a free port and with a segment of its own.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use tempfile::NamedTempFile;

/// The program.
const KVLEASE: &str = env!("CARGO_BIN_EXE_kvlease");

/// How often the daemon is asked whether it is ready, and how long in between.
const READY_TRIES: usize = 600;
const READY_INTERVAL: Duration = Duration::from_millis(50);

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running daemon, killed on drop with its segment.
pub(crate) struct Daemon {
    child: Child,
    listen: String,
    log: NamedTempFile,
    pub(crate) url: String,
    pub(crate) segment: String,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with these arguments as well.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        Self::ready(unused_address(), Launch::Plain, args)
    }

    /// Starts it on a socket that the caller listens on, as a service manager does.
    pub(crate) fn start_on(listener: &TcpListener) -> Self {
        let listen = listener.local_addr().unwrap().to_string();
        Self::ready(listen, Launch::On(listener), &[])
    }

    /// Starts it with so few descriptors that it may have at most.
    pub(crate) fn start_with_descriptors(descriptors: u32) -> Self {
        Self::ready(unused_address(), Launch::Descriptors(descriptors), &[])
    }

    fn ready(listen: String, launch: Launch<'_>, args: &[&str]) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let segment = format!("kvlease_test_{}_{number}", std::process::id());
        let log = NamedTempFile::new().unwrap();
        let url = format!("http://{listen}");
        let child = spawn(&listen, launch, &segment, &log, args);
        let mut daemon = Self { child, listen, log, url, segment };
        daemon.until_ready();
        daemon
    }

    /// Starts another one in the place of this one, which has ended.
    pub(crate) fn start_again_with(&mut self, args: &[&str]) {
        self.child = spawn(&self.listen, Launch::Plain, &self.segment, &self.log, args);
        self.until_ready();
    }

    /// Starts another one, on the socket that the caller listens on.
    pub(crate) fn start_again_on(&mut self, listener: &TcpListener) {
        let launch = Launch::On(listener);
        self.child = spawn(&self.listen, launch, &self.segment, &self.log, &[]);
        self.until_ready();
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// What this daemon, and those before it, said on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    fn until_ready(&mut self) {
        for _ in 0..READY_TRIES {
            if is_ready(&self.listen) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert_eq!(ended, None, "the daemon ended at its start: {}", self.log());
            thread::sleep(READY_INTERVAL);
        }
        panic!("the daemon is not ready");
    }

    /// Runs the program against the daemon with this on stdin.
    pub(crate) fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        run(&[&["--url", &self.url], args].concat(), stdin)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let dir = Path::new("/dev/shm");
        let _ = fs::remove_file(dir.join(&self.segment));
        let _ = fs::remove_dir_all(dir.join(format!(".kvlease.{}", self.segment)));
        let _ = fs::remove_file(dir.join(format!(".kvlease.{}.sock", self.segment)));
    }
}

/// How the program is started.
enum Launch<'a> {
    Plain,
    /// With this socket as its descriptor 3, of which it is told.
    On(&'a TcpListener),
    /// With at most so many descriptors.
    Descriptors(u32),
}

fn spawn(
    listen: &str,
    launch: Launch<'_>,
    segment: &str,
    log: &NamedTempFile,
    args: &[&str],
) -> Child {
    let by_shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", KVLEASE]);
        command
    };
    let mut command = match launch {
        Launch::Plain => Command::new(KVLEASE),
        Launch::On(listener) => {
            let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
            let mut command = by_shell(script);
            command.stdin(OwnedFd::from(listener.try_clone().unwrap()));
            command
        }
        Launch::Descriptors(most) => by_shell(&format!("ulimit -n {most}; exec \"$@\"")),
    };
    command
        .args(["serve", "--listen", listen, "--capacity", "64MiB"])
        .args(["--shared-memory-name", segment])
        .args(args)
        .env_remove("KVLEASE_URL")
        .stdout(Stdio::null())
        .stderr(fs::OpenOptions::new().append(true).open(log.path()).unwrap())
        .spawn()
        .unwrap()
}

/// Runs the program with this on stdin.
pub(crate) fn run(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(KVLEASE)
        .args(args)
        .env_remove("KVLEASE_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A program that ends early does not read it all.
    let writer = thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// An address that nobody listens on.
pub(crate) fn unused_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn is_ready(listen: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(listen) else { return false };
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {listen}\r\nconnection: close\r\n\r\n");
    let mut reply = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut reply).is_ok()
        && reply.starts_with("HTTP/1.1 200")
}
