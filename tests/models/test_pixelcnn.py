"""Causality, and probabilities that sum to one."""

import math

import pytest
import torch
from rdserve.models.components.decoders import DeconvDecoder, PixelCNNDecoder
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.networks.pixelcnn import PixelCNN
from torch import Tensor
from torch.autograd.functional import jacobian


@pytest.mark.parametrize("size", [4, 7, 8])
def test_a_logit_sees_exactly_the_pixels_and_plane_before_it(size: int) -> None:
    torch.manual_seed(1)
    network = PixelCNN(5).double()
    n = size * size

    def logits(x: Tensor, plane: Tensor) -> Tensor:
        return network(x.view(1, size, size), plane.view(1, size, size)).reshape(n)

    inputs = (torch.rand(n, dtype=torch.float64), torch.randn(n, dtype=torch.float64))
    for slopes in jacobian(logits, inputs):
        assert torch.equal(slopes.ne(0).triu(), torch.zeros(n, n, dtype=torch.bool))
        for i in range(1, n):
            row, column = divmod(i, size)
            assert column == 0 or slopes[i, i - 1] != 0
            assert row == 0 or slopes[i, i - size] != 0


def test_the_first_pixel_does_not_see_z() -> None:
    decoder = PixelCNNDecoder((8, 8), 4, width=0.1)
    x = torch.zeros(8, 8)
    a, b = (decoder(torch.randn(1, 4))._logits(x)[0] for _ in range(2))
    assert a[0, 0] == b[0, 0]
    assert a[0, 1] != b[0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("decoder", [DeconvDecoder, PixelCNNDecoder])
def test_probabilities_of_all_images_sum_to_one(decoder: type) -> None:
    torch.manual_seed(2)
    d = decoder((4, 4), 3, width=0.05)(torch.randn(1, 3))
    bits = torch.arange(2**16)[:, None] >> torch.arange(16) & 1
    images = bits.float().view(-1, 1, 4, 4)
    with torch.no_grad():
        log_p = torch.cat([d.log_prob(chunk) for chunk in images.split(8192)]).double()
    assert log_p.logsumexp(0).exp().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", [DeconvDecoder, PixelCNNDecoder])
def test_samples_follow_the_density(decoder: type) -> None:
    """The mean of -log d over samples is the entropy: both come from the same exact table."""
    torch.manual_seed(3)
    d = decoder((4, 4), 3, width=0.05)(torch.randn(1, 3))
    bits = torch.arange(2**16)[:, None] >> torch.arange(16) & 1
    with torch.no_grad():
        log_p = torch.cat([d.log_prob(c) for c in bits.float().view(-1, 1, 4, 4).split(8192)]).double()
        n = 2000
        keys = NoiseKeys(torch.tensor([5]), torch.tensor([0]))
        x = draw(d, Noise(keys, Purpose.PIXELS), n)
        nll = -d.log_prob(x).double().flatten()
    entropy = -(log_p.exp() * log_p).sum().item()
    assert nll.mean().item() == pytest.approx(entropy, abs=4 * nll.std().item() / math.sqrt(n))
