"""How long a prefix can be restored that needs pages of several pools.

Some pools need every page of the prefix, others only the last ones: such a state may be there at
the end of 5 pages and not of 4. So all lengths are told that every pool can serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Values of SGLang's `PoolHitPolicy`.
TRAILING_PAGES = "trailing_pages"
# A second form of pages that are there anyway: it never shortens the prefix.
BLOCK_GROUPS = "block_groups"


def policy_of(transfer: Any) -> str:
    """The policy of a transfer; one that is not known needs every page."""
    policy = getattr(transfer, "hit_policy", None)
    return str(getattr(policy, "value", policy))


def lengths_of(transfer: Any, exists: Sequence[bool]) -> list[int]:
    """The lengths of prefixes that a pool can serve, from whether it has each of the pages."""
    if policy_of(transfer) == TRAILING_PAGES:
        trailing = max(1, len(transfer.keys or ()))
        ends = range(1, len(exists) + 1)
        return [end for end in ends if all(exists[max(0, end - trailing) : end])]
    leading = next((place for place, found in enumerate(exists) if not found), len(exists))
    return list(range(1, leading + 1))
