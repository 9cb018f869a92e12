"""CUDA graphs: work on a GPU recorded once, then started as a whole.

Work that is recorded reads and writes the same places in memory each time it is played.
"""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import torch
from rdserve.models import cancellation
from rdserve.models.networks.pixelcnn import PixelCNN
from rdserve.models.networks.pixelcnn_incremental import Drawing
from torch import Tensor

Network = Callable[..., Tensor]
Play = Callable[[], None]
# Of work without arguments: how to do it again.
Recorder = Callable[[Play], Play]

TRIES = 3


class CudaRecorder:
    """Records works that are played in the order of recording; they share the memory they need meanwhile."""

    def __init__(self) -> None:
        self._pool: Any = torch.cuda.graph_pool_handle()

    def __call__(self, work: Play) -> Play:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # cuDNN chooses its algorithms before anything is recorded
            for _ in range(TRIES):
                work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            work()
        return graph.replay


class RecordedNetwork:
    """A network for inputs of the examples' shapes."""

    def __init__(self, network: Network, recorder: Callable[[], Recorder], *examples: Tensor) -> None:
        self._inputs = [example.clone() for example in examples]
        self._network = network
        self._output: Tensor
        self._lock = Lock()
        self._play = recorder()(self._run)

    def __call__(self, *inputs: Tensor) -> Tensor:
        with self._lock:  # several threads may share the model, and the buffers are one each
            for mine, given in zip(self._inputs, inputs, strict=True):
                mine.copy_(given)
            self._play()
            return self._output.clone()

    def _run(self) -> None:
        self._output = self._network(*self._inputs)


class RecordedSampler:
    """`incremental.sample` for planes and u of the examples' shapes, a recording for every row of pixels.

    A pixel is a hundred small kernels: to start them one by one takes longer than to run them.
    """

    def __init__(self, network: PixelCNN, recorder: Callable[[], Recorder], plane: Tensor, u: Tensor) -> None:
        self._drawing = Drawing(network, plane.clone(), u.clone())
        self._lock = Lock()
        record = recorder()
        self._rows = [record(partial(self._drawing.row, row)) for row in range(u.shape[-2])]

    def __call__(self, plane: Tensor, u: Tensor) -> Tensor:
        """As `incremental.sample`."""
        with self._lock:
            self._drawing.begin(plane)
            self._drawing.u.copy_(u)
            for play in self._rows:
                cancellation.check()
                play()
            return self._drawing.x.clone()
