"""The adapter as LMCache loads it, and as programs without LMCache call it.

Every route by which LMCache's configuration can reach the native connector is walked with LMCache's
own code, with LMCache's own connector beside it where the two differ.
"""

import asyncio
import contextlib
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import yarl
from kvlease import ConnectorSettings
from kvlease.adapter import ConnectorContext, create_connector
from kvlease.lmcache import SageMakerHyperPodConnector, SageMakerHyperPodConnectorAdapter
from kvlease.lmcache.adapter import _odd_environment
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.storage_backend import CreateStorageBackends
from lmcache.v1.storage_backend.connector import CreateConnector, extract_plugin_type
from lmcache.v1.storage_backend.connector.sagemaker_hyperpod_connector import (
    SageMakerHyperPodConnector as StockConnector,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "lmcache-settings.md"

PLUGIN = {
    "remote_storage_plugin.kvlease.module_path": "kvlease.lmcache",
    "remote_storage_plugin.kvlease.class_name": "SageMakerHyperPodConnectorAdapter",
}
NO_SEGMENT = {"sagemaker_hyperpod_shared_memory_name": None}
# Nothing listens here: connectors connect when they are first used.
PLACE = "127.0.0.1:1"
# How long a request to this process may take, in seconds.
ANSWERED_WITHIN = 60.0


@pytest.fixture
def loop():
    """An event loop that runs in a thread of its own, as LMCache's does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    # LMCache's own connector cannot be closed on its own loop: its workers are ended here.
    asyncio.run_coroutine_threadsafe(_end_other_tasks(), loop).result(ANSWERED_WITHIN)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(ANSWERED_WITHIN)
    assert not thread.is_alive()
    loop.close()


@pytest.fixture
def make(host, loop):
    """Makes connectors by LMCache's `CreateConnector`; they end with the test."""
    made = []

    def make(url, extra_config, plugins=("kvlease",), **config):
        config = _config(extra_config, plugins, **config)
        name = url.removeprefix("plugin://") if url.startswith("plugin://") else None
        connector = CreateConnector(url, loop, host, config, host.metadata, plugin_name=name)
        made.append(connector.getWrappedConnector())
        return made[-1]

    yield make
    for connector in made:
        if not isinstance(connector, StockConnector):
            asyncio.run_coroutine_threadsafe(connector.close(), loop).result(ANSWERED_WITHIN)


def test_a_plug_in_with_a_url_is_the_native_connector(make):
    url = {"remote_storage_plugin.kvlease.url": f"kvlease://{PLACE}"}
    connector = make("plugin://kvlease", {**PLUGIN, **NO_SEGMENT, **url})
    assert type(connector) is SageMakerHyperPodConnector


def test_a_remote_url_with_our_scheme_is_the_native_connector(make):
    connector = make(f"kvlease://{PLACE}", {**PLUGIN, **NO_SEGMENT})
    assert type(connector) is SageMakerHyperPodConnector


def test_a_remote_url_with_the_stock_scheme_is_lmcaches_own_connector(make, monkeypatch):
    monkeypatch.setattr(StockConnector, "_init_shared_memory", lambda self: None)
    connector = make(f"sagemaker-hyperpod://{PLACE}", {**PLUGIN, **NO_SEGMENT})
    assert type(connector) is StockConnector


def test_our_scheme_without_the_plug_in_is_nobodys(make):
    with pytest.raises(ValueError, match="No adapter found"):
        make(f"kvlease://{PLACE}", NO_SEGMENT, plugins=())


def test_each_instance_of_the_plug_in_has_its_own_settings(monkeypatch):
    settings = _settings_of_instances(monkeypatch)
    assert [one.url for one in settings] == ["http://127.0.0.1:9201", "https://127.0.0.1:9202"]
    assert [one.bucket for one in settings] == ["shared", "own"]
    assert [one.timeout_ms for one in settings] == [700, 900]
    assert [one.copy_threads for one in settings] == [2, 3]


def _settings_of_instances(monkeypatch) -> list[ConnectorSettings]:
    """The settings of the connectors of two instances."""
    extra_config = {
        "sagemaker_hyperpod_bucket": "shared",
        "sagemaker_hyperpod_timeout_ms": 700,
        "kvlease_copy_threads": 2,
        "remote_storage_plugin.kvlease.a.url": "kvlease://127.0.0.1:9201",
        "remote_storage_plugin.kvlease.b.url": "kvlease://127.0.0.1:9202",
        "remote_storage_plugin.kvlease.b.class_name": "SageMakerHyperPodConnectorAdapter",
        "remote_storage_plugin.kvlease.b.bucket": "own",
        "remote_storage_plugin.kvlease.b.use_https": True,
        "remote_storage_plugin.kvlease.b.sagemaker_hyperpod_timeout_ms": 900,
        "remote_storage_plugin.kvlease.b.kvlease_copy_threads": 3,
    }
    made = []
    monkeypatch.setattr(
        "kvlease.lmcache.adapter.SageMakerHyperPodConnector",
        lambda settings, loop, backend: made.append(settings),
    )
    for name in ("kvlease.a", "kvlease.b"):
        adapter = SageMakerHyperPodConnectorAdapter()
        assert adapter.can_parse(f"plugin://{name}") and extract_plugin_type(name) == "kvlease"
        adapter.create_connector(_Context(f"plugin://{name}", _config(extra_config, (name,))))
    return made


async def _end_other_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _Context:
    """The parts of LMCache's `ConnectorContext` that the adapter needs."""

    def __init__(self, url: str, config: LMCacheEngineConfig) -> None:
        self.url, self.config, self.loop, self.local_cpu_backend = url, config, None, None
        self.metadata = None


def test_the_adapter_answers_for_its_urls_and_no_others():
    adapter = SageMakerHyperPodConnectorAdapter()
    for url in ("sagemaker-hyperpod://h", "kvlease://h", "plugin://kvlease", "plugin://kvlease.a"):
        assert adapter.can_parse(url), url
    for url in ("redis://h", "plugin://fs", "plugin://kvleased", "kvlease:/h", "", "KVLEASE://h"):
        assert not adapter.can_parse(url), url


@pytest.mark.parametrize(
    ("remote_url", "extra_config", "backends"),
    [
        (
            None,
            {"remote_storage_plugin.kvlease.url": f"kvlease://{PLACE}"},
            ["RemoteBackend-kvlease"],
        ),
        # Not two backends for one daemon, which would store everything twice.
        (f"kvlease://{PLACE}", {}, ["RemoteBackend"]),
        (None, {}, []),
    ],
)
def test_lmcache_makes_one_backend_for_one_daemon(host, loop, remote_url, extra_config, backends):
    config = _config({**PLUGIN, **NO_SEGMENT, **extra_config}, remote_url=remote_url)
    existing = {"LocalCPUBackend": host}
    made = CreateStorageBackends(
        config,
        host.metadata,
        loop,
        "cpu",
        skip_backends={"LocalCPUBackend"},
        existing_backends=existing,
    )
    assert sorted(made) == backends
    for backend in made.values():
        connector = backend.connection.getWrappedConnector()
        assert type(connector) is SageMakerHyperPodConnector
        asyncio.run_coroutine_threadsafe(connector.close(), loop).result(ANSWERED_WITHIN)


@pytest.mark.parametrize(
    ("remote_url", "remedy"),
    [
        (None, "set `remote_storage_plugin.kvlease.url` in extra_config to `kvlease://host:port`"),
        ("sagemaker-hyperpod://h", "or change its scheme to `kvlease://`"),
        ("kvlease://h", "if remote_url does not name its daemon"),
    ],
)
def test_a_plug_in_without_a_url_says_what_to_write(make, remote_url, remedy):
    with pytest.raises(ValueError, match=re.escape(remedy)):
        make("plugin://kvlease", PLUGIN, remote_url=remote_url)


def test_the_scheduler_that_has_no_memory_gets_a_connector(host, loop):
    """LMCache's own adapter fails there: its connector asks the stand-in for a configuration."""
    arguments = (loop, None, _config({**PLUGIN, **NO_SEGMENT}), host.metadata)
    with pytest.raises(AttributeError):
        CreateConnector(f"sagemaker-hyperpod://{PLACE}", *arguments)
    connector = CreateConnector(f"kvlease://{PLACE}", *arguments).getWrappedConnector()
    assert type(connector) is SageMakerHyperPodConnector
    asyncio.run_coroutine_threadsafe(connector.close(), loop).result(ANSWERED_WITHIN)


def test_an_error_names_key_value_and_remedy(make):
    with pytest.raises(ValueError) as raised:
        make(f"kvlease://{PLACE}", {**PLUGIN, "sagemaker_hyperpod_timeout_ms": "5s"})
    message = str(raised.value)
    assert "sagemaker_hyperpod_timeout_ms=`5s`" in message and "a whole number" in message
    with pytest.raises(ValueError, match="config=`None`"):
        context = _Context(f"kvlease://{PLACE}", _config({}))
        context.config = None
        SageMakerHyperPodConnectorAdapter().create_connector(context)


def test_an_unknown_key_is_logged_with_the_one_that_was_meant(make, monkeypatch):
    logged = []
    logger = "kvlease.lmcache.adapter.logger.warning"
    monkeypatch.setattr(logger, lambda form, *values: logged.append(form % values))
    make(f"kvlease://{PLACE}", {**PLUGIN, **NO_SEGMENT, "sagemaker_hyperpod_timeout": 5})
    assert len(logged) == 1 and "did you mean `sagemaker_hyperpod_timeout_ms`?" in logged[0]


def test_the_adapters_functions_have_lmcaches_names_and_signatures():
    ours = SageMakerHyperPodConnectorAdapter
    assert ours().schema == "sagemaker-hyperpod://"
    assert ours._parse_url(url="sagemaker-hyperpod://h", use_https=True) == "https://h"
    config = {"n": " 7 ", "x": "1e3"}
    assert ours._get_positive_int(config_dict=config, key="n", default=1) == 7
    assert ours._get_positive_float(config_dict=config, key="x", default=1.0) == 1000.0
    with pytest.raises(ValueError):
        ours._get_positive_int(config, "none", 0)


def test_odd_values_are_errors_and_never_more():
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no text either")

    for value in (10**50, 10**5000, -(10**40), Odd(), object(), "\ud800", b"5", [1], {}, 2j):
        for key in ("bucket", "timeout_ms", "lease_ttl_s", "use_https", "max_lease_size_mb"):
            with pytest.raises(ValueError, match=f"{key}=`"):
                ConnectorSettings("kvlease://h", **{key: value})
    with pytest.raises(ValueError):
        ConnectorSettings("kvlease://\ud800")
    with pytest.raises(TypeError):
        ConnectorSettings(None)


def test_every_documented_setting_is_one_and_has_the_documented_default():
    """The tables of the document, against the settings themselves."""
    url = "kvlease://h"
    assert ConnectorSettings.from_extra_config(url).warnings == []
    for title, prefix in (("In the engine's process", True), ("The MP client", False)):
        rows = _table(title)
        assert len(rows) == (23 if prefix else 12)
        for key, default in rows:
            if not prefix:
                continue
            full = ("kvlease_" if key in _OWN else "sagemaker_hyperpod_") + key
            settings = ConnectorSettings.from_extra_config(url, {full: _DEFAULTS.get(key, default)})
            assert settings.warnings == [] and _same(settings, ConnectorSettings(url)), key
    for key, default in _table("The MP client"):
        if key != "url":
            value = int(default) if default.isdigit() else _DEFAULTS.get(key, default)
            assert _same(
                ConnectorSettings.for_mp(url, **{key: value}), ConnectorSettings.for_mp(url)
            )


_OWN = (
    "copy_threads",
    "daemon_uid",
    "groups",
    "index",
    "lane_open_max_ms",
    "lease_retention_ms",
    "shared_memory_dir",
    "socket",
    "tls_ca_file",
    "tls_certificate_file",
    "tls_key_file",
    "token",
    "token_file",
)
# Defaults that the document has to put into words, and those that are no text.
_DEFAULTS = {
    "copy_threads": None,
    "daemon_uid": None,
    "groups": False,
    "max_lease_size_mb": None,
    "tls_ca_file": None,
    "tls_certificate_file": None,
    "tls_key_file": None,
    "token": None,
    "token_file": None,
    "use_https": False,
}


def _table(title: str) -> list[tuple[str, str]]:
    """Keys and defaults of the tables of one section of the document."""
    section = DOCUMENT.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.MULTILINE)
    return [(key, default.strip().strip("`")) for key, default in rows]


