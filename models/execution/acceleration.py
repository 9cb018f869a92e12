"""Other ways to run a model's networks: compiled, or as CUDA graphs for a few sizes of batch.

Only networks, tensors in and tensors out, and as graphs the drawing pixel by pixel; laws and noise stay as
they are. What each costs and gains: docs/operations.md.
"""

from collections.abc import Callable
from functools import partial

import torch
from rdserve.models import ops
from rdserve.models.components.decoders import PixelCNNDecoder
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.execution.config import ExecutionConfig
from rdserve.models.execution.cuda_graphs import (
    CudaRecorder,
    Network,
    RecordedNetwork,
    RecordedSampler,
    Recorder,
)
from rdserve.models.networks.pixelcnn import PixelCNN
from rdserve.models.vae import VAE
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

# Of a compiled network each has its own code: torch tells apart 1, up to 15, and more.
COMPILED_SIZES = (1, 2, 16)
# Powers of two: padding never costs more than as much again.
GRAPH_SIZES = tuple(2**power for power in range(10))
# Drawing one pixel takes a GPU about as long for a hundred images as for one; the largest bounds what the
# recordings keep in memory.
DRAWN_SIZES = (1, 16, 128)


def accelerate(
    vae: VAE, config: ExecutionConfig, image_shape: tuple[int, int], compiler: str = "inductor"
) -> None:
    """Run the networks of a model, already on its device, as `config` says; all that takes long happens now.

    compiler: a backend of torch.compile.
    """
    if config.execution == "eager" or not networks(vae):
        return
    if config.execution == "compile":
        compile_networks(vae, compiler)
        score_once(vae, config, image_shape, COMPILED_SIZES)
    else:
        record_networks(vae)
        score_once(vae, config, image_shape, GRAPH_SIZES)
        draw_once(vae, config, DRAWN_SIZES)


def compile_networks(vae: VAE, compiler: str = "inductor") -> None:
    """By torch.compile, when they are first called.

    compiler: a backend of it.
    """
    # The first call of compiled code turns off what laws check of their parameters, in the whole process.
    torch.compile(torch.abs, backend="eager")(torch.zeros(1))
    Distribution.set_default_validate_args(True)
    for network in networks(vae):
        # Not network.compile(): that leaves a Sequential's layers to be compiled one by one.
        network.forward = torch.compile(network.forward, dynamic=True, backend=compiler)


def record_networks(vae: VAE, recorder: Callable[[], Recorder] = CudaRecorder) -> None:
    """As graphs, and the drawing of pixels too, when they are first called with a size of batch."""
    for network in networks(vae):
        prepare = partial(RecordedNetwork, network.forward, recorder)
        network.forward = Padded(GRAPH_SIZES, prepare)
    if isinstance(vae.decoder, PixelCNNDecoder):
        vae.decoder.draw = Padded(DRAWN_SIZES, partial(RecordedSampler, vae.decoder.network, recorder))


def networks(vae: VAE) -> list[nn.Module]:
    """The convolutional ones, where nearly all the work is."""
    return [
        module
        for name, module in vae.named_modules()
        if name.endswith(".body") or isinstance(module, PixelCNN)
    ]


@torch.inference_mode()
def score_once(
    vae: VAE, config: ExecutionConfig, image_shape: tuple[int, int], sizes: tuple[int, ...]
) -> None:
    """Score so many images at a time: each network sees each size."""
    for n in sizes:
        ids = torch.arange(n, device=config.device)
        with config.computing():
            ops.score(vae, torch.zeros(n, *image_shape, device=config.device), NoiseKeys(ids, ids), 1)


@torch.inference_mode()
def draw_once(vae: VAE, config: ExecutionConfig, sizes: tuple[int, ...]) -> None:
    """Sample so many images at a time."""
    for n in sizes:
        ids = torch.arange(n, device=config.device)
        with config.computing():
            ops.sample(vae, NoiseKeys(ids, ids), 1)


class Padded:
    """A function of any number of rows that runs at a few sizes only: rows of zeros fill up, and are cut off.

    prepare(*examples): the function as it runs for inputs of those shapes; asked once per size.
    """

    def __init__(self, sizes: tuple[int, ...], prepare: Callable[..., Network]) -> None:
        self._sizes = sizes
        self._prepare = prepare
        self._prepared: dict[int, Network] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        most = self._sizes[-1]
        parts = zip(*(each.split(most) for each in inputs), strict=True)
        outputs = [self._one(*part) for part in parts]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _one(self, *inputs: Tensor) -> Tensor:
        n = len(inputs[0])
        size = next(size for size in self._sizes if size >= n)
        full = [F.pad(each, (0, 0) * (each.ndim - 1) + (0, size - n)) for each in inputs]
        if size not in self._prepared:
            self._prepared[size] = self._prepare(*full)
        return self._prepared[size](*full)[:n]
