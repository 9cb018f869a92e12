"""Scoring a sample of a comparison's examples again, to see whether its numbers are what the models say.

What the rest of its file says is held to these numbers by `rebuilt` and `rebuilt_page`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client.client import Client
from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo, Score
from rdserve.compare.render.document import DATA_ID, SCHEMA
from rdserve.compare.scores import Rows, ScoreSet, rows_of

# What rounding may move, in units of the tolerance of R and D: the bound as their sum at most; importance
# weights likewise, and the logarithm of the ESS, (sum w)^2 / sum w^2, by up to four times that.
BOUND_ROOM, LOG_ESS_ROOM = 2.0, 8.0
# Of the examples not always scored again: `seen` says how surely so small a share would be noticed.
ALTERED = 0.05


@dataclass(frozen=True)
class Apart:
    """The largest differences of rows scored again: of R, D and the bound in nats, of log ESS."""

    rate_nats: float
    distortion_nats: float
    bound_nats: float
    log_ess: float

    def within(self, tolerance: float) -> bool:
        """Whether R and D differ by at most `tolerance` nats, and what follows from them accordingly."""
        return (
            max(self.rate_nats, self.distortion_nats) <= tolerance
            and self.bound_nats <= BOUND_ROOM * tolerance
            and self.log_ess <= LOG_ESS_ROOM * tolerance
        )

    @property
    def exactly(self) -> bool:
        return max(self.rate_nats, self.distortion_nats, self.bound_nats, self.log_ess) == 0


@dataclass(frozen=True)
class Replay:
    """A model scored again on `rows` examples. apart: from what the file has; None where it was not scored.

    problem: why not, or what else is amiss; empty where nothing is. note: what may explain a difference.
    """

    model: str
    rows: int
    apart: Apart | None
    problem: str = ""
    note: str = ""

    @property
    def scored(self) -> bool:
        """Whether the service scored it: else nothing is known of its numbers."""
        return self.apart is not None

    def reproduced(self, tolerance: float) -> bool:
        """Whether nothing is amiss and all differences are what `tolerance` nats of R and D explain."""
        return not self.problem and self.apart is not None and self.apart.within(tolerance)

    def sentence(self, tolerance: float) -> str:
        """The outcome in words."""
        if self.apart is None:
            return f"{self.model}: not scored, {self.problem}"
        off = (
            f"max |dR| {self.apart.rate_nats:.3g}, max |dD| {self.apart.distortion_nats:.3g} nats over "
            f"{self.rows} rows, of the bound {self.apart.bound_nats:.3g}, of log ESS {self.apart.log_ess:.3g}"
        )
        if self.reproduced(tolerance):
            exact = " to the last digit" if self.apart.exactly else ""
            return f"{self.model}: reproduced{exact}, {off}{self._why}"
        return f"{self.model}: DIFFERS, {off}{f'; {self.problem}' if self.problem else ''}{self._why}"

    @property
    def _why(self) -> str:
        return f"; {self.note}" if self.note else ""


def is_report(path: Path) -> bool:
    """Whether the file is taken for a `report.html`."""
    return path.suffix.lower() in (".html", ".htm")


def read(path: Path) -> dict[str, Any]:
    """The document in a `comparison.json` or a `report.html`.

    Raises:
        InputError: a file of another kind, or of another version of the schema.
    """
    text = path.read_bytes().decode(errors="replace")
    if is_report(path):
        finder = _Finder()
        finder.feed(text)
        text = "".join(finder.found)
        if not text:
            raise InputError(f"{path} is no report of rdserve: it holds no data with the id {DATA_ID!r}")
    try:
        document = json.loads(text)
    except ValueError as error:
        wanted = "the comparison.json or the report.html of a comparison"
        raise InputError(f"{path} is no JSON ({error}); give {wanted}") from error
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


def sample(scored: ScoreSet, rows: int, fresh: np.random.Generator) -> Rows:
    """Positions of `rows` examples, or of all where there are fewer.

    Half of them are always the same, so that two who verify see the same numbers; the others are drawn
    anew, so that nobody knows beforehand which values will not be looked at.
    """
    n = min(rows, scored.n)
    fixed = np.random.default_rng(scored.seed).choice(scored.n, size=(n + 1) // 2, replace=False)
    others = np.setdiff1d(np.arange(scored.n), fixed)
    return np.sort(np.concatenate([fixed, fresh.choice(others, size=n - len(fixed), replace=False)]))


def seen(scored: ScoreSet, rows: int) -> str:
    """How surely `sample` meets an altered example, in words."""
    n = min(rows, scored.n)
    fresh, others = n // 2, scored.n - (n + 1) // 2
    if fresh == others:
        return "every image was scored again"
    altered = max(1, round(ALTERED * others))
    chance = 1 - comb(others - altered, fresh) / comb(others, fresh)
    return (
        f"{n} of {scored.n} images were scored again, {fresh} of them drawn anew: had {altered} of the "
        f"others been altered, this would have met one with probability {chance:.2g}"
    )


def replay(client: Client, scored: ScoreSet, images: NDArray[Any], chosen: Rows) -> list[Replay]:
    """Score the chosen examples again on every model. images: (N, H, W), indexed by example id.

    Raises:
        InputError: an example id that is no index of the images.
        ServiceError: the service fails.
    """
    ids = scored.example_ids[chosen]
    if ids.max(initial=0) >= len(images):
        raise InputError(f"the comparison has example id {ids.max()}, there are {len(images)} images")
    served = {model.name: model for model in client.models()}
    return [
        _again(client, scored, info, served.get(info.name), images[ids], chosen) for info in scored.models
    ]


def _again(
    client: Client,
    scored: ScoreSet,
    info: ModelInfo,
    now: ModelInfo | None,
    images: NDArray[Any],
    chosen: Rows,
) -> Replay:
    if now is None or now.fault:
        problem = "the service does not have it" if now is None else f"it {now.fault}"
        return Replay(info.name, 0, None, problem)
    ids, settings = scored.example_ids[chosen], (scored.n_samples, scored.seed)
    fresh = client.score(info.name, images, n_samples=settings[0], seed=settings[1], example_ids=ids)
    recorded = scored.score(info.name)
    problem = ""
    if now.weights_sha256 != info.weights_sha256:
        problem = f"weights are {now.weights_sha256[:12]}, the file has {info.weights_sha256[:12]}"
    elif fresh.rate_is_exact != recorded.rate_is_exact:
        problem = (
            f"its rates are {'closed forms' if fresh.rate_is_exact else 'estimates'}, the file denies it"
        )
    apart = _apart(rows_of(recorded, chosen), fresh)
    return Replay(info.name, len(chosen), apart, problem, _elsewhere(info, now))


def _elsewhere(info: ModelInfo, now: ModelInfo) -> str:
    here, there = (f"{one.dtype} on {one.device}" for one in (now, info))
    return f"served in {here}, the file says {there}" if info.device and here != there else ""


def _apart(recorded: Score, fresh: Score) -> Apart:
    def largest(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        difference = np.abs(one - other)
        return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))

    with np.errstate(invalid="ignore", divide="ignore"):
        log_ess = largest(np.log(recorded.importance_ess), np.log(fresh.importance_ess))
    return Apart(
        largest(recorded.rate_nats, fresh.rate_nats),
        largest(recorded.distortion_nats, fresh.distortion_nats),
        largest(recorded.importance_bound_nats, fresh.importance_bound_nats),
        log_ess,
    )
