"""Families of ours, exported as anybody's would be, agree with the torch engine in nats and in pixels."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from rdserve.data import load
from rdserve.models import checkpoint, ops
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.engines import load_model
from rdserve.models.export.export import export
from rdserve.models.vae import VAE, frozen
from torch import Tensor

pytestmark = pytest.mark.slow

ZOO = Path(__file__).parents[2] / "zoo/digits"
N = 64


def keys(n: int = N) -> NoiseKeys:
    return NoiseKeys(torch.zeros(n, dtype=torch.int64), torch.arange(n))


def log_normal(eps: Tensor) -> Tensor:
    return -0.5 * (eps.square() + math.log(2 * math.pi)).sum(-1)


def arguments(family: str, vae: VAE, n_latents: int) -> dict[str, Any]:
    """What `export` takes: functions over our modules, by the three signs of the family."""
    encoder, decoder = vae.encoder, vae.decoder
    given: dict[str, Any] = {"modules": [encoder, decoder], "likelihood": "bernoulli"}
    if family[0] == "-":
        given |= {
            "encoder": lambda x: (encoder(x).base_dist.loc, encoder(x).base_dist.scale),
            "encoder_outputs": ("loc", "scale"),
        }
    else:
        flow: Any = encoder.flow

        def posterior(x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
            base: Any = encoder.base  # type: ignore[union-attr]
            law = base(x).base_dist
            return flow.push(law.loc + law.scale * eps), log_normal(eps) - law.scale.log().sum(-1)

        given |= {"encoder": posterior, "posterior": "graph", "noise": n_latents}
    if family[1] == "-":
        given["decoder"] = lambda z: decoder(z).base_dist.logits
    else:
        given |= {"decoder": lambda z, x: decoder(z)._logits(x), "autoregressive": True}
    m: Any = vae.marginal()
    if family[2] == "v":
        members = m.component_distribution.base_dist
        tensors = {"logits": m.mixture_distribution.logits, "loc": members.loc, "scale": members.scale}
        given |= {"marginal": "normal_mixture", "marginal_tensors": tensors}
    if family[2] == "+":
        prior: Any = m.transforms[0].inv.flow
        given |= {"marginal": "graph", "marginal_log_prob": lambda z: log_normal(prior.push(z))}
        given["modules"].append(prior)
    return given


@pytest.mark.parametrize("name", ["mmm", "mmv", "mpm", "mpv", "pmm", "pmp"])
def test_rate_and_distortion_are_those_of_the_torch_engine(name: str, tmp_path: Path) -> None:
    card, vae = checkpoint.load(ZOO / f"digits-{name}-b1.0")
    own = frozen(vae)
    family, n_latents = card.architecture.family, card.architecture.latent_dim
    x = torch.from_numpy(load("digits", split="test").images[:N]).float()
    export(tmp_path / "model", x=x, **arguments(family, own, n_latents))
    _, graphs = load_model(tmp_path / "model")
    with torch.inference_mode():
        here, there = ops.score(graphs, x.double(), keys(), 1), ops.score(own, x, keys(), 1)
        assert torch.allclose(here.rate, there.rate.double(), atol=1e-4, rtol=0)
        assert torch.allclose(here.distortion, there.distortion.double(), atol=1e-4, rtol=0)
        if family == "-+-":
            z = torch.randn(16, n_latents, generator=torch.Generator().manual_seed(0))
            drawn = ops.decode(graphs, z.double(), keys(16), 1).images
            assert torch.equal(drawn.bool(), ops.decode(own, z, keys(16), 1).images.bool())
