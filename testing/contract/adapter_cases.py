"""Configurations for LMCache's adapters: seeded, and mostly near the edge of some rule.

A case is a URL and the settings that go with it. Most set one to three keys, to values that a
person might write, that YAML might make of them, or that lie just inside or outside of a limit;
some of these are then changed by a character.
"""

import datetime
import decimal
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

# The variables that URLs name. What a variable holds is not expanded again.
VARIABLES = {
    "NODE_IP": "10.0.0.7",
    "DAEMON": "sagemaker-hyperpod://node-1:9300",
    "NOTHING": "",
    "INDIRECT": "$NODE_IP",
    "odd name": "node-9",
}
UNSET = ("UNSET", "NODE_IPS")

YEAR_S = 365 * 24 * 60 * 60

INTS = (
    *(0, 1, 2, 5, 7, 99, 100, 101, 1023, 1024, 1025, 5000, 65536, -1, -5000),
    *(2**31, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 2**127 - 1, 2**127, -(2**127) - 1, 10**50),
    *(YEAR_S, YEAR_S + 1, YEAR_S * 1000, YEAR_S * 1000 + 1, 2**44 - 1, 2**44),
)
FLOATS = (
    *(0.0, -0.0, 0.5, 0.9999, 1.0, 1.5, 2.9999, 99.9, 100.5, 1024.0, 5000.0, 1e3, 30.25, -1.5),
    *(1e-9, 5e-324, 1e15, 1e16, 1.8e19, 1e20, 1e38, 1.8e38, 1e300, 1.7e308),
    *(float("nan"), float("inf"), float("-inf")),
    *(float(YEAR_S), YEAR_S + 0.5, 2.0**44, 2.0**44 - 1, 0.00001, 123456.789),
)
NUMBER_TEXTS = (
    *("5", " 5 ", "5\n", "+5", "-5", "0", "007", "5_000", "5__0", "_5", "5_", "1_0.5_0", "5.0"),
    *(".5", "5.", "1e3", "1E-3", "1e999", "1e", "0x10", "0b1", "inf", "-inf", "Infinity", "nan"),
    *("٣", "５.２", "𝟗", "½", "²", "5\u3000", "\xa05\x85", "\x1c5", "\ufeff5", "5\0", "5 5", "5,0"),
    *("9" * 19, "9" * 20, "9" * 38, "9" * 39, "0" * 4299 + "5", "0" * 4300 + "5", "5s", "5ms"),
    *("31536000", "31536000.5", "31536000001", "18446744073709551616", "17592186044416"),
)
WORDS = (
    *("", " ", "true", "True", "TRUE", "false", "False", " false ", "yes", "no", "NO", "on", "off"),
    *("1", "0", "maybe", "none", "None", "NONE", "null", "nope", "y", "\ud800"),
)
NAMES = (
    *("lmcache", "prod", "a b", "a/b", "a%2Fb", "a?b", "a#b", "ümlaut", "模型", "..", ".", "a@b"),
    *("b" * 255, "b" * 256, "ü" * 127, "ü" * 128, "line\nbreak", "nul\0", "\ud800", "+", "a:b"),
)
SEGMENTS = (
    *(
        "shared_memory",
        "/shared_memory",
        "//shared_memory",
        "/",
        "a/b",
        ".hidden",
        ".",
        "..",
        "none",
    ),
    *("None", "", "s" * 200, "s" * 201, "s" * 254, "s" * 255, "tab\there", "ümlaut", "nul\0", " "),
)
OTHERS = (
    [],
    [1],
    {},
    {"a": 1},
    (5,),
    b"",
    b"5",
    decimal.Decimal("5.5"),
    datetime.date(2026, 1, 2),
    {5},
    2j,
)

# The parts of a URL: what works, and what may not.
SCHEMES = ("sagemaker-hyperpod://", "kvlease://", "sagemaker-hyperpod://https://")
ODD_SCHEMES = (
    *("sagemaker-hyperpod://http://", "kvlease://https://", "", "http://", "https://", "HTTP://"),
    *(
        "redis://",
        "sagemaker-hyperpod:/",
        "$NOTHING",
        "SAGEMAKER-HYPERPOD://",
        "kvlease://kvlease://",
    ),
    *(
        " sagemaker-hyperpod://",
        "sagemaker-hyperpod://kvlease://",
        "kvlease://sagemaker-hyperpod://",
    ),
)
PLACES = ("127.0.0.1", "localhost", "node-7.cluster.local", "[::1]", "$NODE_IP", "x${NODE_IP}y")
ODD_PLACES = (
    *("my_host", "HOST", "[fe80::1%eth0]", "$UNSET", "${UNSET}", "$NODE_IPS", "${odd name}", "$"),
    *("$NOTHING", "$INDIRECT", "${}", "${NODE_IP", "$(NODE_IP)", "", "::1", "a b", "häuser.de"),
    *("user@host", "user:secret@host", "[::1", "ho\nst"),
)
PORTS = (":9200", ":80", "")
ODD_PORTS = (":0", ":1", ":65535", ":65536", ":", ":abc", ":-1", ":+80", ":09200")
SUFFIXES = ("", "/", "/kv")
ODD_SUFFIXES = ("//", "/kv/", "/a%20b", "/a b", "/a%zz", "?x=1", "#f", " ", "\n", "/$NODE_IP")
PARTS = (
    (SCHEMES, ODD_SCHEMES),
    (PLACES, ODD_PLACES),
    (PORTS, ODD_PORTS),
    (SUFFIXES, ODD_SUFFIXES),
)
WHOLE_URLS = (
    "$DAEMON",
    "${DAEMON}/kv",
    "",
    "$NOTHING",
    "sagemaker-hyperpod://",
    "kvlease://",
    "://",
    "/",
)
PLAIN_URL = "sagemaker-hyperpod://127.0.0.1:9200"

