"""Chunks scored from the workers of a Ray cluster, each with a client of its own. Needs the extra "ray"."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any, Self

from rdserve.client.client import Client
from rdserve.client.errors import Cancelled, InputError, RdserveError, Unavailable
from rdserve.compare.engines import Chunk, Local, Scored
from rdserve.compare.schedule import AHEAD

try:
    import ray
    from ray.exceptions import RayError, TaskCancelledError
except ImportError:
    ray = None

# Calls that one worker may have under way; they wait for the service, not for its processor.
CALLS = 2 * AHEAD


class RayEngine:
    """address, client: what `Client` takes, as seen from the workers: "localhost" is the worker's machine.

    A cluster that this process is connected to is used and left alone; else the one that RAY_ADDRESS
    names; else one is started on this machine, and ended with the engine. A token in `client` travels over
    Ray's own connections, so let them be private or encrypted (RAY_USE_TLS).

    Raises:
        InputError: Ray is not installed, or its cluster has no processors.
    """

    def __init__(self, address: str, *, workers: int | None = None, **client: Any) -> None:
        if ray is None:
            raise InputError("the ray engine needs Ray: pip install 'rdserve[ray]'")
        self._own = not ray.is_initialized()
        if self._own:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        found = workers or int(ray.cluster_resources().get("CPU", 0))
        if not found:
            raise InputError("the Ray cluster has no processors to run on")
        actor = ray.remote(max_restarts=-1, max_concurrency=CALLS)(_Worker)
        self._workers = [actor.remote(address, client) for _ in range(found)]
        self._turns = cycle(self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            ray.kill(worker)
        if self._own:
            ray.shutdown()

    def score(self, chunk: Chunk) -> "RayCall":
        return RayCall(next(self._turns).score.remote(chunk))


class RayCall:
    """One chunk under way on a worker; results come as they are made."""

    def __init__(self, results: Any) -> None:
        self._results = results

    def cancel(self) -> None:
        ray.cancel(self._results)

    def __iter__(self) -> Iterator[Scored]:
        try:
            for reference in self._results:
                scored: Scored | RdserveError = ray.get(reference)
                if isinstance(scored, RdserveError):
                    raise scored
                yield scored
        except TaskCancelledError as error:
            raise Cancelled("the call was cancelled here") from error
        except RayError as error:
            raise Unavailable(f"a Ray worker was lost: {error}") from error


class _Worker:
    """In a process of Ray's: one client, and the calls that it makes."""

    def __init__(self, address: str, client: dict[str, Any]) -> None:
        self._engine = Local(Client(address, **client))

    def score(self, chunk: Chunk) -> Iterator[Scored | RdserveError]:
        """As `Local`; an error of the whole call comes last, for Ray would wrap what is raised."""
        try:
            yield from self._engine.score(chunk)
        except RdserveError as error:
            yield error
