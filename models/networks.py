"""Other ways to run a model's networks: compiled, or as CUDA graphs for a few sizes of batch.

Only networks, tensors in and tensors out; laws, noise and drawing pixel by pixel stay as they are.
What each costs and gains: docs/operations.md.
"""

from collections.abc import Callable
from threading import Lock

import torch
from rdserve.models import ops
from rdserve.models.device import How
from rdserve.models.noise import Keys
from rdserve.models.pixelcnn import PixelCNN
from rdserve.models.vae import VAE
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

Network = Callable[..., Tensor]

# Of a compiled network each has its own code: torch tells apart 1, up to 15, and more.
COMPILED_SIZES = (1, 2, 16)
# Powers of two: padding never costs more than as much again.
GRAPH_SIZES = tuple(2**power for power in range(10))


def speed_up(vae: VAE, how: How, image_shape: tuple[int, int], compiler: str = "inductor") -> None:
    """Run the networks of a model, already on its device, as `how` says; all that takes long happens now.

    compiler: a backend of torch.compile.
    """
    if how.execution == "eager":
        return
    found = networks(vae)
    for network in found:
        if how.execution == "compile":
            # Not network.compile(): that leaves a Sequential's layers to be compiled one by one.
            network.forward = torch.compile(network.forward, dynamic=True, backend=compiler)
        else:
            network.forward = Padded(network.forward, GRAPH_SIZES, Graph)
    if found:
        warm_up(vae, how, image_shape, COMPILED_SIZES if how.execution == "compile" else GRAPH_SIZES)
    # The first compilation turns off what laws check of their parameters, in the whole process.
    Distribution.set_default_validate_args(True)


def networks(vae: VAE) -> list[nn.Module]:
    """The convolutional ones, where nearly all the work is."""
    return [
        module
        for name, module in vae.named_modules()
        if name.endswith(".body") or isinstance(module, PixelCNN)
    ]


@torch.inference_mode()
def warm_up(vae: VAE, how: How, image_shape: tuple[int, int], sizes: tuple[int, ...]) -> None:
    """Score so many images at a time: each network sees each size."""
    for n in sizes:
        ids = torch.arange(n, device=how.device)
        with how.computing():
            ops.score(vae, torch.zeros(n, *image_shape, device=how.device), Keys(ids, ids), 1)


class Graph:
    """A network recorded once on a GPU, and played again for inputs of the same shapes."""

    def __init__(self, network: Network, *examples: Tensor) -> None:
        self._inputs = [example.clone() for example in examples]
        self._lock = Lock()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # cuDNN chooses its algorithms before anything is recorded
            for _ in range(3):
                network(*self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = network(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        with self._lock:  # several threads may share the model, and the buffers are one each
            for mine, given in zip(self._inputs, inputs, strict=True):
                mine.copy_(given)
            self._graph.replay()
            return self._output.clone()


class Padded:
    """A network for any number of rows that runs at a few sizes only: rows of zeros fill up, and are cut off.

    prepare(network, *examples): the network as it runs for inputs of those shapes; asked once per size.
    """

    def __init__(self, network: Network, sizes: tuple[int, ...], prepare: Callable[..., Network]) -> None:
        self._network = network
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
            self._prepared[size] = self._prepare(self._network, *full)
        return self._prepared[size](*full)[:n]
