"""Which cells are visited, and over which ways."""

from collections.abc import Sequence

from rdserve.loadtest.meter import Meter
from rdserve.loadtest.requests import OPS
from rdserve.loadtest.results import FRONT, IN_PROCESS, NATIVE, Cell

ROWS = (1, 64)
IN_FLIGHT = (1, 8, 32, 128)
# Load of the open loops, as parts of what the closed loop of 32 reached.
OPEN_PARTS = (0.3, 0.7)


def grid(model: str) -> list[Cell]:
    """Every op, size and number of callers, from light to heavy."""
    return [Cell(model, op, rows, in_flight=n) for op in OPS for rows in ROWS for n in IN_FLIGHT]


async def compared(
    meter: Meter, model: str, batched: Sequence[str], unmerged: Sequence[str], *, rounds: int, slow: bool
) -> None:
    """The cells that have a target, over every way: the front, TorchServe alone, the bare model.

    slow: a visit takes seconds; of many images only the batching that was best for single ones is then tried.
    """
    native = [NATIVE, *batched]
    await meter.warm_up(model, [FRONT, *native, *unmerged])
    await meter.compare(Cell(model, "encode", 1, in_flight=1), [FRONT, *native, IN_PROCESS], rounds=rounds)
    crowd = Cell(model, "encode", 1, in_flight=32)
    await meter.compare(crowd, [FRONT, *native, *unmerged], rounds=rounds)
    if slow:
        native = [NATIVE, meter.results.best_batched(crowd) or batched[0]]
    await meter.compare(Cell(model, "encode", 64, in_flight=32), [FRONT, *native, IN_PROCESS], rounds=rounds)


async def everything(meter: Meter, model: str, ways: Sequence[str]) -> None:
    """The whole grid, each cell once, without what was compared already and what would take too long."""
    for cell in grid(model):
        if not meter.results.of(cell, FRONT) and not meter.too_slow(cell):
            await meter.compare(cell, ways, rounds=1)


async def open_loops(meter: Meter, model: str, ways: Sequence[str]) -> None:
    """Poisson arrivals of single images; with TorchServe's own batching where it was measured."""
    closed = Cell(model, "encode", 1, in_flight=32)
    if not meter.results.of(closed, FRONT):
        return
    for part in OPEN_PARTS:
        rate = part * meter.results.rps(closed, FRONT)
        best = meter.results.best_batched(closed)
        await meter.compare(Cell(model, "encode", 1, rate=rate), [*ways, *([best] if best else [])], rounds=1)
