"""Certificates of an authority of its own, made by `openssl`."""

import subprocess
from pathlib import Path

# The certificates are valid for this many days.
DAYS = "2"


class Authority:
    """An authority in a folder, with a certificate of a daemon at 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca, self._ca_key = folder / "ca.pem", folder / "ca.key"
        self._run("req", "-x509", *_new_key(self._ca_key), "-subj", "/CN=authority", self.ca)
        self.daemon = self.sign("daemon", "subjectAltName=IP:127.0.0.1")

    def sign(self, name: str, extension: str) -> tuple[Path, Path]:
        """Files of a certificate for `name` and of its key."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        signed_by = ["-CA", self.ca, "-CAkey", self._ca_key, "-addext", extension]
        signed_by += ["-addext", "basicConstraints=critical,CA:FALSE"]
        self._run("req", "-x509", *_new_key(key), "-subj", f"/CN={name}", *signed_by, certificate)
        return certificate, key

    def listener(self, name: str, port: int, asks_clients: bool = False) -> str:
        """Configuration of a listener with the daemon's certificate."""
        certificate, key = self.daemon
        lines = [
            f"[listener.{name}]",
            f'address = "127.0.0.1:{port}"',
            f'tls_certificate_file = "{certificate}"',
            f'tls_key_file = "{key}"',
        ]
        if asks_clients:
            lines.append(f'tls_client_ca_file = "{self.ca}"')
        return "\n".join([*lines, ""])

    @staticmethod
    def _run(command: str, *arguments: str | Path) -> None:
        *arguments, out = map(str, arguments)
        line = ["openssl", command, *arguments, "-days", DAYS, "-out", out]
        subprocess.run(line, check=True, capture_output=True)


def _new_key(path: Path) -> list[str | Path]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]
