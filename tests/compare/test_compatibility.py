from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from points import MODEL
from rdserve.client.errors import InputError
from rdserve.compare import compatibility
from rdserve.compare.scores import ScoredData

A = replace(MODEL, name="a")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"likelihood": "gaussian"},
            "different measures of D: a 'that of bernoulli' but b 'that of gaussian'",
        ),
        ({"measure": "lebesgue"}, "different measures of D: a 'that of bernoulli' but b 'lebesgue'"),
        ({"unit": "km"}, "different units of x: a '' but b 'km'"),
        ({"input_kind": "levels"}, "different kinds of x: a 'binary' but b 'levels'"),
        (
            {"preprocessing": ('{"op": "scale"}',)},
            """different preprocessing: a 'none' but b '{"op": "scale"}'""",
        ),
        ({"image_shape": (28, 28)}, "different sizes of x: a '8x8' but b '28x28'"),
        ({"binarisation": "none"}, "different binarisations: a 'threshold at 8 of 16' but b 'none'"),
        (
            {"data_sha256": "f" * 64},
            "different training data: a 'digits (sha256 000000000000)' but b 'digits (sha256 ffffffffffff)'",
        ),
    ],
)
def test_refused_by_name_unless_told_and_then_warned(change: dict[str, Any], words: str) -> None:
    models = [A, replace(MODEL, name="b", **change)]
    with pytest.raises(InputError) as refused:
        compatibility.check(models)
    assert words in str(refused.value)
    assert "--allow-incomparable" in str(refused.value)
    assert compatibility.check(models, allow_incomparable=True) == (f"not comparable: {words}",)


def test_models_that_compare_carry_no_warning() -> None:
    assert compatibility.check([A, replace(MODEL, name="b", beta=0.5, family="---")]) == ()
    laws = [
        replace(MODEL, name=law, likelihood=law, measure="counting") for law in ("poisson", "categorical")
    ]
    assert compatibility.check(laws) == (), "both give probabilities of the same x"


def test_all_that_differs_is_said_at_once() -> None:
    others = [replace(MODEL, name=f"b{i}", likelihood="gaussian", binarisation="none") for i in range(6)]
    with pytest.raises(InputError, match=r"measures of D: .*b0, b1, b2, b3 and 2 more.*binarisations: "):
        compatibility.check([A, *others])


def test_models_of_other_data_are_named() -> None:
    assert compatibility.foreign([A], ScoredData("digits", "test", "0" * 64)) == ()
    (warning,) = compatibility.foreign([A], ScoredData("static-mnist", "test", "e" * 64))
    assert warning == "trained on other data than 'static-mnist' (sha256 eeeeeeeeeeee): a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (28, 28)}, "model 'b' takes 28x28 images, the data has 8x8"),
        ({"state": "FAILED", "state_reason": "no weights"}, "model 'b' is FAILED: no weights"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    models = [replace(MODEL, name="a"), replace(MODEL, name="b", **change)]
    with pytest.raises(InputError, match=message):
        compatibility.check_fit(models, np.zeros((1, 8, 8), bool))
    compatibility.check_fit(models[:1], np.zeros((1, 8, 8), bool))
