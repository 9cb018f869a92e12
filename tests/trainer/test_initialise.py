import pytest
import torch
from rdserve.models.components.marginals import VampPrior
from rdserve.models.families import build
from rdserve.models.networks.layers import GatedConv2d, GatedDeconv2d
from rdserve.trainer import configure
from rdserve.trainer.initialise import initialise
from torch import nn


def _vae(family: str) -> nn.Module:
    torch.manual_seed(0)
    vae = build(configure(family, "static-mnist", width=0.5).architecture)
    initialise(vae, (torch.rand(500, 28, 28) < 0.5))
    return vae


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_every_gated_layer_passes_its_variance_on(part: str) -> None:
    x = torch.randn(32, 64, 1, 1) if part == "decoder" else torch.randn(32, 1, 28, 28)
    body = getattr(_vae("---"), part).body
    with torch.no_grad():
        for layer in body:
            y = layer(x)
            if isinstance(layer, GatedConv2d | GatedDeconv2d):
                assert 0.5 < y.std() / x.std() < 1.5
            x = y


def test_pseudo_inputs_start_at_training_images() -> None:
    marginal = _vae("--v").marginal
    assert isinstance(marginal, VampPrior)
    assert marginal.pseudo_inputs.detach().unique().tolist() == pytest.approx([0.05, 0.95])
