"""Every fenced block of every document, run as it is printed, or marked with the reason why not.

Ports, segment names and sizes of memory are the test's, and nothing else is changed. One test runs
the blocks of one kind in one document, in their order; equal texts run once.
"""

import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import promql_parser
import pytest
import yaml
from lmcache.v1.config import LMCacheEngineConfig

import documents
import printed
import recipes
from daemon import Daemon, die_with_parent, wait_until

BLOCKS = documents.blocks()
RULES = documents.ROOT / "examples" / "prometheus" / "kvlease-rules.yaml"
SMALL = "64MiB"
# Of a frame of the fast lane; its kinds from the daemon begin with this number.
HEADER_LEN = 16
FIRST_ANSWER = 128


def _blocks(runner: str) -> list[documents.Block]:
    return [block for block in BLOCKS if not block.reason and documents.runner(block) == runner]


def _documents(runner: str) -> list[str]:
    return sorted({block.document for block in _blocks(runner)})


def _texts(runner: str, document: str) -> list[str]:
    """The blocks of a document that this runs, in their order."""
    return [block.text for block in _blocks(runner) if block.document == document]


def _different(runner: str) -> list:
    """The texts of all documents that this runs, each once, named by its first place."""
    first: dict[str, documents.Block] = {}
    for block in _blocks(runner):
        first.setdefault(block.text, block)
    return [pytest.param(text, id=f"{b.document}:{b.section}") for text, b in first.items()]


@pytest.fixture
def daemon(make_daemon):
    # What LMCache's benchmark stores has room in it.
    return make_daemon("512MiB")


def test_every_block_is_run_or_has_a_reason():
    for block in BLOCKS:
        if block.reason:
            print(f"{block} is not run: {block.reason}")
    lost = [str(block) for block in BLOCKS if not block.reason and not documents.runner(block)]
    assert not lost, f"mark them with `<!-- not run: the reason -->`, or write a runner: {lost}"
    assert len(BLOCKS) > 50 and {"README.md", "docs/python.md"} <= {b.document for b in BLOCKS}


@pytest.mark.parametrize(
    "block",
    [
        "```sh\nmake\n```",
        "```sh\nkvlease ls\nmake\n```",
        "```sh\nkvlease serve\nkvlease ls\n```",
        "```\nplain\n```",
        "```yaml\nname: value\n```",
        "<!-- not run: -->\n```text\nwords\n```",
        "<!-- not run: the reason of another -->\n\nwords\n```text\nwords\n```",
    ],
)
def test_a_block_that_nothing_runs_is_found(block):
    (found,) = documents.blocks_of("a.md", block)
    assert not found.reason and documents.runner(found) is None


def test_a_mark_holds_for_the_block_below_it_and_no_other():
    text = "# A\n\n<!-- not run: as a test -->\n```sh\nmake\n```\n\n```sh\nkvlease ls\n```\n"
    first, second = documents.blocks_of("a.md", text)
    assert (first.reason, first.line, first.section) == ("as a test", 4, "A")
    assert second.reason is None and documents.runner(second) == "shell"


@pytest.mark.parametrize("document", _documents("shell"))
def test_the_shell_texts_end_well(document, daemon, tmp_path):
    for number, text in enumerate(dict.fromkeys(_texts("shell", document))):
        folder = tmp_path / str(number)
        folder.mkdir()
        output = printed.run_shell(text, daemon, folder)
        if "bench l2" in text:
            assert re.search(r"All \d+ keys data verified OK", output), output


def test_the_curl_commands_reach_every_route(daemon, tmp_path):
    (text,) = _texts("shell", "docs/protocol.md")
    printed.run_shell(text, daemon, tmp_path)
    reached = [_request(words) for words in printed.calls(tmp_path)]
    paths = json.loads(daemon.fetch("/openapi.json"))["paths"]
    for template, methods in paths.items():
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", template))
        for method in methods:
            # HEAD is answered wherever GET is.
            if method == "head" and "get" in methods:
                continue
            assert any(m == method and pattern.fullmatch(p) for m, p in reached), (method, template)


@pytest.mark.parametrize("document", _documents("daemon"))
def test_the_daemon_starts_as_printed(document, tmp_path):
    for text in dict.fromkeys(_texts("daemon", document)):
        (line,) = documents.commands(text)
        _assert_starts(line, Daemon(Path(os.environ["KVLEASE_BIN"]), tmp_path, SMALL))


