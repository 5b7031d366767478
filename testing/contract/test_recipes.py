"""The recipes of docs/lmcache.md and the manifests of examples/kubernetes, run as they are printed.

Ports, segment names and sizes of memory are the test's, and nothing else is changed. What needs a
GPU, the launch lines of engines, is checked in form.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from lmcache.integration.vllm.mp_server_launcher import MPServerAutostartConfig
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.multiprocess.config import MPServerConfig

import recipes
from daemon import die_with_parent, free_port, wait_until

ENDED_WITHIN = 100.0
READY_WITHIN = 60.0
NODE = {"status.hostIP": "127.0.0.1"}
FRAMES = "kvlease_lane_requests_total"
CONNECTORS = {"LMCacheConnectorV1", "LMCacheMPConnector"}
GIB = 1 << 30
MIB = 1 << 20


@pytest.fixture
def daemon(make_daemon):
    return make_daemon("256MiB")


@pytest.mark.parametrize("title", ["lmcache.yaml", "lmcache-remote-url.yaml"])
def test_the_in_process_yaml_stores_and_a_new_engine_finds_all_of_it(title, daemon, tmp_path):
    text = recipes.elsewhere(recipes.yaml_text(title), daemon)
    file = tmp_path / title
    file.write_text(text)
    _assert_kept_over_a_restart({"LMCACHE_CONFIG_FILE": str(file)})


def test_every_key_of_the_yaml_is_one_of_lmcache():
    known = LMCacheEngineConfig.from_defaults().to_dict()
    for text in recipes.texts(recipes.LMCACHE_DOCUMENT, "yaml"):
        assert set(yaml.safe_load(text)) <= set(known), text


def test_the_mp_server_starts_with_the_printed_adapter(daemon, tmp_path):
    line = recipes.command("lmcache", "server")
    adapter = recipes.option(line, "--l2-adapter")
    line[line.index(adapter)] = recipes.elsewhere(adapter, daemon)
    line[line.index("--l1-size-gb") + 1] = "1"
    lmcache = Path(sys.executable).with_name(line[0])
    _assert_serves_with_the_native_client([lmcache, *line[1:], *_host()], tmp_path)


def test_the_printed_bench_verifies_every_byte(daemon):
    line = recipes.command("lmcache", "bench")
    adapter = recipes.option(line, "--l2-adapter")
    line[line.index(adapter)] = recipes.elsewhere(adapter, daemon)
    output = _run([Path(sys.executable).with_name(line[0]), *line[1:]])
    assert re.search(r"All \d+ keys data verified OK", output), output


def test_the_launch_lines_of_vllm_name_connectors_of_lmcache():
    transfers = [
        json.loads(recipes.option(line, "--kv-transfer-config"))
        for line in recipes.commands()
        if line[:2] == ["vllm", "serve"]
    ]
    assert {transfer["kv_connector"] for transfer in transfers} == CONNECTORS
    assert all(transfer["kv_role"] == "kv_both" for transfer in transfers)
    (server,) = [found for found in transfers if found["kv_connector"] == "LMCacheMPConnector"]
    # Where the server of the line above listens, since that line does not say.
    extra = server["kv_connector_extra_config"]
    assert extra["lmcache.mp.host"] == f"tcp://{MPServerConfig().host}"
    assert extra["lmcache.mp.port"] == MPServerConfig().port


def test_the_launch_line_of_sglang_names_the_printed_file():
    line = recipes.command("sglang.launch_server")
    assert "--enable-lmcache" in line
    assert recipes.yaml_text(recipes.option(line, "--lmcache-config-file"))
    assert LMCacheEngineConfig.from_dict({"use_layerwise": True}).use_layerwise


def test_every_printed_engine_and_server_hashes_alike():
    texts = recipes.texts(recipes.LMCACHE_DOCUMENT, "sh")
    started = [text for text in texts if re.search(r"(vllm serve|lmcache server|sglang)", text)]
    assert len(started) == 4
    for text in started:
        assert all("PYTHONHASHSEED=0" in found for found in recipes.variables(text)), text


def test_the_settings_of_the_daemon_set_are_those_of_the_daemon():
    container = recipes.container(recipes.manifest("daemon.yaml"))
    values, arguments = recipes.expanded(container, NODE)
    settings = {name: value for name, value in values.items() if name.startswith("KVLEASE_")}
    assert set(settings) <= recipes.setting_variables()
    printed = _run([os.environ["KVLEASE_BIN"], *arguments, "--print-config"], **values)
    found = tomllib.loads(printed)
    assert found["server"]["address"] == "127.0.0.1:9200"
    assert found["cache"]["shared_memory_name"] == settings["KVLEASE_SHARED_MEMORY_NAME"]
    assert found["cache"]["segment_mode"] == settings["KVLEASE_SEGMENT_MODE"]
    assert found["server"]["socket"] == recipes.SOCKET
    assert found["server"]["socket_mode"] == settings["KVLEASE_SOCKET_MODE"]


def test_the_memory_limit_of_the_daemon_set_has_room_for_everything():
    container = recipes.container(recipes.manifest("daemon.yaml"))
    values, _ = recipes.expanded(container, NODE)
    capacity = int(values["KVLEASE_CAPACITY"].removesuffix("GiB")) * GIB
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Gi")) * GIB
    # docs/configuration.md: the arena, the catalog, and 64 MiB for everything else.
    assert limit >= capacity + max(capacity // 64, 32 * MIB) + 64 * MIB


@pytest.mark.parametrize("name", sorted(path.name for path in recipes.KUBERNETES.glob("*.yaml")))
def test_a_manifest_declares_every_variable_before_it_is_used(name):
    container = recipes.container(recipes.manifest(name))
    values, arguments = recipes.expanded(container, NODE)
    assert "NODE_IP" in values
    assert not [text for text in [*values.values(), *arguments] if "$(" in text]
    last = {**container, "env": [*container["env"][1:], container["env"][0]]}
    assert "$(NODE_IP)" in str(recipes.expanded(last, NODE)), "the order makes no difference"


def test_the_variables_printed_for_kubernetes_are_in_that_order():
    (text,) = recipes.texts(recipes.KUBERNETES_DOCUMENT, "yaml")
    values, _ = recipes.expanded(yaml.safe_load(text), NODE)
    assert values["LMCACHE_REMOTE_URL"] == "kvlease://127.0.0.1:9200"


@pytest.mark.parametrize("name", ["engine-in-process.yaml", "engine-multi-process.yaml"])
def test_an_engine_mounts_the_directory_of_the_socket_that_the_daemon_set_makes(name):
    directory = str(Path(recipes.SOCKET).parent)
    made = recipes.manifest("daemon.yaml")
    paths = {volume["name"]: volume["hostPath"] for volume in recipes.pod(made)["volumes"]}
    mounts = recipes.container(made)["volumeMounts"]
    (name_there,) = [mount["name"] for mount in mounts if mount["mountPath"] == directory]
    assert paths[name_there] == {"path": directory, "type": "DirectoryOrCreate"}
    pod = recipes.pod(recipes.manifest(name))
    (volume,) = pod["volumes"]
    assert volume["hostPath"] == {"path": directory, "type": "Directory"}
    (mount,) = recipes.container(recipes.manifest(name))["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": directory, "readOnly": True}
    assert "hostIPC" not in pod
    group = recipes.pod(recipes.manifest("daemon.yaml"))["securityContext"]["runAsGroup"]
    assert group in pod["securityContext"]["supplementalGroups"]


def test_the_in_process_engine_of_the_manifest_finds_what_it_stored(daemon):
    container = recipes.container(recipes.manifest("engine-in-process.yaml"))
    values, arguments = recipes.expanded(container, NODE)
    values["LMCACHE_EXTRA_CONFIG"] = recipes.elsewhere(values["LMCACHE_EXTRA_CONFIG"], daemon)
    assert json.loads(arguments[-1])["kv_connector"] == "LMCacheConnectorV1"
    _assert_kept_over_a_restart(values)
    # Calls of the moment in which the fast lane is being opened go over HTTP.
    assert daemon.metric(FRAMES) > 0, "the fast lane was not taken"


def test_the_mp_server_of_the_manifest_starts(daemon, tmp_path):
    container = recipes.container(recipes.manifest("engine-multi-process.yaml"))
    _, arguments = recipes.expanded(container, NODE)
    transfer = json.loads(arguments[-1])
    assert transfer["kv_connector"] == "LMCacheMPConnector"
    extra = transfer["kv_connector_extra_config"]
    # As vLLM's connector makes the command of the server that it starts.
    config = MPServerAutostartConfig.from_extra_config(
        extra, extra["lmcache.mp.host"], extra["lmcache.mp.port"]
    )
    assert config.enabled
    line = list(config.command())
    adapter = recipes.option(line, "--l2-adapter")
    line[line.index(adapter)] = recipes.elsewhere(adapter, daemon)
    line[line.index("--l1-size-gb") + 1] = "1"
    _assert_serves_with_the_native_client([*line, *_host()], tmp_path)


def _assert_kept_over_a_restart(variables: dict[str, str]) -> None:
    """One engine stores a prompt, and another one that starts empty gets all of it."""
    program = [sys.executable, Path(__file__).with_name("recipe_engine.py")]
    variables = {**variables, "PYTHONHASHSEED": "0"}
    stored = json.loads(_run([*program, "store"], **variables).splitlines()[-1])
    retrieved = json.loads(_run([*program, "retrieve"], **variables).splitlines()[-1])
    assert retrieved == stored == {"tokens": 600, "same": True}


def _assert_serves_with_the_native_client(line: list, folder: Path) -> None:
    """The server becomes healthy, and says that its L2 adapter is."""
    port = free_port()
    command = [str(part) for part in [*line, "--http-port", port]]
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONHASHSEED": "0", "LMCACHE_LOG_LEVEL": "INFO"},
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        wait_until(
            lambda: _answers(port, server),
            READY_WITHIN,
            f"LMCache's server is ready: {shlex.join(command)}",
        )
        status = _fetch(port, "/status")
        assert '"type":"NativeClient"' in status.replace(" ", ""), status
        assert '"is_healthy":false' not in status.replace(" ", ""), status
    except AssertionError as error:
        raise AssertionError(f"{error}\n{(folder / 'server.log').read_text()}") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(ENDED_WITHIN)


def _host() -> list[str]:
    """Options that isolate a test's server and keep it small."""
    return ["--host", "127.0.0.1", "--port", str(free_port()), "--l1-init-size-gb", "1"] + [
        "--disable-metrics"
    ]


def _answers(port: int, server: subprocess.Popen) -> bool:
    assert server.poll() is None, f"it ended, status=`{server.returncode}`"
    try:
        return "healthy" in _fetch(port, "/healthcheck")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
        return reply.read().decode()


def _run(command: list, **variables: str) -> str:
    """Runs a command to its end, and returns what it printed."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("KVLEASE_")}
    done = subprocess.run(
        [str(part) for part in command],
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
