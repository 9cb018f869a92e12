"""The paper's figures 3 to 6 of a served zoo; figure 2, the toy, needs no service."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from rdserve.client import Client
from rdserve.compare.scoring.pictures import N_DRAWS, PAPER_CLASSES, representatives
from rdserve.study.categories import Categorised, grouped
from rdserve.study.figure_selection import RULES, FigureSelection
from rdserve.study.figures import planes, sheets
from rdserve.study.subset import Examples
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo

Images = sheets.Images

PLANES: dict[str, tuple[str, Callable[[ScoredZoo], Figure]]] = {
    "3a": ("3a", planes.rate_distortion),
    "3a-parts": ("3a", planes.by_part),
    "3b": ("3b", planes.cost_against_rate),
}
TITLES = {
    "4a": "Reconstructions of one family along β",
    "4b": "Generations of one family along β",
    "4c": "Reconstructions of traditional VAEs with VampPriors",
    "4d": "Reconstructions of models of nearly equal ELBO",
    "5": "Reconstructions of traditional VAEs (β = 1)",
    "6": "Reconstructions of the models on the frontier",
}
SERVED = ("3a", "3b", *TITLES)
NAMES = ("2", *SERVED)
N_GENERATED = 4


@dataclass(frozen=True)
class Drawn:
    """A figure, or None where nothing is left to draw; missing: what the zoo lacks for it."""

    stem: str
    figure: Figure | None
    missing: tuple[str, ...] = ()


def draw_all(
    client: Client, zoo: ScoredZoo, categorised: Mapping[str, Categorised], names: Sequence[str] = SERVED
) -> Iterator[Drawn]:
    """The figures of these names, each once it is drawn.

    Raises:
        ServiceError: a model made no pictures.
    """
    for stem, (name, draw) in PLANES.items():
        if name in names:
            yield Drawn(f"figure-{stem}", draw(zoo))
    pictures = _Pictures(client, zoo.examples)
    for name in [name for name in TITLES if name in names]:
        choice = RULES[name](zoo.all)
        figure = _sheet(name, grouped([categorised[model.name] for model in choice.models]), pictures)
        yield Drawn(f"figure-{name}", figure, choice.missing)


def models_of(zoo: ScoredZoo, names: Sequence[str]) -> list[ScoredModel]:
    """The models that these figures show images of."""
    chosen: list[FigureSelection] = [RULES[name](zoo.all) for name in TITLES if name in names]
    wanted = {model.name for choice in chosen for model in choice.models}
    return [model for model in zoo.all if model.name in wanted]


class _Pictures:
    """What each model makes of the inputs of every sheet, asked for once."""

    def __init__(self, client: Client, examples: Examples) -> None:
        rows = representatives(examples.labels, examples.n, count=len(PAPER_CLASSES))
        self._client = client
        self.images, self._ids = examples.images[rows], examples.ids[rows]
        self.data = f"{examples.dataset.name}, {examples.dataset.split}"
        self._reconstructed: dict[str, Images] = {}

    def reconstructed(self, model: ScoredModel) -> Images:
        """(4, K, H, W): K reconstructions of each input, from one z."""
        if model.name not in self._reconstructed:
            made = self._client.reconstruct(
                model.name, self.images, n_samples=N_DRAWS, seed=model.seed, example_ids=self._ids
            )
            self._reconstructed[model.name] = made.images
        return self._reconstructed[model.name]

    def generated(self, model: ScoredModel) -> Images:
        """(4, K, H, W): K images of each of 4 z ~ m(z)."""
        made = self._client.sample(model.name, N_GENERATED, n_samples=N_DRAWS, seed=model.seed)
        return np.asarray(made.images)


def _sheet(name: str, categorised: Sequence[Categorised], pictures: _Pictures) -> Figure | None:
    if not categorised:
        return None
    generated = name == "4b"
    ask = pictures.generated if generated else pictures.reconstructed
    law = "m(z)" if generated else "e(z|x)"
    note = f"All images of a row and model come from one z ~ {law}; average: of {N_DRAWS} samples."
    if categorised[0].by != "measured":
        note += " Categories by R and D alone."
    return sheets.draw(
        categorised,
        {one.model.name: ask(one.model) for one in categorised},
        data=None if generated else pictures.images,
        title=f"{TITLES[name]} ({pictures.data})",
        note=note,
    )
