"""`rdserve bounds`: what the codes of checkpoints tell of x, from both sides."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rdserve.cli import data_choice, exits
from rdserve.cli.console import console, progress
from rdserve.cli.data_choice import Stated
from rdserve.cli.options import DataRoot, DataSet, Preprocess, Seed, Split
from rdserve.client import InputError
from rdserve.compare.render.formatting import shortened
from rdserve.data import DataError, Dataset, read
from rdserve.models.card import CardError, read_card
from rdserve.models.engines import load_model
from rdserve.models.information import Encoded, Generated, both
from rdserve.study.subset import Examples, examples
from rich.table import Table

HEADS = ("R", "D", "H - D", "I low", "I most", "KL least", "KL high", "E", "I_d low", "G")
N, N_FITTED, N_GENERATED, K = 1000, 5000, 200, 16
NFitted = Annotated[
    int, typer.Option(min=2, help="Training images to whose codes a density is fitted, which bounds I.")
]
NAME_WIDTH = 26


@dataclass(frozen=True)
class Bounds:
    """Of one model, from n images of a split and n_generated pairs of its own, with the noise of `seed`.

    fitted_on: the split of the images to whose codes a density was fitted.
    """

    model: str
    split: str
    fitted_on: str
    seed: int
    encoded: Encoded
    generated: Generated

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {
            "most": asdict(self.encoded.most),
            "log_n": self.encoded.ceiling,
            "saturated": self.encoded.saturated,
        }


def bounds(
    checkpoints: Annotated[list[Path], typer.Argument(help="Folders of checkpoints.")],
    data: DataSet = "digits",
    split: Split = "test",
    data_root: DataRoot = None,
    preprocess: Preprocess = None,
    limit: Annotated[int, typer.Option(min=2, help="Images, all in one mixture.")] = N,
    n_generated: Annotated[
        int, typer.Option(min=2, help="Pairs (x, z) drawn from each model.")
    ] = N_GENERATED,
    n_fitted: NFitted = N_FITTED,
    k: Annotated[int, typer.Option(min=1, help="Samples of e(z|x) that bound the model's own log g(x).")] = K,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="A .json file, besides the table.")] = None,
) -> None:
    """Bound the information of the code: H - D <= I <= R, R = I + KL, and E <= I_d <= G of the generator."""
    try:
        dataset = data_choice.chosen(
            data,
            split=split,
            root=data_root,
            preprocess=preprocess,
            models=lambda shape: stated_on_cards(checkpoints),
        )
        chosen = examples(dataset, limit)
        others = others_than(chosen, data, data_root, n_fitted)
        found = []
        with progress("bounding", len(checkpoints)) as done:
            for folder in checkpoints:
                found.append(bound(folder, chosen, others, seed=seed, n_generated=n_generated, k=k))
                done(1)
    except (CardError, DataError, InputError, OSError) as error:
        typer.echo(f"rdserve: {error}", err=True)
        raise typer.Exit(exits.code_of(error)) from None
    console().print(table(found, chosen.dataset))
    if out is not None:
        out.write_text(json.dumps([one.document() for one in found], indent=1) + "\n")
        typer.echo(out)


def stated_on_cards(checkpoints: Sequence[Path]) -> list[Stated]:
    """Of each checkpoint. Raises CardError where there is none."""
    return [Stated(card.name, card.input.binarisation) for card in map(read_card, checkpoints)]


def others_than(of: Examples, data: str, root: Path | None, n: int) -> Examples:
    """Images that a density of codes is fitted to: of the training split, or, for that one, of valid.

    Raises:
        DataError, OSError: as `rdserve.data.read`.
    """
    split = "valid" if of.dataset.split == "train" else "train"
    return examples(read(data, root=root).preprocessed(of.dataset.preprocessing).split(split), n)


def bound(folder: Path, of: Examples, others: Examples, *, seed: int, n_generated: int, k: int) -> Bounds:
    """Both sides of one checkpoint. Image i of the split has example id i, and so has pair i.

    Raises:
        CardError: no checkpoint, or one of images of another shape.
    """
    card, vae = load_model(folder)
    if card.input.shape != of.images.shape[1:]:
        raise CardError(f"{folder}: takes {card.input.shape} images, {of.dataset.name} has others")
    sides = both(vae, of.images, of.rows, others.images, seed=seed, n_generated=n_generated, k=k)
    return Bounds(card.name, of.dataset.split, others.dataset.split, seed, *sides)


def table(found: Sequence[Bounds], dataset: Dataset) -> Table:
    """A line per model; what is saturated is marked."""
    drawn = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    drawn.add_column("model", no_wrap=True)
    for head in HEADS:
        drawn.add_column(head, justify="right", no_wrap=True)
    least = entropy_estimate(found)
    for one in found:
        drawn.add_row(shortened(one.model, NAME_WIDTH), *cells(one, least))
    drawn.caption = caption(found, dataset)
    return drawn


def entropy_estimate(found: Sequence[Bounds]) -> float:
    """The least R + D: H from above."""
    return min(one.encoded.rate.value + one.encoded.distortion.value for one in found)


def cells(one: Bounds, entropy: float) -> list[str]:
    """The values under HEADS, in nats."""
    e, g = one.encoded, one.generated
    mark = "*" if e.saturated else ""
    return [
        _short(e.rate.value),
        _short(e.distortion.value),
        _short(entropy - e.distortion.value),
        *(_short(nats) + mark for nats in (e.low.value, e.most.value)),
        *(_short(nats) + mark for nats in (e.rate.value - e.most.value, e.mismatch_high.value)),
        *(_short(mean.value) for mean in (g.e, g.low, g.high)),
    ]


def caption(found: Sequence[Bounds], dataset: Dataset) -> str:
    """What the columns are, and how they were found."""
    first = found[0]
    lines = [
        f"nats; {first.encoded.n} images of {dataset.name} ({first.split}), {first.generated.n} pairs drawn "
        f"from each model, K = {first.generated.k}, seed {first.seed}",
        "H - D <= I <= R; H is taken as the least R + D here, on average above it: H - D is no sure bound",
        "I low, most: on average below and above I; most is the least of R, the leave-one-out estimate, and",
        f"one by a density fitted to the codes of {first.encoded.n_fitted} images ({first.fitted_on})",
        "KL of the aggregate posterior from m(z), R - I: its least is R - I most",
        "E <= I_d low <= I_d <= G on average, of the model's own pairs (x, z)",
    ]
    if any(one.encoded.saturated for one in found):
        ceiling = first.encoded.ceiling
        lines.append(
            f"* so many images tell no I above log {first.encoded.n} = {ceiling:.2f}: I low is a floor"
        )
    return "\n".join(lines)


def _short(nats: float) -> str:
    """Three digits or so; powers of ten where a density all but vanishes."""
    if abs(nats) >= 1e4:
        return f"{nats:.0e}"
    return f"{nats:z.2f}" if abs(nats) < 10 else f"{nats:.1f}"
