"""Thousands of configurations, through LMCache's adapters and through ours.

What is compared is what a connector works with in the end, LMCache's own lower bounds included.
Both have to take the same configurations and make the same values of them, but for the documented
differences, each of which is a model of itself: LMCache's result, changed by those that apply, is
the result that ours has to have. Each difference has to show in some case.
"""

import _posixshmem
import asyncio
import math
import os
import random
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kvlease import ConnectorSettings
from kvlease.adapter import get_positive_float, get_positive_int, parse_url
from lmcache.v1.distributed.l2_adapters import sagemaker_hyperpod_client as mp_client
from lmcache.v1.distributed.l2_adapters.sagemaker_hyperpod_l2_adapter import (
    SageMakerHyperPodL2AdapterConfig,
)
from lmcache.v1.storage_backend.connector import sagemaker_hyperpod_connector as stock_connector
from lmcache.v1.storage_backend.connector.sagemaker_hyperpod_adapter import (
    SageMakerHyperPodConnectorAdapter,
)

import adapter_cases
import adapter_differences
import samples
from adapter_cases import Case
from adapter_differences import REFUSED, Values

IN_PROCESS_CASES = 10_500
MULTI_PROCESS_CASES = 4_000
SINGLE_VALUES = 6_000
OTHER_CHARACTERS = 20_000

PREFIX = "sagemaker_hyperpod_"
OURS = (
    "url",
    "bucket",
    "shared_memory_name",
    "max_concurrent_requests",
    "max_connections",
    "max_connections_per_host",
    "timeout_ms",
    "lease_wait_ms",
    "lease_ttl_s",
    "put_stream_chunk_bytes",
    "max_lease_size_bytes",
)


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """The variables that the URLs name."""
    for name, value in adapter_cases.VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(adapter_differences.AS_STOCK, "")
    for name in adapter_cases.UNSET:
        monkeypatch.delenv(name, raising=False)


def test_the_in_process_adapters_agree(host, monkeypatch):
    """LMCache's adapter and connector make the values; only the segment's mapping is left out."""
    connector = stock_connector.SageMakerHyperPodConnector
    monkeypatch.setattr(connector, "_init_shared_memory", _look_up_segment)
    loop = asyncio.new_event_loop()

    def stock(case: Case) -> Values | str:
        return _stock_in_process(case, host, loop)

    def ours(case: Case) -> Values | str:
        extra_config = {PREFIX + key: value for key, value in case.settings.items()}
        return _values(lambda: ConnectorSettings.from_extra_config(case.url, extra_config))

    model = (
        adapter_differences.IN_PROCESS_REWRITES,
        adapter_differences.IN_PROCESS_REFUSALS,
        adapter_differences.IN_PROCESS_CHANGES,
    )
    cases = adapter_cases.cases(samples.SEED, IN_PROCESS_CASES, adapter_cases.IN_PROCESS_KEYS)
    _compare("in-process", [*adapter_cases.IN_PROCESS_EDGES, *cases], stock, ours, model)
    loop.close()


def test_the_multi_process_clients_agree(monkeypatch):
    """LMCache's configuration and client make the values; only the segment is left out."""
    monkeypatch.setattr(mp_client, "_ReadOnlySharedMemoryMapping", _NoSegment)
    client = mp_client.SageMakerHyperPodClient
    monkeypatch.setattr(client, "_segment_identity", lambda self: None)

    def ours(case: Case) -> Values | str:
        return _values(lambda: ConnectorSettings.for_mp(case.url, **case.settings))

    model = (
        adapter_differences.MULTI_PROCESS_REWRITES,
        adapter_differences.REFUSALS,
        adapter_differences.CHANGES,
    )
    cases = adapter_cases.cases(samples.SEED, MULTI_PROCESS_CASES, adapter_cases.MULTI_PROCESS_KEYS)
    cases = [*adapter_cases.MULTI_PROCESS_EDGES, *cases]
    _compare("multi-process", cases, _stock_multi_process, ours, model)


