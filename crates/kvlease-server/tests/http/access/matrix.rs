//! Every endpoint for every right, from the table of needs.

use kvlease_api::{Endpoint, lane::Kind};
use kvlease_server::{Need, Right, config::TenantConfig, need_of_endpoint, need_of_frame};

use super::{
    FOREIGN, NOTHING, OWN, ROOT, add, ask, ask_with, globs, own, root, shown, store, tenant,
};
use crate::{
    daemon::Daemon,
    table::rows,
    wire::{Reply, refused},
};

const DOCUMENT: &str = include_str!("../../../../../docs/tenants.md");

#[test]
fn the_documented_needs_are_those_of_the_tables() {
    let needs = Endpoint::ALL.iter().map(|endpoint| {
        let request = format!("{} {}", endpoint.method(), endpoint.path());
        [request, unmarked(need_of_endpoint(*endpoint))]
    });
    assert_eq!(rows(DOCUMENT, "## What requests need"), needs.collect::<Vec<_>>());
    let needs = Kind::ALL
        .iter()
        .filter_map(|kind| Some([kind.name().to_owned(), unmarked(need_of_frame(*kind)?)]));
    assert_eq!(rows(DOCUMENT, "### Frames"), needs.collect::<Vec<_>>());
}

/// The words for a need, as a cell has them that is code as a whole.
fn unmarked(need: Need) -> String {
    let name = need.name();
    let inside = name.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    inside.filter(|inside| !inside.contains('`')).unwrap_or(name).to_owned()
}

/// Outcome of a request that is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    Answered,
    Hidden,
    Forbidden,
}

/// Tenants: one for each right on one bucket, and one for each further leave.
fn tenants() -> Vec<(&'static str, TenantConfig)> {
    let with = |name, change: fn(&mut TenantConfig)| {
        let mut config = tenant(name);
        change(&mut config);
        (name, config)
    };
    vec![
        with("reader", |t| t.read = own()),
        with("writer", |t| t.write = own()),
        with("remover", |t| t.remove = own()),
        with("lister", |t| t.list = own()),
        with("operator", |t| t.admin = true),
        with("mapper", |t| t.read = globs(&["*"])),
        with("sharer", |t| (t.read, t.shares_arena) = (own(), true)),
        with("worker", |t| {
            (t.read, t.write, t.remove, t.list) = (own(), own(), own(), own());
        }),
    ]
}

/// Outcome that a request is to have, by the documented rules.
fn expected(tenant: &TenantConfig, need: Need, is_own: bool) -> Expected {
    let all_read = tenant.read.iter().any(|glob| glob.as_str() == "*");
    let reads = all_read || is_own && !tenant.read.is_empty();
    let has = |globs: &[_]| is_own && !globs.is_empty();
    let on_bucket = |allowed: bool| match allowed {
        true => Expected::Answered,
        false if reads => Expected::Forbidden,
        false => Expected::Hidden,
    };
    let allowed = |allowed| if allowed { Expected::Answered } else { Expected::Forbidden };
    match need {
        Need::Nothing | Need::Tenant => Expected::Answered,
        Need::On(Right::Read) => on_bucket(reads),
        Need::On(Right::Remove) => on_bucket(has(&tenant.remove)),
        Need::On(Right::List) => on_bucket(has(&tenant.list)),
        Need::On(Right::Write) => allowed(has(&tenant.write)),
        Need::Lease if !all_read && !tenant.shares_arena => Expected::Forbidden,
        Need::Lease => on_bucket(reads),
        Need::Admin => allowed(tenant.admin),
        Need::Mapping | Need::Everything | Need::SomeBucket => unreachable!("a frame needs it"),
    }
}

/// A request to an endpoint about this bucket. The key is that of a stored object unless it stores one.
pub(super) fn request(
    endpoint: Endpoint,
    bucket: &str,
    turn: usize,
) -> (&'static str, String, &'static [u8]) {
    let key = if endpoint == Endpoint::Put { format!("new-{turn}") } else { "k".to_owned() };
    request_about(endpoint, bucket, &key)
}

/// A request to an endpoint about the object of this key.
pub(super) fn request_about(
    endpoint: Endpoint,
    bucket: &str,
    key: &str,
) -> (&'static str, String, &'static [u8]) {
    let path = endpoint.path().replace("{bucket}", bucket).replace("{key}", key);
    let path = path.replace("{namespace}", bucket).replace("{id}", "unknown");
    let path = path.replace("{rank}", "0").replace("{step}", "1");
    let query = match endpoint {
        Endpoint::Report => "?generation=1",
        Endpoint::CreateNamespace => "?num_ranks=1",
        Endpoint::Events => "?timeout_ms=1",
        _ => "",
    };
    let body = matches!(endpoint, Endpoint::Put | Endpoint::PutShard);
    (endpoint.method(), format!("{path}{query}"), if body { b"bytes" } else { b"" })
}

