"""What the static-MNIST zoo holds is what its recipe makes, and measures what its cards say."""

import pytest
import torch
from rdserve.data import load
from rdserve.models import checkpoint
from rdserve.models.card import CARD_FILE
from rdserve.models.reference import measure
from rdserve.trainer.publish import published
from rdserve.trainer.recipe import read_recipe
from shared_data import ROOT, SHARED, needs_mnist

pytestmark = pytest.mark.slow

ZOO = ROOT / "zoo" / "static-mnist"
ENTRIES = {entry.name: entry for entry in read_recipe(ROOT / "zoo" / "static-mnist.toml")}
THERE = sorted(card.parent.name for card in ZOO.glob(f"*/{CARD_FILE}"))


@pytest.mark.parametrize("name", THERE)
def test_a_model_is_one_of_the_recipe(name: str) -> None:
    assert published(ENTRIES[name].config, name, ZOO / name)


@needs_mnist
@pytest.mark.parametrize("name", THERE)
def test_a_card_is_measured_again(name: str) -> None:
    """Of the validation split, one image in a hundred, within what chance allows."""
    card, vae = checkpoint.load(ZOO / name)
    data = load("static-mnist", split="valid", root=SHARED)
    assert data.sha256 == card.data.sha256
    measured = measure(vae, torch.from_numpy(data.images[::100]), seed=0)
    for values, stated in (
        (measured.rate, card.training["valid_rate_nats"]),
        (measured.distortion, card.training["valid_distortion_nats"]),
    ):
        assert abs(values.mean() - float(stated)) < 5 * values.std() / len(values) ** 0.5 + 1e-4
