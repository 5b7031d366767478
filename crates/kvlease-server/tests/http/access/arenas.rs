//! Attempts of a tenant on arenas that are not its own, which learn and change nothing.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

use kvlease_api::{
    Endpoint, LeaseReply, ListReply, StatsReply,
    lane::{Answer, DoneStatus, FailureCode, Kind, LeaseRecord, LeaseStatus},
};
use kvlease_server::{
    Need,
    config::{ArenaConfig, Config, ListenerConfig, Serves, TenantConfig},
    need_of_endpoint,
};
use kvlease_types::ByteSize;
use rustix::process::geteuid;

use super::{ROOT, add, ask, frames, matrix::request, root, shown, tenant};
use crate::{
    daemon::{CAPACITY, Daemon},
    lane::client::Raw,
    wire::{Reply, Wire},
};

/// Arenas, each with a tenant of its name.
const CRIMSON: &str = "crimson";
const AZURE: &str = "azure";

/// Bucket in which the first of them has an object, and one of the same length in which none has.
const SECRETS: &str = "secrets";
const NOTHING: &str = "nothing";

/// Size of the second arena.
const AZURE_CAPACITY: ByteSize = ByteSize::mib(32);

/// Objects of the first arena: one in the bucket, the record of a namespace of checkpoints, and a shard.
const OBJECTS: u64 = 3;

/// A daemon with the arenas. Each tenant may do everything, and the first has a listener as well.
fn daemon(change: impl FnOnce(&mut Config)) -> Daemon {
    let daemon = Daemon::with(|config| {
        for (name, capacity) in [(CRIMSON, CAPACITY), (AZURE, AZURE_CAPACITY)] {
            let arena = ArenaConfig { capacity: Some(capacity), ..ArenaConfig::default() };
            config.arenas.insert(name.to_owned(), arena);
        }
        let own = [CRIMSON, AZURE].map(|name| {
            let TenantConfig { token_sha256, .. } = tenant(name);
            (name, TenantConfig { arena: Some(name.to_owned()), token_sha256, ..root() })
        });
        add(config, own);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = ListenerConfig { address, serves: Serves::All, tls: None };
        config.listeners.insert("of-crimson".to_owned(), listener);
        let first = config.tenants.get_mut(CRIMSON).unwrap();
        first.listeners = vec!["of-crimson".to_owned()];
        change(config);
    });
    for (method, target) in [
        ("PUT", format!("/v1/kv/{SECRETS}/k")),
        ("POST", format!("/v1/cp/namespaces/{SECRETS}?num_ranks=1")),
        ("POST", format!("/v1/cp/checkpoints/{SECRETS}/0/1")),
    ] {
        let reply = ask(&daemon, Some(CRIMSON), method, &target, b"bytes");
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
    }
    daemon
}

/// Object of a tenant in the bucket with secrets.
fn secret(daemon: &Daemon, name: &str) -> Reply {
    ask(daemon, Some(name), "GET", &format!("/v1/kv/{SECRETS}/k"), b"")
}

fn stats(daemon: &Daemon, name: &str) -> StatsReply {
    ask(daemon, Some(name), "GET", "/v1/stats", b"").json()
}

#[test]
fn every_endpoint_answers_as_if_no_other_arena_was_there() {
    let daemon = daemon(|_| {});
    let names_a_bucket = |endpoint: &Endpoint| {
        ["{bucket}", "{namespace}"].iter().any(|part| endpoint.path().contains(part))
    };
    let ask_for = |name, endpoint, bucket| {
        let (method, target, body) = request(endpoint, bucket, 0);
        ask(&daemon, Some(name), method, &target, body)
    };
    // What tells of the whole daemon comes first: those behind it make something in the arena.
    for endpoint in Endpoint::ALL.iter().filter(|endpoint| !names_a_bucket(endpoint)) {
        let text = ask_for(AZURE, *endpoint, SECRETS).text();
        for word in [CRIMSON, SECRETS] {
            assert!(!text.contains(word), "{endpoint:?} {word}: {text}");
        }
    }
    for name in [AZURE, ROOT] {
        for endpoint in Endpoint::ALL.iter().filter(|endpoint| names_a_bucket(endpoint)) {
            let [secrets, nothing] = [SECRETS, NOTHING].map(|bucket| {
                let (status, headers, text) = shown(&ask_for(name, *endpoint, bucket));
                (status, headers, text.replace(bucket, "BUCKET"))
            });
            assert_eq!(secrets, nothing, "{name} {endpoint:?}");
            assert!(![401, 403].contains(&secrets.0), "{name} {endpoint:?}: {secrets:?}");
        }
    }
    assert_eq!(secret(&daemon, CRIMSON).body, b"bytes", "nothing of it was changed");
    let shard = format!("/v1/cp/checkpoints/{SECRETS}/0/1");
    assert_eq!(ask(&daemon, Some(CRIMSON), "GET", &shard, b"").body, b"bytes");
}

