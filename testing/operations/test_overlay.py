"""The overlay for SageMaker HyperPod, built by kustomize: it takes the original's place."""

import http.client
import json
import os
import tomllib
from pathlib import Path

import pytest
import yaml

import kubernetes
from daemon import ROOT, Daemon
from kubernetes import container, effective, one, pod

SCRAPE = ROOT / "examples" / "prometheus" / "scrape.yaml"


@pytest.fixture
def overlay() -> list[dict]:
    return kubernetes.built(kubernetes.HYPERPOD)


def test_it_is_valid_for_kubernetes(overlay):
    kubernetes.assert_valid(overlay)


def test_names_labels_port_and_service_are_those_of_the_original(overlay, tmp_path):
    daemons = one(overlay, "DaemonSet")
    assert daemons["metadata"]["name"] == "ai-toolkit"
    assert daemons["spec"]["selector"]["matchLabels"] == {"app": "ai-toolkit"}
    assert daemons["spec"]["template"]["metadata"]["labels"]["app"] == "ai-toolkit"
    spaced = [m for m in overlay if m["kind"] != "Namespace"]
    assert {m["metadata"]["namespace"] for m in spaced} == {"aws-hyperpod"}
    assert one(overlay, "Namespace")["metadata"]["name"] == "aws-hyperpod"
    service = one(overlay, "Service")
    # ai-toolkit-gossip-headless.aws-hyperpod.svc.cluster.local:9200
    assert service["metadata"]["name"] == "ai-toolkit-gossip-headless"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"app": "ai-toolkit"}
    assert service["spec"]["ports"] == [{"name": "http", "port": 9200, "targetPort": "http"}]
    assert pod(overlay)["hostNetwork"] is True
    assert pod(overlay)["securityContext"]["runAsUser"] == 1000
    found = effective(overlay, tmp_path)
    assert found["server"]["address"] == "[::]:9200"
    assert found["cache"]["shared_memory_name"] == "ai_toolkit_cache"
    assert found["cache"]["segment_mode"] == "0600"
    assert found["cache"]["capacity"] == "16GiB"


def test_all_else_is_the_base(overlay):
    (base,) = kubernetes.built(kubernetes.BASE)
    ours, theirs = base["spec"], one(overlay, "DaemonSet")["spec"]
    del ours["selector"], theirs["selector"]
    for spec in (ours, theirs):
        inside = spec["template"]["spec"]
        spec["template"]["metadata"] = spec["template"]["metadata"]["annotations"]
        (daemon,) = inside["containers"]
        del daemon["env"]
        mounts = daemon["volumeMounts"]
        daemon["volumeMounts"] = [mount for mount in mounts if mount["name"] != "config"]
        inside["volumes"] = [v for v in inside["volumes"] if v["name"] != "config"]
    assert theirs == ours


def test_the_memory_limit_has_room_for_the_arena_of_the_file(overlay):
    settings = tomllib.loads((kubernetes.HYPERPOD / "kvlease.toml").read_text())
    assert settings["cache"]["capacity"] == "16GiB"
    assert container(overlay)["resources"]["limits"]["memory"] == "17Gi"


def test_the_scrape_configuration_finds_the_pods(overlay):
    _, pods = yaml.safe_load(SCRAPE.read_text())["scrape_configs"]
    template = one(overlay, "DaemonSet")["spec"]["template"]["metadata"]
    name, scrape = [rule for rule in pods["relabel_configs"] if rule.get("action") == "keep"]
    assert name["regex"] == template["labels"]["app.kubernetes.io/name"]
    assert scrape["regex"] == template["annotations"]["prometheus.io/scrape"]
    assert template["annotations"]["prometheus.io/port"] == "9200"


def test_the_daemon_starts_with_the_originals_file_and_tells_of_the_transfer_section(tmp_path):
    text = (kubernetes.HYPERPOD / "kvlease.toml").read_text()
    assert "\n[transfer]\n" in text
    daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), tmp_path, "64MiB", text)
    try:
        daemon.start()
        stored = _ask(daemon, "PUT", "/v1/kv/lmcache/key", b"bytes")
        assert stored == 200
        log = daemon.log.read_text()
        (told,) = [line for line in log.splitlines() if "[transfer]" in line]
        assert (
            "has no effect here" in told and "tier.remote.url" in told and "keys=`address`" in told
        )
        assert json.loads(daemon.fetch("/v1/stats"))["objects"] == 1
    finally:
        daemon.destroy()


def _ask(daemon: Daemon, method: str, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    connection.request(method, path, body)
    return connection.getresponse().status
