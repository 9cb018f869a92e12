"""Pictures of a comparison that nobody scored."""

import numpy as np
from rdserve.client.results import Reconstruction, Sample
from rdserve.compare.comparison import Comparison
from rdserve.compare.scoring.pictures import Pictures, most_different, representatives


def pictures_of(comparison: Comparison, *, side: int = 8) -> Pictures:
    """Random dots: four representatives and up to eight that differ, five draws of each, six samples."""
    rng = np.random.default_rng(0)
    few = representatives(comparison.labels, comparison.n)
    rows = np.concatenate([few, most_different(comparison)])

    def dots(n: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        return np.zeros((n, 4), np.float32), rng.integers(0, 2, (n, 5, side, side), dtype=np.uint8)

    return Pictures(
        rows=rows,
        n_representative=len(few),
        images=rng.integers(0, 2, (len(rows), side, side)).astype(bool),
        reconstructions={name: Reconstruction(*dots(len(rows))) for name in comparison.names},
        samples={name: Sample(*dots(6)) for name in comparison.names},
    )
