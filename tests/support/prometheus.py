"""A real Prometheus server, and what PromQL names."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
# The model of the zoo that is watched.
MODEL = "digits-mpv-b0.4-annealed"
RULES = ("recording.yml", "alerts.yml")

# PromQL's own words that look like metric names.
_WORDS = {
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
}
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def needed(tool: str) -> str:
    """Path of a program of Debian's `prometheus` package; a test without it is skipped."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"no {tool} here; `make tools` installs it where it can")
    return found


def names(expression: str) -> set[str]:
    """Metrics that a PromQL expression names."""
    text = re.sub(r'"[^"]*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    found = {match for match in _NAME.finditer(text) if not text[match.end() :].lstrip().startswith("(")}
    return {match[0] for match in found} - _WORDS


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}") as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float | None:
        """The first sample of an instant query; None where there is none."""
        result = self.get("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def firing(self) -> list[dict[str, str]]:
        """Labels of the alerts that fire."""
        return [alert["labels"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"]

    def is_ready(self) -> bool:
        """It answers queries."""
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready"):
                return True
        except (urllib.error.URLError, ConnectionError):
            return False


@contextlib.contextmanager
def running(folder: Path, target: str, window: str) -> Iterator[Prometheus]:
    """The shipped configuration, with all its times shortened: windows to `window`, waits to nothing."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    for name in RULES:
        text = (DEPLOY / "prometheus" / name).read_text()
        text = re.sub(r"\[\d+m\]", f"[{window}]", text)
        (folder / name).write_text(re.sub(r"for: \d+m", "for: 0s", text))
    port = _free_port()
    command = [
        needed("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
