"""Sampling a PixelCNN one pixel at a time, computing each feature once.

The stream u at row r sees the rows above r only, so it is computed a row at a time; the stream ul at
(r, c) is computed a pixel at a time. A coarser map gets its next entry when the finer one reaches an
even row and column. All of an image's pixels together cost about one pass of the network, where
running the network for every pixel costs one pass each.
"""

from collections.abc import Sequence

import torch
from rdserve.models import stopping
from rdserve.models.pixelcnn import (
    MULTIPLE,
    Both,
    DownLayer,
    GatedLayer,
    PixelCNN,
    ShiftedConv2d,
    ShiftedDeconv2d,
    UpLayer,
)
from torch import Tensor, nn
from torch.nn import functional as F


class Canvas:
    """A map (B, C, H, W) being filled in, with zeros around it for convolutions to read."""

    TOP, SIDE = 1, 1

    def __init__(self, batch: int, channels: int, rows: int, columns: int, like: Tensor) -> None:
        self.data = like.new_zeros(batch, channels, rows + self.TOP, columns + 2 * self.SIDE)
        self.columns = columns

    def read(self, rows: slice, columns: slice) -> Tensor:
        """A view; rows from -1, columns from -1 to W inclusive."""
        top, side = self.TOP, self.SIDE
        return self.data[:, :, rows.start + top : rows.stop + top, columns.start + side : columns.stop + side]

    def write(self, row: int, column: int, values: Tensor) -> None:
        """values (B, C, h, w), their upper left corner at (row, column)."""
        h, w = values.shape[-2:]
        self.read(slice(row, row + h), slice(column, column + w)).copy_(values)


def convolve(layer: ShiftedConv2d, x: Canvas, row: int, columns: range) -> Tensor:
    """Row `row` of layer(x), at some columns: (B, C, 1, len(columns))."""
    kernel_rows = layer.conv.kernel_size[0]
    left, right, _, _ = layer.padding
    stride = layer.conv.stride[0]
    first, last = columns[0] * stride - left, columns[-1] * stride + right
    window = x.read(slice(stride * row - kernel_rows + 1, stride * row + 1), slice(first, last + 1))
    return apply(layer.conv, window) if len(columns) == 1 else layer.conv(window)


def apply(conv: nn.Conv2d, window: Tensor) -> Tensor:
    """A convolution whose output is one pixel: a matrix product, which costs less to start."""
    return F.linear(window.flatten(1), conv.weight.flatten(1), conv.bias)[..., None, None]


class LayerInProgress:
    """A `GatedLayer` over canvases."""

    def __init__(self, layer: GatedLayer, x: Canvas, shortcuts: Sequence[Canvas]) -> None:
        batch, channels, rows, columns = x.data.shape
        self.layer, self.x, self.shortcuts = layer, x, shortcuts
        self.hidden, self.out = (
            Canvas(batch, channels, rows - Canvas.TOP, columns - 2 * Canvas.SIDE, x.data) for _ in range(2)
        )

    def advance(self, row: int, columns: range) -> None:
        here = slice(row, row + 1), slice(columns.start, columns.stop)
        h = convolve(self.layer.first, self.x, row, columns)
        if self.layer.shortcut is not None:
            left = torch.cat([canvas.read(*here) for canvas in self.shortcuts], 1)
            shortcut = self.layer.shortcut
            h = h + (apply(shortcut, left) if len(columns) == 1 else shortcut(left))
        self.hidden.write(row, columns.start, F.glu(h, dim=1))
        gated = F.glu(convolve(self.layer.second, self.hidden, row, columns), dim=1)
        self.out.write(row, columns.start, self.x.read(*here) + gated)


class Level:
    """One size of map: both streams' layers on the way out and on the way back."""

    def __init__(self, up: nn.ModuleList, down: nn.ModuleList, u: Canvas, ul: Canvas) -> None:
        self.u_in, self.ul_in = u, ul
        self.u_up: list[LayerInProgress] = []
        self.ul_up: list[LayerInProgress] = []
        self.u_down: list[LayerInProgress] = []
        self.ul_down: list[LayerInProgress] = []
        for layer in up:
            assert isinstance(layer, UpLayer)
            self.u_up.append(LayerInProgress(layer.u, u, []))
            u = self.u_up[-1].out
            self.ul_up.append(LayerInProgress(layer.ul, ul, [u]))
            ul = self.ul_up[-1].out
        self.u_coarse, self.ul_coarse = u, ul
        self.down = down

    def connect(self, u: Canvas, ul: Canvas) -> None:
        """Start the way back from maps that the coarser level fills, or this level's own at the coarsest."""
        self.u_back, self.ul_back = u, ul
        for layer, left_u, left_ul in zip(self.down, reversed(self.u_up), reversed(self.ul_up), strict=True):
            assert isinstance(layer, DownLayer)
            self.u_down.append(LayerInProgress(layer.u, u, [left_u.out]))
            u = self.u_down[-1].out
            self.ul_down.append(LayerInProgress(layer.ul, ul, [u, left_ul.out]))
            ul = self.ul_down[-1].out
        self.u_out, self.ul_out = u, ul


