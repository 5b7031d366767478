"""Checks of an interpreter's environment, in the form of the reports of `kvlease doctor`."""

from collections.abc import Callable, Mapping
from typing import Any

# The first release of LMCache that loads connectors as plug-ins, as docs/lmcache.md has it.
LMCACHE_MIN = (0, 5)

# Packages whose versions a report has.
PACKAGES = ("kvlease", "lmcache", "vllm", "sglang")

# Variables that configure LMCache in an engine's process.
IN_PROCESS = ("LMCACHE_CONFIG_FILE", "LMCACHE_REMOTE_URL")


def look(variables: Mapping[str, str], version: Callable[[str], str | None]) -> dict[str, Any]:
    """What is wrong, what could not be seen, what is right, and the versions of packages.

    `version` returns the version of an installed package, and None for one that is not.
    """
    report: dict[str, Any] = {"findings": [], "hints": [], "not_checked": [], "right": []}
    report["versions"] = {package: version(package) for package in PACKAGES}
    _hash_seed(report, variables)
    _lmcache(report, report["versions"]["lmcache"])
    return report


def _hash_seed(report: dict[str, Any], variables: Mapping[str, str]) -> None:
    name, seed = "hash-seed-unset", variables.get("PYTHONHASHSEED", "")
    if not any(variables.get(variable) for variable in IN_PROCESS):
        why = f"none of {', '.join(IN_PROCESS)} is set: LMCache may be outside of this process"
        report["not_checked"].append({"name": name, "why": why})
    elif seed in ("", "random"):
        what = (
            "each process of the engine hashes otherwise, so that it finds nothing that another "
            f"one stored: PYTHONHASHSEED=`{seed}`"
        )
        remedy = "start every engine with PYTHONHASHSEED=0"
        report["findings"].append({"name": name, "what": what, "remedy": remedy})
    else:
        report["right"].append(name)


def _lmcache(report: dict[str, Any], version: str | None) -> None:
    name, least = "lmcache-unsupported", ".".join(map(str, LMCACHE_MIN))
    parts = (version or "").split(".")[:2]
    if not all(part.isdigit() for part in parts):
        why = f"LMCache is not installed here, or has no such version: `{version}`"
        report["not_checked"].append({"name": name, "why": why})
    elif tuple(map(int, parts)) < LMCACHE_MIN:
        what = f"LMCache {version} loads no connectors of other packages"
        remedy = f"install LMCache {least} or later"
        report["findings"].append({"name": name, "what": what, "remedy": remedy})
    else:
        report["right"].append(name)
