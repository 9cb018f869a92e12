"""The committed zoo is the one that its recipe makes, and tells the paper's story."""

from pathlib import Path

import pytest
import torch
from rdserve.data import load
from rdserve.models import checkpoint
from rdserve.models.card import Card, read_card
from rdserve.models.reference import reference
from rdserve.trainer.publish import published
from rdserve.trainer.recipe import RecipeEntry, read_recipe

pytestmark = pytest.mark.slow

ZOO = Path(__file__).parents[2] / "zoo"
ENTRIES = read_recipe(ZOO / "digits.toml")


def card(name: str) -> Card:
    return read_card(ZOO / "digits" / name)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_model_of_the_recipe_is_there(entry: RecipeEntry) -> None:
    assert published(entry.config, entry.name, ZOO / "digits" / entry.name), "run `make zoo`"
    loaded, _ = checkpoint.load(ZOO / "digits" / entry.name)
    assert loaded.data.sha256 == load("digits", split="test").sha256
    assert loaded.reference.quantiles


def test_nothing_else_is_there_and_it_is_small() -> None:
    assert {path.name for path in (ZOO / "digits").iterdir()} == {entry.name for entry in ENTRIES}
    assert sum(path.stat().st_size for path in (ZOO / "digits").rglob("*") if path.is_file()) < 15e6


@pytest.mark.parametrize("name", ["digits-mmm-b1.0", "digits-pmv-b1.0"])
def test_a_card_is_measured_again(name: str) -> None:
    stated, vae = checkpoint.load(ZOO / "digits" / name)
    r = stated.reference
    images = torch.from_numpy(load("digits", split="test").images)
    again = reference(vae, images, r.split, seed=r.seed, n_samples=r.n_samples).model_dump()
    stated = r.model_dump()
    quantiles = (stated.pop("quantiles"), again.pop("quantiles"))
    assert again == pytest.approx(stated, abs=1e-3)
    assert quantiles[0] == {name: pytest.approx(five, abs=0.01) for name, five in quantiles[1].items()}


def test_beta_trades_rate_for_distortion() -> None:
    sweep = [card(f"digits-mpv-b{beta}-annealed").reference for beta in (0.1, 0.15, 0.4, 0.7, 1.0, 1.1)]
    rates, distortions = ([r.rate_nats for r in sweep], [r.distortion_nats for r in sweep])
    assert rates == sorted(rates, reverse=True)
    assert distortions == sorted(distortions)


def test_a_plain_elbo_lets_the_autoregressive_decoder_ignore_its_latents() -> None:
    """Deconvolutional families use z at beta 1; autoregressive ones do only if annealed."""
    for entry in ENTRIES:
        r = card(entry.name).reference
        if entry.config.beta == 1.0 and not entry.config.annealing_epochs:
            assert (r.rate_nats < 0.5) == (entry.config.family[1] == "+"), entry.name
    assert card("digits-mpv-b1.0-annealed").reference.rate_nats > 1.0
