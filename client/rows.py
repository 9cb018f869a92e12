"""Rows that are asked about together: what names their noise, how they are cut, and the requests for them."""

from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client import chunking
from rdserve.client.errors import InputError
from rdserve.client.results import Decoding, Encoding, Reconstruction, Score
from rdserve.v1 import vae_pb2
from rdserve.wire import tensors
from rdserve.wire.batches import input_of
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MAX_SAMPLES

Request = vae_pb2.EncodeRequest | vae_pb2.DecodeRequest | vae_pb2.ReconstructRequest | vae_pb2.ScoreRequest
# A request's fields beside the rows: the model's name, the noise keys of one row.
KEY_BYTES = 1024
T = TypeVar("T", Encoding, Decoding, Reconstruction, Score)


@dataclass(frozen=True)
class RowKeys:
    """What names the noise of n rows: seed and ids (n,), and how many samples each row asks for."""

    n_samples: int
    seed: int
    ids: NDArray[np.uint64]

    @classmethod
    def of(cls, n: int, n_samples: int, seed: int, example_ids: ArrayLike | None) -> Self:
        """Raises InputError unless n and n_samples are >= 1, 0 <= seed < 2**64 and there is an id per row."""
        whole(n, "the number of rows", least=1)
        whole(n_samples, "n_samples", least=1, below=MAX_SAMPLES + 1)
        whole(seed, "seed", below=2**64)
        return cls(n_samples, seed, chunking.example_ids(example_ids, n))

    def noise(self, rows: slice) -> vae_pb2.NoiseKeys:
        """The keys of some of the rows."""
        return vae_pb2.NoiseKeys(seed=self.seed, example_ids=self.ids[rows].tolist())


def whole(value: int, name: str, *, least: int = 0, below: int = 2**63) -> None:
    """Raises InputError unless value is a whole number in least .. below - 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < below:
        raise InputError(f"{name} must be a whole number in {least} .. {below - 1}, got {value!r}")


@dataclass(frozen=True)
class Operation(Generic[T]):
    """A method of the service that answers rows, what it takes and what becomes of its reply."""

    method: str
    request: type[Request]
    kind: type[T]

    def chunk(self, model: str, rows: "Rows", part: slice) -> Request:
        """A request for a part of the rows."""
        keys = rows.keys
        request = self.request(model=model, n_samples=keys.n_samples, noise=keys.noise(part))
        into = input_of(request)
        assert into is not None
        tensors.fill(into, rows.array[part])
        return request


ENCODE = Operation("Encode", vae_pb2.EncodeRequest, Encoding)
DECODE = Operation("Decode", vae_pb2.DecodeRequest, Decoding)
RECONSTRUCT = Operation("Reconstruct", vae_pb2.ReconstructRequest, Reconstruction)
SCORE = Operation("Score", vae_pb2.ScoreRequest, Score)


@dataclass(frozen=True)
class Rows:
    """Rows (N, ...) that are asked about together, and the keys of their noise."""

    array: tensors.Array
    keys: RowKeys

    @classmethod
    def of(cls, array: tensors.Array, n_samples: int, seed: int, example_ids: ArrayLike | None) -> Self:
        """Raises InputError as `RowKeys.of`."""
        return cls(array, RowKeys.of(len(array), n_samples, seed, example_ids))

    def per_chunk(self, operation: Operation[T]) -> int:
        """How many of such rows one request may hold. Raises InputError where a message cannot hold one."""
        row = tensors.byte_count(tensors.dtype_of(self.array), (1, *self.array.shape[1:])) + KEY_BYTES
        if row > MAX_MESSAGE_BYTES:
            shape = self.array.shape[1:]
            raise InputError(
                f"one row of shape {shape} takes {row} bytes, a message at most {MAX_MESSAGE_BYTES}"
            )
        return chunking.rows_per_chunk(_row_bytes(self.array, operation.kind, self.keys), self.keys.n_samples)


def _row_bytes(rows: tensors.Array, kind: type[T], keys: RowKeys) -> int:
    """Bytes of one row's request or reply, whichever is larger."""
    sent = int(rows[:1].nbytes)
    if kind is Score:
        return sent
    if kind is Reconstruction:
        return max(sent, keys.n_samples * int(rows[0].size) + chunking.LATENT_BYTES)
    per_sample = chunking.LATENT_BYTES if kind is Encoding else chunking.IMAGE_BYTES
    return max(sent, keys.n_samples * per_sample)