class IncrementalSampler:
    """Logits of one pixel after another, in raster order, for planes (B, H, W).

    At each pixel: `logit(r, c)`, then `put(r, c, x)`; each row begins with `begin_row(r)`.
    """

    def __init__(self, network: PixelCNN, plane: Tensor) -> None:
        batch, rows, columns = plane.shape
        rows, columns = rows + -rows % MULTIPLE, columns + -columns % MULTIPLE
        self.network = network
        self.image = Canvas(batch, 2, rows, columns, plane)
        self.image.write(0, 0, F.pad(plane[:, None], (0, 0, 0, 0, 1, 0)))
        channels = network.above.conv.out_channels
        self.row_part = Canvas(batch, channels, 1, columns, plane)
        self.levels: list[Level] = []
        for i, (up, down) in enumerate(zip(network.up, reversed(network.down), strict=True)):
            assert isinstance(up, nn.ModuleList)
            assert isinstance(down, nn.ModuleList)
            u, ul = (Canvas(batch, channels, rows >> i, columns >> i, plane) for _ in range(2))
            self.levels.append(Level(up, down, u, ul))
        coarsest = self.levels[-1]
        coarsest.connect(coarsest.u_coarse, coarsest.ul_coarse)
        for i, level in enumerate(self.levels[:-1]):
            level.connect(*(Canvas(batch, channels, rows >> i, columns >> i, plane) for _ in range(2)))

    def begin_row(self, row: int) -> None:
        """Compute what the rows above say of this row."""
        first, everywhere = self.levels[0], range(self.image.columns)
        if row:
            first.u_in.write(row, 0, convolve(self.network.above, self.image, row - 1, everywhere))
            self.row_part.write(0, 0, convolve(self.network.row_above, self.image, row - 1, everywhere))
        reached = self._reached(row)
        for i in range(reached):
            level, width = self.levels[i], range(self.image.columns >> i)
            if i:
                self._coarsen(i, "u", row >> i, width)
            for layer in level.u_up:
                layer.advance(row >> i, width)
        for i in reversed(range(reached)):
            level, width = self.levels[i], range(self.image.columns >> i)
            for layer in level.u_down:
                layer.advance(row >> i, width)
            if i:
                self._refine(i, "u", row >> i, width)

    def logit(self, row: int, column: int) -> Tensor:
        """(B,): the logit of pixel (row, column), all pixels before it being put."""
        first, here = self.levels[0], range(column, column + 1)
        ul = self.row_part.read(slice(0, 1), slice(column, column + 1))
        if column:
            ul = ul + convolve(self.network.left, self.image, row, range(column - 1, column))
        first.ul_in.write(row, column, ul)
        reached = self._reached(row | column)
        for i in range(reached):
            here = range(column >> i, (column >> i) + 1)
            if i:
                self._coarsen(i, "ul", row >> i, here)
            for layer in self.levels[i].ul_up:
                layer.advance(row >> i, here)
        for i in reversed(range(reached)):
            here = range(column >> i, (column >> i) + 1)
            for layer in self.levels[i].ul_down:
                layer.advance(row >> i, here)
            if i:
                self._refine(i, "ul", row >> i, here)
        out = first.ul_out.read(slice(row, row + 1), slice(column, column + 1))
        return apply(self.network.logits, out).flatten()

    def put(self, row: int, column: int, x: Tensor) -> None:
        """Set pixel (row, column) to x (B,) of 0s and 1s."""
        self.image.read(slice(row, row + 1), slice(column, column + 1))[:, 0, 0, 0] = 2 * x - 1

    def _reached(self, index: int) -> int:
        """Levels whose next entry is due: those of which `index` is a multiple of the scale."""
        return sum(index % (1 << i) == 0 for i in range(len(self.levels)))

    def _coarsen(self, i: int, stream: str, row: int, columns: range) -> None:
        both = self.network.coarser[i - 1]
        assert isinstance(both, Both)
        layer = getattr(both, stream)
        below: Canvas = getattr(self.levels[i - 1], f"{stream}_coarse")
        above: Canvas = getattr(self.levels[i], f"{stream}_in")
        above.write(row, columns.start, convolve(layer, below, row, columns))

    def _refine(self, i: int, stream: str, row: int, columns: range) -> None:
        both = self.network.finer[len(self.levels) - 1 - i]
        assert isinstance(both, Both)
        layer: ShiftedDeconv2d = getattr(both, stream)
        coarse: Canvas = getattr(self.levels[i], f"{stream}_out")
        fine: Canvas = getattr(self.levels[i - 1], f"{stream}_back")
        block = coarse.read(slice(row, row + 1), slice(columns.start, columns.stop))
        fine.write(2 * row, 2 * columns.start, layer(block))


def sample(network: PixelCNN, plane: Tensor, u: Tensor) -> Tensor:
    """Images (B, H, W) of 0s and 1s for planes (B, H, W): pixel i is set where u_i < p_i.

    Raises:
        Abandoned: between two rows, where nobody waits for them.
    """
    sampler = IncrementalSampler(network, plane)
    x = torch.zeros_like(u, dtype=plane.dtype)
    for row in range(u.shape[-2]):
        stopping.check()
        sampler.begin_row(row)
        for column in range(u.shape[-1]):
            p = torch.sigmoid(sampler.logit(row, column).double())
            x[:, row, column] = (u[:, row, column] < p).to(plane.dtype)
            sampler.put(row, column, x[:, row, column])
    return x
