"""Spans and metrics over OTLP, read by OpenTelemetry's own protobuf classes, over TLS."""

import http.server
import os
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import Authority
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from daemon import Daemon

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SECRETS = ("secret", "Bearer")

CONFIG = """
[otlp]
headers_file = "{headers}"
tls_ca_file = "{ca}"
sample_ratio = 0
"""


class Collector:
    """A receiver of OTLP over HTTP and TLS that keeps what it is sent."""

    def __init__(self, authority: Authority) -> None:
        self.spans: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.tokens: set[str | None] = set()
        self.bytes = b""
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = collector._take(self.path, body, self.headers["Authorization"])
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                del arguments

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.daemon)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}/otlp"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, path: str, body: bytes, token: str | None) -> bytes:
        self.tokens.add(token)
        self.bytes += body
        if path == "/otlp/v1/traces":
            self.spans.append(ExportTraceServiceRequest.FromString(body))
            return ExportTraceServiceResponse().SerializeToString()
        assert path == "/otlp/v1/metrics", path
        self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        return ExportMetricsServiceResponse().SerializeToString()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Iterator[tuple[Collector, str]]:
    """What a collector got from a daemon that has stopped, and its metrics shortly before."""
    folder = tmp_path_factory.mktemp("otlp")
    authority = Authority(folder)
    collector = Collector(authority)
    headers = folder / "headers"
    headers.write_text("Authorization: Bearer secret-7\n")
    config = CONFIG.format(headers=headers, ca=authority.ca)
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_SERVICE_NAME": "cache",
        "OTEL_RESOURCE_ATTRIBUTES": "rack=r1",
    }
    daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), folder, "64MiB", config, variables)
    try:
        daemon.start()
        ask(daemon, "PUT", "/v1/kv/b/secret-key", b"secret-bytes")
        ask(daemon, "GET", "/v1/kv/b/secret-key", traceparent=f"00-{TRACE}-{CALLER}-01")
        ask(daemon, "GET", "/v1/kv/b/secret-key", traceparent=f"00-{TRACE}-{CALLER}-00")
        text = daemon.fetch("/metrics")
        daemon.end()
        yield collector, text
    finally:
        daemon.destroy()
        collector.close()


def ask(daemon: Daemon, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
    url = f"http://127.0.0.1:{daemon.port}{path}"
    sent = {"X-Request-Id": f"{method}-1", **headers}
    request = urllib.request.Request(url, body, sent, method=method)
    with urllib.request.urlopen(request, timeout=30) as reply:
        reply.read()


def attributes(pairs) -> dict:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def test_a_traced_request_is_a_part_of_its_callers_trace(exported):
    collector, _ = exported
    resources = [spans for request in collector.spans for spans in request.resource_spans]
    (of_daemon,) = resources
    resource = attributes(of_daemon.resource.attributes)
    assert (resource["service.name"], resource["rack"]) == ("cache", "r1")
    (span,) = of_daemon.scope_spans[0].spans
    assert span.trace_id.hex() == TRACE and span.parent_span_id.hex() == CALLER
    assert span.name == "GET /v1/kv/{bucket}/{key}"
    assert attributes(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/v1/kv/{bucket}/{key}",
        "http.response.status_code": 200,
        "http.response.body.size": 12,
        "kvlease.operation": "get",
        "kvlease.outcome": "ok",
        "kvlease.request_id": "GET-1",
        "kvlease.bucket": "b",
    }


def test_the_metrics_are_those_of_the_scrape_to_the_last_value(exported):
    collector, text = exported
    sent: dict[str, object] = {}
    for metric in collector.metrics[-1].resource_metrics[0].scope_metrics[0].metrics:
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            labels = attributes(point.attributes)
            if kind == "histogram":
                sent[series(f"{metric.name}_count", labels)] = point.count
                sent[series(f"{metric.name}_sum", labels)] = point.sum
                counts = 0
                for bound, count in zip(
                    [*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True
                ):
                    counts += count
                    sent[series(f"{metric.name}_bucket", labels | {"le": bound})] = counts
            else:
                sent[series(metric.name, labels)] = getattr(point, point.WhichOneof("value"))
    scraped = dict(scrape(text))
    assert sent.keys() == scraped.keys()
    # Counts of what has ended by then do not move any more.
    for name in ("received_bytes_total", "sent_bytes_total", "objects", "capacity_bytes"):
        key = series(f"kvlease_{name}", {})
        assert sent[key] == scraped[key], name
    put = {"operation": "put"}
    for name in ("requests_total", "request_duration_seconds_count"):
        key = series(f"kvlease_{name}", put | ({"outcome": "ok"} if "total" in name else {}))
        assert sent[key] == scraped[key] == 1, name


def test_the_token_goes_with_every_message_and_nothing_secret_in_them(exported):
    collector, _ = exported
    assert collector.tokens == {"Bearer secret-7"}
    text = collector.bytes.decode(errors="replace")
    assert not [word for word in SECRETS if word in text]


def series(name: str, labels: dict) -> tuple:
    """A series by its name and labels."""
    return (name, *sorted((label, _number(value)) for label, value in labels.items()))


def scrape(text: str) -> Iterator[tuple[tuple, float]]:
    """The series of the text format. No label of this daemon has a comma or an escape."""
    for line in text.splitlines():
        if not line.startswith("#"):
            whole, value = line.rsplit(" ", 1)
            name, _, rest = whole.partition("{")
            pairs = (pair.split("=") for pair in rest.rstrip("}").split(",") if pair)
            yield series(name, {label: value.strip('"') for label, value in pairs}), float(value)


def _number(value: object) -> str:
    """A bound in the same form wherever it comes from; other labels as they are."""
    try:
        return repr(float(str(value)))
    except ValueError:
        return str(value)
