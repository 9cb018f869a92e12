"""Chunks scored from the workers of a Ray cluster, each with a client of its own. Needs the extra "ray"."""

import os
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Self

from rdserve.client.base_client import TIMEOUT_SECONDS
from rdserve.client.client import Client
from rdserve.client.errors import Cancelled, InputError, RdserveError, Unavailable
from rdserve.compare.scoring.engines import Chunk, Local, Scored
from rdserve.compare.scoring.scheduler import AHEAD

try:
    import ray
    from ray.exceptions import RayError, TaskCancelledError
except ImportError:
    ray = None

# Calls that one worker may have under way; they wait for the service, not for its processor.
CALLS = 2 * AHEAD
STARTS = 3
# Chunks on their way; Ray would take a third of the machine's memory.
STORE_BYTES = 256 * 2**20
# What Ray reads of the environment when it starts a cluster: seconds, and not to call home.
PATIENT = {
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class RayEngine:
    """address, client: what `Client` takes, as seen from the workers: "localhost" is the worker's machine.

    A cluster that this process is connected to is used and left alone; else the one that RAY_ADDRESS
    names; else one is started on this machine, and ended with the engine. A token in `client` travels over
    Ray's own connections, so let them be private or encrypted (RAY_USE_TLS).

    Raises:
        InputError: Ray is not installed, or its cluster has no processors.
        Unavailable: Ray does not start here, or the cluster does not answer.
    """

    def __init__(self, address: str, *, workers: int | None = None, **client: Any) -> None:
        if ray is None:
            raise InputError("the ray engine needs Ray: pip install 'rdserve[ray]'")
        self.timeout = float(client.get("timeout", TIMEOUT_SECONDS))
        self._own = not ray.is_initialized()
        if self._own:
            start()
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


def start(**local: Any) -> None:
    """Connect to the cluster that RAY_ADDRESS names, or start one here; `local`: more for `ray.init` then.

    A machine that is busy gets a second and a third try: Ray waits half a minute for itself.

    Raises:
        Unavailable: in vain.
    """
    if os.environ.get("RAY_ADDRESS"):
        options: dict[str, Any] = {}
    else:
        options = {"address": "local", "include_dashboard": False, "object_store_memory": STORE_BYTES} | local
        for name, value in PATIENT.items():
            os.environ.setdefault(name, value)
    for left in reversed(range(STARTS)):
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
            return
        except Exception as error:  # Ray raises plain ones
            ray.shutdown()
            if not left:
                raise Unavailable(f"Ray did not start, or did not answer: {error}") from error


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
