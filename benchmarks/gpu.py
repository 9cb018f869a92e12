"""One command for a machine with a GPU; it needs the extras server and compare.

    python -m benchmarks.gpu [--gpus 1] [--backends in-process,torchserve]
                                     [--executions eager,graphs] [--out FILE.json]

A Markdown table on stdout: every op of five models of the digits zoo and one of the paper's size, at each
precision and execution (eager, graphs, compile), through the service with either backend: images per second
and latency, and for each model, precision and execution what the networks reach of the machine's own matrix
product and what they move in nats. `--gpus 0 --executions eager` runs it on the CPU, to try it.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rdserve.cli.private_server import private_service
from rdserve.loadtest.load import closed
from rdserve.loadtest.requests import OPS, bodies
from rdserve.loadtest.routes import Front
from rdserve.models.execution import Execution, Precision
from rdserve.models.execution.config import ExecutionConfig
from rdserve.models.worker.worker import Worker
from rdserve.v1.vae_pb2 import NoiseKeys, SampleRequest, ScoreRequest
from rdserve.v1.worker_pb2 import WorkReply, WorkRequest
from rdserve.wire import tensors
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import subjects
from benchmarks.markdown import table
from benchmarks.peak import peak

FAMILIES = ("digits-mmm-b1.0", "digits-mpv-b1.0", "digits-pmv-b1.0", "digits-ppm-b1.0", subjects.PAPER)
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
ROWS, IN_FLIGHT, SECONDS, REPEATS = 256, 8, 2.0, 10


class GpuWay(NamedTuple):
    """How networks compute."""

    precision: Precision
    execution: Execution


@dataclass(frozen=True)
class Served:
    """One op of one model through the service."""

    backend: str
    precision: str
    execution: str
    model: str
    op: str
    images_per_second: float
    p50_ms: float  # one image, nobody else
    p50_full_ms: float  # ROWS images, IN_FLIGHT callers
    errors: int


@dataclass(frozen=True)
class Bare:
    """Score, called in this process, of images that the model drew.

    mean_nats, most_nats: by how much the mean rate or distortion moves, and one image's, at most.
    """

    precision: str
    execution: str
    model: str
    images_per_second: float
    share_of_peak: float
    mean_nats: float
    most_nats: float


def main() -> None:
    """Run everything, print the tables, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--backends", default="in-process,torchserve")
    parser.add_argument("--models", default=",".join(FAMILIES))
    parser.add_argument("--executions", default="eager,graphs")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device = torch.device("cuda" if given.gpus else "cpu")
    ways = [GpuWay(*way) for way in product(PRECISIONS, given.executions.split(","))]
    name = torch.cuda.get_device_name() if given.gpus else "CPU"
    print(f"{name}, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as scratch:
        chosen = subjects.prepare(Path(scratch), tuple(given.models.split(",")))
        inside = list(bare(chosen, device, ways))
        table(inside)
        through = [
            each
            for backend in given.backends.split(",")
            for way in ways
            for each in served(chosen, backend, way, given.gpus)
        ]
        table(through)
    if given.out:
        rows = {"bare": [*map(asdict, inside)], "served": [*map(asdict, through)]}
        given.out.write_text(json.dumps({"device": name} | rows, indent=1) + "\n")


def bare(chosen: subjects.Subjects, device: torch.device, ways: list[GpuWay]) -> Iterator[Bare]:
    """Every model in every way, beside eager float32."""
    for name, folder in chosen.checkpoints.items():
        body = own_images(name, folder, device)
        with FlopCounterMode(display=False) as counter:  # which does not see into graphs
            exact = _scores(Worker.load(folder, ExecutionConfig(device)), body)
        for way in ways:
            worker = Worker.load(folder, ExecutionConfig(device, way.precision, execution=way.execution))
            moved = _scores(worker, body) - exact
            seconds = median(_timed(worker, body, device) for _ in range(REPEATS))
            share = counter.get_total_flops() / seconds / peak(device, way.precision)
            mean, most = np.abs(moved.mean(1)).max(), np.abs(moved).max()
            yield Bare(*way, name, ROWS / seconds, share, float(mean), float(most))


def own_images(name: str, folder: Path, device: torch.device) -> bytes:
    """A request to score ROWS images that the model draws, the same at every precision."""
    noise = NoiseKeys(seed=0)
    draw = SampleRequest(model=name, n_latents=ROWS, noise=noise, n_samples=1)
    reply = Worker.load(folder, ExecutionConfig(device)).work([WorkRequest(sample=draw).SerializeToString()])[
        0
    ]
    images = tensors.to_array(WorkReply.FromString(reply).sample.images)[:, 0]
    score = ScoreRequest(model=name, images=tensors.to_message(images), noise=noise)
    return WorkRequest(score=score).SerializeToString()


def _scores(worker: Worker, body: bytes) -> NDArray[np.float64]:
    """Rates and distortions, (2, ROWS) nats."""
    score = WorkReply.FromString(worker.work([body])[0]).score
    return np.array([score.rate_nats, score.distortion_nats])


def _timed(worker: Worker, body: bytes, device: torch.device) -> float:
    start = perf_counter()
    worker.work([body])
    if device.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter() - start


def served(chosen: subjects.Subjects, backend: str, way: GpuWay, gpus: int) -> list[Served]:
    """Every op of every model through one service."""
    options = ["--backend", backend, "--gpus", str(gpus), "--precision", way.precision]
    with private_service(chosen.store, lambda _: None, *options, "--execution", way.execution) as address:
        return asyncio.run(_served(address, chosen, backend, way))


async def _served(address: str, chosen: subjects.Subjects, backend: str, way: GpuWay) -> list[Served]:
    front, found = Front(address), []
    for name in chosen.checkpoints:
        for op in OPS:
            one = front.sender(name, op, bodies(name, op, 1, shape_of(name)))
            full = front.sender(name, op, bodies(name, op, ROWS, shape_of(name)))
            await closed(full, IN_FLIGHT, SECONDS / 4)  # unmeasured
            alone, crowd = await closed(one, 1, SECONDS), await closed(full, IN_FLIGHT, SECONDS)
            rate, errors = crowd.rps * ROWS, sum((alone.errors | crowd.errors).values())
            p50 = alone.percentile(50), crowd.percentile(50)
            found.append(Served(backend, *way, name, op, rate, *p50, errors))
    return found


def shape_of(name: str) -> tuple[int, int]:
    """Image size of a model."""
    return subjects.SHAPES.get(name, subjects.SHAPES[subjects.SMALL])


if __name__ == "__main__":
    main()
