"""The native client over TLS, with a token file and with a certificate of its own."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from authority import Authority
from kvlease import Connector, ConnectorSettings, KvleaseError

from daemon import free_port
from samples import KIB, MIB, NATIVE, in_process_key, payload

CAPACITY = "128MiB"
SIZES = (0, KIB + 2, 16 * MIB)
# Reads and writes go through the encrypted connections.
HTTP_ALONE = {"shared_memory_name": None, "socket": "none"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "authority"
    folder.mkdir()
    return Authority(folder)


def test_objects_cross_tls_in_both_directions_with_a_token_file(
    authority, make_daemon, in_process_of, tmp_path
):
    port, token = free_port(), tmp_path / "token"
    daemon = make_daemon(CAPACITY, authority.listener("tls", port))
    token.write_text("s3cret\n")
    # As stock LMCache configures it.
    options = {"use_https": True, "tls_ca_file": str(authority.ca), "token_file": str(token)}
    encrypted = SimpleNamespace(port=port, segment=daemon.segment)
    client = in_process_of(NATIVE, encrypted, **options, **HTTP_ALONE)
    keys = [in_process_key(number, "tls") for number in range(4)]
    contents = [payload(MIB + 2, "tls", number) for number in range(4)]
    assert client.put_all(keys, contents) == len(keys)
    assert client.get_all(keys) == contents

    url = f"kvlease://127.0.0.1:{port}"
    connector = Connector(ConnectorSettings(url, **options, **HTTP_ALONE))
    for size in SIZES:
        content = payload(size, "tls")
        assert connector.put(f"size-{size}", content)
        assert connector.get(f"size-{size}") == content
        assert daemon.stored(f"size-{size}") == content
    assert daemon.metric("kvlease_lane_requests_total") == 0
    token.write_text("two words\n")
    fresh = Connector(ConnectorSettings(url, **options, **HTTP_ALONE))
    with pytest.raises(KvleaseError, match="token_file=") as refused:
        fresh.exists("size-0")
    assert "two words" not in str(refused.value)
    assert "s3cret" not in repr(connector) + daemon.log.read_text()
    connector.close()
    fresh.close()


def test_a_daemon_that_asks_for_certificates_serves_those_who_have_one(authority, make_daemon):
    port = free_port()
    make_daemon(CAPACITY, authority.listener("tls", port, asks_clients=True))
    certificate, key = authority.sign("engine", "subjectAltName=DNS:engine.example")
    url, ca = f"https://127.0.0.1:{port}", {"tls_ca_file": str(authority.ca), **HTTP_ALONE}
    identity = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
    known = Connector(ConnectorSettings(url, **ca, **identity))
    assert known.put("key", b"content") and known.get("key") == b"content"
    strange = Connector(ConnectorSettings(url, **ca))
    with pytest.raises(KvleaseError, match="tls_certificate_file"):
        strange.exists("key")
    known.close()
    strange.close()
