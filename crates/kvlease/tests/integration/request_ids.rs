//! The id in a client's error leads to the daemon's line.

use kvlease_harness::{Daemon, await_that};

use crate::program::{launch, run_on};

#[test]
fn an_error_of_the_program_has_the_id_of_a_line_of_the_daemon() {
    for format in ["human", "json"] {
        let settings =
            ["log.level=debug", &format!("log.format={format}"), "cache.object_len_max=1MiB"];
        let daemon = Daemon::start(launch().set(settings)).unwrap();
        let output = run_on(&daemon, &["put", "key", "-"], &vec![7; 2 << 20]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        let (_, id) = said.split_once("request_id=`").expect(&said);
        let (id, _) = id.split_once('`').unwrap();
        assert_eq!(id.len(), 16, "{said}");
        let tag = match format {
            "human" => format!("request_id={id}"),
            _ => format!("\"request_id\":\"{id}\""),
        };
        await_that("the line of the refusal", || daemon.log().contains(&tag));
        let log = daemon.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&tag)).collect();
        assert!(lines[0].contains("TooLarge"), "{lines:?}");
        if format == "json" {
            let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
            assert_eq!(line["request_id"], id);
        }
    }
}

#[test]
fn the_access_log_can_be_in_the_daemon_s_own() {
    let daemon = Daemon::start(launch().set(["access_log.path=log"])).unwrap();
    run_on(&daemon, &["put", "key", "-"], b"secret");
    await_that("a line", || daemon.log().contains("\"operation\":\"put\""));
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("\"operation\":\"put\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((line["outcome"].as_str(), line["status"].as_u64()), (Some("ok"), Some(200)));
    assert!(!log.contains("secret") && !log.contains("kvlease_access\""), "{log}");
}
