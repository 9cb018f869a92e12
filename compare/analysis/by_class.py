"""Where a model is better and where it is not: differences within each class of the images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from rdserve.compare.analysis.levels import has_classes, level_of_classes
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics.groups import independent
from rdserve.compare.statistics.multiplicity import holm
from rdserve.compare.statistics.paired import Difference, Float64, per_class, weighted


@dataclass(frozen=True)
class Classes:
    """D + beta R of each other model minus the reference's, within each of C classes.

    labels, sizes: (C,) the classes in order, and how many images each has; independent: how many independent
    ones these are worth, where images come in groups.
    costs: (C,) mean D + beta R of the reference. differences: by model, (C,).
    adjusted: their p-values, by Holm over all models and classes. level: of all that is called sure together.
    """

    reference: str
    labels: tuple[int, ...]
    sizes: tuple[int, ...]
    independent: tuple[float, ...]
    costs: tuple[float, ...]
    differences: Mapping[str, tuple[Difference, ...]]
    adjusted: Mapping[str, tuple[float, ...]]
    level: float

    def signs(self, name: str) -> list[int]:
        """(C,): -1 where the model is surely lower than the reference, +1 where surely higher, else 0."""
        return [
            int(np.sign(one.mean)) if p < 1 - self.level else 0
            for one, p in zip(self.differences[name], self.adjusted[name], strict=True)
        ]

    def largest(self, most: int) -> "Classes":
        """The classes with the most images, in order."""
        if len(self.labels) <= most:
            return self
        at = sorted(np.argsort(self.sizes, kind="stable")[::-1][:most].tolist())
        return replace(
            self,
            labels=tuple(self.labels[i] for i in at),
            sizes=tuple(self.sizes[i] for i in at),
            independent=tuple(self.independent[i] for i in at),
            costs=tuple(self.costs[i] for i in at),
            differences={name: tuple(of[i] for i in at) for name, of in self.differences.items()},
            adjusted={name: tuple(of[i] for i in at) for name, of in self.adjusted.items()},
        )


def by_class(scored: ScoreSet, reference: str) -> Classes | None:
    """Every other model against the reference; None without two models, or without two classes."""
    labels, others = scored.labels, [name for name in scored.names if name != reference]
    if labels is None or not has_classes(scored):
        return None
    classes, sizes = np.unique(labels, return_counts=True)
    base = weighted(scored.score(reference), scored.beta)
    differences = {name: _within(scored, name, base) for name in others}
    p_values = np.array([[one.p_value for one in of] for of in differences.values()])
    adjusted = holm(p_values.ravel()).reshape(p_values.shape)
    return Classes(
        reference=reference,
        labels=tuple(classes.tolist()),
        sizes=tuple(sizes.tolist()),
        independent=tuple(
            independent(size, None if scored.group_ids is None else scored.group_ids[labels == label])
            for label, size in zip(classes, sizes.tolist(), strict=True)
        ),
        costs=tuple(float(base[labels == label].mean()) for label in classes),
        differences=differences,
        adjusted={name: tuple(row.tolist()) for name, row in zip(others, adjusted, strict=True)},
        level=level_of_classes(scored),
    )


def _within(scored: ScoreSet, name: str, base: Float64) -> tuple[Difference, ...]:
    assert scored.labels is not None
    costs, level = weighted(scored.score(name), scored.beta), scored.level
    found = per_class(costs, base, scored.labels, level=level, method=scored.method, groups=scored.group_ids)
    return tuple(found.values())
