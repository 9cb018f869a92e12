import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdserve.server.batching.latency_model import LatencyModel, LinearLatency

Calls = st.lists(st.integers(1, 256), min_size=2, max_size=50)


@given(overhead=st.floats(0, 0.1), each=st.floats(0, 0.1), sizes=Calls)
def test_a_line_is_learnt_where_calls_differ(overhead: float, each: float, sizes: list[int]) -> None:
    line = LinearLatency()
    for n in [*sizes, 1, 256]:
        line.learn(n, overhead + each * n)
    assert line.seconds(3, 600) == pytest.approx(3 * overhead + 600 * each, rel=1e-4, abs=1e-6)


def test_calls_of_one_size_do_not_make_a_larger_one_look_slow() -> None:
    line = LinearLatency()
    for _ in range(100):
        line.learn(1, 0.002)
    assert line.seconds(1, 256) == pytest.approx(0.002)


def test_what_lies_ahead_counts_until_it_is_done() -> None:
    pace = LatencyModel(max_samples=100)
    assert pace.wait_seconds("score", 1_000_000) == 0
    assert pace.call_seconds("score", 1) is None
    for n in (1, 50, 100):
        pace.learn("score", n, 0.01 + 0.001 * n)
    alone = pace.wait_seconds("score", 100)
    with pace.holding("score", 900), pace.holding("encode", 10):
        assert pace.wait_seconds("score", 100) == pytest.approx(10 * alone)
    assert pace.wait_seconds("score", 100) == alone == pytest.approx(0.11)


def test_a_model_that_got_slower_is_believed() -> None:
    pace = LatencyModel(max_samples=10)
    for seconds in [0.001] * 50 + [1.0] * 50:
        pace.learn("sample", 10, seconds)
    assert pace.wait_seconds("sample", 10) == pytest.approx(1.0, rel=0.05)
