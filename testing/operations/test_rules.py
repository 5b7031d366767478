"""Alerts and main figures of the dashboard in promtool: what fires, what does not, and values."""

import subprocess
from dataclasses import dataclass, field

import pytest
import yaml

import queries

TARGET = {"job": "kvlease", "instance": "node"}
# Minutes between two samples of a series; a case is looked at after all of them.
MINUTE = "1m"
MINUTES = 90


@dataclass(frozen=True)
class Case:
    """Series under which an alert fires, others under which it does not, and its further labels.

    A series is a metric with its labels, and values in promtool's notation: `0+5x90` grows by 5 a
    minute, `7x90` stays.
    """

    firing: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)


PUTS = 'kvlease_requests_total{operation="put",outcome="%s"}'
RESERVES = 'kvlease_lane_items_total{kind="reserve",status="%s"}'
STORES = 'kvlease_lane_items_total{kind="store",status="%s"}'
MISSES = 'kvlease_misses_total{reason="%s"}'
CERTIFICATE = 'kvlease_tls_certificate_expiry_timestamp_seconds{listener="server"}'
GRANTED, INDEX = "kvlease_leases_granted_total", "kvlease_index_reads_total"
NVME, GROWS, STAYS = {"tier": "nvme"}, "0+60x90", "7x90"
# A week in seconds, and the last minute of a case: time begins at 0 there.
WEEK, END = 7 * 86400, MINUTES * 60

CASES = {
    "KvleaseRefusesUploads": Case(
        {PUTS % "ok": GROWS, PUTS % "no_space": STAYS, STORES % "memory_short": GROWS},
        {PUTS % "ok": GROWS, PUTS % "exists": GROWS, RESERVES % "granted": GROWS},
    ),
    "KvleaseRefusesLeases": Case(
        {MISSES % "too_many_leases": GROWS},
        {MISSES % "too_many_leases": STAYS, MISSES % "evicted": GROWS},
        {"reason": "too_many_leases"},
    ),
    # One lease in ten seconds is the limit.
    "KvleaseLeasesExpireUnreleased": Case(
        {"kvlease_leases_expired_unreleased_total": "0+7x90"},
        {"kvlease_leases_expired_unreleased_total": "0+5x90"},
    ),
    "KvleaseOldLease": Case(
        {"kvlease_oldest_lease_age_seconds": "241x90"},
        {"kvlease_oldest_lease_age_seconds": "240x90"},
    ),
    "KvleaseSegmentUnlinked": Case(
        {"kvlease_relinks_total": "0x60 1x30"}, {"kvlease_relinks_total": "0x10 1x80"}
    ),
    "KvleaseSegmentNotAttachable": Case(
        {"kvlease_link_failures_total": "0x85 1x5"}, {"kvlease_link_failures_total": "0x70 1x20"}
    ),
    "KvleaseConnectionMemoryShort": Case(
        {"kvlease_connection_memory_short_total": GROWS},
        {"kvlease_connection_memory_short_total": STAYS},
    ),
    "KvleaseCorruptObjects": Case(
        {"kvlease_corrupt_objects_total": "0x60 1x30"}, {"kvlease_corrupt_objects_total": STAYS}
    ),
    "KvleaseReportsUnfounded": Case(
        {"kvlease_reports_unfounded_total": "0x60 1x30"},
        {"kvlease_reports_unfounded_total": STAYS, "kvlease_reports_confirmed_total": GROWS},
    ),
    "KvleaseDown": Case({"up": "1x80 0x10"}, {"up": "1x86 0x4"}),
    # The index alone finds objects without a lease.
    "KvleaseNothingFound": Case(
        {MISSES % "absent": GROWS, GRANTED: STAYS, INDEX: STAYS},
        {MISSES % "absent": GROWS, GRANTED: STAYS, INDEX: GROWS},
    ),
    "KvleaseTierBroken": Case(
        {'kvlease_tier_broken{tier="nvme"}': "0x80 1x10", 'kvlease_tier_broken{tier="s3"}': "0x90"},
        {'kvlease_tier_broken{tier="nvme"}': "0x86 1x4"},
        NVME,
    ),
    "KvleaseTierSlow": Case(
        {'kvlease_tier_slow{tier="nvme"}': "1x90"},
        {'kvlease_tier_slow{tier="nvme"}': "0x65 1x25"},
        NVME,
    ),
    # Neither alone is more than one object a second: the sum is.
    "KvleaseTierLosesObjects": Case(
        {
            'kvlease_tier_queue_full_total{tier="nvme"}': "0+40x90",
            'kvlease_tier_left_too_early_total{tier="nvme"}': "0+40x90",
        },
        {
            'kvlease_tier_queue_full_total{tier="nvme"}': "0+40x90",
            'kvlease_tier_left_too_early_total{tier="nvme"}': STAYS,
        },
        NVME,
    ),
    # Neither alone is more than one in ten seconds: the sum is.
    "KvleaseTierErrors": Case(
        {
            'kvlease_tier_errors_total{tier="nvme"}': "0+4x90",
            'kvlease_tier_timeouts_total{tier="nvme"}': "0+4x90",
        },
        {
            'kvlease_tier_errors_total{tier="nvme"}': "0+4x90",
            'kvlease_tier_timeouts_total{tier="nvme"}': STAYS,
        },
        NVME,
    ),
    "KvleaseTierRefusesObjects": Case(
        {'kvlease_tier_unfit_total{tier="nvme"}': "0+1x90"},
        {'kvlease_tier_unfit_total{tier="nvme"}': STAYS},
        NVME,
    ),
    "KvleaseTierCorrupt": Case(
        {'kvlease_tier_corrupt_total{tier="nvme"}': "0x60 1x30"},
        {'kvlease_tier_corrupt_total{tier="nvme"}': STAYS},
        NVME,
    ),
    # Either of them, also where the daemon has no metric of the other.
    "KvleaseFilesRefused": Case(
        {'kvlease_token_reloads_total{outcome="failed"}': "0x60 1x30"},
        {
            'kvlease_token_reloads_total{outcome="ok"}': GROWS,
            "kvlease_tls_reread_failures_total": STAYS,
        },
    ),
    # One that refuses nothing hides no other.
    "KvleaseQuotaRefuses": Case(
        {
            'kvlease_quota_refused_space_total{of="tenant",name="red"}': STAYS,
            'kvlease_quota_refused_requests_total{of="tenant",name="red"}': GROWS,
        },
        {'kvlease_quota_refused_space_total{of="tenant",name="red"}': "0+5x90"},
        {"of": "tenant", "name": "red"},
    ),
    "KvleaseAuditLinesLost": Case(
        {"kvlease_audit_lines_dropped_total": "0x60 1x30"},
        {"kvlease_audit_lines_dropped_total": STAYS, "kvlease_audit_lines_total": GROWS},
    ),
    "KvleaseCallersRefused": Case(
        {'kvlease_access_refused_total{reason="bad_credentials"}': GROWS},
        {'kvlease_access_refused_total{reason="forbidden"}': GROWS},
    ),
    "KvleaseCertificateEnds": Case(
        {CERTIFICATE: f"{END + WEEK - 1}x90"},
        {CERTIFICATE: f"{END + WEEK + 1}x90"},
        {"listener": "server"},
    ),
}


