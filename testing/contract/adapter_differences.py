"""The documented differences between LMCache's adapters and ours, each as a model of itself.

A difference either rewrites a case into the one by which LMCache means the same, refuses what
LMCache takes, or changes a value. What LMCache makes of a case, changed by all differences that
apply, is what ours has to make of it: exactly.

docs/lmcache-settings.md has a line for each, under the same name; a test compares the two.
"""

import ipaddress
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapter_cases import YEAR_S, Case

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "lmcache-settings.md"

# A refusal, in the place of values.
REFUSED = "refused"
Values = dict[str, Any]

STOCK_SCHEME = "sagemaker-hyperpod://"
OWN_SCHEME = "kvlease://"

DEFAULT_PORT = 9200
BUCKET_LEN_MAX = 255
SEGMENT_LEN_MAX = 200
COUNT_END = 2**64
INT_END = 2**127
FALSE_WORDS = ("false", "no", "off", "0")
TRUE_WORDS = ("true", "yes", "on", "1")
# Holds a URL of ours as LMCache's own.
AS_STOCK = "URL_AS_STOCK"
# Stands for no segment where LMCache takes nothing but a name.
NO_SEGMENT = "stands for no segment"

# A URL that names a daemon: a host of those characters that a host may have unescaped (but for `$`,
# which a variable has left) or an IPv6 address in brackets, a port from 1 to 65535, and a path that
# a request line can hold.
USABLE = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._~!&'()*+,;=-]+|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._~-]+)?\])(:(?P<port>[0-9]+))?"
    r"(?P<path>(/([A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)?)"
)


def documented() -> set[str]:
    """The names of the differences that the document lists."""
    section = DOCUMENT.read_text().split("\n## Differences\n", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))


def canonical(url: str) -> str:
    """A URL without zeros in front of its port."""
    usable = USABLE.fullmatch(url)
    if usable is None or usable["port"] is None:
        return url
    return f"{usable['scheme']}://{usable['host']}:{int(usable['port'])}{usable['path']}"


# Rewrites: the case by which LMCache means the same, or None if the difference does not apply.


def kvlease_scheme(case: Case) -> Case | None:
    expanded = os.path.expandvars(case.url)
    if not expanded.startswith(OWN_SCHEME):
        return None
    # By a variable, as what a variable holds is not expanded again.
    os.environ[AS_STOCK] = STOCK_SCHEME + expanded.removeprefix(OWN_SCHEME)
    return case._replace(url=f"${AS_STOCK}")


def _use_https_words(case: Case) -> Case | None:
    word = case.settings.get("use_https")
    if not isinstance(word, str) or word.strip().lower() not in FALSE_WORDS:
        return None
    return case._replace(settings={**case.settings, "use_https": False})


def _no_segment(case: Case) -> Case | None:
    name = case.settings.get("shared_memory_name")
    if not isinstance(name, str) or name.lower() != "none":
        return None
    return case._replace(settings={**case.settings, "shared_memory_name": None})


def _mp_kvlease_scheme(case: Case) -> Case | None:
    """`_mp_url` has replaced the variables."""
    if not case.url.startswith(OWN_SCHEME):
        return None
    return case._replace(url=STOCK_SCHEME + case.url.removeprefix(OWN_SCHEME))


def _mp_no_segment(case: Case) -> Case | None:
    """LMCache's MP client cannot do without a segment."""
    name = case.settings.get("shared_memory_name", "shared_memory")
    if name is not None and (not isinstance(name, str) or name.lower() not in ("", "none")):
        return None
    return case._replace(settings={**case.settings, "shared_memory_name": NO_SEGMENT})


def _mp_url(case: Case) -> Case | None:
    """Variables, a scheme of HTTP, and no scheme have the meaning of the in-process adapter."""
    expanded = os.path.expandvars(case.url.strip())
    own = OWN_SCHEME if expanded.startswith(OWN_SCHEME) else STOCK_SCHEME
    place = expanded.removeprefix(own)
    settings = dict(case.settings)
    for scheme, use_https in (("http://", False), ("https://", True)):
        if place.startswith(scheme):
            place = place.removeprefix(scheme)
            if isinstance(settings.get("use_https", False), bool):
                settings["use_https"] = use_https
            break
    rewritten = Case(own + place, settings)
    return None if rewritten == case else rewritten


# Refusals: whether ours refuses what LMCache takes.


