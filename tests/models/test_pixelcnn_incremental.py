"""The incremental sampler draws what running the whole network for every pixel draws."""

import pytest
import torch
from rdserve.models.networks.pixelcnn import PixelCNN
from rdserve.models.networks.pixelcnn_incremental import IncrementalSampler, sample
from torch import Tensor

# Height and width.
SIZES = [(4, 4), (6, 6), (7, 7), (8, 8), (28, 28), (5, 10), (9, 4)]


def parts(size: tuple[int, int], batch: int) -> tuple[PixelCNN, Tensor, Tensor]:
    torch.manual_seed(size[0])
    network = PixelCNN(4).double()
    plane = torch.randn(batch, *size, dtype=torch.float64)
    return network, plane, torch.rand(batch, *size, dtype=torch.float64)


@pytest.mark.parametrize("size", [(4, 4), (7, 7), (8, 8), (5, 10)])
@torch.inference_mode()
def test_pixel_for_pixel_as_the_naive_sampler(size: tuple[int, int]) -> None:
    network, plane, u = parts(size, batch=3)
    x = torch.zeros_like(u)
    for r in range(size[0]):
        for c in range(size[1]):
            x[:, r, c] = (u[:, r, c] < network(x, plane)[:, r, c].sigmoid()).double()
    assert torch.equal(sample(network, plane, u), x)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_every_logit_is_the_networks(size: tuple[int, int]) -> None:
    """Given its own pixels, one full pass must have seen the same logits: exact at any size."""
    network, plane, u = parts(size, batch=2)
    x = sample(network, plane, u)
    expected = network(x, plane)
    sampler = IncrementalSampler(network, plane)
    for r in range(size[0]):
        sampler.begin_row(r)
        for c in range(size[1]):
            torch.testing.assert_close(sampler.logit(r, c), expected[:, r, c])
            sampler.put(r, c, x[:, r, c])


@pytest.mark.slow
@torch.inference_mode()
def test_each_feature_is_computed_once() -> None:
    """Multiply-adds of a whole image are about those of one pass, not one pass per pixel."""
    from torch.utils.flop_counter import FlopCounterMode

    network, plane, u = parts((12, 12), batch=1)
    with FlopCounterMode(display=False) as once:
        network(torch.zeros_like(u), plane)
    with FlopCounterMode(display=False) as image:
        sample(network, plane, u)
    assert image.get_total_flops() <= 1.1 * once.get_total_flops()
