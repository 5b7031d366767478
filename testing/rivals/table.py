"""The printed table of the results."""

from argparse import ArgumentTypeError
from collections.abc import Mapping

from rounds import Measured, Row
from worker import KIB, MIB

# The size that the aims are stated for.
SIZE_OF_AIMS = 16 * MIB
TITLES = {"put": "put", "get": "get, a copy that the caller owns", "view": "get as a view"}


def print_table(measured: Measured, absent: Mapping[str, str]) -> None:
    """Prints one size: operation by operation, the stores in the order in which they joined."""
    print(
        f"\n{_size(measured.size)}: medians of {measured.rounds} rounds of {measured.calls} calls; "
        "ratios are medians of the rounds' ratios"
    )
    for operation, rows in measured.rows.items():
        # A view moves no bytes, so that there is no copy to compare it with.
        memory_copy, kvlease = (rows.get(name) for name in measured.yardsticks)
        print(
            f"\n{TITLES[operation]:<31} {'ms':>9} {'GB/s':>6} {'of memcpy':>9} "
            f"{'memcpy is faster':>17} {'kvlease is faster':>18} {'aim':>6}"
        )
        for row in rows.values():
            _print_row(measured, operation, row, memory_copy, kvlease)
    for name, reason in absent.items():
        print(f"\nNOT AVAILABLE: {name}: {reason}")


def _print_row(
    measured: Measured, operation: str, row: Row, memory_copy: Row | None, kvlease: Row | None
) -> None:
    rate = "" if memory_copy is None else f"{measured.size / row.median / 1e9:.2f}"
    part = "" if memory_copy is None else f"{memory_copy.times_as_long_as(row):.2f}"
    is_rival = row.rival.name not in measured.yardsticks
    times = f"{row.times_as_long_as(kvlease):.2f} times" if kvlease and is_rival else ""
    # What a store that copies reaches at most, as long as its copy is no faster than memcpy.
    bound = f"{row.times_as_long_as(memory_copy):.2f} times" if memory_copy and is_rival else ""
    aim = row.rival.aims.get(operation) if measured.size == SIZE_OF_AIMS else None
    print(
        f"{row.rival.name:<31} {row.median * 1e3:>9.3f} {rate:>6} {part:>9} "
        f"{bound:>17} {times:>18} {'' if aim is None else f'{aim:g}':>6}",
        flush=True,
    )


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


def size_of(text: str) -> int:
    """The bytes of a size on the command line."""
    for unit, factor in (("KiB", KIB), ("MiB", MIB)):
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    raise ArgumentTypeError(f"a size ends with KiB or MiB, size=`{text}`")
