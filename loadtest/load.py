"""Generating load: closed loops, where a caller waits for its answer before it asks again, and open
ones, where callers arrive whether or not anyone was answered."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
from grpc import aio
from numpy.typing import NDArray

# send(i): makes the i-th request and returns once it is answered; raises where it failed.
Send = Callable[[int], Awaitable[None]]


@dataclass
class Visit:
    """What one stretch of load saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds, of the requests that were answered
    errors: dict[str, int] = field(default_factory=dict)  # by kind
    costs: dict[str, float] = field(default_factory=dict)  # processor seconds, by what spent them

    @property
    def rps(self) -> float:
        """Answered requests per second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Processor time of an answered request, by what spent it."""
        return {role: 1e3 * seconds / max(1, len(self.latencies)) for role, seconds in self.costs.items()}

    def percentile(self, q: float) -> float:
        """Latency in ms that q % of the answered requests stayed under."""
        return 1e3 * float(np.percentile(self.latencies, q)) if self.latencies else float("nan")


async def closed(send: Send, in_flight: int, seconds: float) -> Visit:
    """`in_flight` callers, each asking anew as soon as it is answered, until time is up.

    What is in flight then is awaited and counts, as does the time that it takes.
    """
    visit, numbers = Visit(), itertools.count()
    start = time.perf_counter()

    async def caller() -> None:
        while time.perf_counter() - start < seconds:
            await _timed(send, next(numbers), time.perf_counter(), visit)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    visit.seconds = time.perf_counter() - start
    return visit


async def opened(send: Send, rate: float, seconds: float, seed: int = 0) -> Visit:
    """Poisson arrivals at `rate` per second. Latency counts from when a request was due, so a service
    that stalls pays for everyone it kept waiting, and a late sender hides nothing."""
    visit = Visit()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, due in enumerate(arrivals(rate, seconds, seed)):
            await asyncio.sleep(max(0.0, start + due - time.perf_counter()))
            group.create_task(_timed(send, number, start + due, visit))
    visit.seconds = time.perf_counter() - start
    return visit


def arrivals(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """When requests are due: (n,) seconds from the start, of a Poisson process."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))


async def _timed(send: Send, number: int, due: float, visit: Visit) -> None:
    try:
        await send(number)
    except Exception as error:
        name = error.code().name if isinstance(error, aio.AioRpcError) else type(error).__name__
        visit.errors[name] = visit.errors.get(name, 0) + 1
    else:
        visit.latencies.append(time.perf_counter() - due)
