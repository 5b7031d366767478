//! A neighbour that answers as a fast lane where the daemon's was.

use std::path::Path;

use kvlease_client::{Key, PutOutcome, SocketChoice};
use kvlease_harness::{Daemon, Payload, SHM_DIR, await_that, unused_address};

use crate::{
    process::Neighbour,
    users,
    victim::{GOOD, connector, good, launch, readable, store_good},
};

#[test]
fn a_lane_that_another_user_serves_gives_no_bytes_and_gets_none_and_keeps_no_daemon_out() {
    if !users::are_two(
        "impostor::a_lane_that_another_user_serves_gives_no_bytes_and_gets_none_and_keeps_no_daemon_out",
    ) {
        return;
    }
    let mut daemon = Daemon::start(launch(&[]).listen(unused_address())).unwrap();
    let announced = daemon.announced_socket().unwrap().unwrap();
    // Releases before had it in a directory that all users may write to.
    let name = daemon.segment().name();
    let sockets = [Path::new(SHM_DIR).join(format!(".kvlease.{name}.sock")), announced];
    let choices = || {
        let at = sockets.iter().cloned().map(SocketChoice::At);
        [SocketChoice::Announced].into_iter().chain(at)
    };
    let mut connectors: Vec<_> = choices().map(|choice| connector(&daemon, choice)).collect();
    store_good(&connectors[0]);
    for connector in &connectors {
        assert_eq!(readable(connector), GOOD);
    }
    let epoch = daemon.stats().unwrap().epoch;
    // Clients whose first call finds the impostor.
    connectors.extend(choices().map(|choice| connector(&daemon, choice)));
    // These read on what the daemon had published, in its own memory.
    let has_index: Vec<_> = connectors.iter().map(|it| it.as_async().is_fast()).collect();
    assert!(has_index.contains(&true) && has_index.contains(&false));
    assert!(daemon.terminate().unwrap().success());

    let mut arguments = vec!["impostor".into(), "--epoch".into(), epoch.into()];
    arguments.extend(sockets.iter().map(|path| path.clone().into_os_string()));
    let impostor = Neighbour::attack(arguments);
    for (connector, has_index) in connectors.iter().zip(has_index) {
        let right = if has_index { GOOD } else { 0 };
        assert_eq!(readable(connector), right, "there is no daemon");
        let put =
            connector.put(&Key::new("secret").unwrap(), Payload::new("secret", 1, 4096).bytes());
        assert!(!matches!(put, Ok(PutOutcome::Stored)), "stored in foreign memory");
        let exists = connector.exists(&Key::new(good(0)).unwrap());
        assert!(has_index || !matches!(exists, Ok(true)), "a foreign daemon has it");
    }

    daemon.start_again().unwrap();
    for connector in &connectors {
        // After failed calls a client asks a daemon that is back only now and then.
        await_that("the client is back", || readable(connector) == GOOD);
    }
    let got = impostor.end();
    assert!(got.ends_with("stored=0"), "{got}");
    assert!(daemon.terminate().unwrap().success());
    daemon.start_again().unwrap();
    await_that("the client is back", || readable(&connectors[0]) == GOOD);
}
