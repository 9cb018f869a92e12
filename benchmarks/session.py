"""A whole benchmark: what is started, what is measured, what is written."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from rdserve.cli.private_server import private_service
from rdserve.client import AsyncClient
from rdserve.loadtest import plan
from rdserve.loadtest.meter import Announce, Effort, Meter
from rdserve.loadtest.results import FRONT, Cell, Results
from rdserve.loadtest.routes import Front, Route, ThroughClient
from rdserve.loadtest.run import machine

from benchmarks import subjects
from benchmarks.native import UNBATCHED, Batching, native
from benchmarks.routes import InProcess, Native, Unmerged
from benchmarks.scoring import score_ratio
from benchmarks.soak import Memory, soak
from benchmarks.subjects import PAPER, SMALL, Subjects
from benchmarks.targets import (
    CLIENT,
    IN_PROCESS,
    MERGED,
    NATIVE,
    UNMERGED,
    BenchmarkTarget,
    best_batched,
    targets,
)

# TorchServe's own batching at its best: sizes and delays in ms that were worth trying.
BATCHINGS = (Batching(8, 1), Batching(32, 1), Batching(32, 5))
WORKERS = THREADS = 1
SCORED_IMAGES = 10_000


async def compare(
    address: str, chosen: Subjects, effort: Effort, announce: Announce, *, quick: bool
) -> tuple[Results, list[BenchmarkTarget]]:
    """Measure a service beside a private TorchServe and the bare models; `quick`: one batching only."""
    batchings = BATCHINGS[1:2] if quick else BATCHINGS
    names = tuple(chosen.checkpoints)
    bare = InProcess(chosen.checkpoints, THREADS)
    announce("starting TorchServe by itself")
    async with native(chosen.archives, (UNBATCHED, *batchings), workers=WORKERS, threads=THREADS) as at:
        batched = {_called(NATIVE, batching): Native(at.grpc, batching.suffix) for batching in batchings}
        unmerged = {_called(UNMERGED, batching): Unmerged(at.http, batching.suffix) for batching in batchings}
        ways: dict[str, Route] = {
            FRONT: Front(address),
            CLIENT: ThroughClient(AsyncClient(address)),
            MERGED: ThroughClient(AsyncClient(address, coalesce=True)),
            NATIVE: Native(at.grpc, UNBATCHED.suffix),
            **batched,
            **unmerged,
            IN_PROCESS: bare,
        }
        meter = Meter(ways, subjects.SHAPES, effort, announce)
        for name in names:
            rounds = min(effort.rounds, 3) if name == PAPER else effort.rounds
            best = await side_by_side(meter, name, list(batched), list(unmerged), rounds=rounds)
            await plan.open_loops(meter, name, [FRONT, NATIVE, best])
    for name in names:
        if not quick:
            await plan.everything(meter, name)
    scoring = {}
    if PAPER in names:
        announce(f"scoring {SCORED_IMAGES} images")
        scoring = await score_ratio(address, bare, PAPER, subjects.SHAPES[PAPER], SCORED_IMAGES)
    return _concluded(meter.results, scoring)


async def side_by_side(
    meter: Meter, model: str, batched: Sequence[str], unmerged: Sequence[str], *, rounds: int
) -> str:
    """The cells that have a target, over every way; which of `batched` was best for single images."""
    native, clients = [NATIVE, *batched], [CLIENT, MERGED] if model == SMALL else []
    await meter.warm_up(model, [FRONT, *native, *unmerged, *clients])
    alone = Cell(model, "encode", 1, in_flight=1)
    await meter.compare(alone, [FRONT, *native, IN_PROCESS, *clients], rounds=rounds)
    if clients:
        await meter.compare(Cell(model, "encode", 1, in_flight=8), [FRONT, *native, *clients], rounds=rounds)
    crowd = Cell(model, "encode", 1, in_flight=32)
    await meter.compare(crowd, [FRONT, *native, *unmerged, *clients], rounds=rounds)
    best = best_batched(meter.results, crowd) or batched[0]
    if model == PAPER:  # where a visit takes seconds
        native = [NATIVE, best]
    many = Cell(model, "encode", 64, in_flight=32)
    await meter.compare(many, [FRONT, *native, IN_PROCESS, *clients], rounds=rounds)
    return best


def _concluded(results: Results, scoring: dict[str, float]) -> tuple[Results, list[BenchmarkTarget]]:
    found = targets(results, SMALL, PAPER, scoring)
    results.ratios = {target.name: round(target.value, 3) for target in found}
    results.facts = machine() | {"workers": WORKERS, "threads": THREADS, "scoring": scoring}
    return results, found


def _called(way: str, batching: Batching) -> str:
    return f"{way}, batches of {batching.size}, {batching.delay} ms"


def run(effort: Effort, announce: Announce, *, quick: bool) -> tuple[Results, list[BenchmarkTarget]]:
    """Prepare the models, serve them, and compare."""
    names = (SMALL,) if quick else (SMALL, PAPER)
    with served(names, announce) as (chosen, address):
        return asyncio.run(compare(address, chosen, effort, announce, quick=quick))


def soaked(requests: int, announce: Announce) -> Memory:
    """Memory of a service of the small model, over so many requests."""
    with served((SMALL,), announce) as (_, address):
        (front,) = psutil.Process().children()
        return asyncio.run(soak(address, front.pid, SMALL, subjects.SHAPES[SMALL], requests, announce))


@contextmanager
def served(names: tuple[str, ...], announce: Announce) -> Iterator[tuple[Subjects, str]]:
    """The models, and the address of a service of them."""
    with tempfile.TemporaryDirectory(prefix="rdserve-bench-") as folder:
        announce("preparing the models")
        chosen = subjects.prepare(Path(folder), names)
        with private_service(chosen.store, announce) as address:
            yield chosen, address
