"""The alerts of examples/prometheus, evaluated over the real metrics of a daemon in each state."""

import re
import urllib.error
import urllib.request
from collections.abc import Callable

import kvlease
import promql_parser
import pytest
import yaml

import documents
from daemon import LEASES_EXPIRED_UNRELEASED, RELINKS, SHORT_TIMES, UNSCRUBBED, Daemon, wait_until
from promql import Scrapes

RULES = documents.ROOT / "examples" / "prometheus" / "kvlease-rules.yaml"
REQUESTS = "kvlease_requests_total"
OBJECT = b"k" * (4 << 20)
# Objects that fill the arena of a test.
FULL = 16
# crates/kvlease-server/tests/http has daemons with certificates and with quotas of tenants.
ONLY_ELSEWHERE = {
    "kvlease_tls_certificate_expiry_timestamp_seconds",
    "kvlease_quota_refused_connections_total",
}
# Rates of a test are those of one second.
SECONDS = 1.0


def _rules() -> list[dict]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def _fires(before: str, after: str) -> set[str]:
    """The alerts whose expression has a value after these two scrapes."""
    scrapes = Scrapes(before, after, SECONDS)
    return {rule["alert"] for rule in _rules() if scrapes.value(rule["expr"])}


def _fires_when(daemon: Daemon, what: Callable[[], object]) -> set[str]:
    """The alerts for something that goes on happening: a counter's first step makes no rate."""
    what()
    before = daemon.metrics()
    what()
    return _fires(before, daemon.metrics())


@pytest.fixture
def daemon(make_daemon):
    return make_daemon("64MiB")


@pytest.fixture
def full(daemon):
    """A daemon whose arena is full of leased objects, and the connector that holds them."""
    settings = kvlease.ConnectorSettings(
        f"kvlease://127.0.0.1:{daemon.port}",
        shared_memory_name=daemon.segment,
        socket=str(daemon.socket),
    )
    with kvlease.Connector(settings) as connector:
        keys = [f"key{number}" for number in range(FULL)]
        # One call reserves at most 7/8 of a small arena.
        for half in (keys[: FULL // 2], keys[FULL // 2 :]):
            assert connector.batched_put(half, [OBJECT] * len(half)) == [True] * len(half)
        views = [connector.view(key) for key in keys]
        assert all(views)
        yield daemon, connector
        for view in views:
            view.close()


def test_a_daemon_at_work_fires_nothing(daemon):
    assert _fires_when(daemon, lambda: _put(daemon, "key")) == set()


def test_uploads_that_the_fast_lane_refuses_fire(full):
    daemon, connector = full

    def put():
        with pytest.raises(kvlease.RefusedError):
            connector.put("another", OBJECT)

    assert _fires_when(daemon, put) == {"KvleaseRefusesUploads"}
    refused_over_http = daemon.metric(REQUESTS, operation="put", outcome="no_space")
    assert refused_over_http == 0


def test_uploads_that_http_refuses_fire(full):
    daemon, _ = full
    assert _fires_when(daemon, lambda: _put(daemon, "another", 507)) == {"KvleaseRefusesUploads"}


def test_leases_that_are_refused_fire(make_daemon):
    daemon = make_daemon("64MiB", "[lease]\nlive_max = 1\n")
    _put(daemon, "key")
    daemon.lease("key")

    def lease():
        with pytest.raises(urllib.error.HTTPError):
            daemon.lease("key")

    assert _fires_when(daemon, lease) == {"KvleaseRefusesLeases"}


def test_leases_that_expire_fire(make_daemon):
    daemon = make_daemon("64MiB", SHORT_TIMES)
    _put(daemon, "key")

    def expire():
        before = daemon.metric(LEASES_EXPIRED_UNRELEASED)
        daemon.lease("key", ttl_s=0.1)
        wait_until(lambda: daemon.metric(LEASES_EXPIRED_UNRELEASED) > before, 60, "it expired")

    assert _fires_when(daemon, expire) == {"KvleaseLeasesExpireUnreleased"}


def test_a_segment_that_is_unlinked_fires(daemon):
    def unlink():
        before = daemon.metric(RELINKS)
        daemon.path.unlink()
        wait_until(lambda: daemon.metric(RELINKS) > before, 60, "it was linked again")

    assert _fires_when(daemon, unlink) == {"KvleaseSegmentUnlinked"}


def test_a_corrupt_object_fires(make_daemon):
    daemon = make_daemon("64MiB", UNSCRUBBED)

    def corrupt():
        _put(daemon, "key")
        (extent,) = (lease := daemon.lease("key"))["offsets"]
        daemon.release(lease)
        with open(daemon.path, "r+b") as segment:
            segment.seek(extent["offset"])
            segment.write(b"x")
        with pytest.raises(Exception, match="IncompleteRead"):
            daemon.stored("key")

    assert _fires_when(daemon, corrupt) == {"KvleaseCorruptObjects"}


def test_look_ups_that_find_nothing_fire_until_one_finds(daemon):
    def miss():
        with pytest.raises(urllib.error.HTTPError):
            daemon.lease("absent")

    assert _fires_when(daemon, miss) == {"KvleaseNothingFound"}
    _put(daemon, "key")
    assert _fires_when(daemon, lambda: (miss(), daemon.release(daemon.lease("key")))) == set()


def test_every_alert_is_of_metrics_that_the_daemon_serves(make_daemon, tmp_path):
    tier = f'[tier.nvme]\npath = "{tmp_path}"\ncapacity = "128MiB"\n'
    quotas = '[bucket.b]\nbytes_max = "1MiB"\nobjects_max = 9\nleases_max = 9\nrequests_per_s = 9\n'
    served = make_daemon("64MiB", tier + quotas).metrics()
    for rule in _rules():
        promql_parser.parse(rule["expr"])
        for name in set(re.findall(r"\bkvlease_\w+", rule["expr"])) - ONLY_ELSEWHERE:
            assert f"# TYPE {name.removesuffix('_total')} " in served, name
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")


def test_the_document_quotes_the_alerts():
    quoted = [
        rule
        for block in documents.blocks()
        if block.language == "yaml" and documents.runner(block) == "alerts"
        for rule in yaml.safe_load(block.text)
    ]
    key = str
    assert sorted(quoted, key=key) == sorted(_rules(), key=key)


def _put(daemon: Daemon, key: str, status: int = 200) -> None:
    url = f"http://127.0.0.1:{daemon.port}/v1/kv/lmcache/{key}"
    request = urllib.request.Request(url, data=OBJECT, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            found = reply.status
    except urllib.error.HTTPError as error:
        found = 200 if error.code == 409 else error.code
    assert found == status
