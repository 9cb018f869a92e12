"""The examples that make models: they run, and what they make is what its author says."""

import json
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
import torch
from rdserve.data import load
from rdserve.models import ops
from rdserve.models.card import OnnxCard, read_card
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.engines import load_model
from torch.nn import functional as F

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
GUIDE = Path(__file__).parents[2] / "docs/own_models.md"


def keys(n: int) -> NoiseKeys:
    return NoiseKeys(torch.zeros(n, dtype=torch.int64), torch.arange(n))


def test_pytorchs_example_has_the_rate_and_distortion_of_its_loss(tmp_path: Path) -> None:
    example = run_path(str(EXAMPLES / "pytorch_vae.py"))
    example["main"](tmp_path / "model", 2)
    model, n = example["trained"](2).eval(), 64
    x = torch.from_numpy(load("digits", split="test").images[:n]).float()
    card, vae = load_model(tmp_path / "model")
    assert isinstance(card, OnnxCard)
    assert "own_distortion_difference_nats" in card.checks
    scores = ops.score(vae, x.double(), keys(n), 1)
    with torch.no_grad():
        mu, log_var = model.encode(x)
        z = mu + (0.5 * log_var).exp() * Noise(keys(n), Purpose.POSTERIOR).normal(1, 20)[0].float()
        rate, _ = model.loss(x)
        distortion = F.binary_cross_entropy_with_logits(model.decode(z), x, reduction="none").sum((1, 2))
    assert torch.allclose(scores.rate, rate.double(), atol=1e-3)
    assert torch.allclose(scores.distortion, distortion.double(), atol=1e-3)


def test_four_models_of_pythaes(tmp_path: Path) -> None:
    pytest.importorskip("pythae", reason="pythae is not installed")
    made = list(run_path(str(EXAMPLES / "pythae_models.py"))["main"](tmp_path, 1))
    cards: dict[str, Any] = {each.card.name: read_card(each.folder) for each in made}
    assert {name: (card.posterior.law, card.marginal.law) for name, card in cards.items()} == {
        "vae": ("normal", "standard_normal"),
        "vamp": ("normal", "normal_mixture"),
        "iaf": ("graph", "standard_normal"),
        "vq": ("codes", "uniform_codes"),
    }
    # All of bits, and of the zoo's: they compare.
    assert {card.likelihood.law for card in cards.values()} == {"bernoulli"}
    assert cards["vq"].reference.rate_nats == pytest.approx(8 * np.log(16))


def test_the_importance_bound_of_probabilistic_pca_is_log_p_of_every_row(tmp_path: Path) -> None:
    example = run_path(str(EXAMPLES / "probabilistic_pca.py"))
    card = example["main"](tmp_path / "pca")
    x = example["table"]()
    assert (card.input.shape, card.reference.n_examples) == ((30,), len(x))
    _, vae = load_model(tmp_path / "pca")
    exact = example["fit"](x.astype(np.float64)).log_p(x.astype(np.float64))
    found = ops.score(vae, torch.from_numpy(x).double(), keys(len(x)), 2).importance_bound
    assert np.abs(found.numpy() - exact).max() <= 1e-4
    (shown,) = [block for block in GUIDE.read_text().split("```json")[1:] if '"pca"' in block]
    assert_within(json.loads((tmp_path / "pca/model.json").read_text()), json.loads(shown.split("```")[0]))


def assert_within(found: Any, shown: Any) -> None:
    """What is shown is there; more may be."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert_within(found[name], value)
    else:
        assert found == (pytest.approx(shown, rel=1e-3) if isinstance(shown, float) else shown)
