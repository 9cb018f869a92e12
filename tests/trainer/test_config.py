import pytest
from rdserve.trainer import ConfigError, configure
from rdserve.trainer.config import differences, parse


def test_static_mnist_is_the_papers_size() -> None:
    config = configure("-+v", "static-mnist")
    assert (config.latent_dim, config.width, config.epochs, config.batch_size) == (64, 1.0, 200, 100)
    assert (config.learning_rate, config.optimiser, config.keep) == (3e-4, "normalised-adam", "last")
    assert config.architecture.image_size == 28


def test_a_named_size_changes_the_defaults_and_nothing_that_is_given() -> None:
    compact = configure("-+v", "static-mnist", size="compact", epochs=3)
    assert (compact.width, compact.latent_dim, compact.epochs) == (0.25, 64, 3)
    assert configure("-+v", "static-mnist", size="paper") == configure("-+v", "static-mnist")
    with pytest.raises(
        ConfigError, match="no size 'large' for data set 'static-mnist'; there are paper, compact"
    ):
        configure("---", "static-mnist", size="large")
    with pytest.raises(ConfigError, match="no size 'compact' for data set 'digits'; there are none"):
        configure("---", "digits", size="compact")


def test_what_is_given_wins_and_none_is_not_given() -> None:
    config = configure("---", "digits", epochs=3, width=None)
    assert config.epochs == 3
    assert config.width == configure("---", "digits").width


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"family": "vvv"}, "family: .*, got 'vvv'"),
        ({"epochs": 0}, "epochs: .*greater than or equal to 1, got 0"),
        ({"beta": float("nan")}, "beta: .*, got nan"),
        ({"colour": 1}, "colour: Unexpected"),
    ],
)
def test_bad_settings_are_named_with_their_value(given: dict[str, object], message: str) -> None:
    fields = {"family": "---", **given}
    with pytest.raises(ConfigError, match=message):
        configure(str(fields.pop("family")), "digits", **fields)


def test_an_unknown_data_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'cifar'; there are static-mnist, digits"):
        configure("---", "cifar")


def test_a_config_survives_being_written() -> None:
    config = configure("+-v", "digits", beta=0.15, seed=7)
    assert parse(config.as_dict()) == config


def test_differences_quote_both_values() -> None:
    a, b = configure("---", "digits", beta=0.1), configure("---", "digits", beta=0.5)
    assert differences(a, b) == ["beta is 0.1 there, 0.5 was asked for"]
    assert differences(a, a) == []