def test_urls_and_single_numbers_are_read_alike():
    """The three functions that have LMCache's names, one by one."""
    stock = SageMakerHyperPodConnectorAdapter
    draw = random.Random(samples.SEED)
    for _ in range(SINGLE_VALUES):
        url, use_https = adapter_cases.url(draw), draw.random() < 0.5
        expected = _result(stock._parse_url, _as_stock_scheme(url), use_https)
        assert _result(parse_url, url, use_https) == expected, (url, use_https)
    for value in adapter_cases.values(samples.SEED, SINGLE_VALUES):
        if not adapter_differences.is_plain(value):
            continue
        of_key = ({"key": value}, "key", 1)
        expected = _below(2**64, _result(stock._get_positive_int, *of_key))
        assert _result(get_positive_int, *of_key) == expected, value
        expected = _below(math.inf, _result(stock._get_positive_float, *of_key))
        assert _result(get_positive_float, *of_key) == expected, value


def test_the_digits_and_spaces_of_all_scripts_are_read_alike():
    """Every character that Python takes for a digit or a space, and many of the others."""
    stock = SageMakerHyperPodConnectorAdapter
    draw = random.Random(samples.SEED)
    characters = map(chr, range(sys.maxunicode + 1))
    known = [c for c in characters if c.isspace() or unicodedata.decimal(c, None) is not None]
    others = [chr(draw.randint(0, 0xD7FF)) for _ in range(OTHER_CHARACTERS)]
    for character in (*known, *others):
        for text in (f"{character}7", f"7{character}", f"7{character}7"):
            of_key = ({"key": text}, "key", 1)
            expected = _result(stock._get_positive_int, *of_key)
            assert _result(get_positive_int, *of_key) == expected, ascii(text)


def test_the_documented_differences_are_those_that_are_tested():
    """The documented differences are those that the tests found, no more and no fewer."""
    models = (
        *adapter_differences.IN_PROCESS_REWRITES,
        *adapter_differences.IN_PROCESS_REFUSALS,
        *adapter_differences.IN_PROCESS_CHANGES,
        *adapter_differences.MULTI_PROCESS_REWRITES,
    )
    tested = {name for name, _ in models} | adapter_differences.ON_THE_WIRE
    assert adapter_differences.documented() == tested


def _compare(title, cases: list[Case], stock, ours, model) -> None:
    """Checks that our adapter has LMCache's result for each case, changed by the differences."""
    rewrites, refusals, changes = model
    seen: Counter[str] = Counter()
    taken = 0
    for case in cases:
        expected, applied = _expected(case, stock, rewrites, refusals, changes)
        actual = ours(case)
        assert actual == expected, (
            f"the adapters disagree: replay with {samples.SEED_VARIABLE}={samples.SEED}, "
            f"case=`{ascii(case)}` differences=`{applied}`"
        )
        taken += actual != REFUSED
        seen.update(applied)
    names = {name for part in model for name, _ in part}
    print(f"\n{title}: {len(cases)} configurations alike, {taken} of them taken by ours, but for")
    for name in sorted(names):
        print(f"  {name}: {seen[name]}")
    assert names == set(seen), f"differences that no case shows: {names - set(seen)}"


def _expected(case: Case, stock, rewrites, refusals, changes) -> tuple[Values | str, list[str]]:
    """The result that our adapter must have for a case, and the differences that lead to it."""
    rewritten, applied = case, []
    for name, rewrite in rewrites:
        candidate = rewrite(rewritten)
        if candidate is not None:
            rewritten = candidate
            applied.append(name)
    values = stock(rewritten)
    if applied and stock(case) == values:
        applied = []
    if values == REFUSED:
        return REFUSED, applied
    refused = [name for name, refuses in refusals if refuses(rewritten, values)]
    if refused:
        return REFUSED, applied + refused
    for name, change in changes:
        changed = change(rewritten, values)
        if changed != values:
            values = changed
            applied.append(name)
    return values, applied


