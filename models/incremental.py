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
    DownLayer,
    GatedLayer,
    PixelCNN,
    ShiftedConv2d,
    ShiftedDeconv2d,
    UpLayer,
)
from torch import Tensor, nn
from torch.nn import functional as F

STREAMS = ("u", "ul")


class Canvas:
    """A map (B, C, H, W) being filled in, with zeros around it for convolutions to read.

    Channels lie together in memory: a window of few pixels is then few runs to copy.
    """

    TOP, SIDE = 1, 1

    def __init__(self, batch: int, channels: int, rows: int, columns: int, like: Tensor) -> None:
        data = like.new_zeros(batch, rows + self.TOP, columns + 2 * self.SIDE, channels)
        self.data = data.permute(0, 3, 1, 2)
        self.columns = columns

    def read(self, rows: slice, columns: slice) -> Tensor:
        """A view; rows from -1, columns from -1 to W inclusive."""
        top, side = self.TOP, self.SIDE
        return self.data[:, :, rows.start + top : rows.stop + top, columns.start + side : columns.stop + side]

    def write(self, row: int, column: int, values: Tensor) -> None:
        """values (B, C, h, w), their upper left corner at (row, column)."""
        h, w = values.shape[-2:]
        self.read(slice(row, row + h), slice(column, column + w)).copy_(values)


class Product:
    """The sum of convolutions whose output is one pixel: one matrix product, which costs less to start."""

    def __init__(self, *convs: nn.Conv2d) -> None:
        self._weight = torch.cat([conv.weight.permute(0, 2, 3, 1).flatten(1) for conv in convs], 1)
        self._bias = torch.stack([conv.bias for conv in convs if conv.bias is not None]).sum(0)

    def __call__(self, *windows: Tensor) -> Tensor:
        """windows (B, C, h, w), each as large as its kernel, -> (B, C', 1, 1)."""
        flat = [window.permute(0, 2, 3, 1).flatten(1) for window in windows]
        x = flat[0] if len(flat) == 1 else torch.cat(flat, 1)
        return F.linear(x, self._weight, self._bias)[..., None, None]


class Convolution:
    """A `ShiftedConv2d` over a canvas."""

    def __init__(self, layer: ShiftedConv2d) -> None:
        self._weight = layer.conv.weight.contiguous(memory_format=torch.channels_last)
        self._bias, self._stride = layer.conv.bias, layer.conv.stride[0]
        self._kernel_rows = layer.conv.kernel_size[0]
        self._left, self._right, _, _ = layer.padding
        self._product = Product(layer.conv)

    def __call__(self, x: Canvas, row: int, columns: range) -> Tensor:
        """Row `row` of the layer's output, at some columns: (B, C, 1, len(columns))."""
        window = self.window(x, row, columns)
        if len(columns) == 1:
            return self._product(window)
        return F.conv2d(window, self._weight, self._bias, self._stride)

    def window(self, x: Canvas, row: int, columns: range) -> Tensor:
        """What that is computed from."""
        bottom = self._stride * row + 1
        first, last = columns[0] * self._stride - self._left, columns[-1] * self._stride + self._right
        return x.read(slice(bottom - self._kernel_rows, bottom), slice(first, last + 1))


class Doubling:
    """A `ShiftedDeconv2d` over some entries of a row."""

    def __init__(self, layer: ShiftedDeconv2d) -> None:
        self._layer = layer
        self._alone = not layer.left  # an entry's block of output is its own
        self._weight = layer.conv.weight.flatten(1).T.contiguous()

    def __call__(self, entries: Tensor) -> Tensor:
        """(B, C, 1, w) -> (B, C', 2, 2 w)."""
        if entries.shape[-1] > 1 or not self._alone:
            whole: Tensor = self._layer(entries)
            return whole
        block = F.linear(entries.flatten(1), self._weight).view(len(entries), -1, 2, 2)
        assert self._layer.conv.bias is not None
        return block + self._layer.conv.bias[:, None, None]


class LayerInProgress:
    """A `GatedLayer` over canvases."""

    def __init__(self, layer: GatedLayer, x: Canvas, shortcuts: Sequence[Canvas]) -> None:
        batch, channels, rows, columns = x.data.shape
        self.x, self.shortcuts = x, shortcuts
        self.hidden, self.out = (
            Canvas(batch, channels, rows - Canvas.TOP, columns - 2 * Canvas.SIDE, x.data) for _ in range(2)
        )
        self._shortcut = layer.shortcut
        self._first, self._second = Convolution(layer.first), Convolution(layer.second)
        self._both = Product(layer.first.conv, *([] if layer.shortcut is None else [layer.shortcut]))

    def advance(self, row: int, columns: range) -> None:
        here = slice(row, row + 1), slice(columns.start, columns.stop)
        left = [canvas.read(*here) for canvas in self.shortcuts]
        self.hidden.write(row, columns.start, F.glu(self._before(row, columns, left), dim=1))
        gated = F.glu(self._second(self.hidden, row, columns), dim=1)
        self.out.write(row, columns.start, self.x.read(*here) + gated)

    def _before(self, row: int, columns: range, left: list[Tensor]) -> Tensor:
        if len(columns) == 1:
            return self._both(self._first.window(self.x, row, columns), *left)
        h = self._first(self.x, row, columns)
        return h if self._shortcut is None else h + self._shortcut(torch.cat(left, 1))


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
        self._above, self._row_above = Convolution(network.above), Convolution(network.row_above)
        self._left, self._logits = Convolution(network.left), Product(network.logits)
        self._coarser: list[dict[str, Convolution]] = []
        self._finer: list[dict[str, Doubling]] = []
        for down, up in zip(network.coarser, reversed(network.finer), strict=True):
            self._coarser.append({stream: Convolution(getattr(down, stream)) for stream in STREAMS})
            self._finer.append({stream: Doubling(getattr(up, stream)) for stream in STREAMS})
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
            first.u_in.write(row, 0, self._above(self.image, row - 1, everywhere))
            self.row_part.write(0, 0, self._row_above(self.image, row - 1, everywhere))
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
            ul = ul + self._left(self.image, row, range(column - 1, column))
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
        return self._logits(out).flatten()

    def put(self, row: int, column: int, x: Tensor) -> None:
        """Set pixel (row, column) to x (B,) of 0s and 1s."""
        self.image.read(slice(row, row + 1), slice(column, column + 1))[:, 0, 0, 0] = 2 * x - 1

    def _reached(self, index: int) -> int:
        """Levels whose next entry is due: those of which `index` is a multiple of the scale."""
        return sum(index % (1 << i) == 0 for i in range(len(self.levels)))

    def _coarsen(self, i: int, stream: str, row: int, columns: range) -> None:
        below: Canvas = getattr(self.levels[i - 1], f"{stream}_coarse")
        above: Canvas = getattr(self.levels[i], f"{stream}_in")
        above.write(row, columns.start, self._coarser[i - 1][stream](below, row, columns))

    def _refine(self, i: int, stream: str, row: int, columns: range) -> None:
        coarse: Canvas = getattr(self.levels[i], f"{stream}_out")
        fine: Canvas = getattr(self.levels[i - 1], f"{stream}_back")
        block = coarse.read(slice(row, row + 1), slice(columns.start, columns.stop))
        fine.write(2 * row, 2 * columns.start, self._finer[i - 1][stream](block))


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
