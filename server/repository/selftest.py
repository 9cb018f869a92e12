"""What a model must reproduce before it serves: scores that packaging took down, and its card's numbers.

An archive carries a few images and the rate and distortion that the model gave them where it was packaged.
Noise is keyed, so whoever runs the model gets the same numbers.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rdserve.data import SPLITS, Dataset, load
from rdserve.models.card import Card, OnnxCard
from rdserve.models.examples import read_examples
from rdserve.models.execution import Precision
from rdserve.models.input_values import Array, random_values
from rdserve.v1.vae_pb2 import (
    DTYPE_FLOAT32,
    DTYPE_INT32,
    DTYPE_PACKED_BITS,
    DTYPE_UINT8,
    DTYPE_UINT16,
    DType,
    NoiseKeys,
    ScoreRequest,
    ScoreResponse,
    Tensor,
)
from rdserve.wire import tensors

SELFTEST_FILE = "selftest.json"
EMBEDDED = "digits"
MAX_ROWS = 48
# Of the rows, unless four are more.
MAX_BYTES = 2**17
PROBE_ROWS = 4
MAX_SAMPLES = 4096
# Of another build of torch, another batch size, a GPU; a wrong weight or a wrong key gives far more.
TOLERANCE = 1e-3
# Nats by which single images move; their mean moves by hundredths (docs/operations.md).
TOLERANCES: dict[Precision, float] = {"float32": TOLERANCE, "tf32": 0.05, "bfloat16": 0.5}
# The questions are fixed: a sound model is as far off at every start, and those of the zoo stay below 2.
MAX_Z = 5.0


RowType = Literal["bits", "uint8", "uint16", "int32", "float32"]
ROW_TYPES: dict[RowType, DType.ValueType] = {
    "bits": DTYPE_PACKED_BITS,
    "uint8": DTYPE_UINT8,
    "uint16": DTYPE_UINT16,
    "int32": DTYPE_INT32,
    "float32": DTYPE_FLOAT32,
}


class SelfTestError(Exception):
    """The model answered, and not as it should; the message quotes both numbers."""


class SelfTest(BaseModel):
    """Questions with their answers, one row per image.

    rows: hex of each x, in C order; of bits, eight to a byte.
    dtype: of the rows.
    weights: of each image in the means; empty: all alike.
    rate_nats, distortion_nats: what the model gave when it was packaged.
    of_reference: the images are a part of the split that the card's reference was measured on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Field(ge=0, lt=2**64)]
    n_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
    rows: Annotated[list[str], Field(min_length=1, max_length=MAX_ROWS)]
    dtype: RowType = "bits"
    example_ids: list[Annotated[int, Field(ge=0, lt=2**64)]]
    weights: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = []
    rate_nats: list[Annotated[float, Field(allow_inf_nan=False)]] = []
    distortion_nats: list[Annotated[float, Field(allow_inf_nan=False)]] = []
    of_reference: bool = False

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        for name in ("example_ids", "weights", "rate_nats", "distortion_nats"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.rows):
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {len(self.rows)} rows")
        return self

    @property
    def probe(self) -> "SelfTest":
        """A few of the questions, without answers: whether the model gives any, in little time."""
        ids, rows = self.example_ids[:PROBE_ROWS], self.rows[:PROBE_ROWS]
        return SelfTest(seed=self.seed, n_samples=1, rows=rows, dtype=self.dtype, example_ids=ids)

    def request(self, card: Card) -> ScoreRequest:
        """The questions as a request."""
        images = Tensor(
            dtype=ROW_TYPES[self.dtype],
            shape=[len(self.rows), *card.input.shape],
            data=b"".join(map(bytes.fromhex, self.rows)),
        )
        noise = NoiseKeys(seed=self.seed, example_ids=self.example_ids)
        return ScoreRequest(model=card.name, images=images, noise=noise, n_samples=self.n_samples)

    def answered(self, card: Card, response: ScoreResponse) -> "SelfTest":
        """With the answers that a model gives now.

        Raises:
            SelfTestError: they are no scores, or not those that the card states.
        """
        rate, distortion = list(response.rate_nats), list(response.distortion_nats)
        _check_finite(card, rate, distortion, len(self.rows))
        done = self.model_copy(update={"rate_nats": rate, "distortion_nats": distortion})
        done._check_reference(card)
        return done

    def check(self, card: Card, response: ScoreResponse, precision: Precision = "float32") -> None:
        """Compare a model's answers, given at this precision, with those written here, given in float32.

        Raises:
            SelfTestError: they differ, are no scores, or are not those that the card states.
        """
        now = self.answered(card, response)
        most = TOLERANCES[precision]
        for name in ("rate_nats", "distortion_nats"):
            for row, (then, here) in enumerate(zip(getattr(self, name), getattr(now, name), strict=True)):
                if not math.isclose(then, here, rel_tol=min(most, 0.02), abs_tol=most):
                    raise SelfTestError(
                        f"model {card.name!r} gives image {self.example_ids[row]} {name} {here:.6g}, "
                        f"and gave {then:.6g} when it was packaged"
                    )

    def _check_reference(self, card: Card) -> None:
        if not self.of_reference:
            return
        for name in ("rate", "distortion"):
            compared = _compare(card, name, getattr(self, f"{name}_nats"), self.weights)
            if abs(compared.z) > MAX_Z:
                raise SelfTestError(
                    f"model {card.name!r} has a mean {name} of {compared.here:.4g} nats over "
                    f"{len(self.rows)} images of the {card.reference.split} split, its card states "
                    f"{compared.stated:.4g}: {abs(compared.z):.1f} standard errors apart, "
                    f"at most {MAX_Z:g} are chance"
                )


