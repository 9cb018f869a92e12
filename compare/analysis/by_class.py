"""Where a model is better and where it is not: differences within each class of the images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from rdserve.compare.analysis.levels import has_classes, level_of_classes
from rdserve.compare.render.formatting import listed, nats
from rdserve.compare.scores import Comparison
from rdserve.compare.statistics.multiplicity import holm
from rdserve.compare.statistics.paired import Difference, Float64, per_class, weighted


@dataclass(frozen=True)
class Classes:
    """D + beta R of each other model minus the reference's, within each of C classes.

    labels, sizes: (C,) the classes in order, and how many images each has.
    costs: (C,) mean D + beta R of the reference. differences: by model, (C,).
    adjusted: their p-values, by Holm over all models and classes. level: of all that is called sure together.
    """

    reference: str
    labels: tuple[int, ...]
    sizes: tuple[int, ...]
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
            costs=tuple(self.costs[i] for i in at),
            differences={name: tuple(of[i] for i in at) for name, of in self.differences.items()},
            adjusted={name: tuple(of[i] for i in at) for name, of in self.adjusted.items()},
        )


def by_class(comparison: Comparison, reference: str) -> Classes | None:
    """Every other model against the reference; None without two models, or without two classes."""
    labels, others = comparison.labels, [name for name in comparison.names if name != reference]
    if labels is None or not has_classes(comparison):
        return None
    classes, sizes = np.unique(labels, return_counts=True)
    base = weighted(comparison.score(reference), comparison.beta)
    differences = {name: _within(comparison, name, base) for name in others}
    p_values = np.array([[one.p_value for one in of] for of in differences.values()])
    adjusted = holm(p_values.ravel()).reshape(p_values.shape)
    return Classes(
        reference=reference,
        labels=tuple(classes.tolist()),
        sizes=tuple(sizes.tolist()),
        costs=tuple(float(base[labels == label].mean()) for label in classes),
        differences=differences,
        adjusted={name: tuple(row.tolist()) for name, row in zip(others, adjusted, strict=True)},
        level=level_of_classes(comparison),
    )


def _within(comparison: Comparison, name: str, base: Float64) -> tuple[Difference, ...]:
    assert comparison.labels is not None
    costs, level = weighted(comparison.score(name), comparison.beta), comparison.level
    found = per_class(costs, base, comparison.labels, level=level, method=comparison.method)
    return tuple(one for one, _ in found.values())


def in_words(found: Classes) -> str:
    """One sentence: of two models, how many classes agree; of more, who beats the reference where."""
    if len(found.differences) > 1:
        return _exceptions(found)
    ((name, differences),) = found.differences.items()
    signs = found.signs(name)
    for_it, against = signs.count(1), [i for i, sign in enumerate(signs) if sign < 0]
    if not for_it and not against:
        return f"None of the {len(signs)} classes tells them apart by itself."
    worse = [f"class {found.labels[i]} ({nats(-differences[i].mean)} nats)" for i in against]
    rest = f", and surely higher on {listed(worse)}" if worse else ""
    return f"Class by class, {found.reference} is surely lower on {for_it} of {len(signs)}{rest}."


def _exceptions(found: Classes) -> str:
    better = {
        name: [str(found.labels[i]) for i, sign in enumerate(found.signs(name)) if sign < 0]
        for name in found.differences
    }
    where = [
        f"{name} on class{'es' if len(of) > 1 else ''} {listed(of)}"
        for name, of in sorted(better.items(), key=lambda one: -len(one[1]))
        if of
    ]
    if not where:
        return f"In none of the {len(found.labels)} classes is another surely lower than {found.reference}."
    return f"Surely lower than {found.reference} within a class: {listed(where)}."
