"""One real Prometheus process that scrapes daemons, with the alerts of the examples."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from daemon import die_with_parent, free_port, wait_until
from queries import JOB, RULES

READY_WITHIN = 60.0


class Prometheus:
    """A process that ends with `close`, and keeps what it scraped in a folder."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        """`targets` are addresses with ports."""
        self._url = f"http://127.0.0.1:{free_port()}"
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": targets}]}],
        }
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(configuration))
        self.log = folder / "prometheus.log"
        address = self._url.removeprefix("http://")
        command = ["prometheus", f"--config.file={file}", f"--web.listen-address={address}"]
        command += [f"--storage.tsdb.path={folder / 'data'}"]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        wait_until(self._is_ready, READY_WITHIN, f"Prometheus is ready; its log is {self.log}")

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()

    def query(self, expression: str) -> list[dict]:
        """The series that an expression has now."""
        return self._get("query", query=expression)["result"]

    def value(self, expression: str) -> float:
        """The only value of an expression."""
        (series,) = self.query(expression)
        return float(series["value"][1])

    def rules(self) -> list[dict]:
        """The alerts as Prometheus knows them."""
        (group,) = self._get("rules")["groups"]
        return group["rules"]

    def targets(self) -> list[dict]:
        """What it scrapes, with health and the latest error."""
        return self._get("targets")["activeTargets"]

    def _get(self, what: str, **parameters: str) -> dict:
        body = urllib.parse.urlencode(parameters)
        url = f"{self._url}/api/v1/{what}?{body}"
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert answer["status"] == "success" and not answer.get("warnings"), answer
        return answer["data"]

    def _is_ready(self) -> bool:
        status = self._process.poll()
        assert status is None, f"Prometheus ended, status=`{status}`:\n{self.log.read_text()}"
        try:
            urllib.request.urlopen(f"{self._url}/-/ready", timeout=60).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True