@pytest.mark.parametrize("text", _different("LMCache's server"))
def test_the_server_of_lmcache_starts_as_printed(text, daemon, tmp_path):
    (line,) = documents.commands(text)
    adapter = recipes.option(line, "--l2-adapter")
    line[line.index(adapter)] = printed.elsewhere(adapter, daemon)
    line[line.index("--l1-size-gb") + 1] = "1"
    native = json.loads(adapter)["type"] == "native_plugin"
    lmcache = Path(sys.executable).with_name(line[0])
    printed.assert_serves([lmcache, *line[1:]], _adapter_class(native), tmp_path)


@pytest.mark.parametrize("text", _different("LMCache in-process"))
def test_lmcache_stores_with_the_printed_yaml_and_a_new_engine_finds_all_of_it(
    text, daemon, tmp_path
):
    file = tmp_path / "lmcache.yaml"
    file.write_text(printed.elsewhere(text, daemon))
    stock = "sagemaker-hyperpod://" in text
    printed.assert_kept_over_a_restart({"LMCACHE_CONFIG_FILE": str(file)}, stock)


def test_every_key_of_a_printed_yaml_is_one_of_lmcache():
    known = LMCacheEngineConfig.from_defaults().to_dict()
    for block in _blocks("LMCache in-process"):
        assert set(yaml.safe_load(block.text)) <= set(known), block


def test_there_is_one_yaml_for_the_native_connector_and_one_for_the_stock_one():
    texts = {block.text for block in _blocks("LMCache in-process")}
    titles = sorted(text.splitlines()[0] for text in texts)
    assert titles == ["# lmcache-remote-url.yaml", "# lmcache-stock.yaml", "# lmcache.yaml"]
    assert all("\nsave_unfull_chunk: true\n" in text for text in texts)
    servers = {block.text for block in _blocks("LMCache's server")}
    assert len(servers) == 2, servers


def test_the_readme_offers_the_native_connector_first():
    (native, stock) = _texts("LMCache in-process", "README.md")
    assert "kvlease.lmcache" in native and "sagemaker-hyperpod://" in stock


def test_the_first_lines_of_the_daemon_print_the_settings_of_the_documents(daemon):
    lines = daemon.log.read_text()
    (first, second) = _texts("LMCache in-process", "README.md")
    adapters = [
        recipes.option(documents.commands(text)[0], "--l2-adapter")
        for text in _texts("LMCache's server", "README.md")
    ]
    wanted = [
        printed.elsewhere(line, daemon).strip()
        for text, adapter in zip((first, second), adapters, strict=True)
        for line in [*text.splitlines()[1:], f"--l2-adapter '{adapter}'"]
    ]
    found = [line.strip() for line in lines.splitlines() if line.startswith("  ")]
    begin = found.index(wanted[0])
    assert found[begin : begin + len(wanted)] == wanted


def _settings(table, path=""):
    """The settings of a file by their paths. Sections may have sections."""
    found = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= _settings(value, f"{path}{name}.")
        else:
            # Numbers of users and groups are printed as texts, like `keep`, and so are flags.
            found[f"{path}{name}"] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


@pytest.mark.parametrize("document", _documents("settings"))
def test_the_settings_in_toml_are_those_of_the_daemon(document, tmp_path):
    for text in _texts("settings", document):
        file = tmp_path / "kvlease.toml"
        file.write_text(text)
        command = [os.environ["KVLEASE_BIN"], "serve", "--config", file, "--print-config"]
        effective = tomllib.loads(printed.run(command))
        assert _settings(tomllib.loads(text)).items() <= _settings(effective).items()


@pytest.mark.parametrize("document", _documents("program"))
def test_the_programs_of_each_section_run(document, daemon, tmp_path):
    sections: dict[str, str] = {}
    for block in _blocks("program"):
        if block.document == document:
            sections[block.section] = sections.get(block.section, "") + block.text
    for section, text in sections.items():
        program = tmp_path / "program.py"
        program.write_text(printed.elsewhere(text, daemon))
        printed.run([sys.executable, "-W", "error", program], tmp_path), section


