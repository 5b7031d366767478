//! Every frame of the fast lane for every right and both ways to identify a process.

use std::{path::Path, time::Duration};

use kvlease_api::lane::{
    Answer, CommitWriter, DoneStatus, FailureCode, Hello, IdsWriter, KeysWriter, Kind, LeaseRecord,
    LeaseStatus, Mode, PrepareWriter, RequestedObject, ReserveWriter, StoreWriter, UsedWriter,
    VERSION, write_index,
};
use kvlease_server::{Need, Right, config::TenantConfig, need_of_frame};
use kvlease_types::{BucketName, ByteSize};
use rustix::process::{getegid, geteuid};

use super::{FOREIGN, OWN, ROOT, add, ask, globs, own, store};
use crate::{
    daemon::Daemon,
    lane::client::{Client, Raw, Received, ids, keys},
};

/// Change of a tenant's configuration.
type Change = fn(&mut TenantConfig);

/// Ways in which a process is identified.
const WAYS: [Change; 2] = [
    |tenant| tenant.uids = vec![geteuid().as_raw()],
    |tenant| tenant.gids = vec![getegid().as_raw()],
];

/// A daemon whose tenant `t` is this process.
fn daemon(way: Change, rights: impl Fn(&mut TenantConfig)) -> Daemon {
    let mut tenant = TenantConfig::default();
    way(&mut tenant);
    rights(&mut tenant);
    let daemon = Daemon::with(|config| add(config, [("t", tenant)]));
    for bucket in [OWN, FOREIGN] {
        store(&daemon, bucket, "k", b"bytes");
    }
    daemon
}

/// Text of the refusal in place of a welcome.
fn turned_away(daemon: &Daemon) -> (FailureCode, String) {
    turned_away_at(&daemon.socket())
}

/// The same at this socket.
pub(super) fn turned_away_at(socket: &Path) -> (FailureCode, String) {
    let mut raw = Raw::connect_at(socket);
    let mut hello = Vec::new();
    Hello { version: VERSION, writes: true }.write(&mut hello, 1);
    // The daemon may have closed already.
    let _ = std::io::Write::write_all(&mut raw.stream, &hello);
    let received = raw.receive();
    let Answer::Error(failure) = received.answer() else { panic!("{received:?}") };
    let told = (failure.code, failure.text.to_owned());
    assert!(raw.is_closed());
    told
}

#[test]
fn a_process_of_no_tenant_gets_no_descriptor() {
    let daemon = daemon(|t| t.uids = vec![geteuid().as_raw() + 4_242], |t| t.read = globs(&["*"]));
    let (code, text) = turned_away(&daemon);
    assert_eq!(code, FailureCode::NotAllowed);
    assert!(text.contains("no tenant has this user") && text.contains("uid=`"), "{text}");
}

#[test]
fn only_who_may_read_all_of_the_arena_or_shares_it_gets_its_descriptor() {
    for way in WAYS {
        let some = daemon(way, |t| (t.read, t.write) = (own(), globs(&["*"])));
        let (code, text) = turned_away(&some);
        assert_eq!(code, FailureCode::NotAllowed);
        for part in ["shares_arena = true", "read = [\"*\"]", "tenant=`t`"] {
            assert!(text.contains(part), "{text}");
        }
        let rights: [(bool, Change); 4] = [
            (false, |t| t.read = globs(&["*"])),
            (false, |t| (t.read, t.write) = (globs(&["*"]), own())),
            (true, |t| (t.read, t.write) = (globs(&["*"]), globs(&["*"]))),
            (true, |t| (t.read, t.write, t.shares_arena) = (own(), own(), true)),
        ];
        for (writes, rights) in rights {
            let daemon = daemon(way, rights);
            assert_eq!(Client::writer(&daemon).welcome.writes, writes);
        }
    }
}

/// Writes a request of this kind about a bucket.
pub(super) fn write(kind: Kind, bucket: &str, out: &mut Vec<u8>, request: u64) {
    let bucket = BucketName::new(bucket).unwrap();
    match kind {
        Kind::Acquire => {
            let wait = Duration::from_millis(1);
            keys(KeysWriter::acquire(out, request, &bucket, Mode::Each, wait, None), &["k"]);
        }
        Kind::Exists => keys(KeysWriter::exists(out, request, &bucket, Mode::Each), &["k"]),
        Kind::Remove => keys(KeysWriter::remove(out, request, &bucket), &["k"]),
        Kind::Reserve => {
            let mut frame = ReserveWriter::begin(out, request, &bucket);
            frame.push(RequestedObject { len: ByteSize::new(5), key: "new" }).unwrap();
            frame.finish();
        }
        Kind::Store => drop(StoreWriter::begin(out, request, &bucket).finish()),
        Kind::Prepare => drop(PrepareWriter::begin(out, request).finish()),
        Kind::Index => write_index(out, request),
        Kind::Release => ids(IdsWriter::release(out, request, false), &[1]),
        Kind::Renew => ids(IdsWriter::renew(out, request, None), &[1]),
        Kind::Abort => ids(IdsWriter::abort(out, request, false), &[1]),
        Kind::Commit => drop(CommitWriter::begin(out, request).finish()),
        Kind::Used => drop(UsedWriter::begin(out, request, 0, false).finish()),
        Kind::Hello
        | Kind::Welcome
        | Kind::Leases
        | Kind::Done
        | Kind::Renewed
        | Kind::Reservations
        | Kind::Indexed
        | Kind::Error => unreachable!("{kind:?} is no request of an open connection"),
    }
}

