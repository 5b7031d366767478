//! A neighbour that takes the names of the segment's files.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::ValueEnum;
use kvlease_client::SocketChoice;
use kvlease_harness::{
    Attaches, Daemon, Payload, SHM_DIR, STARTS_WITHIN, StockClient, StockRead, await_that, object,
    until,
};
use kvlease_soak::neighbour::NameKind;

use crate::{
    process::Neighbour,
    users,
    victim::{BUCKET, CAPACITY, GOOD, connector, good, launch, readable, store_good},
};

/// Statuses of a start that cannot serve, as documented: a name is in use, or the segment or the
/// socket cannot be created.
const REFUSED: [Option<i32>; 2] = [Some(69), Some(73)];

/// Removals of the public name while the neighbour waits for it.
const REMOVALS: usize = 8;

fn attack(kind: NameKind, paths: &[PathBuf]) -> Neighbour {
    let kind = kind.to_possible_value().unwrap();
    let len = CAPACITY.to_string();
    let mut arguments: Vec<_> =
        ["names", "--kind", kind.get_name(), "--len", &len].map(Into::into).into();
    arguments.extend(paths.iter().map(|path| path.clone().into_os_string()));
    Neighbour::attack(arguments)
}

/// Asserts that a stock client that attaches now gets right bytes, or none.
fn assert_stock_gets_nothing_foreign(daemon: &Daemon) {
    let segment = daemon.segment().name();
    let limit = Duration::from_secs(20);
    let mut stock = StockClient::new(daemon.address(), segment, Attaches::ToTheName, limit);
    for number in 0..GOOD {
        // A name that is free for a moment is an error of the stock client.
        if let Ok(StockRead::Bytes(bytes)) = stock.get(BUCKET, &good(number), limit) {
            assert_eq!(Payload::verify(&good(number), &bytes), Ok(1), "foreign bytes");
        }
    }
}

/// Starts the daemon, which ends serving or refuses with a line. Returns whether it serves.
fn start(daemon: &mut Daemon, path: &Path) -> bool {
    daemon.spawn().unwrap();
    let ended = until(STARTS_WITHIN, || {
        let alive = daemon.is_alive().unwrap();
        let serves = daemon.output().contains("listening on");
        (!alive || serves).then_some(!alive)
    });
    if !ended.expect("a start ends in time") {
        daemon.await_listening().unwrap();
        return true;
    }
    let (status, log) = (daemon.wait().unwrap().code(), daemon.log());
    assert!(REFUSED.contains(&status), "status=`{status:?}` log:\n{log}");
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains(path.to_str().unwrap()), "the line names what is in the way:\n{log}");
    false
}

#[test]
fn a_start_serves_or_refuses_with_a_line_whatever_another_user_put_under_its_names() {
    if !users::are_two(
        "names::a_start_serves_or_refuses_with_a_line_whatever_another_user_put_under_its_names",
    ) {
        return;
    }
    let mut served = 0;
    for kind in NameKind::value_variants() {
        for place in 0..4 {
            let mut daemon = Daemon::new(launch(&[])).unwrap();
            let segment = daemon.segment();
            let (public, socket) = (segment.path(), segment.socket_path());
            let directory = socket.parent().filter(|parent| *parent != Path::new(SHM_DIR));
            let directory = directory.unwrap_or(&socket).to_owned();
            let paths = [public, segment.private_path(), socket, directory];
            let neighbour = attack(*kind, &paths[place..=place]);
            if start(&mut daemon, &paths[place]) {
                served += 1;
                let connector = connector(&daemon, SocketChoice::Announced);
                await_that("the arena is populated", || {
                    let stats = daemon.stats().unwrap();
                    stats.populated == stats.capacity
                });
                store_good(&connector);
                assert_eq!(readable(&connector), GOOD);
                assert_stock_gets_nothing_foreign(&daemon);
                assert!(daemon.terminate().unwrap().success());
            }
            neighbour.end();
            daemon.start_again().unwrap();
            assert!(daemon.terminate().unwrap().success());
        }
    }
    println!("served: {served} of 16");
}

#[test]
fn a_public_name_that_another_user_took_gives_no_client_foreign_bytes_and_comes_back() {
    if !users::are_two(
        "names::a_public_name_that_another_user_took_gives_no_client_foreign_bytes_and_comes_back",
    ) {
        return;
    }
    for kind in NameKind::value_variants() {
        let mut daemon = Daemon::start(launch(&[])).unwrap();
        let public = daemon.segment().path();
        let inode = daemon.segment().inode();
        let native = connector(&daemon, SocketChoice::Announced);
        store_good(&native);
        let neighbour = attack(*kind, std::slice::from_ref(&public));
        for _ in 0..REMOVALS {
            // As a stock client of the daemon's user does when it ends. The name may be gone.
            let _ = fs::remove_file(&public);
            thread::sleep(Duration::from_millis(20));
            // The daemon looks at its name at intervals, not at each lease.
            let lease = format!("{}/leases?ttl_s=1", object(BUCKET, &good(0)));
            await_that("the daemon sees who has its name", || {
                let granted = daemon.call("POST", &lease, b"").unwrap().status == 200;
                daemon.segment().inode() == inode || !granted
            });
            assert_stock_gets_nothing_foreign(&daemon);
            assert_eq!(readable(&native), GOOD, "the arena came with a descriptor");
            // It attaches by the name, or reads over HTTP, or gets nothing: no byte may be wrong.
            readable(&connector(&daemon, SocketChoice::Never));
        }
        neighbour.end();
        await_that("the name is back", || daemon.segment().inode() == inode);
        assert_eq!(readable(&connector(&daemon, SocketChoice::Never)), GOOD);
        assert!(daemon.terminate().unwrap().success());
        daemon.start_again().unwrap();
        assert_eq!(readable(&connector(&daemon, SocketChoice::Announced)), GOOD);
    }
}
