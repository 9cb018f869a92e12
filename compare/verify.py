"""Scoring a sample of a comparison's examples again, to see whether its numbers are what the models say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client.client import Client
from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo, Score
from rdserve.compare.comparison import Comparison, from_document
from rdserve.compare.document import DATA_ID, SCHEMA
from rdserve.compare.rows import compare
from rdserve.compare.signature import signature

Rows = NDArray[np.int64]

# Means written and computed again differ by the order of a sum at most.
ROUNDING = 1e-9
# Of a mean over a part of the examples: as good as never by chance.
MAX_Z = 6.0


@dataclass(frozen=True)
class Replay:
    """A model scored again on `rows` examples: the largest |dR| and |dD|, nats; NaN where it was not scored.

    problem: why not, or what else is amiss; empty where nothing is. note: what may explain a difference.
    """

    model: str
    rows: int
    rate_nats: float
    distortion_nats: float
    problem: str = ""
    note: str = ""

    def reproduced(self, tolerance: float) -> bool:
        """Whether nothing is amiss and both differences are at most `tolerance` nats."""
        return not self.problem and max(self.rate_nats, self.distortion_nats) <= tolerance

    def sentence(self, tolerance: float) -> str:
        """The outcome in words."""
        if np.isnan(self.rate_nats):
            return f"{self.model}: not scored, {self.problem}"
        off = f"max |dR| {self.rate_nats:.3g}, max |dD| {self.distortion_nats:.3g} nats over {self.rows} rows"
        if self.reproduced(tolerance):
            exact = max(self.rate_nats, self.distortion_nats) == 0
            return f"{self.model}: reproduced{' to the last digit' if exact else ''}, {off}{self._why}"
        return f"{self.model}: DIFFERS, {off}{f'; {self.problem}' if self.problem else ''}{self._why}"

    @property
    def _why(self) -> str:
        return f"; {self.note}" if self.note else ""


def read(path: Path) -> dict[str, Any]:
    """The document in a `comparison.json` or a `report.html`.

    Raises:
        InputError: a file of another kind, or of another version of the schema.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() in (".html", ".htm"):
        finder = _Finder()
        finder.feed(text)
        text = "".join(finder.found)
        if not text:
            raise InputError(f"{path} is no report of rdserve: it holds no data with the id {DATA_ID!r}")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: expected schema {SCHEMA!r}, the file says {schema!r}")
    return dict(document)


class _Finder(HTMLParser):
    """Collects the text of the element that holds the report's data."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and ("id", DATA_ID) in attrs

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found.append(data)


def contradictions(document: Mapping[str, Any]) -> list[str]:
    """What the file says that its own per-example values do not: means that were changed by hand, say.

    A file that holds a part of the examples is contradicted by means that no sampling error explains.

    Raises:
        InputError: the examples are not what `rdserve.compare.comparison.from_document` reads.
    """
    comparison = from_document(document["examples"])
    part_of = document["examples"].get("part_of")
    left_out = 0.0 if part_of is None else 1 - comparison.n / part_of
    found = []
    rows = compare(comparison.models, comparison.scores, n_samples=comparison.n_samples)
    said = {model.get("name"): model for model in document.get("models", [])}
    for row in rows:
        for name in ("rate_nats", "distortion_nats", "elbo_nats", "importance_bound_nats"):
            value, mean = said.get(row.name, {}).get(name), getattr(row, name)
            error = getattr(row, name.replace("_nats", "_standard_error_nats"))
            room = ROUNDING * max(1, abs(mean)) + (MAX_Z * error * left_out**0.5 if left_out else 0)
            if not isinstance(value, int | float) or not abs(value - mean) <= room:
                found.append(f"{row.name}: {name} is given as {value}, its examples have the mean {mean:.6g}")
    given, computed = str(document.get("signature")), signature(comparison)
    # Of the version that wrote the file; and, where it holds a part, of all the examples.
    unknown = ("rdserve:",) if part_of is None else ("rdserve:", "n:", "ids:")
    if _without(given, unknown) != _without(computed, unknown):
        found.append(f"the signature is not that of the examples, which would be {computed}")
    return found


def _without(line: str, fields: tuple[str, ...]) -> list[str]:
    return [field for field in line.split("|") if not field.startswith(fields)]


def sample(comparison: Comparison, rows: int) -> Rows:
    """Positions of `rows` examples, or of all where there are fewer; always the same ones."""
    rng = np.random.default_rng(comparison.seed)
    return np.sort(rng.choice(comparison.n, size=min(rows, comparison.n), replace=False))


def replay(client: Client, comparison: Comparison, images: NDArray[np.bool_], chosen: Rows) -> list[Replay]:
    """Score the chosen examples again on every model. images: (N, H, W), indexed by example id.

    Raises:
        InputError: an example id that is no index of the images.
        ServiceError: the service fails.
    """
    ids = comparison.example_ids[chosen]
    if ids.max(initial=0) >= len(images):
        raise InputError(f"the comparison has example id {ids.max()}, there are {len(images)} images")
    served = {model.name: model for model in client.models()}
    return [
        _again(client, comparison, info, served.get(info.name), images[ids], chosen)
        for info in comparison.models
    ]


def _again(
    client: Client,
    comparison: Comparison,
    info: ModelInfo,
    now: ModelInfo | None,
    images: NDArray[np.bool_],
    chosen: Rows,
) -> Replay:
    if now is None or now.fault:
        problem = "the service does not have it" if now is None else f"it {now.fault}"
        return Replay(info.name, 0, float("nan"), float("nan"), problem)
    ids, settings = comparison.example_ids[chosen], (comparison.n_samples, comparison.seed)
    fresh = client.score(info.name, images, n_samples=settings[0], seed=settings[1], example_ids=ids)
    rate, distortion = _apart(comparison.score(info.name), fresh, chosen)
    problem = ""
    if now.weights_sha256 != info.weights_sha256:
        problem = f"weights are {now.weights_sha256[:12]}, the file has {info.weights_sha256[:12]}"
    return Replay(info.name, len(chosen), rate, distortion, problem, _elsewhere(info, now))


def _elsewhere(info: ModelInfo, now: ModelInfo) -> str:
    here, there = (f"{one.dtype} on {one.device}" for one in (now, info))
    return f"served in {here}, the file says {there}" if info.device and here != there else ""


def _apart(recorded: Score, fresh: Score, chosen: Rows) -> tuple[float, float]:
    rate = np.abs(recorded.rate_nats[chosen] - fresh.rate_nats)
    distortion = np.abs(recorded.distortion_nats[chosen] - fresh.distortion_nats)
    return float(rate.max(initial=0.0)), float(distortion.max(initial=0.0))
