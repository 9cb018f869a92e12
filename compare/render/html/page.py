"""What the report's templates show, in the order they show it. No HTML here, and no statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client.results import ModelInfo
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.analysis.by_class import Classes
from rdserve.compare.analysis.levels import has_recipes
from rdserve.compare.analysis.recipes import RecipePair, Recipes
from rdserve.compare.analysis.signature import fields
from rdserve.compare.render.document import in_report
from rdserve.compare.render.figures.layout import CROWD, plane_layout
from rdserve.compare.render.figures.legend import parts
from rdserve.compare.render.formatting import objective
from rdserve.compare.render.html import sprites
from rdserve.compare.render.html.svg_plane import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    SHAPES,
    TOP,
    WIDTH,
    SvgPlane,
    draw,
    style,
)
from rdserve.compare.scoring.pictures import N_DRAWS, Pictures
from rdserve.compare.statistics import paired
from rdserve.compare.statistics.bound_gap import Tightness
from rdserve.compare.statistics.independent_pixels import independent_pixels_nats
from rdserve.compare.statistics.latents import COLLAPSED_RATE, IGNORES, LEGEND, MARK, Latents
from rdserve.compare.statistics.summaries import ModelSummary

ENCODERS = {"-": "Gaussian", "+": "inverse autoregressive flow"}
DECODERS = {"-": "deconvolution", "+": "autoregressive"}
MARGINALS = {"-": "standard normal", "+": "autoregressive flow", "v": "VampPrior", "?": "see its card"}
# What the signature's keys are.
SIGNED = {
    "n": "images",
    "K": "samples of e(z|x) per image",
    "seed": "seed of the noise",
    "ids": "SHA-256 of the example ids",
    "weights": "SHA-256 of the weights",
    "code": "version that trained",
    "dtype": "computed in",
    "device": "computed on",
}
# Wanted edge of an image in the table and beside the plane, pixels.
CELL, SMALL_CELL = 48, 34
MOST_CLASSES = 24
# Pairs of recipes that a table shows: of 12 all, of more those with the best one.
MOST_RECIPE_PAIRS = 66


@dataclass(frozen=True)
class ModelView:
    """A model's line, card and pictures. mark: classes and path of its marker; drawn: has pictures."""

    index: int
    row: ModelSummary
    info: ModelInfo
    mark: tuple[str, str]
    family_words: str
    tightness: Tightness | None
    latents: Latents | None
    dominated_by: str | None
    against_best: paired.Difference | None
    drawn: bool


@dataclass(frozen=True)
class DisagreeingImage:
    """An image on which models differ. position: among the pictures; costs: R + D by model, nats."""

    position: int
    example_id: int
    label: int | None
    costs: Mapping[str, float]

    @property
    def best(self) -> str:
        return min(self.costs, key=lambda name: self.costs[name])

    @property
    def worst(self) -> str:
        return max(self.costs, key=lambda name: self.costs[name])

    @property
    def spread(self) -> float:
        """The largest paired difference between any two models, nats."""
        return self.costs[self.worst] - self.costs[self.best]


@dataclass(frozen=True)
class Page:
    """All of it. sprites: by CSS class, a data URI with its columns and rows of cells.
    ignores: the mark of a model that ignores its code, what it says, both with the threshold, and that, nats.
    signed: what the signature says, field by field. frame: left, top, right and bottom of the plane, pixels.
    cell, small: height and width of an image in the table and beside the plane, pixels.
    n_held: images whose values the page holds. classes: the largest; objective: the D + beta R of them.
    recipes: None where nothing is told of them. recipe_pairs: those that are shown, of two runs or more each.
    independent_nats: what an image costs if pixels are independent; None without images."""

    analysis: Analysis
    models: Sequence[ModelView]
    plane: SvgPlane
    pictures: Pictures | None
    differing: Sequence[DisagreeingImage]
    sprites: Mapping[str, tuple[str, int, int]]
    cell: tuple[int, int]
    small: tuple[int, int]
    n_draws: int
    level: str
    crowd: int
    key: Mapping[str, Sequence[tuple[str, str, str]]]
    ignores: tuple[str, str, str, float]
    signed: Sequence[tuple[str, str]]
    n_held: int
    classes: Classes | None
    recipes: Recipes | None
    recipe_pairs: Sequence[RecipePair]
    objective: str
    independent_nats: float | None
    size: tuple[float, float] = (WIDTH, HEIGHT)
    frame: tuple[float, float, float, float] = (LEFT, TOP, RIGHT, BOTTOM)


