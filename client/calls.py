"""One array in, one result out, whatever number of calls lies between."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self, TypeVar

import grpc
import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client import chunking, results, unreachable
from rdserve.client.attempts import Attempted, Lifetime
from rdserve.client.errors import InputError, ServiceError
from rdserve.client.results import Decoding, Encoding, Reconstruction, Score
from rdserve.v1 import vae_pb2
from rdserve.wire import tensors
from rdserve.wire.batches import slices
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MAX_SAMPLES

Ids = NDArray[np.integer[Any]]
Progress = Callable[[int], None]
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
        return vae_pb2.NoiseKeys(seed=self.seed, example_ids=self.ids[rows])


def whole(value: int, name: str, *, least: int = 0, below: int = 2**63) -> None:
    """Raises InputError unless value is a whole number in least .. below - 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < below:
        raise InputError(f"{name} must be a whole number in {least} .. {below - 1}, got {value!r}")


@dataclass(frozen=True)
class Caller:
    """How calls are made.

    channel: what they go over. lifetime: of the client that they are made for.
    timeout: seconds that each may take, all its attempts together.
    in_flight: how many are sent ahead of the one awaited.
    metadata: what each carries; not shown, for it holds the token.
    """

    channel: grpc.Channel
    lifetime: Lifetime
    timeout: float
    in_flight: int
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def deadline(self) -> float:
        """Of a call that begins now, on the monotonic clock."""
        return monotonic() + self.timeout

    def one(self, method: Any, request: object) -> Any:
        """A single call's reply. Raises ServiceError."""
        return self._start(method, request).result()

    def rows(
        self,
        method: Any,
        request: Request,
        rows: tensors.Array,
        keys: RowKeys,
        kind: type[T],
        on_progress: Progress | None,
    ) -> T:
        """Send rows (N, ...) through `method` in chunks that otherwise equal `request`, join the replies.

        Raises:
            InputError: one row alone is larger than a message.
            ServiceError: the first chunk that failed; the rest are cancelled.
            ReplyError: a reply with too few rows.
        """

        def send(part: slice) -> Callable[[], chunking.Pending[Any]]:
            return lambda: self._start(method, _chunk(request, rows[part], keys, part))

        _check_row(rows)
        size = chunking.rows_per_chunk(_row_bytes(rows, kind, keys), keys.n_samples)
        parts = list(slices(len(rows), size))
        done: list[T] = []
        with closing(chunking.in_order(map(send, parts), self.in_flight)) as replies:
            for part, reply in zip(parts, replies, strict=True):
                done.append(results.from_reply(kind, reply, part.stop - part.start))
                if on_progress:
                    on_progress(part.stop - part.start)
        return results.concatenate(done)

    def _start(self, method: Any, request: object) -> Attempted:
        return self.begin(method.future, request, self.deadline())

    def begin(self, method: Any, request: object, until: float) -> Attempted:
        """A call of one reply (`method.future`) or of many (`method`), with a deadline as of `deadline`."""

        def begin(left: float) -> Any:
            return method(request, timeout=left, metadata=self.metadata)

        return Attempted(begin, until, self.lifetime, self._typed)

    def _typed(self, error: grpc.RpcError) -> ServiceError:
        return unreachable.typed(error, self.lifetime.address, self.channel, self.timeout)


def _chunk(request: Request, rows: tensors.Array, keys: RowKeys, part: slice) -> Request:
    """A request like `request` for these rows."""
    chunk = type(request)(model=request.model, n_samples=keys.n_samples, noise=keys.noise(part))
    into = chunk.latents if isinstance(chunk, vae_pb2.DecodeRequest) else chunk.images
    into.CopyFrom(tensors.to_message(rows))
    return chunk


def _check_row(rows: tensors.Array) -> None:
    """Chunks are cut to fit; a row cannot be."""
    size = tensors.to_message(rows[:1]).ByteSize() + KEY_BYTES
    if size > MAX_MESSAGE_BYTES:
        raise InputError(
            f"one row of shape {rows.shape[1:]} takes {size} bytes, a message at most {MAX_MESSAGE_BYTES}"
        )


def _row_bytes(rows: tensors.Array, kind: type[T], keys: RowKeys) -> int:
    """Bytes of one row's request or reply, whichever is larger."""
    sent = int(rows[:1].nbytes)
    if kind is Score:
        return sent
    if kind is Reconstruction:
        return max(sent, keys.n_samples * int(rows[0].size) + chunking.LATENT_BYTES)
    per_sample = chunking.LATENT_BYTES if kind is Encoding else chunking.IMAGE_BYTES
    return max(sent, keys.n_samples * per_sample)
