//! Starts of a daemon on whatever lies at its paths and within whatever limits: each ends soon, by
//! serving or with one line, and one that fails leaves nothing that it made.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::symlink, net::UnixListener, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use kvlease_harness::{Daemon, Endpoint, Launch, SOON, Segment, await_that, until};
use kvlease_testing::in_tmpfs_of;
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process::{Pid, Signal, kill_process},
};
use tempfile::TempDir;

use crate::program::{daemon, launch, run, run_on};

/// Files at the paths of a start: the segment's, and those in a directory of the test's own.
struct Place {
    segment: Segment,
    dir: TempDir,
    /// Listeners and their waiting connections.
    held: Vec<Box<dyn std::any::Any>>,
}

impl Place {
    fn new() -> Self {
        Self { segment: Segment::new(), dir: tempfile::tempdir().unwrap(), held: Vec::new() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the private directory as a daemon does, and returns a path in it.
    fn private(&self, name: &str) -> PathBuf {
        let path = self.segment.private_path();
        let made = Command::new("mkdir").args(["-p", "-m", "700"]).arg(&path).status().unwrap();
        assert!(made.success());
        path.join(name)
    }

    /// A listener that accepts nothing, with a full backlog.
    fn deaf(&mut self, path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        let address = SocketAddrUnix::new(path).unwrap();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            let made = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let connected = connect(&made, &address);
            self.held.push(Box::new(made));
            if connected.is_err() {
                break;
            }
        }
        self.held.push(Box::new(listener));
    }
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn spawn(launch: &Launch, segment: &Segment) -> Child {
    let mut command = launch.command(segment).unwrap();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Output of a process that ends by itself.
fn end(mut process: Child) -> Output {
    let ended = until(SOON, || process.try_wait().unwrap());
    if ended.is_none() {
        process.kill().unwrap();
    }
    let output = process.wait_with_output().unwrap();
    assert!(ended.is_some(), "it neither serves nor ends: {output:?}");
    output
}

/// The one line of a start that must fail with this status.
fn refusal(launch: &Launch, segment: &Segment, status: i32) -> String {
    let output = end(spawn(launch, segment));
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{line}");
    assert_eq!(line.lines().count(), 1, "one line, not: {line}");
    line
}

/// Contents of a path, arguments of the start, its exit status, and a part of its line.
type Case = (&'static str, fn(&mut Place) -> Vec<String>, i32, &'static str);

fn flag(name: &str, path: &Path) -> Vec<String> {
    vec![name.to_owned(), path.to_str().unwrap().to_owned()]
}

const CASES: [Case; 16] = [
    (
        "a listener that accepts nothing",
        |p| {
            let path = p.at("sock");
            p.deaf(&path);
            flag("--socket", &path)
        },
        69,
        "stop the daemon that listens there",
    ),
    (
        "a fifo for a socket",
        |p| {
            fifo(&p.at("sock"));
            flag("--socket", &p.at("sock"))
        },
        73,
        "another kind of file",
    ),
    ("a directory for a socket", |p| flag("--socket", p.dir.path()), 73, "another kind of file"),
    (
        "no directory for the socket",
        |p| flag("--socket", &p.at("none/sock")),
        73,
        "make its directory",
    ),
    (
        "a file for the socket's directory",
        |p| {
            fs::write(p.at("file"), "").unwrap();
            flag("--socket", &p.at("file/sock"))
        },
        73,
        "choose another path",
    ),
    (
        "a fifo for a configuration",
        |p| {
            fifo(&p.at("toml"));
            flag("--config", &p.at("toml"))
        },
        64,
        "its end did not come",
    ),
    (
        "a configuration without end",
        |_| flag("--config", Path::new("/dev/zero")),
        64,
        "longer than",
    ),
    ("a directory for a configuration", |p| flag("--config", p.dir.path()), 64, "directory"),
    (
        "a fifo under the public name",
        |p| {
            fifo(&p.segment.path());
            vec![]
        },
        69,
        "choose another name",
    ),
    (
        "a directory under the public name",
        |p| {
            fs::create_dir(p.segment.path()).unwrap();
            vec![]
        },
        69,
        "choose another name",
    ),
    (
        "a broken link under the public name",
        |p| {
            symlink("/no/such/file", p.segment.path()).unwrap();
            vec![]
        },
        69,
        "choose another name",
    ),
    (
        "a fifo for the private directory",
        |p| {
            fifo(&p.segment.private_path());
            vec![]
        },
        73,
        "is not a directory",
    ),
    (
        "a fifo for the lock",
        |p| {
            fifo(&p.private("lock"));
            vec![]
        },
        73,
        "a lock that is not a regular file",
    ),
    (
        "a fifo for the arena",
        |p| {
            fifo(&p.private("arena"));
            vec![]
        },
        73,
        "not a regular file",
    ),
    (
        "a directory for the arena",
        |p| {
            fs::create_dir(p.private("arena")).unwrap();
            vec![]
        },
        73,
        "reopen the arena",
    ),
    (
        "a directory where the arena is built",
        |p| {
            fs::create_dir(p.private("arena.new")).unwrap();
            vec![]
        },
        73,
        "remove a leftover",
    ),
];

#[test]
fn a_start_ends_in_one_true_line_whatever_lies_at_its_paths() {
    for (what, prepare, status, part) in CASES {
        let mut place = Place::new();
        let arguments = prepare(&mut place);
        let before = [place.segment.path(), place.segment.private_path()].map(|path| path.exists());
        let line = refusal(&launch().args(arguments), &place.segment, status);
        assert!(line.contains(part), "{what}: {line}");
        let after = [place.segment.path(), place.segment.private_path()].map(|path| path.exists());
        assert_eq!(before, after, "{what}: what it made stays");
        let _ = fs::remove_dir(place.segment.path());
    }
}

#[test]
fn a_start_within_too_narrow_limits_says_which_one() {
    for (limit, status, part) in [
        ("-n 8", 71, "open files"),
        ("-n 30", 71, "open files"),
        ("-f 0", 73, "the size of files"),
        ("-f 1000", 73, "the size of files"),
        ("-v 40000", 73, "address space"),
    ] {
        let segment = Segment::new();
        let line = refusal(&launch().ulimit(limit), &segment, status);
        assert!(line.contains(part) && line.contains("raise"), "{limit}: {line}");
        assert!(segment.is_absent(), "{limit}: what it made stays");
    }
}

/// The same program on a tmpfs of the test's own.
fn launch_in(dir: &Path, capacity: &str) -> Launch {
    let setting = format!("cache.shared_memory_dir={}", dir.display());
    Launch::new(launch().binary(), capacity).set([setting])
}

#[test]
fn a_tmpfs_without_inodes_is_a_line() {
    let test = "hostile_start::a_tmpfs_without_inodes_is_a_line";
    let Some(dir) = in_tmpfs_of("64m,nr_inodes=4", test) else { return };
    let line = refusal(&launch_in(&dir, "8MiB"), &Segment::new(), 73);
    assert!(line.contains("inodes"), "{line}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "what it made stays");
}

#[test]
fn the_advised_capacity_and_the_automatic_one_fit_in_the_tmpfs_of_a_container() {
    let test =
        "hostile_start::the_advised_capacity_and_the_automatic_one_fit_in_the_tmpfs_of_a_container";
    let Some(dir) = in_tmpfs_of("64m", test) else { return };
    let line = refusal(&launch_in(&dir, "64MiB"), &Segment::new(), 73);
    let advised = line.split("set at most ").nth(1).and_then(|rest| rest.split(',').next());
    for capacity in [advised.unwrap(), "auto"] {
        let mut daemon = Daemon::start(launch_in(&dir, capacity)).unwrap();
        assert!(run_on(&daemon, &["put", "k"], b"bytes").status.success(), "{capacity}");
        assert!(!daemon.log().contains("ERROR"), "{capacity}: {}", daemon.log());
        assert!(daemon.terminate().unwrap().success());
        daemon.start_again().unwrap();
        assert!(run_on(&daemon, &["stat", "k"], b"").status.success(), "{capacity} again");
        drop(daemon);
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
    }
}

#[test]
fn a_signal_is_heard_at_every_moment_of_a_start() {
    for delay_ms in (0..60).step_by(3) {
        let segment = Segment::new();
        let mut process = spawn(&launch(), &segment);
        thread::sleep(Duration::from_millis(delay_ms));
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        let ended = until(SOON, || process.try_wait().unwrap()).expect("it ends");
        // Before the first line of the program the signal does what it does by itself.
        let by_signal = ended.signal() == Some(Signal::TERM.as_raw());
        assert!(ended.success() || by_signal, "{delay_ms} ms: {ended:?}");
        assert!(!segment.socket_path().exists(), "{delay_ms} ms");
    }
}

#[test]
fn a_hangup_drains_and_one_that_the_parent_ignores_is_ignored() {
    let mut first = daemon();
    let pid = pid(&first);
    kill_process(pid, Signal::HUP).unwrap();
    assert!(first.wait().unwrap().success());
    assert!(first.log().contains("stopping by SIGHUP: draining"), "{}", first.log());

    let mut second = Daemon::start(launch().ulimit("-c 0 && trap '' HUP")).unwrap();
    kill_process(self::pid(&second), Signal::HUP).unwrap();
    assert!(run_on(&second, &["put", "k"], b"bytes").status.success());
    assert!(second.terminate().unwrap().success());
}

/// Process of a daemon, as it wrote it into its lock.
fn pid(daemon: &Daemon) -> Pid {
    let text = fs::read_to_string(daemon.segment().private_path().join("lock")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let mut daemon = Daemon::start(launch().ulimit("-c 0 && umask 0777")).unwrap();
    assert!(run_on(&daemon, &["put", "k"], b"bytes").status.success());
    let mode = |path: PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    };
    let segment = daemon.segment();
    assert_eq!(mode(segment.private_path()), 0o700);
    assert_eq!(mode(segment.path()), 0o600);
    assert_eq!(mode(segment.socket_path()), 0o600);
    for file in ["lock", "horizon", "record"] {
        assert_eq!(mode(segment.private_path().join(file)), 0o600, "{file}");
    }
    assert!(daemon.terminate().unwrap().success());
    // What an earlier release left under such a umask.
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(daemon.segment().private_path(), closed).unwrap();
    daemon.start_again().unwrap();
    assert_eq!(mode(daemon.segment().private_path()), 0o700);
}

#[test]
fn a_log_that_cannot_be_written_is_dropped_and_counted_and_the_daemon_serves_on() {
    let (reader, no_reader) = std::io::pipe().unwrap();
    drop(reader);
    // Its reader lives and reads nothing.
    let (_reader, unread) = std::io::pipe().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (what, log) in
        [("full", Stdio::from(full)), ("no reader", no_reader.into()), ("unread", unread.into())]
    {
        let segment = Segment::new();
        let mut command = launch().set(["log.level=trace"]).command(&segment).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut banner = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut banner).unwrap();
        let address = banner.trim().rsplit("http://").next().unwrap();
        let daemon = Endpoint::at(address.parse().unwrap());
        let dropped = until(SOON, || {
            let _ = run(&["--url", address, "put", "k"], b"bytes");
            let dropped = daemon.metric("kvlease_log_lines_dropped_total").unwrap();
            (dropped > 0.0).then_some(dropped)
        });
        assert!(dropped.is_some(), "{what}: every line was written");
        assert!(run(&["--url", address, "stat", "k"], b"").status.success(), "{what}");
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        assert!(process.wait().unwrap().success(), "{what}");
    }
}

#[test]
fn a_segment_of_another_user_is_named_as_such() {
    let segment = Segment::new();
    let mut command = launch().command(&segment).unwrap();
    let (dir, foreign) = (segment.private_path(), 65_534);
    // Root makes a directory of another user; another user meets one that it cannot look into.
    if rustix::process::geteuid().is_root() {
        fs::create_dir(&dir).unwrap();
        let line = as_user(foreign, &mut command);
        assert!(line.contains("belongs to another user"), "{line}");
        std::os::unix::fs::chown(&dir, Some(foreign), None).unwrap();
    } else {
        symlink("/", &dir).unwrap();
    }
    let line = refusal(&launch(), &segment, 73);
    assert!(line.contains("belongs to another user") || line.contains("not a directory"), "{line}");
}

/// The line of a start that another user tries.
fn as_user(uid: u32, command: &mut Command) -> String {
    use std::os::unix::process::CommandExt;
    let output =
        end(command.uid(uid).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_daemon_of_another_time_namespace_leaves_deadlines_of_the_machine() {
    let namespace = "-c 0 && exec unshare --user --map-root-user --time --boottime 1000000 --fork \
         --kill-child \"$0\" \"$@\"";
    let mut daemon = Daemon::start(launch().set(["lease.grace_s=0.1"]).ulimit(namespace)).unwrap();
    assert!(daemon.log().contains("shift_s=1000000"), "{}", daemon.log());
    assert!(run_on(&daemon, &["put", "k"], b"bytes").status.success());
    let lease = daemon.call("POST", "/v1/kv/lmcache/k/leases?ttl_s=1", b"").unwrap();
    assert_eq!(lease.status, 200);
    daemon.kill().unwrap();
    until(SOON, || daemon.start_again_as(&launch().set(["lease.grace_s=0.1"])).ok()).unwrap();
    assert!(!daemon.log().contains("no lease can have"), "{}", daemon.log());
    // The whole arena, once the lease and its grace are over.
    let content = vec![7; 63 << 20];
    let stored =
        until(SOON, || run_on(&daemon, &["put", "large"], &content).status.success().then_some(()));
    assert!(stored.is_some(), "space stays in quarantine: {}", daemon.log());
}

#[test]
fn a_directory_that_is_not_memory_is_warned_of() {
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    for place in [env!("CARGO_TARGET_TMPDIR"), "/dev/shm"] {
        let dir = TempDir::with_prefix_in("kvlease-place-", place).unwrap();
        let daemon = Daemon::start(launch_in(dir.path(), "8MiB")).unwrap();
        let is_memory = rustix::fs::statfs(dir.path()).unwrap().f_type == TMPFS;
        let is_warned_of = daemon.log().contains("is not on a tmpfs");
        assert_eq!(is_warned_of, !is_memory, "{place}: {}", daemon.log());
    }
}

#[test]
fn an_address_that_a_service_manager_overrides_is_warned_of() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let activated = launch().activated_by(&listener).unwrap();
    let same = Daemon::start(activated.clone()).unwrap();
    assert!(!same.log().contains("overrides"), "{}", same.log());
    drop(same);
    let other = Daemon::start(activated.listen("127.0.0.1:1")).unwrap();
    let log = other.log();
    assert!(log.contains("overrides server.address") && log.contains("ListenStream="), "{log}");
}

#[test]
fn names_that_another_file_takes_are_told_once_each_with_the_end() {
    let daemon = daemon();
    let taken = |path: &Path| {
        let other = path.with_extension("other");
        fs::write(&other, b"of another program").unwrap();
        fs::rename(&other, path).unwrap();
    };
    for (path, lost, again) in [
        (
            daemon.segment().path(),
            "cannot attach to the segment",
            "can attach to the segment again",
        ),
        (daemon.segment().socket_path(), "cannot reach the socket", "reach the socket of the fast"),
    ] {
        taken(&path);
        await_that(lost, || daemon.log().contains(lost));
        fs::remove_file(&path).unwrap();
        await_that(again, || {
            daemon.log().lines().any(|line| line.contains("INFO") && line.contains(again))
        });
        assert_eq!(daemon.log().matches(lost).count(), 1, "{}", daemon.log());
    }
}
