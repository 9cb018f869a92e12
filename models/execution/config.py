"""Where and how a model computes: device, precision, and how much at a time."""

import contextlib
import errno
import logging
import os
from typing import Any, NamedTuple, get_args

import torch
from numpy.typing import NDArray
from rdserve.models.execution import Execution, Precision
from torch import Tensor

log = logging.getLogger(__name__)

# What a worker process is told by whoever starts it.
VARIABLE = "RDSERVE_PRECISION"
EXECUTION_VARIABLE = "RDSERVE_EXECUTION"
# Bounds the activations of one forward pass.
MAX_IMAGES_AT_ONCE = 512
# On a CPU activations are best left in its caches: the paper's `---` scores 64 images of 28 x 28 at a time
# a third faster than 512.
PIXELS_IN_CACHE = 64 * 28 * 28
# oneDNN makes machine code for each size that a convolution meets; so it says that memory ran out for that.
# (One that it cannot do at all is "could not create a primitive descriptor ...".)
_NO_CODE = "could not create a primitive"
# The others: torch's allocator, C++, and whoever quotes the system.
_NO_MEMORY = ("can't allocate memory", "std::bad_alloc", os.strerror(errno.ENOMEM))


class ExecutionConfig(NamedTuple):
    """
    precision: of the networks; laws, noise, rates and distortions are float32 whatever it is.
        tf32 and bfloat16 use a GPU's tensor cores. What they cost in nats: docs/operations.md.
    at_once: images in one forward pass, at most.
    execution: of the networks: as written, by torch.compile, or recorded as CUDA graphs.
    """

    device: torch.device = torch.device("cpu")
    precision: Precision = "float32"
    at_once: int = MAX_IMAGES_AT_ONCE
    execution: Execution = "eager"

    @property
    def device_name(self) -> str:
        """In words: "cpu AVX2", "cuda NVIDIA H200 compile". What the last digits of results depend on."""
        words = [self.device.type]
        if self.device.type == "cuda":
            words.append(torch.cuda.get_device_name(self.device))
        if self.device.type == "cpu":
            words.append(torch.backends.cpu.get_cpu_capability())
        return " ".join(words if self.execution == "eager" else [*words, self.execution])

    def computing(self) -> contextlib.AbstractContextManager[object]:
        """Open while a model computes."""
        if self.precision == "bfloat16":
            # A graph may not hold weights that autocast converted before it was recorded.
            reuse = self.execution != "graphs"
            return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=reuse)
        return contextlib.nullcontext()

    def prepare(self) -> None:
        """What is set once per process."""
        torch.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = self.precision == "tf32"

    def upload(self, values: NDArray[Any]) -> Tensor:
        """There as a tensor; to a GPU by way of pinned memory, which torch keeps for the next."""
        there = torch.from_numpy(values)
        if self.device.type != "cuda":
            return there.to(self.device)
        return there.pin_memory().to(self.device, non_blocking=True)

    def images_per_pass(self, pixels: int) -> int:
        """Images of so many pixels in one pass over all of them (encode, score).

        Pixel-by-pixel drawing has small activations and does better with `at_once`.
        """
        in_cache = PIXELS_IN_CACHE // pixels if self.device.type == "cpu" else self.at_once
        return max(1, min(self.at_once, in_cache))

    def smaller(self, images: int) -> "ExecutionConfig | None":
        """The same in two halves, for `images` that did not fit in memory; None where one is all there is."""
        half = min(self.at_once, images) // 2
        return self._replace(at_once=half) if half else None


def chosen_precision() -> Precision:
    """What this process was told.

    Raises:
        ValueError: no such precision.
    """
    precision: Precision = _told(VARIABLE, get_args(Precision))
    return precision


def chosen_execution() -> Execution:
    """What this process was told.

    Raises:
        ValueError: no such execution.
    """
    execution: Execution = _told(EXECUTION_VARIABLE, get_args(Execution))
    return execution


def _told(variable: str, known: tuple[Any, ...]) -> Any:
    """The first where nothing was told."""
    told = os.environ.get(variable, known[0])
    if told not in known:
        raise ValueError(f"{variable} is {told!r}; give one of {', '.join(known)}")
    return told


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out. On a CPU torch says so in words only."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = str(error)
    return isinstance(error, RuntimeError) and (words == _NO_CODE or any(map(words.__contains__, _NO_MEMORY)))


def abandon_onednn_after(error: Exception) -> None:
    """Do without oneDNN from now on, where it ran out of memory: torch's own convolutions take 1.1 to 2.6
    times as long in zoo/digits and move single rates and distortions by at most 2e-5 nats.

    Its code generator never forgets such an error (later sizes fail in the same thread for good, however much
    memory there is by then), and what it leaves half made in its cache ends the process when it is used.
    """
    if isinstance(error, RuntimeError) and str(error) == _NO_CODE and torch.backends.mkldnn.enabled:
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property, to torch
        torch.backends.nnpack.set_flags(False)  # it would take its place, and is slower still
        log.warning("oneDNN ran out of memory; this process does without it from now on, and is slower")
