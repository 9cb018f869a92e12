from typing import Any

import numpy as np
import pytest
from rdserve.client.errors import InputError
from rdserve.client.inputs import as_binary, as_latents

BITS = np.random.default_rng(0).random((3, 8, 8)) < 0.5


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_zeros_and_ones_of_any_number_are_the_same_images(dtype: type) -> None:
    np.testing.assert_array_equal(as_binary(BITS.astype(dtype)), BITS)


def test_lists_are_images_too() -> None:
    assert as_binary([[[0, 1], [1, 0]]]).tolist() == [[[False, True], [True, False]]]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 64), r"\(5, 64\).*reshape to \(5, 8, 8\)"),
        ((8, 8), r"\(8, 8\).*images\[None\]"),
        ((5, 1, 8, 8), "drop the channel axis"),
        ((64,), r"got shape \(64,\)"),
        ((0, 8, 8), "no pixels"),
    ],
)
def test_another_shape_is_quoted_with_a_way_out(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_binary(np.zeros(shape, bool))


@pytest.mark.parametrize("given", ["a string", None, object(), [[1], [1, 2]], np.array([[["x"]]])])
def test_what_is_no_array_of_numbers_is_called_so(given: Any) -> None:
    for check in (as_binary, as_latents):
        with pytest.raises(InputError, match="are not an array of numbers"):
            check(given)


def test_grey_pixels_are_counted_and_the_first_is_shown() -> None:
    images = BITS.astype(float)
    images[1, 2, 3] = 0.25
    images[2, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"image 1 has 0.25 at \(2, 3\); 2 of 192 pixels"):
        as_binary(images)


def test_words_are_no_images() -> None:
    with pytest.raises(InputError, match="dtype <U1"):
        as_binary(np.full((1, 2, 2), "x"))


def test_latents_keep_float32_and_widen_the_rest() -> None:
    assert as_latents(np.zeros((2, 3), np.float32)).dtype == np.float32
    assert as_latents(np.zeros((2, 3), np.float16)).dtype == np.float64
    assert as_latents([[1, 2]]).dtype == np.float64


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros((2, 3, 4)), r"\(2, 3, 4\); flatten"),
        (np.zeros((0, 4)), "at least one row"),
        (np.array([[1.0, np.inf]]), "row 0 has inf at 1"),
        (np.array([["a"]]), "dtype"),
    ],
)
def test_bad_latents_are_refused(latents: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=message):
        as_latents(latents)
