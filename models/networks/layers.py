"""The layers that encoders and decoders share: linearly gated ones (GLU, Dauphin et al., 2017)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def channels(n: int, width: float) -> int:
    """n channels of the paper's model at this width factor."""
    return max(1, round(n * width))


Size = tuple[int, int]  # height and width, pixels


def halved(size: Size) -> Size:
    """Of an image after a stride-2 layer with 'same' padding."""
    return -(-size[0] // 2), -(-size[1] // 2)


def full_precision(x: Tensor) -> Tensor:
    """Parameters of a law in float32 at least, whatever precision the network ran in."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


class GatedConv2d(nn.Module):
    """h = (W1 x + b1) * sigmoid(W2 x + b2)."""

    def __init__(
        self, below: int, above: int, kernel: int | Size, *, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(below, 2 * above, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(self.conv(x), dim=1)


class GatedDeconv2d(nn.Module):
    """A gated transposed convolution whose output is cut to `size`."""

    def __init__(
        self, below: int, above: int, kernel: int | Size, *, size: Size, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.size = size
        # One row and column to spare: an even side needs it after a stride of 2.
        self.conv = nn.ConvTranspose2d(below, 2 * above, kernel, stride, padding, output_padding=stride - 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        height, width = self.size
        top, left = (y.shape[-2] - height) // 2, (y.shape[-1] - width) // 2
        return F.glu(y[..., top : top + height, left : left + width], dim=1)
