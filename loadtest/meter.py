"""Taking turns: every way to a cell is visited in every round, because the machine is shared and drifts."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rdserve.loadtest.cpu_time import Costs
from rdserve.loadtest.load import Send, closed, opened
from rdserve.loadtest.requests import Bodies, bodies
from rdserve.loadtest.results import FRONT, Cell, Results
from rdserve.loadtest.routes import Route

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """How long to look: rounds, seconds of a visit, and of a cell that has no target at most `patience`."""

    rounds: int = 5
    seconds: float = 1.0
    patience: float = 6.0
    warm_up_seconds: float = 3.0


QUICK = Effort(rounds=2, seconds=0.2, patience=1.0, warm_up_seconds=0.3)


class Meter:
    """Visits ways and keeps what they did."""

    def __init__(
        self,
        ways: Mapping[str, Route],
        shapes: Mapping[str, tuple[int, int]],
        effort: Effort,
        announce: Announce,
    ) -> None:
        self.results = Results()
        self._costs = Costs()
        self.effort = effort
        self._ways = ways
        self._shapes = shapes
        self._announce = announce
        self._bodies: dict[tuple[str, str, int], Bodies] = {}
        self._rps: dict[tuple[str, str, int], float] = {}

    async def warm_up(self, model: str, ways: Sequence[str]) -> None:
        """Unmeasured load: Java compiles what it runs often."""
        for way in ways:
            self._announce(f"warming up: {model}: {way}")
            sender = self._sender(Cell(model, "encode", 1), way)
            await closed(sender, 32, self.effort.warm_up_seconds)

    async def compare(self, cell: Cell, ways: Sequence[str], *, rounds: int | None = None) -> None:
        """Visit a cell over several ways in turn, and once before, unmeasured."""
        self._announce(f"load {os.getloadavg()[0]:.1f}: {cell.name}: {', '.join(ways)}")
        senders = {way: self._sender(cell, way) for way in ways}
        for way in ways:
            await closed(senders[way], min(cell.in_flight or 8, 8), 0.1)
        for _ in range(rounds or self.effort.rounds):
            for way in ways:
                await self._visit(cell, way, senders[way])

    async def _visit(self, cell: Cell, way: str, send: Send) -> None:
        before = self._costs.seconds()
        if cell.in_flight:
            visit = await closed(send, cell.in_flight, self.effort.seconds)
        else:
            visit = await opened(send, cell.rate, self.effort.seconds)
        visit.costs = dict(self._costs.seconds() - before)
        self.results.add(cell, way, visit)
        if way == FRONT and visit.latencies:
            key = cell.model, cell.op, cell.rows
            self._rps[key] = max(self._rps.get(key, 0.0), visit.rps)

    def _sender(self, cell: Cell, way: str) -> Send:
        key = cell.model, cell.op, cell.rows
        if key not in self._bodies:
            self._bodies[key] = bodies(*key, self._shapes[cell.model])
        return self._ways[way].sender(cell.model, cell.op, self._bodies[key])

    def reached(self, model: str, op: str, rows: int) -> float:
        """The most requests per second that the front has answered, under any load; 0 before the first."""
        return self._rps.get((model, op, rows), 0.0)

    def too_slow(self, cell: Cell) -> bool:
        """Whether the cell's callers, going by lighter cells, cannot all be served within `patience`."""
        speed = self.reached(cell.model, cell.op, cell.rows)
        needed = cell.in_flight / speed if speed else 0.0
        if needed > self.effort.patience:
            self.results.skipped[cell] = f"{cell.in_flight} requests take about {needed:.0f} s"
        return needed > self.effort.patience
