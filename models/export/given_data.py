"""The examples that are exported with: what they are, and which data they are of."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rdserve.data import Dataset, canonical_sha256
from rdserve.data.preprocessing import NONE, to_json
from rdserve.models.card_parts import TrainingData
from rdserve.models.export.to_graph import ExportError
from rdserve.models.input_values import Array
from torch import Tensor


@dataclass(frozen=True)
class GivenData:
    """values: (N, *x). binarisation, preprocessing: as the card states them."""

    values: Array
    split: str
    data: TrainingData
    binarisation: str = ""
    preprocessing: tuple[dict[str, Any], ...] = ()


def given_data(x: object, data: TrainingData | None, split: str) -> GivenData:
    """Of a data set's split, all that it says of itself; of bare values, their hash if `data` is None.

    Raises:
        ExportError: no two examples.
    """
    if not isinstance(x, Dataset):
        values = _values(x)
        return GivenData(
            values, split, data or TrainingData(name="own", sha256=canonical_sha256({split: values}))
        )
    # Binary images say how they became it, as those of our trainer do; other kinds list their steps.
    binary = x.kind == "binary"
    told = "" if x.binarisation == NONE and not binary else x.binarisation
    return GivenData(
        values=_values(x.x.astype(np.float32) if binary else x.x),
        split=x.split,
        data=data or TrainingData(name=x.name, sha256=x.sha256),
        binarisation=told,
        preprocessing=() if binary else tuple(to_json(x.preprocessing)),
    )


def _values(x: object) -> Array:
    """As the service takes them."""
    values = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    if values.ndim < 2 or len(values) < 2:
        raise ExportError(f"x is (N, ...) with two examples or more, got shape {values.shape}")
    return np.ascontiguousarray(values)
