"""Reads the recipes out of docs/lmcache.md and the manifests, as they are printed there."""

import re
import shlex

import yaml

import documents
import printed
from daemon import Daemon

LMCACHE_DOCUMENT = "docs/lmcache.md"
SETTINGS_DOCUMENT = "docs/configuration.md"
KUBERNETES_DOCUMENT = "docs/kubernetes.md"
KUBERNETES = documents.ROOT / "examples" / "kubernetes"
SCRAPE = documents.ROOT / "examples" / "prometheus" / "scrape.yaml"
SYSTEMD = documents.ROOT / "examples" / "systemd"

# Where the manifests have the socket of the fast lane.
SOCKET = "/run/kvlease/daemon.sock"

# `$(NAME)`, as Kubernetes writes a variable.
REFERENCE = re.compile(r"\$\((\w+)\)")


def texts(document: str, language: str) -> list[str]:
    """The fenced texts of a document in one language, in order."""
    found = documents.blocks_of(document, (documents.ROOT / document).read_text())
    return [block.text for block in found if block.language == language]


def commands() -> list[list[str]]:
    """The words of every command of docs/lmcache.md, variables before it left out."""
    return documents.commands("".join(texts(LMCACHE_DOCUMENT, "sh")))


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
    return [" ".join(line[: len(line) - len(documents.without_variables(line))]) for line in words]


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
    is expanded. `fields` has the values of fields of the pod; a secret's value is its key.
    """
    values: dict[str, str] = {}
    for variable in container["env"]:
        if "value" in variable:
            value = _expand(variable["value"], values)
        else:
            (source, reference), *_ = variable["valueFrom"].items()
            of_pod = source == "fieldRef"
            value = fields[reference["fieldPath"]] if of_pod else f"secret {reference['key']}"
        values[variable["name"]] = value
    return values, [_expand(argument, values) for argument in container.get("args", [])]


def setting_variables() -> set[str]:
    """The variables that docs/configuration.md says the daemon reads."""
    document = (documents.ROOT / SETTINGS_DOCUMENT).read_text()
    return set(re.findall(r"^\| `[a-z_.]+` \| `(KVLEASE_\w+)` ", document, re.M))


def elsewhere(text: str, daemon: Daemon) -> str:
    """A text of a manifest for the daemon of a test: another port and socket, nothing else."""
    assert printed.ADDRESS in text and SOCKET in text, text
    return printed.elsewhere(text, daemon).replace(SOCKET, str(daemon.socket))


def _expand(text: str, values: dict[str, str]) -> str:
    return REFERENCE.sub(lambda found: values.get(found[1], found[0]), text)