def test_there_is_a_case_for_each_alert():
    assert sorted(CASES) == sorted(rule["alert"] for rule in queries.rules())


def test_promtool_takes_the_rules():
    _promtool("check", "rules", "--lint-fatal", queries.RULES)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_not_before(name, tmp_path):
    case = CASES[name]
    (rule,) = [rule for rule in queries.rules() if rule["alert"] == name]
    labels = {**TARGET, **case.labels, **rule["labels"]}
    fired = [{"exp_labels": labels, "exp_annotations": rule["annotations"]}]
    _assert_passes(
        tmp_path,
        [
            _group(case.firing, alert_rule_test=[_alert(name, fired)]),
            _group(case.quiet, alert_rule_test=[_alert(name, [])]),
        ],
    )


def test_promtool_would_find_an_alert_that_does_not_fire(tmp_path):
    (rule,) = [rule for rule in queries.rules() if rule["alert"] == "KvleaseOldLease"]
    labels = {**TARGET, **rule["labels"]}
    fired = [{"exp_labels": labels, "exp_annotations": rule["annotations"]}]
    quiet = CASES["KvleaseOldLease"].quiet
    with pytest.raises(AssertionError, match="KvleaseOldLease"):
        _assert_passes(tmp_path, [_group(quiet, alert_rule_test=[_alert(rule["alert"], fired)])])


# Series of two nodes, and what the panel says of them.
ACQUIRES = 'kvlease_requests_total{operation="acquire",outcome="%s"}'
LANE = 'kvlease_lane_items_total{kind="acquire",status="%s"}'
VALUES = [
    # 60 + 30 + 90 found of 60 + 30 + 90 + 45 + 15: over HTTP, the lane and the index.
    (
        "Hit ratio A",
        {
            ACQUIRES % "ok": "0+60x90",
            ACQUIRES % "not_found": "0+45x90",
            ACQUIRES % "invalid": "0+99x90",
            LANE % "granted": "0+30x90",
            LANE % "evicted": "0+15x90",
            INDEX: "0+90x90",
        },
        0.75,
    ),
    (
        "Cannot be evicted A",
        {
            "kvlease_free_bytes": "10x90",
            "kvlease_evictable_bytes": "50x90",
            "kvlease_populated_bytes": "80x90",
        },
        0.25,
    ),
    (
        "Refused uploads A",
        {PUTS % "no_space": "0+60x90", RESERVES % "no_space": "0+30x90"},
        1.5,
    ),
]


@pytest.mark.parametrize(("place", "series", "value"), VALUES, ids=[v[0] for v in VALUES])
def test_a_panel_has_the_right_value(place, series, value, tmp_path):
    # The first of a name: the figure at a glance, and not the one by node.
    query = next(query for query in queries.of_dashboard() if query.place == place)
    # A rate over ten seconds has no two samples that are a minute apart.
    expression = query.expression().replace("[10s]", "[5m]")
    looked = {"expr": expression, "eval_time": f"{MINUTES}m"}
    looked["exp_samples"] = [{"labels": "{}", "value": value}]
    _assert_passes(tmp_path, [_group(series, promql_expr_test=[looked])])


def _group(series: dict[str, str], **tests: list) -> dict:
    inputs = [{"series": _of_target(name), "values": v} for name, v in series.items()]
    return {"interval": MINUTE, "input_series": inputs, **tests}


def _of_target(series: str) -> str:
    """The series with the labels that Prometheus adds."""
    name, _, labels = series.rstrip("}").partition("{")
    added = ",".join(f'{label}="{value}"' for label, value in TARGET.items())
    return f"{name}{{{added}{',' if labels else ''}{labels}}}"


def _alert(name: str, expected: list[dict]) -> dict:
    return {"alertname": name, "eval_time": f"{MINUTES}m", "exp_alerts": expected}


def _assert_passes(folder, groups: list[dict]) -> None:
    file = folder / "test.yaml"
    content = {"rule_files": [str(queries.RULES)], "evaluation_interval": MINUTE, "tests": groups}
    file.write_text(yaml.safe_dump(content))
    _promtool("test", "rules", file)


def _promtool(*arguments: object) -> None:
    command = ["promtool", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