def _same(one: ConnectorSettings, other: ConnectorSettings) -> bool:
    names = [name for name in dir(ConnectorSettings) if not name.startswith(("_", "f"))]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def test_a_bucket_is_the_same_bucket_on_the_wire_whatever_its_name():
    """LMCache's own connector puts the name into the path as it is."""
    for bucket in ("plain", "a b", "a/b", "a?b", "a#b", "a%2Fb", "ümlaut"):
        extra_config = {"sagemaker_hyperpod_bucket": bucket, **NO_SEGMENT}
        with _requests() as (port, paths):
            context = ConnectorContext(f"kvlease://127.0.0.1:{port}", extra_config)
            connector = create_connector(context)
            with contextlib.suppress(Exception):
                connector.exists("key")
            connector.close()
        parts = paths[0].split("?")[0].split("/")
        assert parts[1:3] == ["v1", "kv"] and unquote(parts[3]) == bucket and parts[4] == "key"
        stock = yarl.URL(f"http://h/v1/kv/{bucket}/key/leases").raw_path.split("/")
        assert (unquote(stock[3]) == bucket) == (bucket in ("plain", "a b", "ümlaut"))


def test_the_daemon_is_asked_to_answer_before_the_connector_gives_up():
    settings = {"sagemaker_hyperpod_timeout_ms": 2000, "sagemaker_hyperpod_lease_ttl_s": 1.5}
    with _requests() as (port, paths):
        context = ConnectorContext(f"kvlease://127.0.0.1:{port}", {**settings, **NO_SEGMENT})
        connector = create_connector(context)
        assert connector.exists("key") is False
        connector.close()
    assert paths[0].endswith("?timeout_ms=1800&ttl_s=1.5")