def _url(case: Case, values: Values) -> bool:
    usable = USABLE.fullmatch(values["url"].strip())
    if usable is None or not 1 <= int(usable["port"] or DEFAULT_PORT) <= 65535:
        return True
    has_spaces = values["url"] != values["url"].strip()
    if has_spaces and os.path.expandvars(case.url).endswith("/"):
        # LMCache takes the slash off, not the spaces before it, which are within the URL.
        return True
    try:
        ipaddress.IPv6Address(usable["host"].strip("[]"))
    except ValueError:
        return usable["host"].startswith("[")
    return False


def _use_https_unknown_words(case: Case, values: Values) -> bool:
    word = case.settings.get("use_https")
    known = (*FALSE_WORDS, *TRUE_WORDS)
    return isinstance(word, str) and word != "" and word.strip().lower() not in known


def _bucket_name(case: Case, values: Values) -> bool:
    if case.settings.get("bucket", "") is None:
        return True
    return not 1 <= len(values["bucket"].encode(errors="replace")) <= BUCKET_LEN_MAX


def _segment_name(case: Case, values: Values) -> bool:
    name = values["shared_memory_name"]
    if name is None:
        return False
    unusual = name.startswith(".") or "/" in name or any(_is_control(c) for c in name)
    return unusual or not 1 <= len(name.encode(errors="replace")) <= SEGMENT_LEN_MAX


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0


def _not_finite(case: Case, values: Values) -> bool:
    return not math.isfinite(values["lease_ttl_s"])


def _time_limit(case: Case, values: Values) -> bool:
    times_ms = (values["timeout_ms"], values["lease_wait_ms"])
    return values["lease_ttl_s"] > YEAR_S or max(times_ms) > YEAR_S * 1000


def _count_limit(case: Case, values: Values) -> bool:
    return any(
        values[key] is not None and values[key] >= COUNT_END
        for key in (
            "max_concurrent_requests",
            "max_connections",
            "max_connections_per_host",
            "put_stream_chunk_bytes",
            "max_lease_size_bytes",
        )
    )


def _other_types(case: Case, values: Values) -> bool:
    return any(not is_plain(value) for value in case.settings.values())


def is_plain(value: object) -> bool:
    if isinstance(value, str):
        return not any(0xD800 <= ord(character) < 0xE000 for character in value)
    if isinstance(value, int):
        return -INT_END <= value < INT_END
    return value is None or isinstance(value, float)


# Changes of a value.


def _default_port(case: Case, values: Values) -> Values:
    usable = USABLE.fullmatch(values["url"].strip())
    assert usable is not None
    if usable["port"] is not None:
        return values
    url = f"{usable['scheme']}://{usable['host']}:{DEFAULT_PORT}{usable['path']}"
    return {**values, "url": url}


def _url_spaces(case: Case, values: Values) -> Values:
    return {**values, "url": canonical(values["url"].strip().rstrip("/"))}


def _lease_wait(case: Case, values: Values) -> Values:
    margin_ms = max(values["timeout_ms"] // 10, 50)
    return {**values, "lease_wait_ms": values["timeout_ms"] - margin_ms}


Rewrite = Callable[[Case], Case | None]
Refusal = Callable[[Case, Values], bool]
Change = Callable[[Case, Values], Values]

REFUSALS: list[tuple[str, Refusal]] = [
    ("url", _url),
    ("bucket-name", _bucket_name),
    ("segment-name", _segment_name),
    ("time-limit", _time_limit),
    ("count-limit", _count_limit),
    ("other-types", _other_types),
]
CHANGES: list[tuple[str, Change]] = [("default-port", _default_port)]

IN_PROCESS_REWRITES: list[tuple[str, Rewrite]] = [
    ("kvlease-scheme", kvlease_scheme),
    ("use-https-words", _use_https_words),
    ("no-segment", _no_segment),
]
IN_PROCESS_REFUSALS = [
    *REFUSALS,
    ("use-https-words", _use_https_unknown_words),
    ("not-finite", _not_finite),
]
IN_PROCESS_CHANGES: list[tuple[str, Change]] = [
    ("url-spaces", _url_spaces),
    *CHANGES,
    ("lease-wait", _lease_wait),
]
# What shows only in a request: test_adapter.py has both make one.
ON_THE_WIRE = {"bucket-encoded"}

MULTI_PROCESS_REWRITES: list[tuple[str, Rewrite]] = [
    ("mp-url", _mp_url),
    ("kvlease-scheme", _mp_kvlease_scheme),
    ("no-segment", _mp_no_segment),
]
