"""Reads the recipes out of the documents and manifests, as they are printed there."""

import json
import re
import shlex
from pathlib import Path

import yaml

from daemon import Daemon

ROOT = Path(__file__).resolve().parents[2]
LMCACHE_DOCUMENT = ROOT / "docs" / "lmcache.md"
SETTINGS_DOCUMENT = ROOT / "docs" / "configuration.md"
KUBERNETES_DOCUMENT = ROOT / "docs" / "kubernetes.md"
KUBERNETES = ROOT / "examples" / "kubernetes"

# Where the manifests have the socket of the fast lane.
SOCKET = "/run/kvlease/daemon.sock"

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# `$(NAME)`, as Kubernetes writes a variable.
REFERENCE = re.compile(r"\$\((\w+)\)")


def texts(document: Path, language: str) -> list[str]:
    """The fenced texts of a document in one language, in order."""
    return [text for name, text in FENCE.findall(document.read_text()) if name == language]


def yaml_text(title: str) -> str:
    """The YAML of docs/lmcache.md that begins with this title as a comment."""
    (text,) = [text for text in texts(LMCACHE_DOCUMENT, "yaml") if text.startswith(f"# {title}\n")]
    return text


def commands(document: Path = LMCACHE_DOCUMENT) -> list[list[str]]:
    """The words of every command of a document's shell texts, variables before it left out."""
    lines = "".join(texts(document, "sh")).replace("\\\n", " ").splitlines()
    return [_without_variables(shlex.split(line, comments=True)) for line in lines if line.strip()]


def command(*words: str) -> list[str]:
    """The one command of docs/lmcache.md in which all these words occur."""
    (found,) = [line for line in commands() if set(words) <= set(line)]
    return found


def option(line: list[str], name: str) -> str:
    """The value of a command's option."""
    return line[line.index(name) + 1]


def variables(text: str) -> list[str]:
    """For each command of a shell text, the variables set before it."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.strip()]
    return [" ".join(line[: len(line) - len(_without_variables(line))]) for line in words]


def manifest(name: str) -> dict:
    """A manifest of examples/kubernetes."""
    return yaml.safe_load((KUBERNETES / name).read_text())


def container(document: dict) -> dict:
    """The only container of a manifest."""
    (only,) = pod(document)["containers"]
    return only


def pod(document: dict) -> dict:
    """The pod that a manifest makes."""
    specification = document["spec"]
    return specification.get("template", {"spec": specification})["spec"]


def expanded(container: dict, fields: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """A container's variables and arguments as Kubernetes makes them: only what was declared before
    is expanded. `fields` has the values of fields of the pod.
    """
    values: dict[str, str] = {}
    for variable in container["env"]:
        if "value" in variable:
            value = _expand(variable["value"], values)
        else:
            value = fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        values[variable["name"]] = value
    return values, [_expand(argument, values) for argument in container.get("args", [])]


def setting_variables() -> set[str]:
    """The variables that docs/configuration.md says the daemon reads."""
    return set(
        re.findall(r"^\| `[a-z_.]+` \| `(KVLEASE_\w+)` ", SETTINGS_DOCUMENT.read_text(), re.M)
    )


def elsewhere(text: str, daemon: Daemon) -> str:
    """A recipe for the daemon of a test: another port, segment and socket, nothing else."""
    assert "127.0.0.1:9200" in text and re.search(rf'"(shared_memory|{SOCKET})"', text), text
    text = text.replace("127.0.0.1:9200", f"127.0.0.1:{daemon.port}").replace(
        SOCKET, str(daemon.socket)
    )
    return re.sub(r'"shared_memory"(?!\s*:)', json.dumps(daemon.segment), text)


def _expand(text: str, values: dict[str, str]) -> str:
    return REFERENCE.sub(lambda found: values.get(found[1], found[0]), text)


def _without_variables(words: list[str]) -> list[str]:
    first = next((i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)), len(words))
    return words[first:]
