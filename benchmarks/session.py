"""A whole benchmark: what is started, what is measured, what is written."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from rdserve.loadtest import plan
from rdserve.loadtest.front import facts
from rdserve.loadtest.meter import Announce, Effort, Meter
from rdserve.loadtest.results import FRONT, IN_PROCESS, NATIVE, UNMERGED, Results
from rdserve.loadtest.routes import Front, InProcess, Native, Route, Unmerged

from benchmarks import subjects
from benchmarks.native import UNBATCHED, Batching, native
from benchmarks.scoring import score_ratio
from benchmarks.subjects import PAPER, SMALL, Subjects
from benchmarks.targets import BenchmarkTarget, targets

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
            NATIVE: Native(at.grpc, UNBATCHED.suffix),
            **batched,
            **unmerged,
            IN_PROCESS: bare,
        }
        meter = Meter(ways, subjects.SHAPES, effort, announce)
        for name in names:
            rounds = min(effort.rounds, 3) if name == PAPER else effort.rounds
            await plan.compared(meter, name, list(batched), list(unmerged), rounds=rounds, slow=name == PAPER)
            await plan.open_loops(meter, name, [FRONT, NATIVE])
    for name in names:
        if not quick:
            await plan.everything(meter, name, [FRONT])
    scoring = {}
    if PAPER in names:
        announce(f"scoring {SCORED_IMAGES} images")
        scoring = await score_ratio(address, bare, PAPER, subjects.SHAPES[PAPER], SCORED_IMAGES)
    return _concluded(meter.results, scoring)


def _concluded(results: Results, scoring: dict[str, float]) -> tuple[Results, list[BenchmarkTarget]]:
    found = targets(results, SMALL, PAPER, scoring)
    results.ratios = {target.name: round(target.value, 3) for target in found}
    results.facts = facts() | {"workers": WORKERS, "threads": THREADS, "scoring": scoring}
    return results, found


def _called(way: str, batching: Batching) -> str:
    return f"{way}, batches of {batching.size}, {batching.delay} ms"


def run_compare(
    serve: Callable[[Path], str], folder: Path, effort: Effort, announce: Announce, *, quick: bool
) -> tuple[Results, list[BenchmarkTarget]]:
    """Prepare the models in `folder`, let `serve` start a service over them, and compare."""
    names: Sequence[str] = (SMALL,) if quick else (SMALL, PAPER)
    announce("preparing the models")
    chosen = subjects.prepare(folder, tuple(names))
    return asyncio.run(compare(serve(chosen.store), chosen, effort, announce, quick=quick))
