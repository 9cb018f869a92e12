"""Feature maps of a PixelCNN that are filled in as pixels come, and its layers over them."""

from collections.abc import Sequence

import torch
from rdserve.models.networks.pixelcnn import DownLayer, GatedLayer, ShiftedConv2d, ShiftedDeconv2d, UpLayer
from torch import Tensor, nn
from torch.nn import functional as F


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
