# Shared by the scripts of this folder, and sourced by them: a temporary folder that goes away, an
# environment of pinned packages, and the comparison with the output that a script's head quotes.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An environment with exactly these packages, which are given as NAME==VERSION.
install() {
  python3 -m venv "$work/env"
  local pip=("$work/env/bin/python" -m pip --disable-pip-version-check)
  # Most of what a large package brings is never imported, so nothing is compiled beforehand.
  "${pip[@]}" install --quiet --no-cache-dir --no-compile --no-deps "$@" >&2
}

# The libraries that Mooncake's wheel is linked with, without RDMA too. Of Debian's packages only the files
# are taken.
rdma_libraries() {
  if ! grep --quiet libibverbs.so.1 < <(ldconfig -p); then
    (cd "$work" && apt-get download --quiet libibverbs1 libnl-3-200 libnl-route-3-200 >&2)
    for package in "$work"/*.deb; do dpkg --extract "$package" "$work/debian"; done
    folders=$(find "$work/debian" -name 'lib*.so.*' -printf '%h\n' | sort --unique)
    export LD_LIBRARY_PATH=${folders//$'\n'/:}
  fi
}

# Stand-ins for the libraries of a GPU that torch is linked with, so that it can be imported and computes on
# the processor.
nvidia_stubs() {
  python - "$work/env/lib/python3.11/site-packages" "$here/../testing/contract" <<'PYTHON'
import sys
from pathlib import Path

sys.path.append(sys.argv[2])
import cuda_stubs

cuda_stubs.install(Path(sys.argv[1]))
PYTHON
}

# SGLang's hash of pages, compiled from its own file as SGLang does it, but without torch. OpenSSL's headers
# are those of Debian's package where the system has none.
sglang_hash() {
  local site=$work/env/lib/python3.11/site-packages
  local headers=(-I"$site/pybind11/include")
  headers+=(-I"$(python -c 'import sysconfig; print(sysconfig.get_paths()["include"])')")
  if [[ ! -f /usr/include/openssl/sha.h ]]; then
    (cd "$work" && apt-get download --quiet libssl-dev libssl3 >&2)
    for package in "$work"/libssl*.deb; do dpkg --extract "$package" "$work/debian"; done
    headers+=(-I"$work/debian/usr/include" -I"$work/debian/usr/include/x86_64-linux-gnu")
    headers+=(-L"$work/debian/usr/lib/x86_64-linux-gnu")
  fi
  g++ -O1 -std=c++17 -w -shared -fPIC -DTORCH_EXTENSION_NAME=hicache_hash_cpp "${headers[@]}" \
    "$site/sglang/srt/mem_cache/cpp_utils/hash_binding.cpp" -lcrypto -o "$site/hicache_hash_cpp.so"
}

# The environment's Python, or the system's where nothing is installed. Modules of this folder can
# be imported; nothing is written beside them.
python() {
  local interpreter=$work/env/bin/python
  [[ -x $interpreter ]] || interpreter=python3
  PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 "$interpreter" "$@"
}

# Compares standard input with the lines of the script's head that begin with `# | `.
check() {
  sed -n 's/^# | \{0,1\}//p' "$0" >"$work/expected"
  cat >"$work/seen"
  if ! diff --unified "$work/expected" "$work/seen"; then
    [[ ! -f $work/log ]] || tail --lines=20 "$work/log" >&2
    echo "FAIL $(basename "$0"): the behaviour has changed: the lines with + are new" >&2
    exit 1
  fi
  echo "ok $(basename "$0")"
}