def _stock_in_process(case: Case, host, loop) -> Values | str:
    extra_config = {PREFIX + key: value for key, value in case.settings.items()}
    context = SimpleNamespace(
        url=case.url,
        loop=loop,
        local_cpu_backend=host,
        config=SimpleNamespace(extra_config=extra_config),
    )
    made = _result(lambda: SageMakerHyperPodConnectorAdapter().create_connector(context))
    loop.run_until_complete(_end_workers())
    if made == REFUSED:
        return REFUSED
    return {
        "url": adapter_differences.canonical(made.base_url),
        "bucket": made.bucket_name,
        "shared_memory_name": _segment_of(made.shared_memory_name),
        "max_concurrent_requests": made.max_concurrent_requests,
        "max_connections": made.max_connections,
        "max_connections_per_host": made.max_connections_per_host,
        "timeout_ms": made.timeout_ms,
        "lease_wait_ms": made.timeout_ms,
        "lease_ttl_s": made.lease_ttl_s,
        "put_stream_chunk_bytes": made.put_stream_chunk_bytes,
        "max_lease_size_bytes": made.max_lease_size_bytes,
    }


async def _end_workers() -> None:
    """Ends the tasks that a connector started on its loop."""
    workers = asyncio.all_tasks() - {asyncio.current_task()}
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


def _stock_multi_process(case: Case) -> Values | str:
    def make() -> tuple[Any, Any]:
        config = SageMakerHyperPodL2AdapterConfig(url=case.url, **case.settings)
        return config, mp_client.SageMakerHyperPodClient(**_client_arguments(config))

    made = _result(make)
    if made == REFUSED:
        return REFUSED
    config, client = made
    name = _segment_of(client._shared_memory_name)
    return {
        "url": adapter_differences.canonical(client._base_url),
        "bucket": client._bucket,
        "shared_memory_name": None if name == adapter_differences.NO_SEGMENT else name,
        "max_concurrent_requests": config.max_concurrent_requests,
        "max_connections": client._max_connections,
        "max_connections_per_host": client._max_connections_per_host,
        "timeout_ms": client._timeout_ms,
        "lease_wait_ms": client._lease_wait_timeout_ms,
        "lease_ttl_s": client._lease_ttl_s,
        "put_stream_chunk_bytes": client._put_stream_chunk_bytes,
        "max_lease_size_bytes": client._max_lease_size_bytes,
    }


def _client_arguments(config) -> dict[str, Any]:
    names = (*OURS[1:7], "put_stream_chunk_bytes", "lease_wait_timeout_ms", "lease_ttl_ms")
    names += ("max_lease_size_mb", "use_https", "url")
    return {name: getattr(config, name) for name in names}


class _NoSegment:
    """Stand-in for the MP client's mapping."""

    buf, size = memoryview(b""), 0

    def __init__(self, name: str) -> None:
        """Maps nothing."""


def _look_up_segment(connector) -> None:
    """Asks the system for the segment as `SharedMemory` does, and maps nothing.

    That the segment is missing is no fault of the configuration; a name that no segment can have
    is one.
    """
    try:
        descriptor = _posixshmem.shm_open("/" + connector.shared_memory_name, os.O_RDWR, mode=0o600)
    except FileNotFoundError:
        return
    os.close(descriptor)


def _segment_of(name: Any) -> str | None:
    """The segment of a name: the system ignores leading slashes; a false value means no segment."""
    return name.lstrip("/") if name else None


def _below(end: float, number: Any) -> Any:
    """A number below the end of what ours takes; neither infinity nor `nan` is."""
    return number if number != REFUSED and number < end else REFUSED


def _as_stock_scheme(url: str) -> str:
    rewritten = adapter_differences.kvlease_scheme(Case(url, {}))
    return url if rewritten is None else rewritten.url


def _values(make: Callable[[], ConnectorSettings]) -> Values | str:
    made = _result(make)
    return made if made == REFUSED else {name: getattr(made, name) for name in OURS}


def _result(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call, or the mark of its refusal by any exception."""
    try:
        return call(*arguments)
    except (AssertionError, OSError, OverflowError, TypeError, ValueError):
        return REFUSED
