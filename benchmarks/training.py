"""Training steps on one device: how long they take, and what share of its own matrix product they reach.

It needs the extra train.

    python -m benchmarks.training [--device cuda] [--size paper] [--families=---,-+v] [--batch 100]
                                          [--precisions float32,bfloat16] [--executions eager,compile]
                                          [--models-at-once 1,4] [--out FILE.json]

A Markdown table on stdout. The images are of 28 x 28, and noise: a step costs the same whatever they show.
Several models at once are processes of their own, as in `rdserve zoo --jobs`, between them all threads.
"""

import argparse
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from threading import Barrier
from time import perf_counter

import torch
from rdserve.trainer import run
from rdserve.trainer.config import Config, configure
from rdserve.trainer.train import choose, one_step
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.markdown import table
from benchmarks.peak import peak

FAMILIES = "---,--v,+-v,-+v"
WARM_UP, STEPS = 3, 20


@dataclass(frozen=True)
class Training:
    """Steps of one kind of model.

    images_per_second, share_of_peak: of all the models at once.
    """

    family: str
    size: str
    precision: str
    execution: str
    models_at_once: int
    ms_per_step: float
    images_per_second: float
    share_of_peak: float


def main() -> None:
    """Run everything, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", default="paper", choices=["paper", "compact"])
    parser.add_argument("--families", default=FAMILIES)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--executions", default="eager,compile")
    parser.add_argument("--models-at-once", default="1,4")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device = choose(given.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads, {given.steps} steps\n")
    rows = list(measured(given, device))
    table(rows)
    if given.out:
        given.out.write_text(json.dumps({"device": name, "training": [*map(asdict, rows)]}, indent=1) + "\n")


def measured(given: argparse.Namespace, device: torch.device) -> Iterator[Training]:
    """Each family in each way."""
    families, precisions = given.families.split(","), given.precisions.split(",")
    peaks = {precision: peak(device, precision) for precision in precisions}
    work = {family: operations(family, given.size, given.batch) for family in families}
    ways = product(families, precisions, given.executions.split(","), given.models_at_once.split(","))
    for family, precision, execution, n in ways:
        way = {"size": given.size, "precision": precision, "execution": execution}
        config = configure(family, "static-mnist", batch_size=given.batch, **way)
        seconds = slowest(config, device, int(n), given.steps)
        share = int(n) * work[family] / seconds / peaks[precision]
        per_second = int(n) * config.batch_size / seconds
        yield Training(
            family,
            **way,
            models_at_once=int(n),
            ms_per_step=1000 * seconds,
            images_per_second=per_second,
            share_of_peak=share,
        )


def slowest(config: Config, device: torch.device, at_once: int, steps: int) -> float:
    """Seconds per step of the slowest of so many equal models, all under way together."""
    spawn = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // at_once)
    with spawn.Manager() as manager, ProcessPoolExecutor(at_once, spawn) as pool:
        barrier = manager.Barrier(at_once)
        futures = [
            pool.submit(seconds_per_step, config, device, steps, threads, barrier) for _ in range(at_once)
        ]
        return max(future.result() for future in futures)


def seconds_per_step(
    config: Config, device: torch.device, steps: int, threads: int, barrier: Barrier
) -> float:
    """Of one model, from when all are warm."""
    torch.set_num_threads(threads)
    images = noise(config, WARM_UP + steps).to(device)
    under_way = run.begin(config, images)
    for step in range(WARM_UP):
        one_step(under_way, images, 0, step)
    barrier.wait()
    begun = perf_counter()
    for step in range(WARM_UP, WARM_UP + steps):
        one_step(under_way, images, 0, step)
    under_way.totals.sum().item()  # waits for a GPU
    return (perf_counter() - begun) / steps


def operations(family: str, size: str, batch: int) -> int:
    """Of the convolutions and matrix products of one step, forwards and backwards, in whatever precision."""
    config = configure(family, "static-mnist", size=size, batch_size=batch)  # compiled ones cannot be counted
    images = noise(config, 1)
    under_way = run.begin(config, images)
    with FlopCounterMode(display=False) as counter:
        one_step(under_way, images, 0, 0)
    return int(counter.get_total_flops())


def noise(config: Config, batches: int) -> torch.Tensor:
    """(batches * batch size, H, W) of 0s and 1s."""
    torch.manual_seed(0)
    return torch.randint(0, 2, (batches * config.batch_size, *config.architecture.image_shape)).byte()


if __name__ == "__main__":
    main()