#[test]
fn a_lease_and_a_cursor_of_another_arena_are_unknown() {
    let daemon = daemon(|_| {});
    let lease: LeaseReply = {
        let target = format!("/v1/kv/{SECRETS}/k/leases?ttl_s=30");
        ask(&daemon, Some(CRIMSON), "POST", &target, b"").json()
    };
    let call = |name, action| {
        ask(&daemon, Some(name), "POST", &format!("/v1/leases/{}/{action}", lease.id), b"").status
    };
    for name in [AZURE, ROOT] {
        assert_eq!((call(name, "renew"), call(name, "release")), (404, 200), "{name}");
        assert_eq!((stats(&daemon, name).leases, stats(&daemon, CRIMSON).leases), (0, 1), "{name}");
    }
    assert_eq!(call(CRIMSON, "renew"), 200);
    let list = |name, cursor: &str| {
        ask(&daemon, Some(name), "GET", &format!("/v1/kv/{SECRETS}?limit=1{cursor}"), b"")
    };
    for name in [CRIMSON, AZURE] {
        for key in ["l", "m"] {
            ask(&daemon, Some(name), "PUT", &format!("/v1/kv/{SECRETS}/{key}"), b"x");
        }
    }
    let page: ListReply = list(CRIMSON, "").json();
    let cursor = format!("&cursor={}", page.next.expect("there are more objects"));
    assert_eq!(list(CRIMSON, &cursor).status, 200);
    assert_eq!(list(AZURE, &cursor).status, 400);
}

#[test]
fn answers_name_the_arena_of_their_caller_and_none_to_strangers() {
    let daemon = daemon(|_| {});
    let known = ["kvlease-epoch", "kvlease-segment", "kvlease-socket"];
    let named = |reply: &Reply| known.map(|name| reply.header(name).map(str::to_owned));
    let [crimson, azure, first] = [CRIMSON, AZURE, ROOT].map(|name| {
        let named = named(&secret(&daemon, name));
        assert!(named.iter().all(Option::is_some), "{name}: {named:?}");
        for target in ["/healthz", "/readyz", "/nothing"] {
            let reply = ask(&daemon, Some(name), "GET", target, b"");
            assert_eq!(known.map(|name| reply.header(name).map(str::to_owned)), named, "{target}");
        }
        named
    });
    for place in 0..known.len() {
        assert!(crimson[place] != azure[place] && azure[place] != first[place], "{}", known[place]);
        assert_ne!(crimson[place], first[place], "{}", known[place]);
    }
    assert_eq!(azure[2].as_deref(), daemon.socket_of(AZURE).to_str());
    for target in ["/healthz", "/v1/kv/b/k", "/v1/stats"] {
        let reply = ask(&daemon, None, "GET", target, b"");
        assert_eq!(named(&reply), [None, None, None], "{target}: {reply:?}");
    }
    // A listener tells as well whose its callers are.
    let mut wire = Wire::open(daemon.listener("of-crimson"));
    assert_eq!(named(&wire.call("GET", "/healthz")), crimson);
    assert_eq!(wire.call("GET", &format!("/v1/kv/{SECRETS}/k")).body, b"bytes");
}

#[test]
fn a_socket_passes_the_descriptor_of_its_arena_to_tenants_of_that_alone() {
    let daemon = daemon(|config| {
        let uids = vec![geteuid().as_raw()];
        config.tenants.get_mut(AZURE).unwrap().uids = uids;
    });
    for socket in [daemon.socket(), daemon.socket_of(CRIMSON)] {
        let (code, text) = frames::turned_away_at(&socket);
        assert_eq!(code, FailureCode::NotAllowed, "{text}");
        assert!(
            text.contains("that of another arena") && text.contains("tenant=`azure`"),
            "{text}"
        );
    }
    let mut client = Raw::connect_at(&daemon.socket_of(AZURE)).open(true);
    assert!(client.welcome.writes);
    assert_eq!(client.welcome.capacity, AZURE_CAPACITY);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let passed = client.arena.metadata().unwrap().ino();
    assert_eq!(passed, inode(&daemon.segment_of(AZURE)));
    assert_ne!(passed, inode(&daemon.segment_of(CRIMSON)));
    for kind in [Kind::Acquire, Kind::Exists, Kind::Remove] {
        let received = client.call(|out, request| frames::write(kind, SECRETS, out, request));
        match received.answer() {
            Answer::Leases(mut leases) => {
                let first = leases.next().unwrap();
                assert!(matches!(first, LeaseRecord::Refused(LeaseStatus::Absent)), "{first:?}");
            }
            _ => assert_eq!(received.statuses(), [DoneStatus::Unknown]),
        }
    }
    assert_eq!(secret(&daemon, CRIMSON).body, b"bytes");
    let refused = daemon_metric(&daemon, "kvlease_access_refused_total{reason=\"forbidden\"}");
    assert_eq!(refused, "2", "the operators of the first arena see it");
}