# What goes with a key, most fitting first: a case draws from the front three times of four.
IN_PROCESS_KEYS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "bucket": (NAMES, INTS, FLOATS, WORDS),
    "shared_memory_name": (SEGMENTS, WORDS, INTS, FLOATS),
    "max_concurrent_requests": (INTS, FLOATS, NUMBER_TEXTS),
    "max_connections": (INTS, NUMBER_TEXTS, FLOATS),
    "max_connections_per_host": (INTS, NUMBER_TEXTS, FLOATS),
    "timeout_ms": (INTS, FLOATS, NUMBER_TEXTS),
    "lease_ttl_s": (FLOATS, NUMBER_TEXTS, INTS),
    "put_stream_chunk_bytes": (INTS, FLOATS, NUMBER_TEXTS),
    "use_https": (WORDS, (True, False), INTS, FLOATS),
    "max_lease_size_mb": (FLOATS, INTS, NUMBER_TEXTS),
}
MULTI_PROCESS_KEYS: dict[str, tuple[tuple[Any, ...], ...]] = {
    **{key: pools for key, pools in IN_PROCESS_KEYS.items() if key != "lease_ttl_s"},
    "lease_wait_timeout_ms": (INTS, FLOATS, NUMBER_TEXTS),
    "lease_ttl_ms": (INTS, FLOATS, NUMBER_TEXTS),
}
ODD = (None, True, False, *OTHERS, *WORDS, *NUMBER_TEXTS)
MUTATIONS = "0159_-+. eE\t/:$%?#@{}[]٣\xa0\0x"


class Case(NamedTuple):
    """A URL and its settings, without LMCache's prefix."""

    url: str
    settings: dict[str, Any]


# Cases that show each difference, whatever the seed.
EDGES = (
    Case("kvlease://127.0.0.1:9200", {}),
    Case("sagemaker-hyperpod://127.0.0.1", {}),
    Case("sagemaker-hyperpod://user:secret@host:1", {}),
    Case(PLAIN_URL, {"bucket": "b" * 256}),
    Case(PLAIN_URL, {"shared_memory_name": "none"}),
    Case(PLAIN_URL, {"shared_memory_name": ".hidden"}),
    Case(PLAIN_URL, {"timeout_ms": YEAR_S * 1000 + 1}),
    Case(PLAIN_URL, {"max_connections": 2**64}),
    Case(PLAIN_URL, {"bucket": "\ud800"}),
)
IN_PROCESS_EDGES = (
    *EDGES,
    Case("sagemaker-hyperpod://127.0.0.1:9200\n", {}),
    Case(PLAIN_URL, {"use_https": "false"}),
    Case(PLAIN_URL, {"lease_ttl_s": float("nan")}),
)
MULTI_PROCESS_EDGES = (*EDGES, Case("http://127.0.0.1:9200", {}))


def cases(seed: int, count: int, keys: dict[str, tuple[tuple[Any, ...], ...]]) -> Iterator[Case]:
    """`count` cases; one seed makes the same ones anywhere."""
    draw = random.Random(seed)
    for _ in range(count):
        chosen = draw.sample(sorted(keys), draw.choice((0, 1, 1, 1, 2, 3)))
        settings = {key: _value(draw, keys[key]) for key in chosen}
        # Half of the URLs are plain, so that the settings are looked at.
        yield Case(PLAIN_URL if settings and draw.random() < 0.5 else url(draw), settings)


def url(draw: random.Random) -> str:
    """A URL as people write it, correct or not."""
    if draw.random() < 0.05:
        return draw.choice(WHOLE_URLS)
    parts = [draw.choice(odd if draw.random() < 0.2 else usual) for usual, odd in PARTS]
    whole = "".join(parts)
    # No variable of the environment can hold a NUL.
    return _mutated(draw, whole).replace("\0", "") if draw.random() < 0.1 else whole


def values(seed: int, count: int) -> Iterator[Any]:
    """Values in the place of a number."""
    draw = random.Random(seed)
    for _ in range(count):
        yield _value(draw, (INTS, FLOATS, NUMBER_TEXTS))


def _value(draw: random.Random, pools: tuple[tuple[Any, ...], ...]) -> Any:
    if draw.random() < 0.12:
        return draw.choice(ODD)
    pool = pools[0] if draw.random() < 0.6 else draw.choice(pools)
    value = draw.choice(pool)
    if isinstance(value, int) and not isinstance(value, bool) and draw.random() < 0.3:
        value = value + draw.randint(-3, 3) if draw.random() < 0.5 else str(value)
    if isinstance(value, str) and draw.random() < 0.2:
        value = _mutated(draw, value)
    return value


def _mutated(draw: random.Random, text: str) -> str:
    at = draw.randint(0, len(text))
    return text[:at] + draw.choice(("", draw.choice(MUTATIONS))) + text[at + draw.randint(0, 1) :]