@pytest.mark.parametrize("document", _documents("reply"))
def test_the_json_has_the_fields_of_a_lease(document, daemon):
    url = f"http://127.0.0.1:{daemon.port}/v1/kv/lmcache/key"
    request = urllib.request.Request(url, data=b"bytes", method="PUT")
    urllib.request.urlopen(request, timeout=60).close()
    lease = daemon.lease("key")
    for text in _texts("reply", document):
        example = json.loads(text)
        assert {k: type(v) for k, v in example.items()} == {k: type(v) for k, v in lease.items()}
        assert len(example["id"]) == len(lease["id"])
        assert example["offsets"][0].keys() == lease["offsets"][0].keys()


@pytest.mark.parametrize("document", _documents("frame"))
def test_the_daemon_answers_the_frames_of_a_client(document, daemon):
    frames = [_frame(text) for text in _texts("frame", document)]
    asked = [frame for frame in frames if _header(frame)[1] < FIRST_ANSWER]
    with socket.socket(socket.AF_UNIX) as lane:
        lane.settimeout(10)
        lane.connect(str(daemon.socket))
        lane.sendall(b"".join(asked))
        welcome, descriptors, _, _ = socket.recv_fds(lane, HEADER_LEN, 2, socket.MSG_CMSG_CLOEXEC)
        for descriptor in descriptors:
            os.close(descriptor)
        assert len(descriptors) == 2
        answers = [_received(lane, welcome)] + [_received(lane) for _ in asked[1:]]
    # WELCOME, LEASES, and DONE for COMMIT and ABORT.
    assert [_header(answer)[1] for answer in answers] == [129, 130, 131, 131]
    assert {_header(answer)[3] for answer in answers} == {_header(frame)[3] for frame in asked}
    welcomes = [frame for frame in frames if _header(frame)[1] == 129]
    assert [len(frame) for frame in welcomes] == [len(answers[0])]


@pytest.mark.parametrize("document", _documents("query"))
def test_the_queries_name_metrics_of_the_daemon(document, daemon):
    served = daemon.metrics()
    for text in _texts("query", document):
        promql_parser.parse(text)
        for name in re.findall(r"\bkvlease_\w+", text):
            family = re.sub("_(total|bucket)$", "", name)
            assert f"# TYPE {family} " in served, name


def _frame(text: str) -> bytes:
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


def _header(frame: bytes) -> tuple[int, int, int, int]:
    """Length of the payload, kind, flags and request."""
    return struct.unpack_from("<IHHQ", frame)


def _received(lane: socket.socket, frame: bytes = b"") -> bytes:
    while len(frame) < HEADER_LEN or len(frame) < HEADER_LEN + _header(frame)[0]:
        wanted = HEADER_LEN if len(frame) < HEADER_LEN else HEADER_LEN + _header(frame)[0]
        frame += (piece := lane.recv(wanted - len(frame)))
        assert piece, "the daemon closed the connection"
    return frame


def _adapter_class(native: bool) -> str:
    return "NativeClient" if native else "sagemaker-hyperpod"


def _request(words: list[str]) -> tuple[str, str]:
    """Method and path of a curl command."""
    method = "head" if "-I" in words else "get"
    if "-X" in words:
        method = recipes.option(words, "-X").lower()
    (url,) = [word for word in words if word.startswith("http://")]
    path = "/" + url.split("/", 3)[3].split("?")[0]
    return method, path


def _assert_starts(line: list[str], place: Daemon) -> None:
    """The daemon serves with this command line, at another place and size, and ends well."""
    options = {"--listen": f"0.0.0.0:{place.port}", "--capacity": SMALL}
    options["--shared-memory-name"] = place.segment
    assert set(line[2::2]) <= set(options), line
    assert line[:2] == ["kvlease", "serve"]
    words = [word for option in options.items() for word in option]
    command = [os.environ["KVLEASE_BIN"], "serve", *words]
    with open(place.log, "wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent)
    try:
        wait_until(lambda: _ready(place), printed.READY_WITHIN, f"ready: {shlex.join(command)}")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(printed.ENDED_WITHIN) == 0
    finally:
        daemon.kill()
        daemon.wait()
        place.destroy()


def _ready(place: Daemon) -> bool:
    try:
        place.fetch("/readyz")
    except (urllib.error.URLError, ConnectionError):
        return False
    return True