/// Value of a series, as the operators of the first arena see it.
fn daemon_metric(daemon: &Daemon, series: &str) -> String {
    let text = ask(daemon, Some(ROOT), "GET", "/metrics", b"").text();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}: {text}")).to_owned()
}

#[test]
fn operators_of_the_first_arena_see_all_and_others_their_own() {
    let daemon = daemon(|_| {});
    let all = stats(&daemon, ROOT);
    assert_eq!((all.objects, all.capacity), (0, CAPACITY.bytes()));
    let told = all.arenas.iter().map(|arena| {
        (arena.arena.as_str(), arena.tenants.join(" "), arena.capacity, arena.objects)
    });
    let own = CAPACITY.bytes();
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("default", ROOT.to_owned(), own, 0),
            (AZURE, AZURE.to_owned(), AZURE_CAPACITY.bytes(), 0),
            (CRIMSON, CRIMSON.to_owned(), own, OBJECTS),
        ]
    );
    let crimson = stats(&daemon, CRIMSON);
    assert_eq!((crimson.objects, crimson.arenas.len()), (OBJECTS, 0));
    assert_eq!(crimson.shared_memory_name, "shared_memory-crimson");
    let of =
        |name: &str, arena: &str| daemon_metric(&daemon, &format!("{name}{{arena=\"{arena}\"}}"));
    assert_eq!(of("kvlease_arena_objects", CRIMSON), OBJECTS.to_string());
    assert_eq!(of("kvlease_arena_objects", AZURE), "0");
    assert_eq!(of("kvlease_arena_received_bytes_total", CRIMSON), "10");
    // The series of the first arena are what they are without any other.
    assert_eq!(daemon_metric(&daemon, "kvlease_objects"), "0");
    let puts = "kvlease_requests_total{operation=\"put\",outcome=\"ok\"}";
    assert_eq!(daemon_metric(&daemon, puts), "0");
}

#[test]
fn a_daemon_without_further_arenas_tells_of_none() {
    let daemon = Daemon::start();
    assert!(!daemon.metrics().contains("kvlease_arena_"));
    assert!(!daemon.wire().call("GET", "/v1/stats").text().contains("arenas"));
}

/// Whether a command succeeds as this user.
fn can(uid: u32, command: &[&str], file: &Path) -> bool {
    let mut setpriv = Command::new("setpriv");
    setpriv.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".to_owned()]);
    let output = setpriv.args(command).arg(file).output().unwrap();
    output.status.success()
}

#[test]
fn another_user_maps_and_connects_to_its_own_arena_alone() {
    let users = [(CRIMSON, 4_242), (AZURE, 4_243)];
    let daemon = daemon(|config| {
        for (name, uid) in users {
            config.arenas.get_mut(name).unwrap().segment_uid = Some(uid);
        }
    });
    fs::set_permissions(daemon.segment().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    let reads = |uid, file: &Path| can(uid, &["head", "--bytes=1"], file);
    let writes = |uid, file: &Path| can(uid, &["test", "-w"], file);
    for (name, uid) in users {
        assert!(fs::metadata(daemon.socket_of(name)).unwrap().file_type().is_socket());
        for (other, owner) in users.into_iter().chain([("default", 0)]) {
            let (segment, socket) = match other {
                "default" => (daemon.segment(), daemon.socket()),
                other => (daemon.segment_of(other), daemon.socket_of(other)),
            };
            let found = (reads(uid, &segment), writes(uid, &segment), writes(uid, &socket));
            let own = uid == owner;
            assert_eq!(found, (own, own, own), "{name} at {other}");
        }
    }
}

#[test]
fn every_admin_endpoint_of_an_arena_needs_its_own_operator() {
    let daemon = daemon(|config| config.tenants.get_mut(AZURE).unwrap().admin = false);
    for endpoint in Endpoint::ALL.iter().copied() {
        if need_of_endpoint(endpoint) == Need::Admin {
            let (method, target, body) = request(endpoint, NOTHING, 0);
            assert_eq!(
                ask(&daemon, Some(AZURE), method, &target, body).status,
                403,
                "{endpoint:?}"
            );
        }
    }
}