/// Outcome of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    /// It was answered, and if it names an object, that is there.
    Answered,
    /// It was answered as if there was no object.
    Nothing,
    Forbidden,
}

fn found(received: &Received) -> Found {
    match received.answer() {
        Answer::Error(failure) => {
            assert_eq!(failure.code, FailureCode::Forbidden, "{failure:?}");
            assert!(failure.text.contains("tenant=`t`"), "{failure:?}");
            Found::Forbidden
        }
        Answer::Leases(mut leases) => match leases.next().unwrap() {
            LeaseRecord::Granted(..) => Found::Answered,
            LeaseRecord::Refused(status) => {
                assert_eq!(status, LeaseStatus::Absent);
                Found::Nothing
            }
        },
        Answer::Done(_) | Answer::Renewed { .. } => match received.statuses().first() {
            Some(DoneStatus::Unknown) => Found::Nothing,
            _ => Found::Answered,
        },
        _ => Found::Answered,
    }
}

/// Outcome that a frame is to have, by the documented rules. All tenants here have the arena.
fn expected(tenant: &TenantConfig, kind: Kind, is_own: bool) -> Found {
    let all_read = tenant.read.iter().any(|glob| glob.as_str() == "*");
    let reads = all_read || is_own && !tenant.read.is_empty();
    let on_bucket = |allowed: bool| match allowed {
        true => Found::Answered,
        false if reads => Found::Forbidden,
        false => Found::Nothing,
    };
    let allowed = |allowed| if allowed { Found::Answered } else { Found::Forbidden };
    match need_of_frame(kind).unwrap() {
        Need::Lease | Need::On(Right::Read) => on_bucket(reads),
        Need::On(Right::Remove) => on_bucket(is_own && !tenant.remove.is_empty()),
        Need::On(Right::Write) => allowed(is_own && !tenant.write.is_empty()),
        Need::SomeBucket => allowed(!tenant.write.is_empty()),
        Need::Everything => allowed(all_read),
        // The names in these frames are those of no lease and no reservation.
        Need::Tenant if matches!(kind, Kind::Release | Kind::Renew | Kind::Abort) => Found::Nothing,
        Need::Tenant => Found::Answered,
        need => panic!("{kind:?} needs {need:?}"),
    }
}

#[test]
fn every_frame_is_answered_by_the_rights_of_its_tenant() {
    let rights: [Change; 6] = [
        |t| t.read = globs(&["*"]),
        |t| (t.read, t.shares_arena) = (own(), true),
        |t| (t.write, t.shares_arena) = (own(), true),
        |t| (t.remove, t.shares_arena) = (own(), true),
        |t| (t.list, t.shares_arena) = (own(), true),
        |t| (t.read, t.write, t.remove, t.shares_arena) = (own(), own(), own(), true),
    ];
    let kinds = Kind::ALL.iter().copied().filter(|kind| kind.is_request() && *kind != Kind::Hello);
    let kinds: Vec<_> = kinds.collect();
    for (way, rights) in WAYS.into_iter().flat_map(|way| rights.map(|rights| (way, rights))) {
        let mut tenant = TenantConfig::default();
        rights(&mut tenant);
        let daemon = daemon(way, rights);
        for kind in kinds.iter().copied() {
            for bucket in [OWN, FOREIGN] {
                let what = format!("{kind:?} {bucket} {tenant:?}");
                let mut client = Client::writer(&daemon);
                let received = client.call(|out, request| write(kind, bucket, out, request));
                let found = found(&received);
                assert_eq!(found, expected(&tenant, kind, bucket == OWN), "{what}");
                // A frame that is refused ends nothing: the connection goes on.
                client.call(|out, request| write(Kind::Exists, OWN, out, request));
                drop(client);
                let target = format!("/v1/kv/{bucket}/k");
                let there = ask(&daemon, Some(ROOT), "GET", &target, b"").status == 200;
                let removed = kind == Kind::Remove && found == Found::Answered;
                assert_eq!(there, !removed, "{what}");
                if removed {
                    store(&daemon, bucket, "k", b"bytes");
                }
            }
        }
    }
}

#[test]
fn who_may_not_read_all_learns_nothing_of_the_places_of_others_and_uses_none() {
    let daemon = daemon(WAYS[0], |t| (t.read, t.shares_arena) = (own(), true));
    let mut client = Client::reader(&daemon);
    let used = |out: &mut Vec<u8>, request| {
        let mut frame = UsedWriter::begin(out, request, 1, false);
        // Slots and generations are numbers that can be guessed.
        for (slot, generation) in (0..4).flat_map(|slot| (1..8).map(move |number| (slot, number))) {
            frame.push(slot, generation).unwrap();
        }
        assert_eq!(frame.finish(), 28);
    };
    assert_eq!(client.call(used).failure(), FailureCode::Forbidden);
    let metrics = ask(&daemon, Some(ROOT), "GET", "/metrics", b"").body;
    assert!(String::from_utf8(metrics).unwrap().contains("kvlease_index_reads_total 0\n"));
}
