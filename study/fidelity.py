"""What reconstructions keep of their inputs: the class, the pixels, and what is left to chance."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray
from rdserve.client import Client
from rdserve.client.errors import Cancelled
from rdserve.study.classifier import Classifier
from rdserve.study.subset import Examples
from rdserve.study.zoo_scores import ScoredModel

# Reconstructions of an image: so many from one z, and one from each of so many further z.
N_SAME, N_FRESH = 3, 2
AT_ONCE = 4

Bools = NDArray[np.bool_]
Labels = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """Of n images and their reconstructions; differences are shares of what two images of the data differ by.

    agreement: share of reconstructions with the input's class, as the classifier sees both; chance: what
    it would be if they had nothing to do with one another. Both None without a classifier.
    error: pixels that differ between input and reconstruction. same_z, fresh_z: between two reconstructions
    of an image, from one z or from two.
    """

    n: int
    seed: int
    agreement: float | None
    chance: float | None
    error: float
    same_z: float
    fresh_z: float

    @property
    def kept(self) -> float | None:
        """The share of classes kept beyond chance, at most 1 (Cohen's kappa)."""
        if self.agreement is None or self.chance is None or self.chance == 1:
            return None
        return (self.agreement - self.chance) / (1 - self.chance)


@dataclass(frozen=True, eq=False)
class FidelitySamples:
    """What makes up `Fidelity`, image by image.

    inputs (N,), outputs (N, F): classes as the classifier sees them, None without one.
    error, same_z, fresh_z: (N,), of each image's reconstructions.
    """

    seed: int
    inputs: Labels | None
    outputs: Labels | None
    error: Shares
    same_z: Shares
    fresh_z: Shares

    @property
    def n(self) -> int:
        return len(self.error)

    def fidelity(self, images: Labels | None = None) -> Fidelity:
        """Of all images, or of those at these places, some of them more than once."""
        at = np.arange(self.n) if images is None else images
        agreement = chance = None
        if self.inputs is not None and self.outputs is not None:
            agreement, chance = _agreement(self.inputs[at], self.outputs[at])
        means = (float(each[at].mean()) for each in (self.error, self.same_z, self.fresh_z))
        return Fidelity(len(at), self.seed, agreement, chance, *means)


def ask_reconstructions(
    client: Client,
    models: Sequence[ScoredModel],
    examples: Examples,
    classifier: Classifier | None,
    *,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, FidelitySamples]:
    """Ask every model for reconstructions of the examples, and measure what they keep.

    The noise of z number k is that of the card's seed + k. on_progress: told each model 1 + N_FRESH times.

    Raises:
        ServiceError: a model failed.
    """
    found: dict[str, FidelitySamples] = {}
    for seed in sorted({model.seed for model in models}):
        names = [model.name for model in models if model.seed == seed]
        # Of the first z several, of the others one.
        drawn = [
            reconstruct_all(
                client,
                names,
                examples,
                n_samples=N_SAME if k == 0 else 1,
                seed=seed + k,
                on_progress=on_progress,
            )
            for k in range(N_FRESH + 1)
        ]
        for name in names:
            same, *others = (one[name] for one in drawn)
            fresh = np.concatenate([same[:, :1], *others], axis=1)
            found[name] = measure_fidelity(examples.images, same, fresh, classifier=classifier, seed=seed)
    return found


def measure_fidelity(
    images: Bools, same: Bools, fresh: Bools, *, classifier: Classifier | None = None, seed: int = 0
) -> FidelitySamples:
    """From inputs (N, H, W), K reconstructions (N, K, H, W) of one z each, and F (N, F, H, W) of F z each."""
    (between,) = _spread(images[None])
    return FidelitySamples(
        seed,
        inputs=None if classifier is None else classifier(images),
        outputs=None if classifier is None else classifier(fresh),
        error=(images[:, None] != fresh).mean((1, 2, 3)) / between,
        same_z=_spread(same) / between,
        fresh_z=_spread(fresh) / between,
    )


def reconstruct_all(
    client: Client,
    models: Sequence[str],
    examples: Examples,
    *,
    n_samples: int,
    seed: int,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, Bools]:
    """n_samples reconstructions (N, K, H, W) by every model, one z per image; the first failure ends all."""
    stop = Event()

    def reconstruct(model: str) -> Bools:
        if stop.is_set():
            raise Cancelled("another model failed")
        made = client.reconstruct(
            model, examples.images, n_samples=n_samples, seed=seed, example_ids=examples.ids
        )
        if on_progress:
            on_progress(model)
        return made.images.astype(bool)

    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rdserve")
    try:
        futures = {model: pool.submit(reconstruct, model) for model in models}
        wait(futures.values(), return_when=FIRST_EXCEPTION)
        for model, future in futures.items():
            if future.done() and (error := future.exception()):
                error.add_note(f"model {model!r}")
                raise error
        return {model: future.result() for model, future in futures.items()}
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _agreement(inputs: Labels, outputs: Labels) -> tuple[float, float]:
    """How often classes of inputs (N,) and outputs (N, K) agree, and how often by chance."""
    n_classes = max(inputs.max(), outputs.max()) + 1
    shares = (np.bincount(labels.ravel(), minlength=n_classes) / labels.size for labels in (inputs, outputs))
    return float((inputs[:, None] == outputs).mean()), float(np.prod(list(shares), axis=0).sum())


def _spread(groups: Bools) -> Shares:
    """Shares (G,) of pixels on which two images of a group (G, K, H, W) differ, mean over its pairs."""
    k = groups.shape[1]
    ink = groups.mean(1)
    shares: Shares = (2 * ink * (1 - ink)).mean((1, 2)) * k / (k - 1)
    return shares
