"""LMCache's own clients and kvlease's as tenants, which share an arena or have one of their own."""

import hashlib
import os
from types import SimpleNamespace

import pytest
from kvlease import KvleaseError

from daemon import free_port
from samples import KIB, MIB, NATIVE, in_process_key, mp_key, payload

CAPACITY = "128MiB"
TENANTS = ("red", "blue")
TOKEN = "0123456789abcdef0123456789abcdef"
SIZES = (KIB + 2, MIB, 4 * KIB)

OPERATORS = """
[tenant.operators]
listeners = ["server"]
admin = true
read = ["*"]
"""

# Clients that send no header are known by the address that they come to.
LISTENER = """
[listener.{name}]
address = "127.0.0.1:{port}"
"""

# All in one arena: each has a bucket of its own, and LMCache's clients have one name for it.
SHARED = """
[tenant.{name}]
listeners = ["{name}"]
read = ["{bucket}"]
write = ["{bucket}"]
shares_arena = true
"""

ISOLATED = """
[arena.{name}]
capacity = "128MiB"

[tenant.{name}]
arena = "{name}"
listeners = ["{name}"]
read = ["*"]
write = ["*"]
"""

# All in one bucket: the salts of their users keep them apart.
SALTED = """
[tenant.{name}]
listeners = ["{name}"]
read = ["lmcache"]
write = ["lmcache"]
shares_arena = true
cache_salts = ["{name}", "{name}-*"]
"""

# A process is one tenant on the fast lane, and these tests are both in one process.
NO_LANE = '[server]\nsocket = "none"\n'


@pytest.fixture(params=("isolated", "shared"))
def isolation(request):
    return request.param


@pytest.fixture
def daemon_and_tenants(isolation, make_daemon):
    """A daemon, and where a client of each tenant finds it."""
    ports = {name: free_port() for name in TENANTS}
    form = ISOLATED if isolation == "isolated" else SHARED
    config = "" if isolation == "isolated" else NO_LANE
    for name, port in ports.items():
        bucket = "lmcache" if name == "red" else "other"
        config += LISTENER.format(name=name, port=port) + form.format(name=name, bucket=bucket)
    daemon = make_daemon(CAPACITY, config + OPERATORS)
    segments = {name: daemon.segment for name in TENANTS}
    if isolation == "isolated":
        segments = {name: f"{daemon.segment}-{name}" for name in TENANTS}
    tenants = [SimpleNamespace(port=ports[name], segment=segments[name]) for name in TENANTS]
    return daemon, *tenants


@pytest.fixture
def daemon_and_users(make_daemon):
    """A daemon with a tenant for each team of users, and where the server of each finds it."""
    ports = {name: free_port() for name in TENANTS}
    forms = [LISTENER.format(name=name, port=port) for name, port in ports.items()]
    config = "".join([NO_LANE, *forms, *(SALTED.format(name=name) for name in TENANTS)])
    daemon = make_daemon(CAPACITY, config + OPERATORS)
    users = [SimpleNamespace(port=ports[name], segment=daemon.segment) for name in TENANTS]
    return daemon, *users


def objects(daemon, name: str) -> float:
    return daemon.metric("kvlease_arena_objects", arena=name)


def test_the_connector_in_a_process_is_a_tenant_by_its_listener(
    kind, isolation, daemon_and_tenants, in_process_of
):
    daemon, red, blue = daemon_and_tenants
    red, blue = in_process_of(kind, red), in_process_of(kind, blue)
    keys = [in_process_key(number) for number in range(len(SIZES))]
    contents = [payload(size, "red") for size in SIZES]
    assert red.put_all(keys, contents) == len(keys)
    assert red.get_all(keys) == contents
    assert not any(blue.exists(key) for key in keys)
    assert blue.get_all(keys) == [None] * len(keys)
    if isolation == "shared":
        assert daemon.metric("kvlease_objects") == len(keys)
        return
    others = [payload(size, "blue") for size in SIZES]
    assert (objects(daemon, "red"), objects(daemon, "blue")) == (len(keys), 0)
    assert blue.put_all(keys, others) == len(keys)
    assert blue.get_all(keys) == others
    assert red.get_all(keys) == contents
    assert daemon.metric("kvlease_objects") == 0


