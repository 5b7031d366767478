"""Renders the chart with Helm and the overlay with kustomize, and reads what they make."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1

from daemon import ROOT

CHART = ROOT / "deploy" / "helm" / "kvlease"
BASE = ROOT / "examples" / "kubernetes"
HYPERPOD = ROOT / "examples" / "hyperpod"

# The oldest and the newest version of Kubernetes whose schemas are at hand.
VERSIONS = ("1.25", "1.37")
# Kinds of the Prometheus operator's own, which Kubernetes has no schema of.
OF_OPERATOR = {"PodMonitor": v1.PodMonitor, "PrometheusRule": v1.PrometheusRule}

# What the node and the pod say of themselves, in a test.
FIELDS = {"status.hostIP": "127.0.0.1"}
# `$(NAME)`, as Kubernetes writes a variable.
REFERENCE = re.compile(r"\$\((\w+)\)")


def rendered(values: dict | None = None, release: str = "kvlease") -> list[dict]:
    """The manifests that the chart makes with these values."""
    done = helm("template", release, str(CHART), "--namespace", "kv", values=values)
    assert done.returncode == 0, done.stderr
    return _documents(done.stdout)


def refusal(values: dict) -> str:
    """The message with which the chart refuses these values."""
    done = helm("template", "kvlease", str(CHART), values=values)
    assert done.returncode != 0, f"the chart takes them, values=`{values}`"
    return done.stderr


def helm(*arguments: str, values: dict | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Helm with values on its standard input, and nothing of the user's own."""
    command = ["helm", *arguments]
    if values is not None:
        command += ["--values", "-"]
    environment = {**os.environ, "HOME": "/nonexistent", "HELM_NO_PLUGINS": "1"}
    return subprocess.run(
        command,
        input=json.dumps(values or {}),
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


def built(folder: Path) -> list[dict]:
    """The manifests of a folder with a kustomization."""
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return _documents(done.stdout)


def assert_valid(manifests: list[dict]) -> None:
    """Each manifest is one of Kubernetes or of the Prometheus operator, and has no field that these
    do not know.
    """
    for manifest in manifests:
        if model := OF_OPERATOR.get(manifest["kind"]):
            read = model.model_validate(manifest)
            # The models leave out what they do not know, and so does the operator.
            kept = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
            assert kept == manifest, "a field is unknown"
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


def one(manifests: list[dict], kind: str) -> dict:
    """The only manifest of a kind."""
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def pod(manifests: list[dict]) -> dict:
    """The pod of the only DaemonSet."""
    return one(manifests, "DaemonSet")["spec"]["template"]["spec"]


def container(manifests: list[dict]) -> dict:
    """Its only container."""
    (only,) = pod(manifests)["containers"]
    return only


def variables(manifests: list[dict]) -> dict[str, str]:
    """The container's variables as Kubernetes makes them: only what was declared before is
    expanded. A secret's value is its key.
    """
    values: dict[str, str] = {}
    for variable in container(manifests)["env"]:
        if "value" in variable:
            expanded = REFERENCE.sub(lambda m: values.get(m[1], m[0]), variable["value"])
        else:
            ((source, reference),) = variable["valueFrom"].items()
            of_pod = source == "fieldRef"
            expanded = FIELDS[reference["fieldPath"]] if of_pod else reference["key"]
        values[variable["name"]] = expanded
    assert not [value for value in values.values() if "$(" in value], values
    return values


def effective(manifests: list[dict], folder: Path) -> dict:
    """The settings that hold in the daemon of these manifests, by its own account.

    The file of settings comes out of the ConfigMap that the pod mounts where the variable says.
    """
    values = variables(manifests)
    settings = {name: value for name, value in values.items() if name.startswith("KVLEASE_")}
    if named := settings.get("KVLEASE_CONFIG"):
        file = folder / "kvlease.toml"
        file.write_text(mounted(manifests, Path(named)))
        settings["KVLEASE_CONFIG"] = str(file)
    arguments = container(manifests)["args"]
    command = [os.environ["KVLEASE_BIN"], *arguments, "--print-config"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KVLEASE_")}
    done = subprocess.run(
        command, env={**plain, **settings}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return tomllib.loads(done.stdout)


def mounted(manifests: list[dict], path: Path) -> str:
    """The text of a file that the container has from a ConfigMap of these manifests."""
    (mount,) = [
        mount
        for mount in container(manifests)["volumeMounts"]
        if Path(mount["mountPath"]) == path.parent
    ]
    (volume,) = [v for v in pod(manifests)["volumes"] if v["name"] == mount["name"]]
    (text,) = [
        manifest["data"][path.name]
        for manifest in manifests
        if manifest["kind"] == "ConfigMap"
        and manifest["metadata"]["name"] == volume["configMap"]["name"]
    ]
    return text


def _documents(text: str) -> list[dict]:
    return [document for document in yaml.safe_load_all(text) if document]
