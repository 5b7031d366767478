"""Pages of many regions against pages of one: what gathering and scattering costs.

usage: measure.py          (run.py --measure calls it)

Each round stores and reads the same bytes twice: as pages of 2 x 64 regions, which are far apart,
and as pages in one piece. The first round warms up; the medians of the others are compared, by the
time of all of the process's threads: that of the clock depends on what else the machine does.
"""

import mmap
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy
from kvlease import Connector, ConnectorSettings, Memory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "contract"))

from daemon import Daemon  # noqa: E402

PARTS = 2 * 64
PAGES = 16
ROUNDS = 15
CAPACITY = "1GiB"
# Bytes of K or V of a layer: pages of 16 tokens, 8 heads of 128 numbers of 2 bytes, and others.
REGION_LENS = (2 << 10, 8 << 10, 32 << 10, 128 << 10)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), Path(folder), CAPACITY)
        try:
            daemon.start()
            settings = ConnectorSettings(
                f"kvlease://127.0.0.1:{daemon.port}", shared_memory_name=daemon.segment
            )
            print("region   page       gather/whole  scatter/whole   gather    scatter")
            with Connector(settings) as connector:
                connector.ping()
                for region_len in REGION_LENS:
                    _compare(connector, region_len)
        finally:
            daemon.destroy()


def _compare(connector: Connector, region_len: int) -> None:
    page_len = PARTS * region_len
    # At a page's address, as SGLang's pools are.
    pool = numpy.frombuffer(mmap.mmap(-1, PAGES * page_len), numpy.uint8)
    pool[:] = numpy.random.default_rng(1).integers(0, 256, len(pool), numpy.uint8)
    memory, base = Memory([pool]), pool.ctypes.data
    # As of a pool whose pages are spread over layers: part, page.
    spread = [
        base + (part * PAGES + page) * region_len for page in range(PAGES) for part in range(PARTS)
    ]
    ways = {
        "parts": (spread, [region_len] * len(spread)),
        "whole": ([base + page * page_len for page in range(PAGES)], [page_len] * PAGES),
    }
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(ROUNDS + 1):
        for way in sorted(ways, reverse=number % 2 == 1):
            keys = [f"{way}@{region_len}@{number}@{page}" for page in range(PAGES)]
            for verb in ("batched_gather", "batched_scatter"):
                started = time.process_time()
                flags = getattr(connector, verb)(keys, memory, *ways[way])
                taken = time.process_time() - started
                if flags != [True] * PAGES:
                    raise SystemExit(f"error: a page failed, flags=`{flags}`")
                if number:
                    seconds.setdefault((verb, way), []).append(taken)
            connector.batched_remove(keys)
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    length = PAGES * page_len / (1 << 30)
    ratios, rates = [], []
    for verb in ("batched_gather", "batched_scatter"):
        ratios.append(medians[verb, "parts"] / medians[verb, "whole"])
        rates.append(length / medians[verb, "parts"])
    print(
        f"{region_len >> 10:3} KiB  {page_len / (1 << 20):5.2f} MiB    {ratios[0]:8.2f}  "
        f"{ratios[1]:13.2f}   {rates[0]:5.2f} GiB/s  {rates[1]:5.2f} GiB/s"
    )


if __name__ == "__main__":
    main()
