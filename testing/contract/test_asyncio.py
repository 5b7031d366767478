"""The connector on an event loop, `kvlease.asyncio`, and the programs of examples/python."""

import asyncio
import inspect
import subprocess
import sys

import kvlease
import kvlease.asyncio
import pytest

import documents
from samples import KIB, payload

EXAMPLES = sorted((documents.ROOT / "examples" / "python").glob("*.py"))
# Objects that end within what is read first, at its end, and far behind it.
LENGTHS = (0, 1, 64 * KIB, 64 * KIB + 1, 3000 * KIB)


def _settings(daemon, **more):
    url = f"kvlease://127.0.0.1:{daemon.port}"
    return kvlease.ConnectorSettings(url, shared_memory_name=daemon.segment, **more)


def _run(daemon, use, **more):
    async def main():
        async with kvlease.asyncio.Connector(_settings(daemon, **more)) as connector:
            return await asyncio.wait_for(use(connector), 60)

    return asyncio.run(main())


@pytest.mark.parametrize("way", ({}, {"socket": "none"}, {"socket": "none", "index": "none"}))
def test_every_call_answers_as_the_blocking_one(make_daemon, way):
    daemon = make_daemon("64MiB")
    objects = {f"key {length}": payload(length, "loop") for length in LENGTHS}
    keys, contents = list(objects), list(objects.values())

    async def use(connector):
        await connector.ping()
        assert await connector.batched_put(keys, contents) == [True] * len(keys)
        assert await connector.put(keys[0], b"other") is False
        assert await connector.batched_get([*keys, "absent"]) == [*contents, None]
        assert [await connector.get(key) for key in keys] == contents
        assert await connector.get("absent") is None
        buffer = bytearray(len(contents[-1]))
        assert await connector.get_into(keys[-1], buffer) is True
        assert buffer == contents[-1]
        assert await connector.get_into("absent", buffer) is False
        assert await connector.batched_exists([keys[1], "absent"]) == [True, False]
        assert await connector.exists("absent") is False
        assert await connector.lookup_prefix([keys[1], keys[2], "absent", keys[3]]) == 2
        assert sorted(await connector.list("key ")) == sorted(keys)
        view = await connector.view(keys[-1])
        with view:
            assert bytes(memoryview(view)) == contents[-1] and view.is_live
        assert await connector.view("absent") is None
        assert connector.stats()["hits"] > 0
        assert await connector.remove(keys[0]) is True
        assert await connector.remove(keys[0]) is False
        assert await connector.batched_remove(keys[1:]) == [True] * (len(keys) - 1)
        assert await connector.list() == []

    _run(daemon, use, **way)


def test_calls_run_side_by_side_and_what_fails_is_raised_where_it_is_awaited(make_daemon):
    daemon = make_daemon("64MiB")
    contents = {f"key {number}": payload(100 * KIB, f"side {number}") for number in range(100)}

    async def use(connector):
        puts = (connector.put(key, content) for key, content in contents.items())
        assert all(await asyncio.gather(*puts))
        read = await asyncio.gather(*(connector.get(key) for key in contents))
        assert read == list(contents.values())
        with pytest.raises(kvlease.RefusedError):
            await connector.put("too large", bytes(65 << 20))
        with pytest.raises(ValueError, match="key"):
            await connector.get("")
        with pytest.raises(ValueError, match="share memory"):
            buffer = bytearray(100 * KIB)
            await connector.batched_get_into(list(contents)[:2], [buffer, buffer])

    _run(daemon, use)


def test_a_cancelled_call_leaves_the_buffer_alone_and_the_connector_in_use(make_daemon):
    daemon = make_daemon("64MiB")
    content = payload(8000 * KIB, "cancelled")

    async def use(connector):
        await connector.put("key", content)
        for _ in range(20):
            buffer = bytearray(len(content))
            task = asyncio.create_task(connector.get_into("key", buffer))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # Nothing writes there any more.
            buffer[:] = bytes(len(buffer))
            assert await connector.get("key") == content
            assert not any(buffer)

    _run(daemon, use, index="none")


def test_a_closed_connector_refuses_and_one_belongs_to_one_loop(make_daemon):
    daemon = make_daemon("64MiB")

    async def closed():
        connector = kvlease.asyncio.Connector(_settings(daemon))
        await connector.put("key", b"bytes")
        await connector.close()
        await connector.close()
        with pytest.raises(kvlease.ClosedError):
            await connector.get("key")

    asyncio.run(closed())
    connector = kvlease.asyncio.Connector(_settings(daemon))
    assert asyncio.run(connector.get("key")) == b"bytes"
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(connector.get("key"))


def test_a_daemon_that_is_not_there_is_an_error_and_no_hang():
    async def main():
        settings = kvlease.ConnectorSettings("kvlease://127.0.0.1:9", timeout_ms=2000)
        async with kvlease.asyncio.Connector(settings) as connector:
            with pytest.raises(kvlease.UnavailableError):
                await connector.ping()
            (value,) = await connector.batched_get(["key"])
            assert isinstance(value, kvlease.UnavailableError)

    asyncio.run(main())


def test_it_has_the_calls_of_the_blocking_connector_with_documentation():
    # Those that return at once, and those for memory of devices, are the blocking one's alone.
    others = {"post", "flush_posts", "batched_gather", "batched_scatter", "is_indexed", "touch"}
    for name, blocking in inspect.getmembers(kvlease.Connector):
        if name.startswith("_") or name in others:
            continue
        call = getattr(kvlease.asyncio.Connector, name)
        assert inspect.getdoc(call), name
        assert inspect.iscoroutinefunction(call) or name == "stats", name
        ours, theirs = (list(inspect.signature(each).parameters) for each in (call, blocking))
        assert ours == theirs, name


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run(make_daemon, program):
    daemon = make_daemon("64MiB")
    command = [sys.executable, program, f"kvlease://127.0.0.1:{daemon.port}", daemon.segment]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout, "an example shows something"
