"""docs/objectives.md: which objective reaches which rate, and what its codes are like."""

from collections.abc import Iterator, Sequence

from rdserve.study.objectives import ObjectiveRow
from rdserve.study.replicates import LEVEL, SeedMean

ABOUT = """\
Means over seeds, each with half of its {level:.0%} interval (Student's, over seeds). D above the curve: the
distortion less that of beta-VAEs of the same family and seed, not annealed, at the same rate; their curve is
the lower hull of their points. Sparse codes are held against dense ones with the same decoder. An interval
below 0 is better than any beta, one above 0 worse. Not 0: latents of an image that are not exactly 0. Active
units: those whose posterior mean varies by more than 0.01 over images. Probe: the share of images whose class
a logistic regression tells, trained on one code of each training image."""


def render(rows: Sequence[ObjectiveRow], *, title: str, command: str, figure: str) -> str:
    """The page. figure: name of the picture's file beside it."""
    lines = [
        "# Objectives at equal rate",
        "",
        "Made by",
        "",
        f"    {command}",
        "",
        f"from {title}. Nats per image.",
    ]
    lines += ["", ABOUT.format(level=LEVEL), "", f"![Objectives in the rate-distortion plane]({figure})"]
    for family in dict.fromkeys(row.family for row in rows):
        lines += ["", f"## `{family}`", "", *_table([row for row in rows if row.family == family])]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[ObjectiveRow]) -> Iterator[str]:
    yield "| objective | tuple | runs | R | D | D above the curve | not 0 | active units | probe |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        above = "on it" if row.on_curve else _words(row.above_curve)
        cells = [
            row.words,
            f"`{row.runs.first.family}`",
            str(len(row.runs.runs)),
            row.rate.words,
            row.distortion.words,
        ]
        cells += [above, *map(_words, (row.nonzero, row.active_units, row.probe_accuracy))]
        yield f"| {' | '.join(cells)} |"


def _words(mean: SeedMean | None) -> str:
    return mean.words if mean else "–"
