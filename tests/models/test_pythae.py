"""Models of pythae's: their rates and distortions are those of their own losses under the same noise."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pythae_models import SHAPE, trained
from rdserve.data import Dataset, load
from rdserve.models import ops
from rdserve.models.card import OnnxCard
from rdserve.models.card_recipe import recipe
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.engines import load_model
from rdserve.models.export.pythae_folder import export_pythae
from rdserve.models.export.pythae_laws import REFUSED, check_class
from rdserve.models.export.to_graph import ExportError
from rdserve.models.vae import VAE
from torch import Tensor, nn

pytestmark = pytest.mark.slow

N = 64
TEST = load("digits", split="test")
KEYS = NoiseKeys(torch.zeros(N, dtype=torch.int64), torch.arange(N))


def written(model: nn.Module, folder: Path, x: Dataset = TEST, **given: Any) -> tuple[OnnxCard, VAE]:
    export_pythae(model, folder / "model", x, **given)
    card, vae = load_model(folder / "model")
    assert isinstance(card, OnnxCard)
    return card, vae


def with_our_noise(model: nn.Module, size: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """In place of pythae's own draw."""
    eps = Noise(KEYS, Purpose.POSTERIOR).normal(1, size)[0].float()
    return lambda mu, std: (mu + std * eps, eps)


# Nats that pythae leaves out of a squared error.
CONSTANT = 32 * math.log(2 * math.pi)


@pytest.mark.parametrize(
    ("name", "config", "constant"),
    [
        ("VAE", {"reconstruction_loss": "mse"}, CONSTANT),
        ("VAMP", {"reconstruction_loss": "bce", "number_components": 10}, 0.0),
        ("VAE_IAF", {"reconstruction_loss": "bce"}, 0.0),
        ("VAE_LinNF", {"reconstruction_loss": "bce"}, 0.0),
    ],
)
def test_rate_and_distortion_are_those_of_its_own_loss(
    name: str, config: dict[str, Any], constant: float, tmp_path: Path
) -> None:
    model = trained(name, **config)
    card, vae = written(model, tmp_path, unit="ink")
    x = torch.from_numpy(TEST.images[:N])
    scores = ops.score(vae, x.double(), KEYS, 1)
    model._sample_gauss = with_our_noise(model, 4)  # type: ignore[assignment]
    with torch.no_grad():
        own = model({"data": x.float().reshape(N, *SHAPE)})
    assert float(scores.rate.mean()) == pytest.approx(float(own["reg_loss"]), abs=1e-3)
    assert float(scores.distortion.mean()) == pytest.approx(float(own["recon_loss"]) + constant, abs=1e-3)
    assert {"own_rate_difference_nats", "own_distortion_difference_nats"} <= card.checks.keys()
    assert (card.data.sha256, card.reference.n_examples) == (TEST.sha256, len(TEST.x))
    assert (card.training["library"], card.training["class"]) == ("pythae", name)
    assert recipe(card)["class"] == name


def test_the_codes_of_a_vqvae_are_counted(tmp_path: Path) -> None:
    model = trained("VQVAE", num_embeddings=16)
    card, vae = written(model, tmp_path, unit="ink")
    # Its loss is (x - y)^2: a normal of variance one half.
    assert card.likelihood.arguments == {"scale": pytest.approx(0.5**0.5)}
    x = torch.from_numpy(TEST.images[:N])
    scores = ops.score(vae, x.double(), KEYS, 1)
    assert torch.allclose(scores.rate, torch.full((N,), 4 * math.log(16)).double())
    with torch.no_grad():
        own = model({"data": x.float().reshape(N, *SHAPE)})
    distortion = float(own["recon_loss"]) + 32 * math.log(math.pi)
    assert float(scores.distortion.mean()) == pytest.approx(distortion, abs=1e-3)
    codes = ops.encode(vae, x.double(), KEYS, 1).latents[:, 0]
    assert torch.equal(codes.long(), own["quantized_indices"].reshape(N, 4))


@pytest.mark.parametrize("name", [*REFUSED, "Own"])
def test_other_classes_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ExportError, match=f"{name} is not served: |'{name}' is not known; there are Adver"):
        check_class(name)


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"normal is a density, per unit of x: say what 1 of x is"):
        written(trained("VAE", steps=1, reconstruction_loss="mse"), tmp_path)
    with pytest.raises(ExportError, match="loss of pythae's MSSSIM_VAE says no law of x: name one"):
        written(trained("MSSSIM_VAE", steps=0), tmp_path)
    with pytest.raises(ExportError, match=r"takes x of shape \(1, 8, 8\), the data have \(3, 32, 32\)"):
        written(trained("VAE", steps=0), tmp_path, load("patches", split="test"), unit="grey")