def test_the_multi_process_server_is_a_tenant_by_its_listener(
    kind, isolation, daemon_and_tenants, multi_process_of
):
    daemon, red, blue = daemon_and_tenants
    red, blue = multi_process_of(kind, red), multi_process_of(kind, blue)
    keys = [mp_key(number) for number in range(len(SIZES))]
    contents = [payload(size, "red") for size in SIZES]
    assert red.store(keys, contents)
    assert red.lookup(keys) == [True] * len(keys)
    assert red.load(keys, SIZES) == contents
    red.unlock(keys)
    assert blue.lookup(keys) == [False] * len(keys)
    if isolation == "shared":
        assert daemon.metric("kvlease_objects") == len(keys)
        return
    others = [payload(size, "blue") for size in SIZES]
    assert blue.store(keys, others)
    assert blue.lookup(keys) == [True] * len(keys)
    assert blue.load(keys, SIZES) == others
    blue.unlock(keys)
    assert (objects(daemon, "red"), objects(daemon, "blue")) == (len(keys), len(keys))
    assert daemon.metric("kvlease_objects") == 0


def test_users_with_cache_salts_are_kept_apart_in_one_bucket(
    kind, daemon_and_users, multi_process_of
):
    daemon, red, blue = daemon_and_users
    red, blue = multi_process_of(kind, red), multi_process_of(kind, blue)
    numbers = range(len(SIZES))
    keys = [mp_key(number, salt="red-7") for number in numbers]
    contents = [payload(size, "red") for size in SIZES]
    assert red.store(keys, contents)
    assert red.lookup(keys) == [True] * len(keys)
    assert red.load(keys, SIZES) == contents
    red.unlock(keys)
    # The same prompts of another user, and of one who sends the salt of another team.
    assert blue.lookup([mp_key(number, salt="blue") for number in numbers]) == [False] * len(keys)
    assert blue.lookup(keys) == [False] * len(keys)
    # A server whose users send no salt stores nothing and finds nothing, and goes on.
    unsalted = [mp_key(number) for number in numbers]
    for refused in (unsalted, [mp_key(number, salt="other") for number in numbers]):
        assert not red.store(refused, contents)
        assert red.lookup(refused) == [False] * len(keys)
    assert daemon.metric("kvlease_objects") == len(keys)
    own = [mp_key(number, salt="blue") for number in numbers]
    others = [payload(size, "blue") for size in SIZES]
    assert blue.store(own, others)
    assert blue.lookup(own) == [True] * len(own)
    assert blue.load(own, SIZES) == others
    blue.unlock(own)
    assert red.lookup(keys) == [True] * len(keys)
    assert red.load(keys, SIZES) == contents
    red.unlock(keys)


def test_a_native_client_with_a_token_has_its_arena_over_the_lane(
    make_daemon, in_process_of, connector_to, tmp_path
):
    known = f'token_sha256 = ["{hashlib.sha256(TOKEN.encode()).hexdigest()}"]\n'
    known += f"uids = [{os.geteuid()}]\n"
    config = ISOLATED.format(name="red").replace('listeners = ["red"]\n', known)
    daemon = make_daemon(CAPACITY, config + OPERATORS)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    red = SimpleNamespace(port=daemon.port, segment=f"{daemon.segment}-red")
    client = in_process_of(NATIVE, red, token_file=str(token))
    keys = [in_process_key(number) for number in range(len(SIZES))]
    contents = [payload(size, "red") for size in SIZES]
    # The first answer over HTTP tells where the lane of the tenant's arena is.
    assert not client.exists(keys[0])
    assert client.put_all(keys, contents) == len(keys)
    assert client.get_all(keys) == contents
    # All that is there was written into the arena.
    stored = daemon.metric("kvlease_arena_stored_bytes", arena="red")
    assert daemon.metric("kvlease_arena_written_bytes_total", arena="red") == stored > sum(SIZES)
    assert (objects(daemon, "red"), daemon.metric("kvlease_objects")) == (len(keys), 0)
    stranger = connector_to(daemon, socket="none", shared_memory_name=None)
    with pytest.raises(KvleaseError, match="write"):
        stranger.put("key", b"content")
