"""Every call of the service, written once: `AsyncClient` is this, `Client` runs it without an event loop."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from rdserve.client import chunking, results
from rdserve.client.attempts import Lifetime
from rdserve.client.calls import Caller, Ids, Progress
from rdserve.client.coalescing import Coalescer
from rdserve.client.compare_stream import CompareCall
from rdserve.client.errors import ReplyError, Unavailable
from rdserve.client.health import wait_until_serving
from rdserve.client.inputs import as_examples, as_latents
from rdserve.client.results import Decoding, Encoding, ModelInfo, Reconstruction, Sample, Score
from rdserve.client.rows import DECODE, ENCODE, RECONSTRUCT, SCORE, RowKeys, Rows, whole
from rdserve.client.transport import Transport
from rdserve.v1 import vae_pb2
from rdserve.wire.batches import slices
from rdserve.wire.service import SERVICE

TIMEOUT_SECONDS = 300.0
T = TypeVar("T")


class BaseClient:
    """Calls over a transport.

    address: as messages of errors name it. timeout, in_flight, metadata: as in `Caller`. coalesce: whether
    small calls are merged.
    """

    def __init__(
        self,
        transport: Transport,
        address: str,
        *,
        timeout: float,
        in_flight: int,
        metadata: tuple[tuple[str, str], ...],
        coalesce: bool,
    ) -> None:
        self._transport = transport
        self._lifetime = Lifetime(address, transport)
        coalescer = Coalescer(transport, metadata) if coalesce else None
        self._caller = Caller(transport, self._lifetime, timeout, in_flight, metadata, coalescer)

    async def close(self) -> None:
        """Cancel what is in flight, and hang up; calls from then on raise InputError."""
        self._lifetime.end()
        await self._transport.close()

    async def wait_for_ready(self, timeout: float = 60.0) -> None:
        """Return once the service says that its models answer. Raises Unavailable or DeadlineExceeded."""
        self._lifetime.check()
        await wait_until_serving(self._transport, SERVICE, timeout=timeout)

    async def models(self) -> list[ModelInfo]:
        """Every model in the store, by name."""
        reply = await self._caller.one("ListModels", vae_pb2.ListModelsRequest(accept=results.KINDS))
        return sorted(map(results.model_info, reply.models), key=lambda model: model.name)

    async def model(self, name: str) -> ModelInfo:
        """One model. Raises NotFound."""
        reply = await self._caller.one("GetModel", vae_pb2.GetModelRequest(model=name))
        return results.model_info(reply.model)

    async def encode(
        self,
        model: str,
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Encoding:
        """Posterior of each image (N, H, W) or other x (N, ...): its mode, scale and n_samples draws."""
        rows = Rows.of(as_examples(images), n_samples, seed, example_ids)
        return await self._caller.rows(ENCODE, model, rows, on_progress)

    async def decode(
        self,
        model: str,
        latents: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Decoding:
        """n_samples images drawn from d(x|z) for each of the latents (N, Z)."""
        rows = Rows.of(as_latents(latents), n_samples, seed, example_ids)
        return await self._caller.rows(DECODE, model, rows, on_progress)

    async def reconstruct(
        self,
        model: str,
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Reconstruction:
        """One z ~ e(z|x) per image (N, H, W) or other x (N, ...), then n_samples of d(x|z) at that z."""
        rows = Rows.of(as_examples(images), n_samples, seed, example_ids)
        return await self._caller.rows(RECONSTRUCT, model, rows, on_progress)

    async def score(
        self,
        model: str,
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Score:
        """Rate and distortion of each image (N, H, W) or other x (N, ...), nats, over n_samples of e(z|x)."""
        rows = Rows.of(as_examples(images), n_samples, seed, example_ids)
        return await self._caller.rows(SCORE, model, rows, on_progress)

    def score_iter(
        self,
        model: str,
        batches: Iterable[ArrayLike] | AsyncIterable[ArrayLike],
        *,
        n_samples: int = 1,
        seed: int = 0,
        first_id: int = 0,
    ) -> AsyncGenerator[Score, None]:
        """As `score` for data larger than memory: a result for each batch of images (n, H, W) or other x.

        Example ids count on from first_id over all batches, so how the data are cut does not show. Batches
        are read as they are sent, `in_flight` calls ahead; leaving the loop cancels those. A batch of 256
        images makes one call, a larger one several.
        """
        RowKeys.of(1, n_samples, seed, None)
        whole(first_id, "first_id", below=2**64)
        return self._score_iter(model, _rows_of(batches, n_samples, seed, first_id))

    async def _score_iter(self, model: str, rows: AsyncGenerator[Rows, None]) -> AsyncGenerator[Score, None]:
        done: list[Score] = []
        async with aclosing(self._caller.parts(SCORE, model, rows)) as parts:
            async for part, last in parts:
                done.append(part)
                if last:
                    yield results.concatenate(done)
                    done.clear()

    def score_models(
        self,
        models: Sequence[str],
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
    ) -> CompareCall:
        """As `score` on several models at once: the images are sent once, and rows come as they are made.

        For as many images as one message carries. A model that fails is yielded with its error, and the
        others go on; what fails for all is raised by the iteration, which can be cancelled.
        """
        rows = Rows.of(as_examples(images), n_samples, seed, example_ids)
        return CompareCall(self._caller, models, rows)

    async def sample(
        self,
        model: str,
        n: int,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Sample:
        """n latents from m(z), and n_samples images from d(x|z) for each."""
        done: list[Sample] = []
        parts = self.stream_samples(model, n, n_samples=n_samples, seed=seed, example_ids=example_ids)
        async with aclosing(parts):
            async for part in parts:
                done.append(part)
                if on_progress:
                    on_progress(len(part.latents))
        return results.concatenate(done)

    def stream_samples(
        self, model: str, n: int, *, n_samples: int = 1, seed: int = 0, example_ids: Ids | None = None
    ) -> AsyncGenerator[Sample, None]:
        """As `sample`, in parts as the server makes them; leaving the loop cancels the rest."""
        keys = RowKeys.of(n, n_samples, seed, example_ids)
        return self._sample_parts(model, n, keys)

    async def _sample_parts(self, model: str, n: int, keys: RowKeys) -> AsyncGenerator[Sample, None]:
        for part in slices(n, chunking.rows_per_chunk(0, keys.n_samples)):
            start, until = part.start, self._caller.deadline()
            while start < part.stop:
                async with aclosing(
                    self._sample_part(model, slice(start, part.stop), keys, until)
                ) as samples:
                    async for sample in samples:
                        start += len(sample.latents)
                        yield sample

    async def _sample_part(
        self, model: str, rows: slice, keys: RowKeys, until: float
    ) -> AsyncGenerator[Sample, None]:
        """Rows from rows.start on: all, or those that came before the server went away.

        A row depends on its key only, so another server can go on where this one stopped.
        """
        asked = left = rows.stop - rows.start
        request = vae_pb2.SampleRequest(
            model=model, n_latents=asked, n_samples=keys.n_samples, noise=keys.noise(rows)
        )
        try:
            async with aclosing(self._caller.stream("Sample", request, until).replies()) as replies:
                async for reply in replies:
                    came = reply.latents.shape[0] if reply.latents.shape else 0
                    left -= came
                    yield results.from_reply(Sample, reply, came)
        except Unavailable:
            if left == asked:
                raise
            return
        if left:
            raise ReplyError(f"asked for {asked} samples, {left} never came")


async def _rows_of(
    batches: Iterable[ArrayLike] | AsyncIterable[ArrayLike], n_samples: int, seed: int, first_id: int
) -> AsyncGenerator[Rows, None]:
    """Each batch, with ids that count on."""
    async for batch in _each(batches):
        array = as_examples(batch)
        ids = np.uint64(first_id) + np.arange(len(array), dtype=np.uint64)
        yield Rows.of(array, n_samples, seed, ids)
        first_id += len(array)


async def _each(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