def page_of(analysis: Analysis, pictures: Pictures | None, images: NDArray[Any] | None) -> Page:
    """Gather what the templates need. images: all that were scored, where they are at hand."""
    recipes = analysis.recipes if has_recipes(analysis.scored) else None
    return Page(
        analysis=analysis,
        models=[_model(analysis, index, row, pictures) for index, row in enumerate(analysis.rows)],
        plane=draw(plane_layout(analysis)),
        pictures=pictures,
        differing=_differing(analysis, pictures) if pictures else (),
        sprites=_sprites(analysis, pictures) if pictures else {},
        cell=_cell(pictures.images.shape[1:3], CELL) if pictures else (0, 0),
        small=_cell(pictures.images.shape[1:3], SMALL_CELL) if pictures else (0, 0),
        n_draws=N_DRAWS,
        level=f"{100 * analysis.scored.level:g}%",
        crowd=CROWD,
        key=_key(),
        ignores=(MARK, IGNORES, LEGEND, COLLAPSED_RATE),
        signed=[
            (SIGNED.get(key, key), value.replace(",", ", ")) for key, value in fields(analysis.signature)
        ],
        n_held=in_report(analysis.scored),
        classes=analysis.classes and analysis.classes.largest(MOST_CLASSES),
        recipes=recipes,
        recipe_pairs=_recipe_pairs(recipes) if recipes else (),
        objective=objective(analysis.scored.beta),
        independent_nats=_independent(images),
    )


def _independent(images: NDArray[Any] | None) -> float | None:
    """Of binary images alone."""
    return None if images is None or images.dtype != np.bool_ else independent_pixels_nats(images)


def _model(analysis: Analysis, index: int, row: ModelSummary, pictures: Pictures | None) -> ModelView:
    scored = analysis.scored
    marginal, info = parts(row.family)[2], scored.models[scored.names.index(row.name)]
    return ModelView(
        index=index,
        row=row,
        info=info,
        mark=(style(row.family), SHAPES[marginal]),
        family_words=family_in_words(row.family) if row.family else f"graphs, {info.likelihood}",
        tightness=analysis.tightness.get(row.name),
        latents=pictures.latents.get(row.name) if pictures else None,
        dominated_by=analysis.dominated_by.get(row.name),
        against_best=analysis.against_best(row.name),
        drawn=pictures is not None and row.name in pictures.reconstructions,
    )


def _recipe_pairs(found: Recipes) -> Sequence[RecipePair]:
    if len(found.told) <= MOST_RECIPE_PAIRS:
        return found.told
    return [pair for pair in found.against(found.best.recipe.name) if pair.told]


def family_in_words(family: str) -> str:
    """ "Gaussian encoder, autoregressive decoder, VampPrior"."""
    encoder, decoder, marginal = parts(family)
    if marginal == "?":
        return "not a tuple of the paper's"
    kind = MARGINALS[marginal]
    last = kind if marginal == "v" else f"{kind} marginal"
    return f"{ENCODERS[encoder]} encoder, {DECODERS[decoder]} decoder, {last}"


def _differing(analysis: Analysis, pictures: Pictures) -> list[DisagreeingImage]:
    scored = analysis.scored
    found = []
    for position in pictures.differing:
        row = pictures.rows[position]
        costs = {name: -float(scored.score(name).elbo_nats[row]) for name in scored.names}
        label = None if scored.labels is None else int(scored.labels[row])
        found.append(DisagreeingImage(int(position), int(scored.example_ids[row]), label, costs))
    return found


def _sprites(analysis: Analysis, pictures: Pictures) -> dict[str, tuple[str, int, int]]:
    images = sprites.sheet_row(pictures.images, len(pictures.images))
    found = {"data": (sprites.data_uri(images), len(pictures.images), 1)}
    for index, row in enumerate(analysis.rows):
        if row.name in pictures.reconstructions:
            pixels = sprites.model_sprite(pictures.reconstructions[row.name], pictures.samples[row.name])
            columns = pixels.shape[1] // pictures.images.shape[2]
            found[f"m{index}"] = (sprites.data_uri(pixels), columns, sprites.ROWS)
    return found


def _cell(shape: Sequence[int], wanted: int) -> tuple[int, int]:
    """Height and width on the page of an image (H, W): whole pixels for each of its own if there is room."""
    exact = wanted / max(shape)
    factor = float(round(exact)) if exact >= 3 else exact
    height, width = np.round(np.multiply(shape, factor)).astype(int).tolist()
    return height, width


def _key() -> dict[str, list[tuple[str, str, str]]]:
    """By question: (classes, path, words) of the marks that answer it, as in the paper."""

    def mark(family: str, words: str) -> tuple[str, str, str]:
        return style(family), SHAPES[parts(family)[2]], words

    return {
        "marginal m(z): shape": [mark(f"++{sign}", f"{sign} {MARGINALS[sign]}") for sign in "-+v"],
        "decoder d(x|z): lightness": [mark(f"+{sign}-", f"{sign} {DECODERS[sign]}") for sign in "-+"],
        "encoder e(z|x): fill": [mark(f"{sign}+-", f"{sign} {ENCODERS[sign]}") for sign in "-+"],
    }
