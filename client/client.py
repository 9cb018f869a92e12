"""The service as Python functions: numpy in, small dataclasses out."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from numpy.typing import ArrayLike
from rdserve.client.base_client import TIMEOUT_SECONDS, BaseClient
from rdserve.client.blocking import blocking, iterating, run
from rdserve.client.blocking_transport import BlockingTransport
from rdserve.client.calls import Ids
from rdserve.client.channel import Security, channel_opener
from rdserve.client.compare_stream import CompareStream


class Client:
    """A connection to one service. Thread safe. Arrays of any length: they are sent in chunks.

    address: "host:port" or "unix:/path"; kept as an attribute.
    timeout: seconds that one chunk may take, all attempts included; kept as an attribute.
    in_flight: chunks sent ahead of the one awaited.
    token: who calls; sent over TLS or to this machine only.
    tls: True trusts the machine's authorities, a PEM file the authority in it.
    cert, key: PEM files that the server asks for under mutual TLS.
    channel: use this one in place of a new one; closing it stays with whoever made it.
    coalesce: small calls that threads make at the same time go as one, which costs less; the last digits may
    depend on who rode along, so not where bytes are compared.

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
        coalesce: bool = False,
    ) -> None:
        self.address, self.timeout = address, timeout
        security = Security(tls, cert, key, token)
        opened = channel_opener(address, security, grpc) if channel is None else security.given(channel)
        self._base = BaseClient(
            BlockingTransport(opened(), own=channel is None),
            address if channel is None else "a given channel",
            timeout=timeout,
            in_flight=in_flight,
            metadata=security.metadata,
            coalesce=coalesce,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is in flight, in whatever thread, and hang up; calls from then on raise InputError."""
        run(self._base.close())

    wait_for_ready = blocking(BaseClient.wait_for_ready)
    models = blocking(BaseClient.models)
    model = blocking(BaseClient.model)
    encode = blocking(BaseClient.encode)
    decode = blocking(BaseClient.decode)
    reconstruct = blocking(BaseClient.reconstruct)
    score = blocking(BaseClient.score)
    score_iter = iterating(BaseClient.score_iter)
    sample = blocking(BaseClient.sample)
    stream_samples = iterating(BaseClient.stream_samples)

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
        return CompareStream(
            self._base.score_models(models, images, n_samples=n_samples, seed=seed, example_ids=example_ids)
        )
