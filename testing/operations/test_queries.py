"""The dashboard and the alerts, without a Prometheus: what they name exists, and is explained."""

import json
import re

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

import queries
from daemon import ROOT
from queries import Query

QUERIES = queries.of_dashboard() + queries.of_rules()
RUNBOOKS = ROOT / "docs" / "runbooks.md"
# What a dashboard of a cache has to show, as the words of its rows.
ROWS = [
    "At a glance",
    "Hits and misses",
    "Throughput",
    "Latency",
    "Memory",
    "Leases and clients",
    "Evictions",
    "Refusals",
    "Tiers below memory",
    "Buckets",
    "Live curve",
    "Integrity and restarts",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_a_query_names_metrics_and_labels_of_the_table(query):
    known = queries.documented()
    for name, labels, _ in queries.selectors(query.expression()):
        _assert_known(name, labels, known)


@pytest.mark.parametrize(
    "expression",
    [
        "kvlease_no_such",
        "rate(kvlease_misses[5m])",
        'kvlease_objects{bucket="a"}',
        "sum by (tier) (kvlease_objects)",
        "kvlease_misses_total_bucket",
    ],
)
def test_a_query_of_something_else_would_be_found(expression):
    ((name, labels, _),) = queries.selectors(Query("", expression).expression())
    with pytest.raises(AssertionError):
        _assert_known(name, labels, queries.documented())


def test_every_value_of_a_label_in_a_query_is_one_that_the_document_has():
    document = queries.METRICS_DOCUMENT.read_text() + (ROOT / "docs/fast-lane.md").read_text()
    words = set(re.findall(r"\b[a-z_]+\b", document.lower()))
    for query in QUERIES:
        for _, _, matchers in queries.selectors(query.expression()):
            for matcher in matchers:
                if matcher.name not in queries.TARGET_LABELS:
                    assert set(matcher.value.split("|")) <= words, (query, matcher.value)


def test_counters_are_asked_for_their_rate_and_gauges_are_not():
    known = queries.documented()
    for query in QUERIES:
        for name in re.findall(r"\bkvlease_\w+", query.text):
            base = re.sub("_(bucket|sum|count)$", "", name)
            kind = known[name if name in known else base][0]
            growing = re.search(rf"(rate|increase)\({name}\b", query.text)
            assert bool(growing) == (kind in ("counter", "histogram")), (query, name)


def test_the_models_of_grafana_take_the_dashboard_and_lose_nothing():
    raw = queries.dashboard()
    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(raw)))
    assert _lost(raw, read) == []
    stranger = {**raw, "panles": []}
    assert _lost(stranger, json.loads(JSONEncoder().encode(Dashboard.from_json(stranger))))


def test_the_dashboard_shows_what_operators_look_for():
    found = queries.dashboard()["panels"]
    assert [panel["title"] for panel in found if panel["type"] == "row"] == ROWS
    identifiers = [panel["id"] for panel in found]
    assert len(identifiers) == len(set(identifiers))
    for panel in queries.panels():
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "table", panel
        assert panel["datasource"]["uid"] == "${datasource}"
    for query in queries.of_dashboard():
        assert query.text.count("$job") == query.text.count("$instance") >= 1, query


def test_panels_do_not_overlap():
    taken = set()
    for panel in queries.dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


def test_the_document_has_a_row_for_each_row_of_the_dashboard():
    (section,) = re.findall(r"\n## Dashboard\n(.*)\Z", queries.METRICS_DOCUMENT.read_text(), re.S)
    named = [
        word.strip()
        for row in re.findall(r"^\| ([^|]+) \|", section, re.M)
        for word in row.split(",")
    ]
    assert [name for name in named if name in ROWS] == ROWS


@pytest.mark.parametrize("rule", queries.rules(), ids=lambda rule: rule["alert"])
def test_an_alert_has_a_runbook_with_meaning_look_and_do(rule):
    named = rule["annotations"]["runbook"]
    assert named == f"docs/runbooks.md#{rule['alert'].lower()}"
    sections = re.split(r"^## ", RUNBOOKS.read_text(), flags=re.M)
    (section,) = [text for text in sections if text.startswith(f"{rule['alert']}\n")]
    for part in ("**Meaning.**", "**Look.**", "**Do.**"):
        assert section.count(part) == 1, part
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_every_runbook_is_of_an_alert():
    headings = re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.M)
    assert sorted(headings) == sorted(rule["alert"] for rule in queries.rules())


def _assert_known(name: str, labels: set[str], known: dict) -> None:
    if name in queries.OF_PROMETHEUS:
        allowed = queries.OF_PROMETHEUS[name]
    elif name in known:
        allowed = known[name][1]
    else:
        ending = next((end for end in queries.SERIES if name.endswith(end)), "")
        kind, own = known.get(name.removesuffix(ending) if ending else "", ("", set()))
        assert kind == "histogram", f"no metric of the table, name=`{name}`"
        allowed = own | queries.SERIES[ending]
    strange = labels - allowed - queries.TARGET_LABELS
    assert not strange, f"no labels of the metric, name=`{name}`, labels=`{strange}`"


def _lost(raw: object, read: object, path: str = "") -> list[str]:
    """The places of `raw` that `read` does not have, or has otherwise."""
    if isinstance(raw, dict) and isinstance(read, dict):
        lost = []
        for key, value in raw.items():
            place = f"{path}.{key}"
            lost += _lost(value, read[key], place) if key in read else [place]
        return lost
    if isinstance(raw, list) and isinstance(read, list) and len(raw) == len(read):
        return [
            place for pair in zip(raw, read, strict=True) for place in _lost(*pair, f"{path}[]")
        ]
    return [] if raw == read else [path]
