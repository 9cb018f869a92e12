"""Which cards are of one recipe."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from rdserve.models.card import Card, read_card
from rdserve.models.card_parts import Architecture, TrainingData
from rdserve.models.card_recipe import DEFAULTS, recipe, training_seed
from rdserve.trainer.config import Config, configure
from tiny import tiny_card

ZOO = Path(__file__).parents[2] / "zoo" / "digits"


def trained(name: str, **changes: object) -> Card:
    """As our trainer writes it, with what came out."""
    outcome = {"kept_epoch": 7, "train_rate_nats": 5.1, "valid_distortion_nats": 12.0}
    training = {**configure("---", "digits").as_dict(), **outcome, **changes}
    return tiny_card(name, Architecture(family="---", image_size=8), training=training)


def test_runs_differ_in_their_seed_and_in_what_came_out() -> None:
    one, other = trained("a", seed=0), trained("b", seed=3, kept_epoch=9, train_rate_nats=5.3)
    assert recipe(one) == recipe(other)
    assert (training_seed(one), training_seed(other)) == (0, 3)
    assert recipe(one)["free_nats"] == "0"  # a setting, however it ends


@pytest.mark.parametrize(
    "change", [{"epochs": 61}, {"learning_rate": 0.002}, {"start": "c"}, {"target_rate": 0.5}]
)
def test_whatever_else_differs_is_another_recipe(change: dict[str, object]) -> None:
    assert recipe(trained("a")) != recipe(trained("a", **change))


def test_other_data_or_code_is_another_recipe() -> None:
    card = trained("a")
    for change in ({"data": TrainingData(name="digits", sha256="1" * 64)}, {"code_version": "9"}):
        assert recipe(card.model_copy(update=change)) != recipe(card)


def test_a_card_that_is_older_than_a_setting_had_its_default() -> None:
    older = trained("a")
    training = {name: it for name, it in older.training.items() if name not in ("dropout", "schedule")}
    assert recipe(older.model_copy(update={"training": training})) == recipe(older)
    assert recipe(older.model_copy(update={"training": {**training, "target_rate": 0}})) == recipe(older)


def test_the_defaults_are_the_trainers() -> None:
    """A setting with a default, new to the trainer, has its line in DEFAULTS."""
    given = {field.name: field.default for field in fields(Config) if field.default not in (MISSING, None)}
    del given["seed"]
    written = {
        name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in given.items()
    }
    assert written.items() <= DEFAULTS.items()


def test_every_model_of_the_zoo_has_a_recipe_of_its_own() -> None:
    cards = [read_card(folder) for folder in sorted(ZOO.iterdir())]
    assert len({tuple(sorted(recipe(card).items())) for card in cards}) == len(cards)
    assert {training_seed(card) for card in cards} == {0}


@pytest.mark.parametrize("seed", ["0", -1, True, 1.0])
def test_what_is_no_seed_is_none(seed: object) -> None:
    assert training_seed(trained("a", seed=seed)) is None
    assert "seed" not in recipe(trained("a", seed=seed))
