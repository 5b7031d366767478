"""S3 endpoint of a finding: what every handler of requests needs, and S3's GET."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(BaseHTTPRequestHandler):
    """Handler without verbs, which a finding adds."""

    protocol_version = "HTTP/1.1"

    def answer_content(self, content: bytes | None) -> None:
        """Answers a GET: a range is cut at the end of the value, one that begins there is a 416."""
        if content is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        asked = self.headers.get("Range")
        if asked is None:
            return self.answer(200, content)
        first, last = (int(place) for place in asked.removeprefix("bytes=").split("-"))
        if first >= len(content):
            return self.answer(416, b"<Error><Code>InvalidRange</Code></Error>")
        part = content[first : last + 1]
        self.answer(206, part, f"bytes {first}-{first + len(part) - 1}/{len(content)}")

    def answer(self, status: int, body: bytes = b"", content_range: str | None = None) -> None:
        """Answers with a body."""
        self.send_response(status)
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.send_header("ETag", '"tag"')
        self.send_header("Last-Modified", "Sun, 29 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def serve(handler: type[Endpoint]) -> str:
    """Serves on a free port until the process ends. Returns host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_port}"
