"""The package itself: what Python shows of it, passes to other processes, and ends with."""

import ast
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import kvlease
import numpy
import pytest
from kvlease import Connector, ConnectorSettings, KvleaseError, Memory, Queue

from samples import KIB, payload

STUB = Path(kvlease.__file__).with_name("_kvlease.pyi")
URL = "kvlease://127.0.0.1:9"


def test_the_documentation_at_run_time_is_that_of_the_stub():
    documented = 0
    for stub in ast.parse(STUB.read_text()).body:
        if not isinstance(stub, ast.ClassDef):
            continue
        for method in stub.body:
            text = isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
            if not text or method.name.startswith("__"):
                continue
            member = getattr(getattr(kvlease, stub.name), method.name)
            assert inspect.getdoc(member) == text, f"{stub.name}.{method.name}"
            documented += 1
    assert documented > 40


def test_classes_name_the_package_that_they_are_imported_from():
    for name in kvlease.__all__:
        if isinstance(member := getattr(kvlease, name), type):
            assert member.__module__ == "kvlease", name


@pytest.mark.parametrize(
    "settings",
    (
        ConnectorSettings(URL, bucket="b", timeout_ms=77_000, daemon_uid=4242),
        ConnectorSettings.from_extra_config(URL, {"sagemaker_hyperpod_timeout_ms": "2_500"}),
        ConnectorSettings.from_extra_config(URL),
        ConnectorSettings.for_mp(URL, lease_wait_timeout_ms=9),
    ),
)
def test_settings_can_be_passed_to_another_process(settings):
    again = pickle.loads(pickle.dumps(settings))
    for name in dir(settings):
        value = getattr(settings, name)
        if not name.startswith("_") and not callable(value):
            assert getattr(again, name) == value, name


def test_buffers_of_a_batch_that_share_memory_are_refused_before_anything_is_read(make_daemon):
    daemon = make_daemon("64MiB")
    keys, content = ["a", "b"], payload(KIB, "shared")
    settings = ConnectorSettings(
        f"kvlease://127.0.0.1:{daemon.port}", shared_memory_name=daemon.segment
    )
    with Connector(settings) as connector:
        assert connector.batched_put(keys, [content, content[::-1]]) == [True, True]
        buffer = bytearray(2 * KIB)
        first, second = memoryview(buffer)[:KIB], memoryview(buffer)[KIB:]
        queue = Queue(connector)
        for other in (first, memoryview(buffer)[1 : KIB + 1]):
            for read in (connector.batched_get_into, queue.submit_get_into):
                with pytest.raises(ValueError, match="share memory"):
                    read(keys, [first, other])
        assert not any(buffer)
        assert connector.batched_get_into(keys, [first, second]) == [True, True]
        assert bytes(buffer) == content + content[::-1]


@pytest.mark.parametrize("way", ({}, {"socket": "none"}, {"shared_memory_name": None}))
def test_objects_are_gathered_from_regions_and_scattered_into_others(make_daemon, way):
    daemon = make_daemon("64MiB")
    way = {"shared_memory_name": daemon.segment, **way}
    settings = ConnectorSettings(f"kvlease://127.0.0.1:{daemon.port}", **way)
    # Four layers of K and V, and of each page a region in all of them.
    pages, layers, length = 6, 8, 40_000
    pool = numpy.frombuffer(payload(layers * pages * length, "pool"), "uint8")
    pool = pool.reshape(layers, pages, length).copy()
    other = numpy.zeros((pages, layers, length), "uint8")
    memory = Memory([pool, other])
    keys = [f"page{page}" for page in range(pages)]

    def regions(of, page_axis):
        page, layer = of.strides[page_axis], of.strides[1 - page_axis]
        places = [
            of.ctypes.data + p * page + n * layer for p in range(pages) for n in range(layers)
        ]
        return places, [length] * len(places)

    with Connector(settings) as connector:
        assert connector.batched_gather(keys, memory, *regions(pool, 1)) == [True] * pages
        assert connector.batched_gather(keys[:1], memory, [pool.ctypes.data], [7]) == [False]
        assert connector.get(keys[2]) == pool[:, 2].tobytes()
        asked = [*keys[:3], "absent", *keys[4:]]
        found = connector.batched_scatter(asked, memory, *regions(other, 0))
        assert found == [True, True, True, False, True, True]
        for page in (0, 1, 2, 4, 5):
            assert (other[page] == pool[:, page]).all()
        wrong = connector.batched_scatter(keys[:1], memory, [other.ctypes.data], [length])
        assert isinstance(wrong[0], KvleaseError)
        for places, lengths, message in (
            ([other.ctypes.data], [other.nbytes + 1], "outside"),
            ([1], [1], "outside"),
            ([other.ctypes.data] * 2, [8, 8], "share memory"),
            ([other.ctypes.data], [8, 8], "as many regions"),
        ):
            with pytest.raises(ValueError, match=message):
                connector.batched_scatter(keys[:1], memory, places, lengths)
        with pytest.raises(ValueError, match="as many regions"):
            connector.batched_gather(keys[:2], memory, [other.ctypes.data] * 3, [1, 1, 1])
        assert connector.batched_gather([], memory, [], []) == []
    with pytest.raises(BufferError, match="read-only"):
        Memory([b"of others"])


def peak_of(call):
    """What a call returns, and by how many bytes the memory of this process grew for it at most."""
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    return call(), peak() - before


def peak():
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return int(status.split()[0]) * KIB


def test_an_object_that_the_daemon_is_asked_for_is_read_into_the_bytes_that_are_returned(
    make_daemon,
):
    daemon = make_daemon("64MiB")
    # So long that the allocator takes it from the kernel, and gives it back.
    content = bytes(range(256)) * (160 * KIB)
    settings = ConnectorSettings(
        f"kvlease://127.0.0.1:{daemon.port}", shared_memory_name=daemon.segment, index=False
    )
    with Connector(settings) as connector:
        assert connector.put("key", content)
        for get in (connector.get, lambda key: connector.batched_get([key])[0]):
            # The arena's pages are mapped from then on.
            assert get("key") == content
            found, grown = peak_of(lambda get=get: get("key"))
            assert found == content
            assert grown < 1.5 * len(content), "there was another copy"
        assert connector.stats()["http_reads"] == 0


def test_an_interpreter_that_ends_closes_no_connector_of_another(make_daemon):
    daemon = make_daemon("64MiB")
    program = f"""
import sys
import kvlease
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
settings = kvlease.ConnectorSettings("kvlease://127.0.0.1:{daemon.port}", shared_memory_name=None)
connector = kvlease.Connector(settings)
assert connector.put("k", b"bytes")
other = interpreters.create()
try:
    interpreters.run_string(other, "import kvlease")
except Exception as error:
    # An extension may refuse to be loaded there: then nothing of it ends there either.
    print("refused", error)
interpreters.destroy(other)
assert connector.get("k") == b"bytes"
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("alive\n"), done
