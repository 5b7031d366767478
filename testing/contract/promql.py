"""Evaluates the part of PromQL that the alerts use, over two scrapes of one daemon.

As in Prometheus, a series that only the second scrape has no rate yet, and `or` adds the series of
its right side whose labels the left side does not have. The second scrape is now.
"""

import operator
import re
import time
from collections.abc import Callable

import promql_parser as parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Series = dict[Labels, float]

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
# Labels that Prometheus adds to everything that it scrapes.
TARGET = {"job": "kvlease", "instance": "node"}


class Scrapes:
    """Two answers of `/metrics`, `seconds` apart."""

    def __init__(self, before: str, after: str, seconds: float) -> None:
        self.before = _samples(before)
        self.after = _samples(after)
        self.seconds = seconds

    def value(self, expression: str) -> Series:
        """The series for which the expression has a value at the second scrape."""
        return self._value(parser.parse(expression))

    def _value(self, node: parser.Expr) -> Series:
        match node:
            case parser.ParenExpr():
                return self._value(node.expr)
            case parser.VectorSelector():
                return _selected(self.after, node)
            case parser.Call() if node.func.name in ("rate", "increase"):
                return self._growth(node)
            case parser.AggregateExpr() if str(node.op) == "sum":
                return _sum(self._value(node.expr), set(node.modifier.labels))
            case parser.BinaryExpr() if str(node.op) == "or":
                left, right = self._value(node.lhs), self._value(node.rhs)
                return {**right, **left}
            case parser.BinaryExpr() if str(node.op) == "unless":
                left, right = self._value(node.lhs), self._value(node.rhs)
                return {labels: v for labels, v in left.items() if labels not in right}
            case parser.BinaryExpr() if str(node.op) == "+":
                left, right = self._value(node.lhs), self._value(node.rhs)
                return {labels: v + right[labels] for labels, v in left.items() if labels in right}
            case parser.BinaryExpr() if str(node.op) in COMPARISONS:
                holds, limit = COMPARISONS[str(node.op)], _number(node.rhs)
                found = self._value(node.lhs)
                return {labels: v for labels, v in found.items() if holds(v, limit)}
        raise NotImplementedError(f"the tests evaluate no such expression: {node}")

    def _growth(self, node: parser.Call) -> Series:
        (matrix,) = node.args
        before, after = (_selected(s, matrix.vector_selector) for s in (self.before, self.after))
        per = self.seconds if node.func.name == "rate" else 1.0
        return {
            labels: (value - before[labels]) / per
            for labels, value in after.items()
            if labels in before
        }


def _number(node: parser.Expr) -> float:
    match node:
        case parser.NumberLiteral():
            return node.val
        case parser.Call() if node.func.name == "time":
            return time.time()
        case parser.BinaryExpr() if str(node.op) == "+":
            return _number(node.lhs) + _number(node.rhs)
    raise NotImplementedError(f"the tests compare with no such number: {node}")


def _samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, {**sample.labels, **TARGET}, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def _selected(samples: list, selector: parser.VectorSelector) -> Series:
    return {
        frozenset(labels.items()): value
        for name, labels, value in samples
        if name == selector.name
        and all(_matches(matcher, labels) for matcher in selector.matchers.matchers)
    }


def _matches(matcher: parser.Matcher, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    match matcher.op:
        case parser.MatchOp.Equal:
            return value == matcher.value
        case parser.MatchOp.NotEqual:
            return value != matcher.value
        case parser.MatchOp.Re:
            return re.fullmatch(matcher.value, value) is not None
        case parser.MatchOp.NotRe:
            return re.fullmatch(matcher.value, value) is None
    raise NotImplementedError(f"no such matcher: {matcher}")


def _sum(series: Series, kept: set[str]) -> Series:
    sums: Series = {}
    for labels, value in series.items():
        group = frozenset(pair for pair in labels if pair[0] in kept)
        sums[group] = sums.get(group, 0.0) + value
    return sums
