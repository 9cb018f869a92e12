"""What a card states of its split, and that its weights give it again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rdserve.data import load
from rdserve.models import checkpoint
from rdserve.models.card import CardError, read_card, write_card
from rdserve.models.card_parts import LEVELS
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.ops import encode, score
from rdserve.models.reference import reference
from rdserve.trainer.verify import departures

MODEL = "digits-mmv-b1.0"
ZOO = Path(__file__).parents[2] / "zoo/digits"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint measured on this machine."""
    shutil.copytree(ZOO / MODEL, tmp_path / MODEL)
    card, vae = checkpoint.load(tmp_path / MODEL)
    images = torch.from_numpy(load("digits", split="test").images)
    here = reference(vae, images, "test", seed=3, n_samples=2)
    write_card(card.model_copy(update={"reference": here}), tmp_path / MODEL)
    return tmp_path / MODEL


@torch.inference_mode()
def test_quantiles_are_those_of_a_caller_with_the_same_seed(folder: Path) -> None:
    stated = read_card(folder).reference.quantiles
    assert stated
    _, vae = checkpoint.load(folder)
    x = torch.from_numpy(load("digits", split="test").images).float()
    ids = torch.arange(len(x))
    keys = NoiseKeys(torch.full_like(ids, 3), ids)
    scores, latents = score(vae, x, keys, 1), encode(vae, x, keys, 1).latents[:, 0]
    for five, values in (
        (stated.rate_nats, scores.rate),
        (stated.distortion_nats, scores.distortion),
        (stated.latent_norm, latents.norm(dim=-1)),
    ):
        assert five == pytest.approx(np.quantile(values.numpy().astype(float), LEVELS), rel=1e-4)


def test_weights_give_the_card_s_numbers_again_and_a_number_of_others_is_named(folder: Path) -> None:
    card = read_card(folder)
    assert departures(folder, None, 0.0) == (card, [])
    wrong = card.reference.model_copy(update={"distortion_nats": card.reference.distortion_nats + 1e-6})
    write_card(card.model_copy(update={"reference": wrong}), folder)
    _, (line,) = departures(folder, None, 0.0)
    assert line.startswith(f"the card states reference.distortion_nats {wrong.distortion_nats}, measured")


def test_quantiles_that_descend_are_refused(folder: Path) -> None:
    card = read_card(folder)
    assert card.reference.quantiles
    value = str(card.reference.quantiles.latent_norm[0])
    text = card.model_dump_json()
    assert value in text
    (folder / "model.json").write_text(text.replace(value, "99.0"))
    with pytest.raises(CardError, match=r"quantiles\.latent_norm: .*do not ascend"):
        read_card(folder)
