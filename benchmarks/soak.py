"""Does memory grow? Many requests of all kinds, and the resident memory of every process along the way."""

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import psutil
from rdserve.loadtest.cpu_time import role
from rdserve.loadtest.load import Send
from rdserve.loadtest.requests import OPS, bodies
from rdserve.loadtest.results import Cell
from rdserve.loadtest.routes import Front
from rich.console import Console
from rich.table import Table

SAMPLES = 60
IN_FLIGHT = 8
# Mostly single images, and a few large requests, as callers do.
ROWS = (1, 1, 1, 64)
# Before this part of the requests, caches and heaps still fill.
WARM_UP = 1 / 3


@dataclass
class Memory:
    """Resident MiB of each process after so many requests."""

    requests: list[int] = field(default_factory=list)
    resident: dict[str, list[float]] = field(default_factory=dict)
    errors: int = 0

    def settled(self, process: str) -> tuple[list[int], list[float]]:
        """Requests and MiB after warm-up."""
        start = next(i for i, n in enumerate(self.requests) if n >= WARM_UP * self.requests[-1])
        return self.requests[start:], self.resident[process][start:]

    def growth(self, process: str) -> float:
        """MiB per 10,000 requests after warm-up: the slope of a straight line."""
        requests, resident = self.settled(process)
        return 1e4 * float(np.polyfit(requests, resident, 1)[0])


def processes_of(pid: int) -> dict[str, psutil.Process]:
    """A service's own process, its frontend JVM and its workers."""
    front = psutil.Process(pid)
    children = front.children(recursive=True)
    return {"front": front} | {f"{role(child)} {child.pid}": child for child in children}


async def soak(
    address: str, pid: int, model: str, shape: tuple[int, int], n: int, announce: Callable[[str], None]
) -> Memory:
    """Make n requests of a service whose process is `pid`, on this machine."""
    front, processes = Front(address), processes_of(pid)
    memory = Memory(resident={name: [] for name in processes})
    cells = [Cell(model, op, rows) for op in OPS for rows in ROWS]
    senders = [front.sender(model, cell.op, bodies(model, cell.op, cell.rows, shape)) for cell in cells]
    each = max(1, n // SAMPLES)
    for done in range(0, n, each):
        memory.errors += await _burst(senders, done, min(each, n - done))
        memory.requests.append(min(done + each, n))
        for name, process in processes.items():
            memory.resident[name].append(process.memory_info().rss / 2**20)
        sizes = ", ".join(f"{name} {values[-1]:.0f}" for name, values in memory.resident.items())
        announce(f"{memory.requests[-1]} requests, load {os.getloadavg()[0]:.1f}: MiB {sizes}")
    return memory


async def _burst(senders: list[Send], start: int, n: int) -> int:
    """How many of n requests failed."""
    numbers, failed = iter(range(start, start + n)), itertools.count()

    async def caller() -> None:
        for number in numbers:
            try:
                await senders[number % len(senders)](number // len(senders))
            except Exception:
                next(failed)

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return next(failed)


def show(memory: Memory, console: Console) -> None:
    """A row for each process."""
    table = Table("process", title=f"Resident memory over {memory.requests[-1]} requests, MiB")
    for heading in ("after warm-up", "at the end", "growth per 10,000 requests"):
        table.add_column(heading, justify="right")
    for name in memory.resident:
        _, resident = memory.settled(name)
        table.add_row(name, f"{resident[0]:.1f}", f"{resident[-1]:.1f}", f"{memory.growth(name):+.2f}")
    console.print(table)
    console.print(f"{memory.errors} requests failed")
