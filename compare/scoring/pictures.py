"""Which images to show, and what every model makes of them."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client.client import Client
from rdserve.client.errors import ServiceError
from rdserve.client.results import ModelInfo, Reconstruction, Sample
from rdserve.compare.scores import Rows, ScoreSet
from rdserve.compare.scoring.ink import Ink
from rdserve.compare.statistics.latents import Latents, latents

# The digits of the paper's reconstruction figures, in their order.
PAPER_CLASSES = (2, 0, 1, 8)
# What a person takes in at once, and how many x ~ d(x|z) make the paper's averages.
N_REPRESENTATIVE, N_DIFFERING, N_GENERATED, N_DRAWS = 4, 8, 6, 5
AT_ONCE = 8
# Enough to tell an active unit; the samples serve encoders without a mean in closed form.
N_ENCODED, N_CODES = 200, 16


@dataclass(frozen=True)
class Pictures:
    """Examples of a comparison, and what its models make of them.

    rows: (P,) of the comparison: first n_representative ones, then those where the models differ most.
    images: (P, H, W), all as `Ink`. reconstructions: per model (P, K, H, W), of one z per image, with the
    comparison's noise. samples: per model (G, K, H, W), K of each z ~ m(z). failures: why others have none.
    latents: per model, what its latents carry, from the first examples; None from one alone.
    """

    rows: Rows
    n_representative: int
    images: NDArray[Any]
    reconstructions: Mapping[str, Reconstruction]
    samples: Mapping[str, Sample]
    failures: Mapping[str, str] = field(default_factory=dict)
    latents: Mapping[str, Latents | None] = field(default_factory=dict)

    @property
    def representative(self) -> Rows:
        """Positions among the P of the representatives."""
        return np.arange(self.n_representative)

    def few(self, name: str) -> Reconstruction:
        """A model's reconstructions of the representatives."""
        made = self.reconstructions[name]
        return Reconstruction(made.latents[: self.n_representative], made.images[: self.n_representative])

    @property
    def differing(self) -> Rows:
        """Positions among the P of the images where the models differ most."""
        return np.arange(self.n_representative, len(self.rows))


def take(
    scored: ScoreSet,
    client: Client,
    images: NDArray[Any],
    on_progress: Callable[[str], None] | None = None,
) -> Pictures:
    """Ask every model for its pictures of the images (N, H, W); `on_progress` gets each name when done."""
    few = representatives(scored.labels, scored.n, count=N_REPRESENTATIVE)
    rows = np.concatenate([few, most_different(scored, count=N_DIFFERING)])
    shown, ids, seed = np.asarray(images[rows]), scored.example_ids[rows], scored.seed
    first = np.asarray(images[:N_ENCODED]), scored.example_ids[:N_ENCODED]
    drawn: dict[str, tuple[Reconstruction, Sample, Latents | None]] = {}
    failures: dict[str, str] = {}
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rdserve")
    try:
        names = {
            pool.submit(_ask, client, model, (shown, ids), first, seed): model.name for model in scored.models
        }
        for future in as_completed(names):
            name = names[future]
            # Pictures of the others are better than no report: the scores are there already.
            try:
                drawn[name] = future.result()
            except ServiceError as error:
                failures[name] = str(error)
            if on_progress:
                on_progress(name)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    made = {name: drawn[name] for name in scored.names if name in drawn}
    ink = Ink.of(shown, max(model.levels for model in scored.models))
    reconstructions = {name: replace(it, images=ink(it.images)) for name, (it, _, _) in made.items()}
    samples = {name: replace(it, images=ink(it.images)) for name, (_, it, _) in made.items()}
    carried = {name: answers[2] for name, answers in made.items()}
    return Pictures(rows, len(few), ink(shown), reconstructions, samples, failures, carried)


Chosen = tuple[NDArray[Any], NDArray[np.uint64]]  # images and their example ids


def _ask(
    client: Client, info: ModelInfo, shown: Chosen, first: Chosen, seed: int
) -> tuple[Reconstruction, Sample, Latents | None]:
    images, ids = shown
    made = client.reconstruct(info.name, images, n_samples=N_DRAWS, seed=seed, example_ids=ids)
    drawn = client.sample(info.name, N_GENERATED, n_samples=N_DRAWS, seed=seed)
    images, ids = first
    codes = client.encode(info.name, images, n_samples=N_CODES, seed=seed, example_ids=ids)
    return made, drawn, latents(info, codes) if len(images) > 1 and info.engine != "onnx" else None


def representatives(labels: NDArray[np.integer] | None, n: int, *, count: int = 4) -> Rows:
    """Indices below n of `count` images to show, or of all n where there are fewer.

    With labels (n or more,): the first image of each of the paper's classes. Otherwise, and where a class
    is missing, spread evenly: some sets are sorted by class.
    """
    spread = np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(np.int64))
    if labels is None:
        return spread
    found = [np.flatnonzero(labels[:n] == label) for label in PAPER_CLASSES[:count]]
    if len(found) < count or not all(map(len, found)):
        return spread
    return np.array([indices[0] for indices in found], np.int64)


def most_different(scored: ScoreSet, *, count: int = N_DIFFERING) -> Rows:
    """Rows with the largest paired difference in R + D between any two models, the largest first.

    Of two models: half of them where the one is better, half where the other is, as far as there are such.
    """
    if len(scored.scores) < 2:
        return np.zeros(0, np.int64)
    low = high = -scored.scores[0].elbo_nats
    for score in scored.scores[1:]:
        low, high = np.minimum(low, -score.elbo_nats), np.maximum(high, -score.elbo_nats)
    order = np.argsort(low - high, kind="stable")
    if len(scored.scores) == 2:
        first, second = scored.scores
        difference = (second.elbo_nats - first.elbo_nats)[order]
        halves = [order[difference > 0], order[difference < 0]]
        room = [max(count // 2, count - len(other)) for other in reversed(halves)]
        picked = np.concatenate([half[:most] for half, most in zip(halves, room, strict=True)])
        order = np.concatenate([picked, order[difference == 0]])
    return np.asarray(order[: min(count, scored.n)], np.int64)