/// A daemon in which both buckets have an object, and both namespaces a shard.
fn daemon() -> Daemon {
    let daemon = Daemon::with(|config| add(config, tenants()));
    refill(&daemon);
    daemon
}

/// Puts back what a request may have removed.
fn refill(daemon: &Daemon) {
    for bucket in [OWN, FOREIGN] {
        let targets = [
            ("PUT", format!("/v1/kv/{bucket}/k")),
            ("POST", format!("/v1/cp/namespaces/{bucket}?num_ranks=1")),
            ("POST", format!("/v1/cp/checkpoints/{bucket}/0/1")),
        ];
        for (method, target) in targets {
            let reply = ask(daemon, Some(ROOT), method, &target, b"bytes");
            assert!([200, 409].contains(&reply.status), "{target}: {reply:?}");
        }
    }
}

fn ask_at(daemon: &Daemon, name: &str, endpoint: Endpoint, bucket: &str, turn: usize) -> Reply {
    let (method, target, body) = request(endpoint, bucket, turn);
    ask(daemon, Some(name), method, &target, body)
}

#[test]
fn every_endpoint_answers_every_tenant_by_its_rights() {
    let daemon = daemon();
    let mut turn = 0;
    for (name, config) in tenants().into_iter().chain([(ROOT, root())]) {
        for endpoint in Endpoint::ALL.iter().copied() {
            for bucket in [OWN, FOREIGN] {
                turn += 1;
                let what = format!("{name} {endpoint:?} {bucket}");
                let is_own = bucket == OWN || name == ROOT;
                let expected = expected(&config, need_of_endpoint(endpoint), is_own);
                let reply = ask_at(&daemon, name, endpoint, bucket, turn);
                match expected {
                    Expected::Answered => {
                        assert!(![401, 403, 429].contains(&reply.status), "{what}: {reply:?}");
                        let is_read = matches!(endpoint, Endpoint::Get | Endpoint::GetShard);
                        if is_read {
                            assert_eq!(reply.body, b"bytes", "{what}");
                        }
                    }
                    Expected::Hidden => {
                        let nothing = ask_at(&daemon, ROOT, endpoint, NOTHING, turn);
                        assert_eq!(shown(&reply), shown(&nothing), "{what}");
                    }
                    Expected::Forbidden => {
                        assert_eq!(reply.refusal(), refused(403, "forbidden"), "{what}");
                        assert!(reply.text().contains(&format!("tenant=`{name}`")), "{what}");
                    }
                }
                if endpoint.method() != "GET" {
                    refill(&daemon);
                }
            }
        }
    }
}

#[test]
fn who_is_no_tenant_is_answered_by_supervisors_endpoints_alone() {
    let daemon = daemon();
    let headers = [
        "",
        "Authorization: Basic cm9vdA==\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer token-of-none\r\n",
    ];
    for headers in headers {
        for endpoint in Endpoint::ALL.iter().copied() {
            let (method, target, body) = request(endpoint, OWN, 0);
            // Failed logins are limited, and `logins.rs` shows that.
            if !headers.is_empty() && endpoint.index() % 8 != 0 {
                continue;
            }
            let reply = ask_with(&daemon, headers, method, &target, body);
            if need_of_endpoint(endpoint) == Need::Nothing {
                assert_eq!(reply.status, 200, "{endpoint:?}");
                continue;
            }
            assert_eq!(reply.status, 401, "{endpoint:?} {headers}");
            let challenge = Some("Bearer realm=\"kvlease\"");
            assert_eq!(reply.header("www-authenticate"), challenge, "{endpoint:?}");
            if method != "HEAD" {
                assert_eq!(reply.refusal(), refused(401, "unauthorized"), "{endpoint:?}");
                assert!(reply.text().contains("Authorization: Bearer"), "{endpoint:?}");
            }
        }
    }
    for (method, target) in [("GET", "/v1/nothing"), ("PATCH", "/v1/kv/b/k"), ("GET", "/v1/kv/b/%")]
    {
        assert_eq!(ask(&daemon, None, method, target, b"").status, 401, "{target}");
        let known = ask(&daemon, Some("reader"), method, target, b"").status;
        assert!([400, 404, 405].contains(&known), "{target}");
    }
    store(&daemon, OWN, "last", b"nothing was removed meanwhile");
}
