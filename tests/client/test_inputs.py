from typing import Any

import numpy as np
import pytest
from rdserve.client.errors import InputError
from rdserve.client.inputs import as_examples, as_latents

BITS = np.random.default_rng(0).random((3, 8, 8)) < 0.5


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_zeros_and_ones_of_any_number_are_the_same_images(dtype: type) -> None:
    np.testing.assert_array_equal(as_examples(BITS.astype(dtype)), BITS)
    assert as_examples(BITS.astype(dtype)).dtype == np.bool_


def test_lists_are_images_too() -> None:
    assert as_examples([[[0, 1], [1, 0]]]).tolist() == [[[False, True], [True, False]]]


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([[0, 255]], np.uint8),
        ([[0, 256]], np.uint16),
        ([[0, 65536]], np.int32),
        ([[-1, 2]], np.int32),
        ([[0, 2**40]], np.float32),
        ([[0.5, 2.0]], np.float32),
        ([[3.0, 2.0]], np.uint8),
    ],
)
def test_other_numbers_are_sent_as_narrow_as_they_are(given: Any, dtype: type) -> None:
    found = as_examples(given)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.asarray(given, dtype))


@pytest.mark.parametrize(("shape", "message"), [((64,), r"got shape \(64,\)"), ((0, 8, 8), "no pixels")])
def test_what_has_no_rows_is_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_examples(np.zeros(shape, bool))


@pytest.mark.parametrize("given", ["a string", None, object(), [[1], [1, 2]], np.array([[["x"]]])])
def test_what_is_no_array_of_numbers_is_called_so(given: Any) -> None:
    for check in (as_examples, as_latents):
        with pytest.raises(InputError, match="are not an array of numbers"):
            check(given)


def test_the_first_number_that_is_none_is_shown() -> None:
    images = BITS.astype(float)
    images[1, 2, 3] = 0.25
    images[2, 0, 1] = np.nan
    with pytest.raises(InputError, match=r"row 2 has nan at \(0, 1\)"):
        as_examples(images)


def test_words_are_no_images() -> None:
    with pytest.raises(InputError, match="dtype <U1"):
        as_examples(np.full((1, 2, 2), "x"))


def test_latents_keep_float32_and_widen_the_rest() -> None:
    assert as_latents(np.zeros((2, 3), np.float32)).dtype == np.float32
    assert as_latents(np.zeros((2, 3), np.float16)).dtype == np.float64
    assert as_latents([[1, 2]]).dtype == np.float64


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros((0, 4)), "at least one"),
        (np.array([[1.0, np.inf]]), r"row 0 has inf at \(1,\)"),
        (np.array([["a"]]), "dtype"),
    ],
)
def test_bad_latents_are_refused(latents: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=message):
        as_latents(latents)
