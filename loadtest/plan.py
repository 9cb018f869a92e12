"""Which cells are visited, and over which ways."""

from collections.abc import Sequence

from rdserve.loadtest.meter import Meter
from rdserve.loadtest.requests import OPS
from rdserve.loadtest.results import FRONT, Cell

ROWS = (1, 64)
IN_FLIGHT = (1, 8, 32, 128)
# Load of the open loops, as parts of what the closed ones reached.
OPEN_PARTS = (0.3, 0.7)


def grid(model: str) -> list[Cell]:
    """Every op, size and number of callers, from light to heavy."""
    return [Cell(model, op, rows, in_flight=n) for op in OPS for rows in ROWS for n in IN_FLIGHT]


async def everything(meter: Meter, model: str) -> None:
    """The whole grid of the front, each cell once, without what was measured already or takes too long."""
    for cell in grid(model):
        if not meter.results.of(cell, FRONT) and not meter.too_slow(cell):
            await meter.compare(cell, [FRONT], rounds=1)


async def open_loops(meter: Meter, model: str, ways: Sequence[str]) -> None:
    """Poisson arrivals of single images, the front among the ways."""
    reached = meter.reached(model, "encode", 1)
    for part in OPEN_PARTS if reached else ():
        await meter.compare(Cell(model, "encode", 1, rate=part * reached), ways, rounds=1)
