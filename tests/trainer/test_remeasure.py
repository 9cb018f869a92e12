"""Reference quantiles: measured, added to cards that lack them, and only if all else comes out the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rdserve.data import load
from rdserve.models import checkpoint
from rdserve.models.card import LEVELS, CardError, read_card, write_card
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.ops import encode, score
from rdserve.trainer.reference import reference
from rdserve.trainer.remeasure import main, remeasure

MODEL = "digits-mmv-b1.0"
ZOO = Path(__file__).parents[2] / "zoo/digits"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint whose card states no quantiles, measured on this machine."""
    shutil.copytree(ZOO / MODEL, tmp_path / MODEL)
    card, vae = checkpoint.load(tmp_path / MODEL)
    images = torch.from_numpy(load("digits", split="test").images)
    here = reference(vae, images, "test", seed=3, n_samples=2)
    write_card(
        card.model_copy(update={"reference": here.model_copy(update={"quantiles": None})}), tmp_path / MODEL
    )
    return tmp_path / MODEL


def test_a_card_gets_its_quantiles_and_nothing_else_changes(folder: Path) -> None:
    before = read_card(folder)
    assert "quantiles" not in (folder / "model.json").read_text()
    card = remeasure(folder)
    assert read_card(folder) == card
    assert card.reference.quantiles
    again = card.model_copy(update={"reference": card.reference.model_copy(update={"quantiles": None})})
    assert again == before


@torch.inference_mode()
def test_quantiles_are_those_of_a_caller_with_the_same_seed(folder: Path) -> None:
    stated = remeasure(folder).reference.quantiles
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


def test_a_card_that_other_weights_wrote_is_refused_and_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = read_card(folder)
    wrong = card.reference.model_copy(update={"distortion_nats": card.reference.distortion_nats + 1e-6})
    write_card(card.model_copy(update={"reference": wrong}), folder)
    text = (folder / "model.json").read_bytes()
    with pytest.raises(CardError, match=r"reference\.distortion_nats"):
        remeasure(folder)
    assert main([str(folder)]) == 1
    assert "stays as it was" in capsys.readouterr().err
    assert (folder / "model.json").read_bytes() == text


def test_quantiles_that_descend_are_refused(folder: Path) -> None:
    text = remeasure(folder).model_dump_json()
    first = read_card(folder).reference.quantiles
    assert first
    value = str(first.latent_norm[0])
    assert value in text
    (folder / "model.json").write_text(text.replace(value, "99.0"))
    with pytest.raises(CardError, match=r"quantiles\.latent_norm: .*do not ascend"):
        read_card(folder)
