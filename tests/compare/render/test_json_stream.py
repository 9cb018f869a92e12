"""Documents with arrays as JSON, whatever their length, and without holding them."""

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from points import CROWDED, comparison_at
from rdserve.compare import export
from rdserve.compare.comparison import Comparison
from rdserve.compare.render import document, json_stream
from rdserve.compare.stretches import STRETCH

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@pytest.mark.slow
@settings(max_examples=40)
@given(DOCUMENTS, st.sampled_from(["", "\n"]))
def test_it_is_the_json_of_the_document(value: Any, indent: str) -> None:
    assert json.loads("".join(json_stream.text(value, indent))) == value


@pytest.mark.parametrize("n", [0, 1, STRETCH, 2 * STRETCH + 1])
def test_an_array_is_a_list_to_the_last_digit(n: int) -> None:
    for values in (np.random.default_rng(0).normal(size=n), np.arange(n, dtype=np.uint64)):
        assert json.loads("".join(json_stream.text({"a": values})))["a"] == values.tolist()


def test_what_is_not_finite_is_null() -> None:
    values = np.array([1.5, math.nan, math.inf, -math.inf])
    found = json.loads("".join(json_stream.text([math.nan, {"a": -math.inf}, values])))
    assert found == [None, {"a": None}, [1.5, None, None, None]]


def peaks(comparison: Comparison, out: Path) -> tuple[int, int]:
    """Bytes that the statistics take at most, and then the files."""
    tracemalloc.start()
    try:
        analysis = comparison.analysis
        assert analysis.rows
        assert analysis.pairs.preferences
        statistics = tracemalloc.get_traced_memory()[1]
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        export.write_data(analysis, None, out)
        return statistics, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_files_take_the_same_memory_for_any_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "REPORT_LINES", 1000)
    export.write_data(comparison_at(CROWDED[:2]).analysis, None, tmp_path)  # what is loaded on first use
    small, large = (peaks(comparison_at(CROWDED[:2], n=n), tmp_path) for n in (5_000, 25_000))
    # The ids are hashed: a copy of 8 bytes each. As Python objects, 20,000 rows of two models are 6 MB.
    assert large[1] - small[1] < 20_000 * 8 + 200_000
    # A few columns of one pair at a time.
    assert large[0] - small[0] < 20_000 * 8 * 8
