from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdserve.client import chunking
from rdserve.client.blocking import iterate
from rdserve.client.errors import InputError


@given(st.integers(0, 2**40), st.integers(0, 10_000))
def test_a_chunk_keeps_every_bound_that_one_row_can_keep(bytes_per_row: int, n_samples: int) -> None:
    rows = chunking.rows_per_chunk(bytes_per_row, n_samples)
    assert 1 <= rows <= chunking.MAX_ROWS
    assert rows == 1 or rows * n_samples <= chunking.MAX_ROW_SAMPLES
    assert rows == 1 or rows * bytes_per_row <= chunking.MAX_MESSAGE_BYTES / 2


def test_ids_default_to_positions() -> None:
    assert chunking.example_ids(None, 3).tolist() == [0, 1, 2]
    largest = np.array([7, 7, 2**64 - 1], np.uint64)
    assert chunking.example_ids(largest, 3).tolist() == largest.tolist()


@pytest.mark.parametrize(
    ("ids", "message"),
    [([1, 2], r"shape \(2,\) for 3 rows"), ([0, -1, 2], "got -1"), ([0.5, 1.0, 2.0], "float64")],
)
def test_bad_ids_are_refused(ids: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        chunking.example_ids(ids, 3)


class Pending(Future[int]):
    """A call in flight, for the window."""

    async def reply(self) -> int:
        return self.result()


class Calls:
    """Starts calls, and can tell which were unfinished or cancelled."""

    def __init__(self, finish: Callable[[int, Future[int]], object]) -> None:
        self.started: list[Pending] = []
        self.finish = finish

    def start(self) -> Pending:
        future = Pending()
        self.started.append(future)
        self.finish(len(self.started) - 1, future)
        return future

    def in_order(self, n: int, in_flight: int) -> Generator[int, None, None]:
        """The replies of n calls."""

        async def starts() -> AsyncGenerator[Callable[[], Pending], None]:
            for _ in range(n):
                yield self.start

        return iterate(chunking.in_order(starts(), in_flight))


@given(st.integers(0, 20), st.integers(1, 5))
def test_results_come_in_order_with_few_in_flight(n: int, in_flight: int) -> None:
    calls = Calls(lambda index, future: future.set_result(index))
    got = []
    for result in calls.in_order(n, in_flight):
        got.append(result)
        assert len(calls.started) - len(got) < in_flight
    assert got == list(range(n))


def test_a_failure_cancels_what_is_in_flight() -> None:
    def finish(index: int, future: Future[int]) -> None:
        if index == 0:
            future.set_exception(RuntimeError("down"))

    calls = Calls(finish)
    with pytest.raises(RuntimeError, match="down"):
        list(calls.in_order(9, 3))
    assert [future.cancelled() for future in calls.started] == [False, True, True]


def test_leaving_early_cancels_what_is_in_flight() -> None:
    calls = Calls(lambda index, future: future.set_result(index) if index == 0 else None)
    results = calls.in_order(9, 3)
    assert next(results) == 0
    results.close()
    assert all(future.cancelled() for future in calls.started[1:])


def test_rows_too_large_for_half_a_message_go_one_by_one() -> None:
    assert chunking.rows_per_chunk(chunking.MAX_MESSAGE_BYTES, 1) == 1
    assert chunking.rows_per_chunk(np.iinfo(np.int64).max, 1) == 1
