"""A causal network over binary images, after PixelCNN++ (Salimans et al., 2017) as the paper's
appendix F.2 modifies it: gated linear units, six blocks of two layers, one logit per pixel.

Two streams see the pixels before (r, c) in raster order:

    u   every row above r
    ul  every row above r, and the pixels left of c in row r

        (28, 28) -> (14, 14) -> (7, 7)
            |           |          |      shortcuts, layer by layer
        (28, 28) <- (14, 14) <- (7, 7)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

N_LEVELS = 3
LAYERS_PER_BLOCK = 2
MULTIPLE = 2 ** (N_LEVELS - 1)


class ShiftedConv2d(nn.Module):
    """A convolution padded so that it looks up, and left or both ways, never down.

    kernel: rows and columns. rightward: see the columns on both sides (stream u), or only to the left.
    """

    def __init__(
        self, below: int, above: int, kernel: tuple[int, int], *, rightward: bool, stride: int = 1
    ) -> None:
        super().__init__()
        rows, columns = kernel
        right = (columns - 1) // 2 if rightward else 0
        self.padding = (columns - 1 - right, right, rows - 1, 0)
        self.conv = nn.Conv2d(below, above, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.pad(x, self.padding))
        return y


class ShiftedDeconv2d(nn.Module):
    """Doubles height and width; never writes above, nor (ul) to the left of, what it reads."""

    def __init__(self, below: int, above: int, kernel: tuple[int, int], *, rightward: bool) -> None:
        super().__init__()
        self.left = (kernel[1] - 1) // 2 if rightward else 0
        self.conv = nn.ConvTranspose2d(below, above, kernel, stride=2, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = 2 * x.shape[-2], 2 * x.shape[-1]
        y: Tensor = self.conv(x)
        return y[..., :rows, self.left : self.left + columns]


class GatedLayer(nn.Module):
    """x + glu(conv(glu(conv(x) + shortcut)))."""

    def __init__(self, n_channels: int, kernel: tuple[int, int], *, rightward: bool, n_shortcut: int) -> None:
        super().__init__()
        n = n_channels
        self.first = ShiftedConv2d(n, 2 * n, kernel, rightward=rightward)
        self.second = ShiftedConv2d(n, 2 * n, kernel, rightward=rightward)
        self.shortcut = nn.Conv2d(n_shortcut, 2 * n, 1) if n_shortcut else None

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        h = self.first(x)
        if self.shortcut is not None:
            h = h + self.shortcut(shortcut)
        return x + F.glu(self.second(F.glu(h, dim=1)), dim=1)


Streams = tuple[Tensor, Tensor]


class UpLayer(nn.Module):
    """One layer of both streams on the way to coarser maps."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.u = GatedLayer(n, (2, 3), rightward=True, n_shortcut=0)
        self.ul = GatedLayer(n, (2, 2), rightward=False, n_shortcut=n)

    def forward(self, streams: Streams) -> Streams:
        u = self.u(streams[0])
        return u, self.ul(streams[1], u)


class DownLayer(nn.Module):
    """One layer on the way back, with what the way out left at the same size."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.u = GatedLayer(n, (2, 3), rightward=True, n_shortcut=n)
        self.ul = GatedLayer(n, (2, 2), rightward=False, n_shortcut=2 * n)

    def forward(self, streams: Streams, left: Streams) -> Streams:
        u = self.u(streams[0], left[0])
        return u, self.ul(streams[1], torch.cat([u, left[1]], 1))


class Both(nn.Module):
    """The same change of size for both streams."""

    def __init__(self, u: nn.Module, ul: nn.Module) -> None:
        super().__init__()
        self.u, self.ul = u, ul

    def forward(self, streams: Streams) -> Streams:
        return self.u(streams[0]), self.ul(streams[1])


class PixelCNN(nn.Module):
    """x (B, H, W) of 0s and 1s, plane (B, H, W) -> logits (B, H, W).

    Logit (r, c) depends on the pixels of x, and the entries of the plane, before (r, c) in raster order.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        n = n_channels
        self.above = ShiftedConv2d(2, n, (2, 3), rightward=True)
        self.row_above = ShiftedConv2d(2, n, (1, 3), rightward=True)
        self.left = ShiftedConv2d(2, n, (2, 1), rightward=False)
        levels, steps = range(N_LEVELS), range(LAYERS_PER_BLOCK)
        self.up = nn.ModuleList(nn.ModuleList(UpLayer(n) for _ in steps) for _ in levels)
        self.down = nn.ModuleList(nn.ModuleList(DownLayer(n) for _ in steps) for _ in levels)
        self.coarser = nn.ModuleList(
            Both(
                ShiftedConv2d(n, n, (2, 3), rightward=True, stride=2),
                ShiftedConv2d(n, n, (2, 2), rightward=False, stride=2),
            )
            for _ in levels[1:]
        )
        self.finer = nn.ModuleList(
            Both(
                ShiftedDeconv2d(n, n, (2, 3), rightward=True), ShiftedDeconv2d(n, n, (2, 2), rightward=False)
            )
            for _ in levels[1:]
        )
        self.logits = nn.Conv2d(n, 1, 1)

    def forward(self, x: Tensor, plane: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        # Sizes that do not halve twice grow at the bottom and the right, where causality cannot tell.
        grown = torch.stack([2 * x - 1, plane], 1)
        grown = F.pad(grown, (0, -columns % MULTIPLE, 0, -rows % MULTIPLE))
        streams, left = self._out(self._first(grown))
        _, ul = self._back(streams, left)
        logits: Tensor = self.logits(ul)[:, 0, :rows, :columns]
        return logits

    def _first(self, x: Tensor) -> Streams:
        u = down_shift(self.above(x))
        return u, down_shift(self.row_above(x)) + right_shift(self.left(x))

    def _out(self, streams: Streams) -> tuple[Streams, list[Streams]]:
        left: list[Streams] = []
        for level, block in enumerate(self.up):
            if level:
                streams = self.coarser[level - 1](streams)
            assert isinstance(block, nn.ModuleList)
            for layer in block:
                streams = layer(streams)
                left.append(streams)
        return streams, left

    def _back(self, streams: Streams, left: list[Streams]) -> Streams:
        for level, block in enumerate(self.down):
            if level:
                streams = self.finer[level - 1](streams)
            assert isinstance(block, nn.ModuleList)
            for layer in block:
                streams = layer(streams, left.pop())
        return streams


def down_shift(x: Tensor) -> Tensor:
    """Every row moves one down; a row of zeros enters."""
    return F.pad(x, (0, 0, 1, 0))[..., :-1, :]


def right_shift(x: Tensor) -> Tensor:
    """Every column moves one to the right; a column of zeros enters."""
    return F.pad(x, (1, 0))[..., :-1]
