"""The launch lines of docs/lmcache.md and the manifests of examples/, as they are printed.

test_documents.py runs the texts of the documents. Ports, segment names and sizes of memory are the
test's, and nothing else is changed. What needs a GPU, the launch lines of engines, is checked in
form.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from lmcache.integration.vllm.mp_server_launcher import MPServerAutostartConfig
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.multiprocess.config import MPServerConfig

import printed
import recipes

# testing/operations builds what kustomize makes of them.
MANIFESTS = sorted(
    path.name for path in recipes.KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml"
)
NODE = {"status.hostIP": "127.0.0.1"}
FRAMES = "kvlease_lane_requests_total"
CONNECTORS = {"LMCacheConnectorV1", "LMCacheMPConnector"}
GIB = 1 << 30
MIB = 1 << 20


@pytest.fixture
def daemon(make_daemon):
    return make_daemon("256MiB")


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
    title = recipes.option(line, "--lmcache-config-file")
    assert any(
        t.startswith(f"# {title}\n") for t in recipes.texts(recipes.LMCACHE_DOCUMENT, "yaml")
    )
    assert LMCacheEngineConfig.from_dict({"use_layerwise": True}).use_layerwise


def test_every_printed_engine_with_lmcache_in_its_process_hashes_alike():
    texts = recipes.texts(recipes.LMCACHE_DOCUMENT, "sh")
    inside = [t for t in texts if "LMCacheConnectorV1" in t or "--enable-lmcache" in t]
    assert len(inside) == 2
    for text in inside:
        assert all("PYTHONHASHSEED=0" in found for found in recipes.variables(text)), text


def test_the_settings_of_the_daemon_set_are_those_of_the_daemon():
    container = recipes.container(recipes.manifest("daemon.yaml"))
    values, arguments = recipes.expanded(container, NODE)
    settings = {name: value for name, value in values.items() if name.startswith("KVLEASE_")}
    assert set(settings) <= recipes.setting_variables()
    command = [os.environ["KVLEASE_BIN"], *arguments, "--print-config"]
    found = tomllib.loads(printed.run(command, **values))
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


@pytest.mark.parametrize("version", ["1.25", "1.37"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_valid_for_the_versions_of_kubernetes(name, version):
    kubernetes_validate.validate(recipes.manifest(name), version, strict=True)


def test_the_manifest_with_tiers_is_that_of_the_daemon_but_for_the_tiers():
    plain, tiers = recipes.manifest("daemon.yaml"), recipes.manifest("daemon-tiers.yaml")
    container = recipes.container(tiers)
    values, arguments = recipes.expanded(container, NODE)
    command = [os.environ["KVLEASE_BIN"], *arguments, "--print-config"]
    found = tomllib.loads(printed.run(command, **values))["tier"]
    assert found["nvme"]["path"] == values["KVLEASE_TIER_NVME_PATH"]
    assert found["nvme"]["write_through"] == values["KVLEASE_TIER_NVME_WRITE_THROUGH"]
    assert found["remote"]["url"] == values["KVLEASE_TIER_REMOTE_URL"]
    (disk,) = [volume for volume in recipes.pod(tiers)["volumes"] if volume["name"] == "nvme"]
    assert disk["hostPath"]["type"] == "DirectoryOrCreate"
    assert recipes.pod(tiers).pop("serviceAccountName") == "kvlease"
    for document in (plain, tiers):
        pod = recipes.pod(document)
        (directories,) = pod.pop("initContainers")
        paths = {mount["mountPath"] for mount in directories["volumeMounts"]}
        assert paths == set(directories["command"][2:])
        pod["volumes"] = [volume for volume in pod["volumes"] if volume != disk]
        inside = recipes.container(document)
        mounts = inside["volumeMounts"]
        inside["volumeMounts"] = [mount for mount in mounts if mount["name"] != "nvme"]
        own = ("KVLEASE_TIER_", "AWS_")
        inside["env"] = [entry for entry in inside["env"] if not entry["name"].startswith(own)]
    assert tiers == plain


@pytest.mark.parametrize("name", ["daemon.yaml", "daemon-tiers.yaml"])
def test_a_daemon_set_keeps_to_gpu_nodes_and_rolls_one_by_one(name):
    pod = recipes.pod(recipes.manifest(name))
    assert pod["nodeSelector"] and pod["priorityClassName"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in pod["tolerations"]
    strategy = recipes.manifest(name)["spec"]["updateStrategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 1}


@pytest.mark.parametrize("name", ["daemon.yaml", "daemon-tiers.yaml"])
def test_the_scrape_configuration_finds_the_pods_of_a_daemon_set(name):
    _, pods = yaml.safe_load(recipes.SCRAPE.read_text())["scrape_configs"]
    manifest = recipes.manifest(name)
    template = manifest["spec"]["template"]["metadata"]
    known = {
        f"__meta_kubernetes_pod_{kind}_{re.sub('[./]', '_', label)}": value
        for kind, values in (("label", template["labels"]), ("annotation", template["annotations"]))
        for label, value in values.items()
    }
    kept = [rule for rule in pods["relabel_configs"] if rule.get("action") == "keep"]
    assert len(kept) == 2
    for rule in kept:
        (label,) = rule["source_labels"]
        assert re.fullmatch(rule["regex"], known[label]), rule
    (address,) = [r for r in pods["relabel_configs"] if r.get("target_label") == "__address__"]
    host, port = address["source_labels"]
    values, _ = recipes.expanded(recipes.container(manifest), NODE)
    # The host's address, as the daemon is in the host's network.
    assert host == "__meta_kubernetes_pod_host_ip"
    assert values["KVLEASE_LISTEN"] == f"{NODE['status.hostIP']}:{known[port]}"


def test_the_units_of_systemd_are_valid():
    units = sorted(recipes.SYSTEMD.iterdir())
    assert [unit.suffix for unit in units] == [".service", ".socket"]
    for unit in units:
        parsed = configparser.ConfigParser(strict=False, interpolation=None)
        parsed.optionxform = str
        parsed.read(unit)
        assert {"Unit", "Install"} < set(parsed.sections())
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        print("systemd-analyze is missing: the units were parsed and not verified")
        return
    verified = subprocess.run([analyze, "verify", *units], capture_output=True, text=True)
    # The binary is not installed on this machine.
    lines = [line for line in verified.stderr.splitlines() if "/usr/local/bin/kvlease" not in line]
    assert not lines, lines


@pytest.mark.parametrize("name", MANIFESTS)
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
    printed.assert_kept_over_a_restart(values)
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
    printed.assert_serves(line, "NativeClient", tmp_path)
