"""Stand-ins for the NVIDIA libraries that torch links to and a CPU never calls.

PyPI has one torch for x86-64 Linux: the CUDA build. Its libraries name some fifteen NVIDIA
libraries as needed, so it cannot even be imported without them, and the wheels that bring them
are about 2 GB. LMCache's compiled part is linked to the same build, so another torch is no way
out. A process without a GPU needs those libraries to be there, and calls nothing in them.

So for each library that torch needs and that is not installed, a tiny one of the same name is
compiled into `torch/lib`, where torch's own search path (`$ORIGIN`) finds it. It defines every
symbol that torch refers to, in the version that torch asks for; each returns 1, an error code in
all of these libraries. The CUDA runtime itself is the exception: it is called at import, and its
real wheel is small, so it is installed (`nvidia-cuda-runtime`).
"""

import re
import subprocess
import tempfile
from pathlib import Path

# Where a symbol without a version belongs, by how its name starts. The longer prefix comes first.
LIBRARY_OF_PREFIX = (
    ("cublasLt", "libcublasLt"),
    ("cublas", "libcublas"),
    ("cudnn", "libcudnn"),
    ("cusparseLt", "libcusparseLt"),
    ("cusparse", "libcusparse"),
    ("cufft", "libcufft"),
    ("cuFile", "libcufile"),
    ("curand", "libcurand"),
    ("cusolver", "libcusolver"),
    ("cupti", "libcupti"),
    ("nccl", "libnccl"),
    ("nvrtc", "libnvrtc"),
    ("nvshmem", "libnvshmem_host"),
)

# Every NVIDIA library's name starts like one of these.
NVIDIA_PREFIXES = ("libcu", "libnccl", "libnv")

# The driver is loaded on demand, never linked.
DRIVER = "libcuda.so.1"


def install(site_packages: Path) -> list[str]:
    """Compiles the missing libraries into the torch under `site_packages`; returns their names."""
    torch_lib = site_packages / "torch" / "lib"
    torch_libraries = [
        path for path in torch_lib.glob("*.so*") if path.name.startswith(("libtorch", "libc10"))
    ]
    missing = _needed(torch_libraries) - _installed(site_packages)
    for library, versions in _assign(_undefined(torch_libraries), missing).items():
        _compile(torch_lib / library, versions)
    return sorted(missing)


def _installed(site_packages: Path) -> set[str]:
    names = {path.name for path in (site_packages / "torch" / "lib").iterdir()}
    return names | {path.name for path in (site_packages / "nvidia").rglob("lib*.so*")}


def _needed(libraries: list[Path]) -> set[str]:
    needed: set[str] = set()
    for library in libraries:
        needed |= set(re.findall(r"NEEDED.*\[(.*?)\]", _output("readelf", "-d", library)))
    return {name for name in needed if name.startswith(NVIDIA_PREFIXES) and name != DRIVER}


def _undefined(libraries: list[Path]) -> set[str]:
    """The symbols, as `name` or `name@version`, that the libraries expect from others."""
    symbols: set[str] = set()
    for library in libraries:
        lines = _output("nm", "-D", "--undefined-only", library).splitlines()
        symbols |= {line.split()[-1] for line in lines}
    return symbols


def _assign(symbols: set[str], missing: set[str]) -> dict[str, dict[str, list[str]]]:
    """For each missing library, the symbols it has to define, by their version."""
    assigned: dict[str, dict[str, list[str]]] = {library: {} for library in missing}
    for symbol in symbols:
        name, _, version = symbol.partition("@")
        version = version.lstrip("@")
        library = version if version in missing else _library_of(name, missing)
        if library:
            assigned[library].setdefault(version, []).append(name)
    return assigned


def _library_of(symbol: str, missing: set[str]) -> str | None:
    for prefix, stem in LIBRARY_OF_PREFIX:
        if symbol.startswith(prefix):
            return next((name for name in missing if name.startswith(f"{stem}.so")), None)
    return None


def _compile(library: Path, versions: dict[str, list[str]]) -> None:
    names = sorted(name for names in versions.values() for name in names)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "stub.c")
        source.write_text("".join(f"int {name}(void) {{ return 1; }}\n" for name in names))
        version_map = Path(folder, "stub.map")
        version_map.write_text(
            "".join(
                f"{version} {{ global: {'; '.join(sorted(names))}; }};\n"
                for version, names in sorted(versions.items())
                if version
            )
        )
        flags = [f"-Wl,--version-script={version_map}"] if any(versions) else []
        # Some of these names are also compiler built-ins of another type: hence -fno-builtin -w.
        compiler = ["gcc", "-shared", "-fPIC", "-O0", "-w", "-fno-builtin"]
        soname = f"-Wl,-soname,{library.name}"
        subprocess.run([*compiler, soname, *flags, "-o", library, source], check=True)


def _output(*command: object) -> str:
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
