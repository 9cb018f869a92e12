"""Where and how a model computes: device, precision, and how much at a time."""

import contextlib
import os
from typing import Literal, NamedTuple, get_args

import torch

Precision = Literal["float32", "tf32", "bfloat16"]
# What a worker process is told by whoever starts it.
VARIABLE = "RDSERVE_PRECISION"
# Bounds the activations of one forward pass.
MAX_IMAGES_AT_ONCE = 512
# On a CPU activations are best left in its caches: the paper's `---` scores 64 images of 28 x 28 at a time
# a third faster than 512.
PIXELS_IN_CACHE = 64 * 28 * 28


class How(NamedTuple):
    """
    precision: of the networks; laws, noise, rates and distortions are float32 whatever it is.
        tf32 and bfloat16 use a GPU's tensor cores. What they cost in nats: docs/operations.md.
    at_once: images in one forward pass, at most.
    """

    device: torch.device = torch.device("cpu")
    precision: Precision = "float32"
    at_once: int = MAX_IMAGES_AT_ONCE

    @property
    def device_name(self) -> str:
        """In words: "cpu AVX2", "cuda NVIDIA H200". What the last digits of results depend on."""
        kind = self.device.type
        if kind == "cuda":
            return f"{kind} {torch.cuda.get_device_name(self.device)}"
        return f"{kind} {torch.backends.cpu.get_cpu_capability()}" if kind == "cpu" else kind

    def computing(self) -> contextlib.AbstractContextManager[object]:
        """Open while a model computes."""
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def prepare(self) -> None:
        """What is set once per process."""
        torch.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = self.precision == "tf32"

    def images_per_pass(self, pixels: int) -> int:
        """Images of so many pixels in one pass over all of them (encode, score).

        Pixel-by-pixel drawing has small activations and does better with `at_once`.
        """
        in_cache = PIXELS_IN_CACHE // pixels if self.device.type == "cpu" else self.at_once
        return max(1, min(self.at_once, in_cache))

    def smaller(self, images: int) -> "How | None":
        """The same in two halves, for `images` that did not fit in memory; None where one is all there is."""
        half = min(self.at_once, images) // 2
        return self._replace(at_once=half) if half else None


def chosen_precision() -> Precision:
    """What this process was told.

    Raises:
        ValueError: no such precision.
    """
    told = os.environ.get(VARIABLE, "float32")
    for precision in get_args(Precision):
        if precision == told:
            return precision
    raise ValueError(f"{VARIABLE} is {told!r}; give one of {', '.join(get_args(Precision))}")


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out. On a CPU torch says so in words only."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