@contextlib.contextmanager
def _requests():
    """A server of misses: its port, and the paths of its requests."""
    paths = []

    class Misses(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            paths.append(self.path)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Misses)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join(ANSWERED_WITHIN)


def test_the_adapter_for_programs_needs_no_lmcache():
    program = (
        "import sys; sys.modules['lmcache'] = None\n"
        "from kvlease.adapter import *\n"
        "context = ConnectorContext('kvlease://127.0.0.1:1', {'sagemaker_hyperpod_bucket': 'b'})\n"
        "create_connector(context).close()\n"
        "print(parse_url('kvlease://$HOST', False), get_positive_int({}, 'n', 3),\n"
        "      get_positive_float({'x': '2.5'}, 'x', 1.0))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env={"HOST": "node"}, capture_output=True, text=True, timeout=ANSWERED_WITHIN
    )
    assert done.stdout == "http://node 3 2.5\n", done.stderr


def _config(extra_config, plugins=("kvlease",), **settings) -> LMCacheEngineConfig:
    return LMCacheEngineConfig.from_defaults(
        chunk_size=256,
        local_cpu=False,
        extra_config=extra_config,
        remote_storage_plugins=list(plugins),
        **settings,
    )


def test_a_variable_that_lmcache_takes_for_the_opposite_of_what_it_says_is_told():
    name = "LMCACHE_FORCE_SKIP_SAVE"
    for value in ("false", " False ", "0", "no", "OFF"):
        (line,) = _odd_environment({name: value})
        assert f"{name}=`{value}`" in line and "unset" in line
        # What the engine's process then does.
        assert bool(value)
    for value in ("", "true", "1"):
        assert _odd_environment({name: value}) == []
    assert _odd_environment({}) == []
