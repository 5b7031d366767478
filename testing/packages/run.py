#!/usr/bin/env python3
"""Installs and starts each package of a release as its users do, in roots that have nothing else.

    usage: run.py [--only NAME] [--keep] DIST        (as root; `cargo xtask dist --check` calls it)

DIST is the folder that `cargo xtask dist` fills. Runs in the environment of
`testing/packages/requirements.txt`. `--only` names one check; `--keep` leaves the roots there.
"""

import argparse
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import first_hit
import image
from roots import OLDEST, OLDEST_GLIBC, Root

# Where the release is seen in a root.
DIST = "/dist"
SERVE = ["serve", "--capacity", "64MiB"]
PYTHON = """
import kvlease
settings = kvlease.ConnectorSettings("kvlease://127.0.0.1:9200", shared_memory_name="shared_memory")
with kvlease.Connector(settings) as connector:
    assert connector.put("a key", b"some bytes") and connector.get("a key") == b"some bytes"
    assert connector.stats()["http_reads"] == 0, connector.stats()
"""


class Release:
    """The packages, and a folder for roots."""

    def __init__(self, dist: Path, work: Path) -> None:
        self.dist = dist
        self.work = work
        self._debian: Root | None = None
        notes = (dist / one(dist, "*.release-notes.md")).read_text()
        found = re.match(r"# kvlease (\S+) \(\d{4}-\d\d-\d\d\)\n", notes)
        assert found, notes[:80]
        self.version = found[1]

    def debian(self) -> Root:
        """A root that the checks share: what each leaves behind is checked by itself."""
        if self._debian is None:
            self._debian = Root(self.work / "debian")
        return self._debian

    def shell(self, script: str, **asked: object) -> str:
        """Runs a script in that root, where the release is in /dist."""
        return self.debian().shell(script, binds=[[str(self.dist), DIST]], **asked)


def one(folder: Path, pattern: str) -> str:
    """The name of the one file of this form."""
    (found,) = folder.glob(pattern)
    return found.name


def sums(release: Release) -> None:
    """All files but the list itself are in the list, and are what it says."""
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=release.dist, check=True)
    listed = {
        line.split("  ")[1] for line in (release.dist / "SHA256SUMS").read_text().splitlines()
    }
    assert listed | {"SHA256SUMS"} == {path.name for path in release.dist.iterdir()}


def components(release: Release) -> None:
    """The list of components is valid, names what is linked, and is in the wheel as well."""
    text = (release.dist / f"kvlease-{release.version}.cdx.json").read_text()
    errors = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    assert errors is None, errors
    for url in ("pkg:cargo/tokio@", "pkg:cargo/kvlease-server@", "pkg:npm/uplot@"):
        assert url in text, url
    assert "pkg:cargo/clap_derive@" not in text, "macros are not linked"
    with zipfile.ZipFile(release.dist / one(release.dist, "*.whl")) as wheel:
        names = [name for name in wheel.namelist() if "/sboms/" in name]
        assert len(names) == 2, names
        for name in names:
            assert "pkg:cargo/kvlease-client@" in wheel.read(name).decode(), name


def wheel(release: Release) -> None:
    """`pip install` gives the module and the command, and `pip uninstall` takes both."""
    release.shell(f"python3 -m venv /opt/venv; /opt/venv/bin/pip install --no-index {DIST}/*.whl")
    bin_ = "/opt/venv/bin"
    version = release.shell(f"{bin_}/kvlease --version").strip()
    assert version.endswith(f"kvlease {release.version}"), version
    release.debian().run(
        [f"{bin_}/python", "-c", PYTHON],
        [f"{bin_}/kvlease", "get", "a key", "/tmp/copy"],
        ["/bin/sh", "-c", 'test "$(cat /tmp/copy)" = "some bytes"'],
        [f"{bin_}/python", "-m", "kvlease", "doctor"],
        [f"{bin_}/kvlease", "status"],
        daemon=[f"{bin_}/kvlease", *SERVE],
    )
    release.shell(
        "test -s /opt/venv/share/man/man1/kvlease.1;"
        "test -s /opt/venv/share/doc/kvlease/THIRD-PARTY-LICENSES.txt;"
        f"{bin_}/pip uninstall --yes kvlease; test ! -e {bin_}/kvlease; ! {bin_}/python -m kvlease"
    )


