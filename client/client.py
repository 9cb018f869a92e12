"""The service as Python functions: numpy in, small dataclasses out."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from numpy.typing import ArrayLike
from rdserve.client import chunking, results
from rdserve.client.attempts import Lifetime
from rdserve.client.calls import Caller, Ids, Progress, RowKeys
from rdserve.client.channel import Security, open_channel
from rdserve.client.compare_stream import CompareStream
from rdserve.client.errors import InputError, ReplyError, Unavailable
from rdserve.client.health import wait_until_serving
from rdserve.client.inputs import as_binary, as_latents
from rdserve.client.results import Decoding, Encoding, ModelInfo, Reconstruction, Sample, Score
from rdserve.v1 import vae_pb2
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire.batches import slices
from rdserve.wire.service import SERVICE

TIMEOUT_SECONDS = 300.0


class Client:
    """A connection to one service. Thread safe. Arrays of any length: they are sent in chunks.

    address: "host:port" or "unix:/path"; kept as an attribute.
    timeout: seconds that one chunk may take, all attempts included; kept as an attribute.
    in_flight: chunks sent ahead of the one awaited.
    token: who calls; sent over TLS or to this machine only.
    tls: True trusts the machine's authorities, a PEM file the authority in it.
    cert, key: PEM files that the server asks for under mutual TLS.
    channel: use this one in place of a new one; closing it stays with whoever made it.

    Every method that meets the service raises ServiceError's subclasses; InputError is for what is
    wrong before sending. Results depend on (seed, example id), never on chunking; `example_ids`
    default to 0, 1, ... and `on_progress` is told the rows of each finished chunk.
    """

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        timeout: float = TIMEOUT_SECONDS,
        in_flight: int = 3,
        token: str | None = None,
        tls: bool | Path | str = False,
        cert: Path | str | None = None,
        key: Path | str | None = None,
        channel: grpc.Channel | None = None,
    ) -> None:
        security = Security(tls, cert, key, token)
        if channel is not None and security != Security():
            raise InputError("a given channel has its own token and TLS; give them to it, or no channel")
        self.address, self.timeout = address, timeout
        self._own = channel is None
        self._channel = channel or open_channel(address, security)
        self._stub = VaeServiceStub(self._channel)
        self._lifetime = Lifetime(address if channel is None else "a given channel")
        self._caller = Caller(self._channel, self._lifetime, timeout, in_flight, security.metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is in flight, in whatever thread, and hang up; calls from then on raise InputError."""
        self._lifetime.end()
        if self._own:
            self._channel.close()

    def wait_for_ready(self, timeout: float = 60.0) -> None:
        """Return once the service says that its models answer. Raises Unavailable or DeadlineExceeded."""
        self._lifetime.check()
        wait_until_serving(self._channel, SERVICE, timeout=timeout)

    def models(self) -> list[ModelInfo]:
        """Every model in the store, by name."""
        reply = self._caller.one(self._stub.ListModels, vae_pb2.ListModelsRequest())
        return sorted(map(results.model_info, reply.models), key=lambda model: model.name)

    def model(self, name: str) -> ModelInfo:
        """One model. Raises NotFound."""
        reply = self._caller.one(self._stub.GetModel, vae_pb2.GetModelRequest(model=name))
        return results.model_info(reply.model)

    def encode(
        self,
        model: str,
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Encoding:
        """Posterior of each binary image (N, H, W): its mode, scale and n_samples draws."""
        rows = as_binary(images)
        keys = RowKeys.of(len(rows), n_samples, seed, example_ids)
        request = vae_pb2.EncodeRequest(model=model)
        return self._caller.rows(self._stub.Encode, request, rows, keys, Encoding, on_progress)

    def decode(
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
        rows = as_latents(latents)
        keys = RowKeys.of(len(rows), n_samples, seed, example_ids)
        request = vae_pb2.DecodeRequest(model=model)
        return self._caller.rows(self._stub.Decode, request, rows, keys, Decoding, on_progress)

    def reconstruct(
        self,
        model: str,
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Reconstruction:
        """One z ~ e(z|x) per binary image (N, H, W), then n_samples images from d(x|z) with that z."""
        rows = as_binary(images)
        keys = RowKeys.of(len(rows), n_samples, seed, example_ids)
        request = vae_pb2.ReconstructRequest(model=model)
        return self._caller.rows(self._stub.Reconstruct, request, rows, keys, Reconstruction, on_progress)

    def score(
        self,
        model: str,
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
        on_progress: Progress | None = None,
    ) -> Score:
        """Rate and distortion of each binary image (N, H, W), in nats, means over n_samples of e(z|x)."""
        rows = as_binary(images)
        keys = RowKeys.of(len(rows), n_samples, seed, example_ids)
        request = vae_pb2.ScoreRequest(model=model)
        return self._caller.rows(self._stub.Score, request, rows, keys, Score, on_progress)

    def score_models(
        self,
        models: Sequence[str],
        images: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int = 0,
        example_ids: Ids | None = None,
    ) -> CompareStream:
        """As `score` on several models at once: the images are sent once, and rows come as they are made.

        For as many images as one message carries. A model that fails is yielded with its error, and the
        others go on; what fails for all is raised by the iteration, which can be cancelled.
        """
        rows = as_binary(images)
        keys = RowKeys.of(len(rows), n_samples, seed, example_ids)
        return CompareStream(self._caller, self._stub.Compare, models, rows, keys)

    def sample(
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
        parts: list[Sample] = []
        for part in self.stream_samples(model, n, n_samples=n_samples, seed=seed, example_ids=example_ids):
            parts.append(part)
            if on_progress:
                on_progress(len(part.latents))
        return results.concatenate(parts)

    def stream_samples(
        self, model: str, n: int, *, n_samples: int = 1, seed: int = 0, example_ids: Ids | None = None
    ) -> Iterator[Sample]:
        """As `sample`, in parts as the server makes them; leaving the loop cancels the rest."""
        keys = RowKeys.of(n, n_samples, seed, example_ids)
        return self._sample_parts(model, n, keys)

    def _sample_parts(self, model: str, n: int, keys: RowKeys) -> Iterator[Sample]:
        for part in slices(n, chunking.rows_per_chunk(0, keys.n_samples)):
            start, until = part.start, self._caller.deadline()
            while start < part.stop:
                for sample in self._sample_part(model, slice(start, part.stop), keys, until):
                    start += len(sample.latents)
                    yield sample

    def _sample_part(self, model: str, rows: slice, keys: RowKeys, until: float) -> Iterator[Sample]:
        """Rows from rows.start on: all, or those that came before the server went away.

        A row depends on its key only, so another server can go on where this one stopped.
        """
        asked = left = rows.stop - rows.start
        request = vae_pb2.SampleRequest(
            model=model, n_latents=asked, n_samples=keys.n_samples, noise=keys.noise(rows)
        )
        try:
            with closing(iter(self._caller.begin(self._stub.Sample, request, until))) as replies:
                for reply in replies:
                    came = reply.latents.shape[0] if reply.latents.shape else 0
                    left -= came
                    yield results.from_reply(Sample, reply, came)
        except Unavailable:
            if left == asked:
                raise
            return
        if left:
            raise ReplyError(f"asked for {asked} samples, {left} never came")