def questions(card: Card, folder: Path) -> SelfTest:
    """A self-test without answers: x of the card's own data where they are at hand, else random ones.

    Raises:
        CardError: examples beside the card that are not what it says.
    """
    if isinstance(card, OnnxCard):
        return _of_reference(card, *read_examples(card, folder))
    if card.input.kind == "one_hot":
        return _every_bin(card)
    data = _own_data(card)
    if data is None:
        images = random_values(card.input, 8)
        return SelfTest(seed=0, n_samples=1, example_ids=list(range(len(images))), **_rows(images))
    return _of_reference(card, data.images, np.arange(len(data.images)))


def _of_reference(card: Card, x: Array, ids: Array) -> SelfTest:
    """Some of these, which are of the split that the card's numbers are of, under the card's noise."""
    reference = card.reference
    n = min(MAX_ROWS, len(x), max(4, MAX_SAMPLES // reference.n_samples), max(4, MAX_BYTES // x[0].nbytes))
    at = np.linspace(0, len(x) - 1, n).astype(int)
    return SelfTest(
        seed=reference.seed,
        n_samples=min(reference.n_samples, MAX_SAMPLES),
        example_ids=ids[at].tolist(),
        of_reference=True,
        **_rows(x[at]),
    )


def _every_bin(card: Card) -> SelfTest:
    """All images there are, weighted as the toy's data are: of those, the card's numbers are exact sums."""
    from rdserve.models.toy.laws import SHA256, N, toy_source

    n = card.input.shape[1]
    known = card.data.sha256 == SHA256 and n == N
    rows = np.eye(n, dtype=bool)[:MAX_ROWS]
    return SelfTest(
        seed=0,
        n_samples=1,
        example_ids=list(range(len(rows))),
        **_rows(rows),
        weights=toy_source().p.tolist() if known else [],
        of_reference=known,
    )


def parse_selftest(text: bytes, card: Card) -> SelfTest:
    """The self-test in an archive.

    Raises:
        ValueError: it is none, has no answers, or its images are not the model's.
    """
    try:
        found = SelfTest.model_validate_json(text)
    except ValidationError as error:
        raise ValueError("; ".join(f"{each['loc']}: {each['msg']}" for each in error.errors())) from None
    if not found.rate_nats or not found.distortion_nats or not found.example_ids:
        raise ValueError("it holds no answers")
    try:
        tensors.to_array(found.request(card).images)
    except ValueError as error:
        raise ValueError(f"its images are not those of {card.name}: {error}") from None
    return found


def _own_data(card: Card) -> Dataset | None:
    if card.data.name != EMBEDDED or card.reference.split not in SPLITS:
        return None
    data = load(EMBEDDED, split=card.reference.split)
    same = data.sha256 == card.data.sha256 and data.images.shape[1:] == card.input.shape
    return data if same and len(data.images) == card.reference.n_examples else None


def _rows(x: Array) -> dict[str, Any]:
    flat = x.reshape(len(x), -1)
    if flat.dtype == np.bool_:
        return {"rows": [row.tobytes().hex() for row in np.packbits(flat.astype(bool), axis=1)]}
    return {"rows": [row.tobytes().hex() for row in flat], "dtype": flat.dtype.name}


def _check_finite(card: Card, rate: list[float], distortion: list[float], n: int) -> None:
    for name, values in (("rates", rate), ("distortions", distortion)):
        if len(values) != n:
            raise SelfTestError(f"model {card.name!r} returned {len(values)} {name} for {n} images")
        if not all(map(math.isfinite, values)):
            raise SelfTestError(f"model {card.name!r} returned {name} that are not finite: {values[:4]} ...")


class _Compared(NamedTuple):
    here: float
    stated: float
    z: float


def _compare(card: Card, name: str, values: list[float], weights: list[float]) -> _Compared:
    """A mean over a part of a split with the card's mean over the whole of it.

    The error of a part of n out of N, drawn without replacement: s / sqrt(n) * sqrt(1 - n / N).
    """
    reference, n = card.reference, len(values)
    here, stated = float(np.average(values, weights=weights or None)), getattr(reference, f"{name}_nats")
    of_card = getattr(reference, f"{name}_standard_error_nats") * math.sqrt(reference.n_examples)
    spread = max(of_card, float(np.std(values, ddof=1)) if n > 1 else 0.0)
    error = spread * math.sqrt(max(0.0, 1 / n - 1 / reference.n_examples)) + TOLERANCE
    return _Compared(here, stated, (here - stated) / error)