def deb(release: Release) -> None:
    """The package makes its user, keeps its configuration, and leaves nothing after a purge."""
    install = f'dpkg --install {DIST}/*.deb; test -z "$(dpkg --audit)"'
    release.shell(install)
    release.shell(
        'test "$(kvlease --version)" = "kvlease $(dpkg-query -Wf \'${Version}\' kvlease)";'
        "id kvlease; kvlease config check /etc/kvlease.toml;"
        "grep -q '^ExecStart=/usr/bin/kvlease ' /lib/systemd/system/kvlease.service;"
        "test -s /lib/systemd/system/kvlease.socket;"
        "bash -n /usr/share/bash-completion/completions/kvlease;"
        "test -s /usr/share/zsh/vendor-completions/_kvlease;"
        "zcat /usr/share/man/man1/kvlease-serve.1.gz | grep -q '^.TH kvlease-serve'"
    )
    release.shell("sed -i 's/8GiB/64MiB/' /etc/kvlease.toml")
    configured = ["/usr/bin/kvlease", "serve", "--config", "/etc/kvlease.toml"]
    serve(release.debian(), configured, "kvlease")
    # The same again is an upgrade: what the administrator changed stays.
    release.shell(f"{install}; grep -q 64MiB /etc/kvlease.toml")
    release.shell("dpkg --remove kvlease; test ! -e /usr/bin/kvlease; test -e /etc/kvlease.toml")
    release.shell("dpkg --purge kvlease; test ! -e /etc/kvlease.toml")
    release.shell("! dpkg-query --show kvlease")


def tarball(release: Release) -> None:
    """The tarball runs where it is unpacked, for a user without rights."""
    name = one(release.dist, "*.tar.gz")
    folder = name.removesuffix(".tar.gz")
    with tarfile.open(release.dist / name) as files:
        names = files.getnames()
    assert all(name.split("/")[0] == folder for name in names), names
    for wanted in ("LICENSE", "share/man/man1/kvlease.1", "examples/systemd/kvlease.service"):
        assert f"{folder}/{wanted}" in names, wanted
    release.shell(f"tar -C /opt -xf {DIST}/{name}")
    serve(release.debian(), [f"/opt/{folder}/bin/kvlease", *SERVE], "nobody")
    release.shell(f"rm -r /opt/{folder}")


def oldest(release: Release) -> None:
    """What was made for an old C library runs in the oldest system that can be had."""
    package = release.dist / one(release.dist, "*.deb")
    field = ["dpkg-deb", "--field", str(package), "Depends"]
    depends = subprocess.run(field, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"libc6 \(>= (\d+)\.(\d+)\)", depends)
    assert found, depends
    needed = (int(found[1]), int(found[2]))
    if needed > OLDEST_GLIBC:
        print(f"packages: glibc {found[1]}.{found[2]} is newer than that of {OLDEST}")
        return
    root = Root(release.work / OLDEST, OLDEST)
    binds = [[str(release.dist), DIST]]
    root.shell(f"dpkg --install {DIST}/*.deb; kvlease --version", binds=binds)
    serve(root, ["/usr/bin/kvlease", *SERVE], "kvlease")
    root.shell(f"dpkg --purge kvlease; tar -C /opt -xf {DIST}/*.tar.gz", binds=binds)
    folder = one(release.dist, "*.tar.gz").removesuffix(".tar.gz")
    serve(root, [f"/opt/{folder}/bin/kvlease", *SERVE], "nobody")


def container(release: Release) -> None:
    """The image is valid, and what it says it runs does run, as the user that it names."""
    folder = release.work / "image"
    archive = release.dist / one(release.dist, "*-oci-*.tar")
    config = image.unpack(archive, folder / "layout", folder / "root")["config"]
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    command = [*config["Entrypoint"], *config["Cmd"], "--capacity", "64MiB"]
    serve(Root(folder / "root"), command, config["User"], environment)


def serve(
    root: Root, daemon: list[str], user: str, environment: dict[str, str] | None = None
) -> None:
    """Starts the daemon as this user; the same program stores, reads and removes an object."""
    program = daemon[0]
    file = "/etc/passwd"
    root.run(
        [program, "put", "some/key", file],
        [program, "stat", "some/key"],
        [program, "get", "some/key", "/dev/shm/copy"],
        [program, "rm", "some/key"],
        [program, "status"],
        daemon=daemon,
        user=user,
        environment=environment or {},
    )


CHECKS: list[Callable[[Release], None]] = [sums, components, wheel, deb, tarball, container, oldest]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dist", type=Path)
    parser.add_argument("--only", choices=[check.__name__ for check in CHECKS] + ["first_hit"])
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="kvlease-packages-"))
    try:
        release = Release(options.dist.resolve(), work)
        for check in CHECKS:
            if options.only in (None, check.__name__):
                started = time.monotonic()
                check(release)
                seconds = time.monotonic() - started
                print(f"packages: {check.__name__}: right, {seconds:.0f} s", flush=True)
        if options.only in (None, "first_hit"):
            first_hit.run(release.dist, work / "newcomer")
    finally:
        if options.keep:
            print(f"packages: the roots are in {work}")
        else:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
