"""Queries of the dashboard and of the alerts, and the names of metrics and labels in them."""

import json
import re
from dataclasses import dataclass

import promql_parser as parser
import yaml

from daemon import ROOT

DASHBOARD = ROOT / "examples" / "grafana" / "kvlease.json"
RULES = ROOT / "examples" / "prometheus" / "kvlease-rules.yaml"
METRICS_DOCUMENT = ROOT / "docs" / "metrics.md"

# What Grafana puts in the place of its variables, as the tests have it.
JOB = "kvlease"
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "10s"}

# Labels that Prometheus adds to everything that it scrapes, and the metric that it makes by itself.
TARGET_LABELS = {"job", "instance"}
OF_PROMETHEUS = {"up": set()}
# A series of a histogram, and the label that it has.
SERIES = {"_bucket": {"le"}, "_sum": set(), "_count": set()}

ROW = re.compile(r"^\| `(kvlease_\w+)` \| (\w+) \|[^|]*\| (.*) \|$", re.M)
LABEL = re.compile(r"`(\w+)`")


@dataclass(frozen=True)
class Query:
    """One query, with the panel or the alert that it belongs to."""

    place: str
    text: str

    def expression(self) -> str:
        """The query as Grafana sends it."""
        text = self.text
        for variable, value in VARIABLES.items():
            text = text.replace(variable, value)
        assert "$" not in text, f"a variable that the tests do not know, query=`{text}`"
        return text


def dashboard() -> dict:
    """The dashboard as it is imported."""
    return json.loads(DASHBOARD.read_text())


def panels() -> list[dict]:
    """Its panels, without the titles of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def of_dashboard() -> list[Query]:
    """The queries of all panels."""
    return [
        Query(f"{panel['title']} {target['refId']}", target["expr"])
        for panel in panels()
        for target in panel["targets"]
    ]


def rules() -> list[dict]:
    """The alerts."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def of_rules() -> list[Query]:
    """The expressions of all alerts."""
    return [Query(rule["alert"], rule["expr"]) for rule in rules()]


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric, by the table of docs/metrics.md.

    A meaning names them behind "by".
    """
    found = {}
    for name, kind, meaning in ROW.findall(METRICS_DOCUMENT.read_text()):
        labels = {word for phrase in _by(meaning) for word in LABEL.findall(phrase)}
        if name == "kvlease_build_info":
            labels = {"version"}
        found[name] = (kind, labels)
    assert len(found) > 100, "the table of metrics has another form"
    return found


def selectors(expression: str) -> list[tuple[str, set[str], list]]:
    """Name, labels and matchers of each selector; an aggregation around it adds its labels."""
    return list(_walk(parser.parse(expression), set()))


def _by(meaning: str) -> list[str]:
    return re.findall(r"\bby ((?:`\w+`(?:, | and )?)+)", meaning)


def _walk(node: parser.Expr, grouped: set[str]):
    match node:
        case parser.VectorSelector():
            matchers = list(node.matchers.matchers)
            yield node.name, {matcher.name for matcher in matchers} | grouped, matchers
        case parser.MatrixSelector():
            yield from _walk(node.vector_selector, grouped)
        case parser.AggregateExpr():
            labels = set(node.modifier.labels) if node.modifier else set()
            yield from _walk(node.expr, labels)
        case parser.BinaryExpr():
            yield from _walk(node.lhs, grouped)
            yield from _walk(node.rhs, grouped)
        case parser.ParenExpr() | parser.UnaryExpr():
            yield from _walk(node.expr, grouped)
        case parser.Call():
            for argument in node.args:
                yield from _walk(argument, grouped)
        case parser.NumberLiteral():
            pass
        case _:
            raise NotImplementedError(f"the tests read no such expression: {node}")
