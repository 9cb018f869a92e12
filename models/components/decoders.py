"""Decoders: z (..., Z) -> d(x|z), batch (...,), event (H, W) (paper, appendix F.2)."""

from functools import partial
from math import prod

from rdserve.models.distributions.pixel_autoregressive import Draw, PixelAutoregressive
from rdserve.models.networks.layers import GatedDeconv2d, Size, channels, full_precision, halved
from rdserve.models.networks.pixelcnn import PixelCNN
from rdserve.models.networks.pixelcnn_incremental import sample
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent
from torch.nn import functional as F

PIXELCNN_CHANNELS = 64


class DeconvDecoder(nn.Module):
    """Decoder "-": gated deconvolutions to independent Bernoulli pixels.

    z -> 7, 7, 14, 14, 28, 28 -> linear convolution -> logits
    """

    def __init__(self, image_size: Size, n_latents: int, width: float = 1.0) -> None:
        super().__init__()
        wide, narrow = channels(64, width), channels(32, width)
        half, quarter = halved(image_size), halved(halved(image_size))
        self.body = nn.Sequential(
            GatedDeconv2d(n_latents, wide, quarter, size=quarter),
            GatedDeconv2d(wide, wide, 5, size=quarter, padding=2),
            GatedDeconv2d(wide, wide, 5, size=half, stride=2, padding=2),
            GatedDeconv2d(wide, narrow, 5, size=half, padding=2),
            GatedDeconv2d(narrow, narrow, 5, size=image_size, stride=2, padding=2),
            GatedDeconv2d(narrow, narrow, 4, size=image_size),
            nn.Conv2d(narrow, 1, 5, padding=2),
        )

    def forward(self, z: Tensor) -> Independent[Bernoulli]:
        logits = full_precision(self.body(z.reshape(-1, z.shape[-1], 1, 1)))
        return Independent(Bernoulli(logits=logits.view(*z.shape[:-1], *logits.shape[-2:])), 2)


class PixelCNNDecoder(nn.Module):
    """Decoder "+": each pixel a Bernoulli given z and the pixels before it.

    z reaches the network as one more input channel beside the image.
    draw: how images are drawn from it, for whoever knows a faster way.
    """

    def __init__(self, image_size: Size, n_latents: int, width: float = 1.0) -> None:
        super().__init__()
        self.image_size = image_size
        self.plane = nn.Linear(n_latents, 2 * prod(image_size))
        self.network = PixelCNN(channels(PIXELCNN_CHANNELS, width))
        self.draw: Draw = partial(sample, self.network)

    def forward(self, z: Tensor) -> PixelAutoregressive:
        plane = F.glu(self.plane(z), dim=-1)
        plane = plane.view(*z.shape[:-1], *self.image_size)
        return PixelAutoregressive(self.network, plane, self.draw)
