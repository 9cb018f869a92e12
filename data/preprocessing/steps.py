"""The steps: each a small value with one effect on x (N, ...), in the dtype of its kind before and after.

Arithmetic is in float64 and rounded once to float32, so that all who apply a step get the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdserve.data.errors import DataError
from rdserve.data.kinds import Array, described, kind_of
from rdserve.data.philox import DataPurpose, uniform

Ids = NDArray[np.uint64]
Numbers = float | tuple[float, ...]
# Values at a time: what is in float64 then is small beside the data.
_AT_ONCE = 2**18


class Prepared(NamedTuple):
    """x (N, ...) on its way. ids: (N,) example ids. levels: how many, where it is known."""

    x: Array
    ids: Ids
    columns: tuple[str, ...] = ()
    levels: int | None = None


@dataclass(frozen=True)
class Threshold:
    """x >= t: binary."""

    t: float
    op: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        _keep(self, t=_number(self.t, "threshold", "t"))

    def __call__(self, given: Prepared) -> Prepared:
        if kind_of(given.x) == "binary":
            raise DataError(f"threshold={self.t:g} of {described(given.x)}: they are binary already")
        return given._replace(x=given.x >= self.t, levels=None)


@dataclass(frozen=True)
class BernoulliStatic:
    """1 with probability x, drawn once for (seed, example id, position): binary."""

    seed: int
    op: ClassVar[str] = "bernoulli_static"

    def __post_init__(self) -> None:
        _keep(self, seed=_seed(self.seed, "bernoulli_static"))

    def __call__(self, given: Prepared) -> Prepared:
        low, high = given.x.min(), given.x.max()
        if kind_of(given.x) != "real" or low < 0 or high > 1:
            raise DataError(
                f"bernoulli_static draws from probabilities from 0 to 1, but {described(given.x)} lie from "
                f"{low:g} to {high:g}; put a scale before it, as scale=1/255"
            )
        purpose = DataPurpose.BERNOULLI_STATIC
        drawn = _by_rows(given, np.bool_, lambda x, ids: _uniform(self.seed, ids, x, purpose) < x)
        return given._replace(x=drawn)


@dataclass(frozen=True)
class DequantizeUniform:
    """x + u, u uniform on [0, 1), drawn once for (seed, example id, position): real.

    A density of it bounds the probability of x (Theis et al., 2016, section 3.1).
    """

    seed: int
    op: ClassVar[str] = "dequantize_uniform"

    def __post_init__(self) -> None:
        _keep(self, seed=_seed(self.seed, "dequantize_uniform"))

    def __call__(self, given: Prepared) -> Prepared:
        if kind_of(given.x) not in ("levels", "counts"):
            raise DataError(f"dequantize_uniform is of levels or counts, got {described(given.x)}")
        return given._replace(x=_by_rows(given, np.float32, self._noisy), levels=None)

    def _noisy(self, x: Array, ids: Ids) -> Array:
        noisy = (x + _uniform(self.seed, ids, x, DataPurpose.DEQUANTIZE_UNIFORM)).astype(np.float32)
        # Rounding to float32 may reach x + 1, which belongs to the next level.
        below = np.nextafter((x + 1).astype(np.float32), np.float32(0))
        return np.minimum(noisy, below) if int(x.max()) < 2**23 else noisy


@dataclass(frozen=True)
class Scale:
    """x times `by`: real."""

    by: float
    op: ClassVar[str] = "scale"

    def __post_init__(self) -> None:
        _keep(self, by=_number(self.by, "scale", "by"))
        if not self.by:
            raise DataError("scale by 0 leaves nothing of x")

    def __call__(self, given: Prepared) -> Prepared:
        return given._replace(
            x=_by_rows(given, np.float32, lambda x, _: x * np.float64(self.by)), levels=None
        )


@dataclass(frozen=True)
class Standardize:
    """(x - mean) / std: real. Numbers for all, or one for each entry of x's first axis: column or channel.

    Without numbers they are those of the training split, which `rdserve.data.preprocessing.resolved` puts in.
    """

    mean: Numbers | None = None
    std: Numbers | None = None
    op: ClassVar[str] = "standardize"

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise DataError(f"standardize takes mean and std, or neither; got {self.mean} and {self.std}")
        if self.mean is None or self.std is None:
            return
        _keep(self, mean=_numbers(self.mean, "mean"), std=_numbers(self.std, "std"))
        if np.shape(self.mean) != np.shape(self.std):
            raise DataError(f"standardize takes a std for each mean, got {self.mean} and {self.std}")
        if np.min(self.std) <= 0:
            raise DataError(f"standardize divides by std, which is above 0, got {self.std}")

    @classmethod
    def of(cls, train: Prepared) -> "Standardize":
        """Of a table each column's, of channels first (C, H, W) each channel's, else one number.

        Raises:
            DataError: something that does not vary.
        """
        x = train.x
        each = x.ndim == 2 or x.ndim > 3
        axes = (0, *range(2, x.ndim)) if each else tuple(range(x.ndim))
        mean = np.asarray(np.mean(x, axes, np.float64))
        std = np.asarray(np.std(x, axes, np.float64))
        if not np.min(std) > 0:
            place = int(np.argmin(std))
            name = repr(train.columns[place]) if train.columns else f"{place}" if each else "x"
            raise DataError(
                f"standardize: {name} does not vary in the training split; choose columns=... first"
            )
        return cls(tuple(mean.tolist()), tuple(std.tolist())) if each else cls(float(mean), float(std))

    def __call__(self, given: Prepared) -> Prepared:
        if self.mean is None or self.std is None:
            raise DataError("standardize needs the training split's mean and std: standardize=MEAN,STD")
        n, entries = np.size(self.mean), given.x.shape[1]
        if isinstance(self.mean, tuple) and n != entries:
            raise DataError(
                f"standardize has {n} means, x of shape {given.x.shape[1:]} has {entries} entries"
            )
        shape = (-1,) + (1,) * (given.x.ndim - 2) if isinstance(self.mean, tuple) else ()
        mean = np.asarray(self.mean, np.float64).reshape(shape)
        std = np.asarray(self.std, np.float64).reshape(shape)
        return given._replace(x=_by_rows(given, np.float32, lambda x, _: (x - mean) / std), levels=None)


@dataclass(frozen=True)
class Columns:
    """Columns of a table by name, in this order; of a table without names, by number from 0."""

    names: tuple[str, ...]
    op: ClassVar[str] = "columns"

    def __post_init__(self) -> None:
        names = self.names
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise DataError(f"columns takes names, got {names!r}")
        if not names or len(set(names)) < len(names):
            raise DataError(f"columns takes each name once, got {', '.join(names) or 'none'}")
        _keep(self, names=tuple(names))

    def __call__(self, given: Prepared) -> Prepared:
        if given.x.ndim != 2:
            raise DataError(f"columns are of a table (N, columns), got {described(given.x)}")
        known = given.columns or tuple(map(str, range(given.x.shape[1])))
        if unknown := [name for name in self.names if name not in known]:
            shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
            raise DataError(f"no column {', '.join(map(repr, unknown))}; there are {shown}")
        places = [known.index(name) for name in self.names]
        return given._replace(x=np.ascontiguousarray(given.x[:, places]), columns=self.names)


@dataclass(frozen=True)
class Levels:
    """Says that x are whole numbers 0, ..., n - 1, and checks it: levels."""

    n: int
    op: ClassVar[str] = "levels"

    def __post_init__(self) -> None:
        if not _is_whole(self.n) or not 2 <= self.n <= 2**16:
            raise DataError(f"levels takes n, a whole number from 2 to 65536, got {self.n!r}")
        _keep(self, n=int(self.n))

    def __call__(self, given: Prepared) -> Prepared:
        x = given.x
        dtype = np.dtype(np.uint8 if self.n <= 2**8 else np.uint16)
        wrong = (x < 0) | (x >= self.n)
        if x.dtype.kind == "f":
            wrong |= x != np.floor(x)
        if wrong.any():
            place = tuple(map(int, np.argwhere(wrong)[0]))
            raise DataError(
                f"levels={self.n} are the whole numbers 0 to {self.n - 1}, but x at {place} is {x[place]}"
            )
        return given._replace(x=x.astype(dtype, copy=False), levels=self.n)


Step = Threshold | BernoulliStatic | DequantizeUniform | Scale | Standardize | Columns | Levels
STEPS: dict[str, type[Step]] = {
    each.op: each
    for each in (Threshold, BernoulliStatic, DequantizeUniform, Scale, Standardize, Columns, Levels)
}


def _by_rows(given: Prepared, dtype: type[np.generic], change: Callable[[Array, Ids], Array]) -> Array:
    """The change of some rows at a time, in an array of that dtype."""
    x, ids = given.x, given.ids
    out: Array = np.empty(x.shape, dtype)
    step = max(1, _AT_ONCE // max(1, x[0].size if len(x) else 1))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        out[rows] = change(x[rows], ids[rows])
    return out


def _uniform(seed: int, ids: Ids, x: Array, purpose: DataPurpose) -> Array:
    found: Array = uniform(seed, ids, purpose=purpose, n_samples=1, size=x[0].size)
    return found.reshape(x.shape)


def _keep(step: object, **fields: object) -> None:
    """A frozen value's fields, once, as it is made: in the types that its JSON has."""
    for name, value in fields.items():
        object.__setattr__(step, name, value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _number(value: object, op: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise DataError(f"{op} takes {name}, a finite number, got {value!r}")
    return float(value)


def _numbers(value: object, name: str) -> Numbers:
    if isinstance(value, list | tuple):
        if not value:
            raise DataError(f"standardize takes at least one {name}")
        return tuple(_number(each, "standardize", name) for each in value)
    return _number(value, "standardize", name)


def _seed(value: object, op: str) -> int:
    if not _is_whole(value) or not 0 <= int(value) < 2**64:  # type: ignore[call-overload]
        raise DataError(f"{op} takes seed, a whole number from 0 to 2**64 - 1, got {value!r}")
    return int(value)  # type: ignore[call-overload,no-any-return]
