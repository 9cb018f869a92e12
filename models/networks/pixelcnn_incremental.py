"""Sampling a PixelCNN one pixel at a time, computing each feature once.

The stream u at row r sees the rows above r only, so it is computed a row at a time; the stream ul at
(r, c) is computed a pixel at a time. A coarser map gets its next entry when the finer one reaches an
even row and column. All of an image's pixels together cost about one pass of the network, where
running the network for every pixel costs one pass each.
"""

import torch
from rdserve.models import cancellation
from rdserve.models.networks.pixelcnn import MULTIPLE, PixelCNN
from rdserve.models.networks.pixelcnn_canvases import Canvas, Convolution, Doubling, Level, Product
from torch import Tensor, nn

STREAMS = ("u", "ul")


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
        self.set_plane(plane)
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

    def set_plane(self, plane: Tensor) -> None:
        """planes (B, H, W)."""
        rows, columns = plane.shape[-2:]
        self.image.read(slice(0, rows), slice(0, columns))[:, 1].copy_(plane)

    def begin_row(self, row: int) -> None:
        """Compute what the rows above say of this row."""
        first, everywhere = self.levels[0], range(self.image.columns)
        if row:
            first.u_in.write(row, 0, self._above(self.image, row - 1, everywhere))
            self.row_part.write(0, 0, self._row_above(self.image, row - 1, everywhere))
        else:
            self.row_part.data.zero_()
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


class Drawing:
    """Images x (B, H, W) of 0s and 1s under way for planes and u (B, H, W): pixel i is set where u_i < p_i.

    All three stay where they are in memory, and so does all that lies between them: an image is drawn by
    `row(0)`, `row(1)` ..., and the next by the same calls after `u` was overwritten and `begin` called.
    """

    def __init__(self, network: PixelCNN, plane: Tensor, u: Tensor) -> None:
        self._sampler = IncrementalSampler(network, plane)
        self.u, self.x = u, torch.zeros_like(u, dtype=plane.dtype)

    def begin(self, plane: Tensor) -> None:
        """Draw for other planes of the same shape: what older images left is overwritten, then read."""
        self._sampler.set_plane(plane)

    def row(self, row: int) -> None:
        """Every pixel of one row, all rows above it being drawn."""
        self._sampler.begin_row(row)
        for column in range(self.u.shape[-1]):
            p = torch.sigmoid(self._sampler.logit(row, column).double())
            self.x[:, row, column] = (self.u[:, row, column] < p).to(self.x.dtype)
            self._sampler.put(row, column, self.x[:, row, column])


def sample(network: PixelCNN, plane: Tensor, u: Tensor) -> Tensor:
    """Images (B, H, W) of 0s and 1s for planes (B, H, W): pixel i is set where u_i < p_i.

    Raises:
        Abandoned: between two rows, where nobody waits for them.
    """
    drawing = Drawing(network, plane, u)
    for row in range(u.shape[-2]):
        cancellation.check()
        drawing.row(row)
    return drawing.x
