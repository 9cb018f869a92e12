import numpy as np
import pytest
from numpy.typing import DTypeLike
from rdserve.data import DataError
from rdserve.data.kinds import canonical, kind_of

TABLE = [[0, 1], [1, 0]]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", ">i4", "float32", "float64"])
def test_zeros_and_ones_of_any_dtype_are_binary(dtype: str) -> None:
    found = canonical({"test": np.array(TABLE, dtype)}, "x")["test"]
    assert kind_of(found) == "binary"
    np.testing.assert_array_equal(found, np.array(TABLE, bool))


@pytest.mark.parametrize(
    ("given", "dtype", "kind"),
    [
        ([[0, 255]], "uint8", "levels"),
        ([[0, 256]], ">u2", "levels"),
        ([[0, 7]], "int64", "counts"),
        ([[0, 7]], "int8", "counts"),
        ([[-1, 7]], "int64", "real"),
        ([[0, 0.5]], "float64", "real"),
        ([[0, 2]], ">f4", "real"),
    ],
)
def test_dtypes_and_values_tell_the_kind(given: list[list[float]], dtype: str, kind: str) -> None:
    found = canonical({"test": np.array(given, dtype)}, "x")["test"]
    assert kind_of(found) == kind
    np.testing.assert_array_equal(found, np.array(given, found.dtype))


def test_one_split_decides_for_all() -> None:
    found = canonical({"train": np.array(TABLE), "test": np.array([[0, 7]])}, "x")
    assert [kind_of(x) for x in found.values()] == ["counts", "counts"]


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.int32, np.float32])
def test_what_has_the_dtype_of_its_kind_is_not_copied(dtype: DTypeLike) -> None:
    x = np.array([[0, 1, 0]] if dtype == np.bool_ else [[0, 7, 200]], dtype)
    assert np.shares_memory(canonical({"test": x}, "x")["test"], x)


def test_bytes_of_zeros_and_ones_are_not_copied() -> None:
    x = np.array(TABLE, np.uint8)
    assert np.shares_memory(canonical({"test": x}, "x")["test"], x)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"test": np.array([["a"]])}, r"my.npz, test: numbers are wanted, this is an array of dtype <U1"),
        ({"test": np.zeros((2, 2), complex)}, "dtype complex128"),
        ({"test": np.zeros(3)}, r"shape \(3,\); of single numbers, reshape it to \(N, 1\)"),
        ({"test": np.zeros((1,) * 9)}, r"an array of them 2 to 8; this one has shape"),
        ({"test": np.zeros((0, 2))}, r"no values in an array of shape \(0, 2\)"),
        ({"train": np.zeros((1, 2)), "test": np.zeros((1, 3))}, r"shapes: train \(2,\), test \(3,\)"),
        ({"train": np.zeros((1, 2)), "test": np.zeros((1, 2), int)}, "dtypes: train float64, test int64"),
        (
            {"test": np.array([[0, np.nan], [np.inf, 1]])},
            r"2 of 4 values are not finite, the first nan at \(0, 1\)",
        ),
        ({"test": np.array([[0, -1e39]])}, r"float32, which ends at 3.4e38, but a value is 1e\+39"),
        ({"test": np.array([[0, 2**31]])}, "int32, which ends at 2147483647, but one is 2147483648"),
    ],
)
def test_what_is_no_data_set_is_refused_with_the_facts(splits: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        canonical(splits, "my.npz")
