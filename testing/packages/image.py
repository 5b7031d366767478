"""The container image: its layout held against OCI's specification, and unpacked as runtimes do.

https://github.com/opencontainers/image-spec: image-layout.md, manifest.md, config.md, layer.md.
"""

import gzip
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

TYPE = "application/vnd.oci.image."
INDEX = f"{TYPE}index.v1+json"
MANIFEST = f"{TYPE}manifest.v1+json"
CONFIG = f"{TYPE}config.v1+json"
LAYER = f"{TYPE}layer.v1.tar+gzip"
# A name by which a layer removes a file of one below it. The layers here only add.
REMOVED = ".wh."


def unpack(archive: Path, layout: Path, root: Path) -> dict:
    """Unpacks an image into a root, and returns its configuration. Fails if it is not valid."""
    layout.mkdir(parents=True)
    subprocess.run(["tar", "-C", layout, "-xf", archive], check=True)
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_text())
    assert index["schemaVersion"] == 2 and index["mediaType"] == INDEX, index
    (descriptor,) = index["manifests"]
    assert descriptor["mediaType"] == MANIFEST and descriptor["platform"]["os"] == "linux"
    manifest = json.loads(_blob(layout, descriptor))
    assert manifest["schemaVersion"] == 2 and manifest["mediaType"] == MANIFEST
    assert manifest["config"]["mediaType"] == CONFIG
    config = json.loads(_blob(layout, manifest["config"]))
    _check_config(config, descriptor["platform"])
    diffs = config["rootfs"]["diff_ids"]
    assert config["rootfs"]["type"] == "layers" and len(diffs) == len(manifest["layers"])
    root.mkdir(parents=True)
    for layer, diff in zip(manifest["layers"], diffs, strict=True):
        assert layer["mediaType"] == LAYER, layer
        files = gzip.decompress(_blob(layout, layer))
        assert diff == f"sha256:{hashlib.sha256(files).hexdigest()}", diff
        unpacked = layout / "layer.tar"
        unpacked.write_bytes(files)
        _check_names(unpacked)
        subprocess.run(["tar", "--numeric-owner", "-C", root, "-xpf", unpacked], check=True)
    blobs = {path.name for path in (layout / "blobs" / "sha256").iterdir()}
    named = [descriptor, manifest["config"], *manifest["layers"]]
    assert blobs == {d["digest"].removeprefix("sha256:") for d in named}, "unnamed blobs"
    return config


def _blob(layout: Path, descriptor: dict) -> bytes:
    algorithm, digest = descriptor["digest"].split(":")
    content = (layout / "blobs" / algorithm / digest).read_bytes()
    assert algorithm == "sha256" and hashlib.sha256(content).hexdigest() == digest, descriptor
    assert len(content) == descriptor["size"], descriptor
    return content


def _check_config(config: dict, platform: dict) -> None:
    assert {name: config[name] for name in ("architecture", "os")} == platform
    run = config["config"]
    user, group = run["User"].split(":")
    # Kubernetes's `runAsNonRoot` wants numbers.
    assert int(user) > 0 and int(group) > 0, run["User"]
    assert run["Entrypoint"] == ["/usr/bin/kvlease"] and run["Cmd"] == ["serve"], run
    assert all("=" in variable for variable in run["Env"])
    assert all(isinstance(value, str) for value in run["Labels"].values())
    assert len([h for h in config["history"] if not h.get("empty_layer")]) == len(
        config["rootfs"]["diff_ids"]
    )


def _check_names(layer: Path) -> None:
    with tarfile.open(layer) as files:
        for file in files:
            parts = Path(file.name).parts
            assert not file.name.startswith("/") and ".." not in parts, file.name
            assert not any(part.startswith(REMOVED) for part in parts), file.name
            assert file.uid == 0 and not (file.mode & 0o022 and file.isreg()), file.name
