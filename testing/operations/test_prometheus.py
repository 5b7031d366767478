"""Queries of the dashboard and of the alerts in a real Prometheus that scrapes a daemon at work."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import queries
from daemon import Daemon, wait_until
from load import Load
from prometheus import Prometheus

# Scrapes that a rate needs, and some more: one a second.
SCRAPES = 12
SCRAPED_WITHIN = 90.0

# Everything that a panel is about: a tier, a bucket with a policy, and a live curve.
CONFIG = """
[cache]
curve_memory_max = "8MiB"
[tier.nvme]
path = "{path}"
capacity = "128MiB"
[bucket.prompts]
priority = 5
"""


@pytest.fixture(scope="module")
def scraped(tmp_path_factory) -> Iterator[tuple[Daemon, Prometheus]]:
    """A daemon at work, and a Prometheus that has scraped it often enough for rates."""
    folder = tmp_path_factory.mktemp("prometheus")
    disk = folder / "disk"
    disk.mkdir()
    binary = Path(os.environ["KVLEASE_BIN"])
    daemon = Daemon(binary, folder, "64MiB", CONFIG.format(path=disk))
    prometheus = None
    try:
        daemon.start()
        # The fast lane has traffic too: the command line takes it.
        address = f"127.0.0.1:{daemon.port}"
        file = folder / "file"
        file.write_bytes(bytes(4096))
        put = [binary, "put", "--url", f"http://{address}", "key", file]
        subprocess.run(put, check=True, capture_output=True, timeout=60)
        load = Load(daemon)
        prometheus = Prometheus(folder, [address])
        count = f'count_over_time(up{{job="{queries.JOB}"}}[5m])'
        wait_until(
            lambda: any(float(found["value"][1]) >= SCRAPES for found in prometheus.query(count)),
            SCRAPED_WITHIN,
            f"{SCRAPES} scrapes; the log is {prometheus.log}",
        )
        yield daemon, prometheus
        load.stop()
    finally:
        if prometheus is not None:
            prometheus.close()
        daemon.destroy()


def test_the_daemons_metrics_are_taken_without_an_error(scraped):
    _, prometheus = scraped
    (target,) = prometheus.targets()
    assert target["health"] == "up" and target["lastError"] == "", target


@pytest.mark.parametrize("query", queries.of_dashboard(), ids=lambda query: query.place)
def test_a_query_of_the_dashboard_has_data(query, scraped):
    _, prometheus = scraped
    found = prometheus.query(query.expression())
    assert found, f"no series: {query.expression()}"


def test_the_alerts_are_evaluated_without_an_error_and_a_daemon_at_work_fires_none(scraped):
    _, prometheus = scraped
    rules = prometheus.rules()
    assert sorted(rule["name"] for rule in rules) == sorted(r["alert"] for r in queries.rules())
    wait_until(
        lambda: all(rule["health"] == "ok" for rule in prometheus.rules()),
        SCRAPED_WITHIN,
        "each rule was evaluated",
    )
    fired = [rule["name"] for rule in prometheus.rules() if rule["state"] == "firing"]
    assert fired == []


def test_the_figures_are_those_of_the_daemon(scraped):
    daemon, prometheus = scraped
    states = [q for q in queries.of_dashboard() if q.place.startswith("Arena by state ")]
    assert len(states) == 4
    total = sum(prometheus.value(query.expression()) for query in states)
    assert total == json.loads(daemon.fetch("/v1/stats"))["populated"]
    (hits,) = [q for q in queries.of_dashboard() if q.place == "Hit ratio A"]
    # One of two leases over HTTP misses; those that GET takes are no look-ups.
    assert prometheus.value(hits.expression()) == pytest.approx(0.5, abs=0.1)


def test_tier_bucket_and_curve_are_among_the_labels(scraped):
    _, prometheus = scraped
    (taken,) = prometheus.query("kvlease_bucket_taken_bytes")
    assert taken["metric"]["bucket"] == "prompts"
    (tier,) = prometheus.query("kvlease_tier_used_bytes")
    assert tier["metric"]["tier"] == "nvme"
    policies = {
        series["metric"]["policy"] for series in prometheus.query("kvlease_curve_hit_ratio")
    }
    assert policies >= {"lru", "s3-fifo", "hit-density"}


def test_a_daemon_that_ends_is_seen_as_down(scraped, tmp_path):
    daemon, prometheus = scraped
    del daemon
    expression = next(rule["expr"] for rule in queries.rules() if rule["alert"] == "KvleaseDown")
    assert prometheus.query(expression) == []
    gone = Prometheus(tmp_path, ["127.0.0.1:1"])
    try:
        wait_until(lambda: gone.query(expression), SCRAPED_WITHIN, "a target that is not there")
    finally:
        gone.close()
