"""Sampling, naive and incremental, in one run: multiply-adds and seconds.

Naive: the whole network once for each pixel, or each latent. Every pass costs the same, wherever the pixel
lies, so some pixels spread over the image are timed, and each is checked to come out as the incremental
sampler drew it. Of both ways the fastest run counts: what the machine's other work disturbed least.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import torch
from rdserve.models.card_parts import Architecture
from rdserve.models.families import build
from rdserve.models.networks.flows import MADE, MeanOnlyFlow
from rdserve.models.networks.pixelcnn import PixelCNN
from rdserve.models.networks.pixelcnn_incremental import sample
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class SamplingCost:
    """One way to draw `batch` rows of `steps` values, one after another.

    naive_timed: passes that were timed, of naive_passes. agree: of the values they gave, those that both
    ways drew alike. Multiply-adds are those of convolutions and matrix products.
    """

    what: str
    batch: int
    threads: int
    naive_passes: int
    naive_timed: int
    agree: int
    naive_multiply_adds: int
    multiply_adds: int
    naive_seconds: float
    seconds: float

    @property
    def ratios(self) -> dict[str, float]:
        return {
            "multiply_adds": self.naive_multiply_adds / self.multiply_adds,
            "seconds": self.naive_seconds / self.seconds,
        }


@torch.inference_mode()
def pixels(*, batch: int, threads: int, timed: int, size: int = 28, width: float = 1.0) -> SamplingCost:
    """Images of a PixelCNN decoder with random weights."""
    torch.manual_seed(0)
    architecture = Architecture(family="-+-", image_size=size, width=width)
    d = build(architecture).decoder(torch.randn(batch, architecture.latent_dim))
    network, plane = d.network, d.plane
    assert isinstance(network, PixelCNN)
    u = torch.rand(batch, size, size)
    x = sample(network, plane, u)
    at = torch.linspace(0, size**2 - 1, timed).long().tolist()
    alike, naive = [], []
    for pixel in at:
        row, column = divmod(pixel, size)
        begun = perf_counter()
        p = torch.sigmoid(network(x, plane)[:, row, column].double())
        naive.append(perf_counter() - begun)
        alike.append(torch.equal((u[:, row, column] < p).to(x.dtype), x[:, row, column]))
    return SamplingCost(
        what=f"PixelCNN, {size} x {size}, {network.logits.in_channels} channels",
        batch=batch,
        threads=threads,
        naive_passes=size**2,
        naive_timed=timed,
        agree=sum(alike),
        naive_multiply_adds=size**2 * multiply_adds(lambda: network(x, plane)),
        multiply_adds=multiply_adds(lambda: sample(network, plane, u)),
        naive_seconds=size**2 * min(naive),
        seconds=fastest(lambda: sample(network, plane, u)),
    )


@torch.inference_mode()
def latents(*, batch: int, threads: int, n_latents: int = 64, width: float = 1.0) -> SamplingCost:
    """Latents of a flow marginal with random weights: four steps, each solved latent after latent."""
    torch.manual_seed(0)
    flow = MeanOnlyFlow(n_latents, round(640 * width))
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    y = torch.randn(batch, n_latents)
    both = naive_pull(flow, y), flow.pull(y)
    passes = n_latents * len(flow.steps)
    return SamplingCost(
        what=f"flow, {n_latents} latents, 3 x {round(640 * width)} hidden units",
        batch=batch,
        threads=threads,
        naive_passes=passes,
        naive_timed=passes,
        agree=passes if torch.allclose(*both, atol=1e-4) else 0,
        naive_multiply_adds=multiply_adds(lambda: naive_pull(flow, y)),
        multiply_adds=multiply_adds(lambda: flow.pull(y)),
        naive_seconds=fastest(lambda: naive_pull(flow, y)),
        seconds=fastest(lambda: flow.pull(y)),
    )


def naive_pull(flow: MeanOnlyFlow, y: Tensor) -> Tensor:
    """As `flow.pull`, each latent by a pass through the whole masked network."""
    for step in reversed(flow.steps):
        assert isinstance(step, MADE)
        x = torch.zeros_like(y)
        for i in step.order:
            x[:, i] = y[:, i] - step(x)[:, i]
        y = x
    return y


def multiply_adds(work: Callable[[], object]) -> int:
    """Of its convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops()) // 2


def fastest(work: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(times):
        begun = perf_counter()
        work()
        seconds.append(perf_counter() - begun)
    return min(seconds)


def run(*, threads: int, quick: bool = False) -> Iterator[SamplingCost]:
    """Latents, then pixels, of the paper's size, 16 rows at a time; each as it is done."""
    width, size, timed = (0.1, 8, 8) if quick else (1.0, 28, 16)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield latents(batch=16, threads=threads, width=width)
        yield pixels(batch=16, threads=threads, timed=timed, size=size, width=width)
    finally:
        torch.set_num_threads(before)


def show(threads: int, *, quick: bool) -> None:
    """A line for each."""
    print(f"naive over incremental, {threads} thread{'s' if threads > 1 else ''}")
    for it in run(threads=threads, quick=quick):
        ratios = it.ratios
        print(
            f"{it.what}, batch {it.batch}: multiply-adds {it.naive_multiply_adds:.3g} / "
            f"{it.multiply_adds:.3g} = {ratios['multiply_adds']:.0f}, seconds {it.naive_seconds:.3g} / "
            f"{it.seconds:.3g} = {ratios['seconds']:.0f}; {it.agree} of {it.naive_timed} timed values alike"
        )
