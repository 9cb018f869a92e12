import pytest
from rdserve.models.card import Card
from rdserve.models.card_parts import Architecture
from tiny import tiny_card


@pytest.fixture(scope="session")
def card() -> Card:
    """The card of a model of 8x8 images and 4 latents."""
    return tiny_card("tiny", Architecture(family="---", image_size=8, latent_dim=4))
